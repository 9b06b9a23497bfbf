"""sagedock check: will this script, model or request survive in the cloud?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sagedock.check import report as formats
from sagedock.check.archive import read_archive
from sagedock.check.checker import Checker, Choice
from sagedock.check.configuration import configured
from sagedock.check.findings import Report
from sagedock.check.junit import junit
from sagedock.check.pages import page
from sagedock.check.request import read_requests
from sagedock.check.rules import RULES, named, rule
from sagedock.check.target import Target
from sagedock.errors import CheckError

FORMATS = ("text", "json", "junit", "github", "sarif")
_FILE = click.Path(path_type=Path)


@click.command("check")
@click.argument("path", required=False, type=_FILE)
@click.option("--model", type=_FILE, metavar="ARCHIVE", help="A model.tar.gz to look into.")
@click.option(
    "--job",
    "jobs",
    type=_FILE,
    multiple=True,
    metavar="JSON",
    help="The body of a CreateTrainingJob, CreateModel, … request; several go together.",
)
@click.option("--operation", metavar="NAME", help="What --job is for, where it does not tell.")
@click.option(
    "--entry-point",
    metavar="FILE",
    help="The file of the folder PATH that is run; with --model alone, that is served.",
)
@click.option("--framework-version", metavar="VERSION", help="Of MXNet's image, such as 1.9.0.")
@click.option("--instance-type", metavar="TYPE", help="Such as ml.m5.large.")
@click.option("--channel", "channels", multiple=True, metavar="NAME", help="A channel of the job.")
@click.option("--select", multiple=True, metavar="IDS", help="Only these rules: SD101,SD12.")
@click.option("--ignore", multiple=True, metavar="IDS", help="Not these rules.")
@click.option("--warn", multiple=True, metavar="IDS", help="Errors of these are warnings.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--explain", metavar="ID", help="Print the page of one rule.")
@click.option("--rules", "list_rules", is_flag=True, help="List all rules.")
def command(
    path: Path | None,
    model: Path | None,
    jobs: tuple[Path, ...],
    operation: str | None,
    entry_point: str | None,
    framework_version: str | None,
    instance_type: str | None,
    channels: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    warn: tuple[str, ...],
    form: str,
    explain: str | None,
    list_rules: bool,
) -> None:
    """Check the training script or source folder PATH, an archive or requests against the cloud's
    contract.

    Reads it and runs nothing. Exit code 0: no errors or warnings. 1: some. 2: could not check.
    """
    try:
        if explain:
            click.echo(page(rule(explain)), nl=False)
            return
        if list_rules:
            _list()
            return
        if path is None and model is None and not jobs:
            raise CheckError(
                "What is to be checked? Name a script or a source folder, --model or --job."
            )
        target = Target(framework_version, instance_type, channels or None)
        start = path or model or jobs[0]
        checker = Checker(target, _choice(start, select, ignore, warn))
        if path is not None:
            checker.scripts(path, entry_point)
        if model is not None:
            checker.archive(read_archive(model, entry_point if path is None else None))
        if jobs:
            checker.requests(read_requests(jobs, operation))
        report = checker.report
    except CheckError as error:
        click.echo(f"sagedock: {error}", err=True)
        sys.exit(2)
    _print(report, form)
    sys.exit(0 if report.is_clean else 1)


def _list() -> None:
    for one in RULES:
        click.echo(f"{one.id}  {one.level:<7}  {one.name:<24}  {one.sentence}")


def _choice(
    path: Path, select: Sequence[str], ignore: Sequence[str], warn: Sequence[str]
) -> Choice:
    """The project's table, which --select replaces and --ignore adds to."""
    project = configured(path)
    chosen = _words(select) or project.select
    return Choice(
        select=None if chosen is None else named(chosen),
        ignore=named([*project.ignore, *_words(ignore)]),
        warn=named(_words(warn)),
    )


def _words(options: Sequence[str]) -> list[str]:
    return [word.strip() for option in options for word in option.split(",")]


def _print(report: Report, form: str) -> None:
    if form == "github":
        if report.findings:
            click.echo(formats.github(report))
    elif form == "text":
        is_terminal = sys.stdout.isatty()
        click.echo(formats.text(report, _paint if is_terminal else formats.plain))
    else:
        write = {"json": formats.as_json, "sarif": formats.sarif, "junit": junit}[form]
        click.echo(write(report))


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True, fg=None if colour == "bold" else colour)
