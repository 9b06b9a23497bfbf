"""sagedock check: will this script survive in the cloud? Reads it, and runs nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sagedock.check import report as formats
from sagedock.check.checker import Choice, check
from sagedock.check.configuration import configured
from sagedock.check.findings import Report
from sagedock.check.pages import page
from sagedock.check.rules import RULES, named, rule
from sagedock.check.target import Target
from sagedock.errors import CheckError

FORMATS = ("text", "json", "github", "sarif")


@click.command("check")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--entry-point", metavar="FILE", help="The file of the folder PATH that is run.")
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
    """Check the training script or source folder PATH against the cloud's contract.

    Reads it and runs nothing. Exit code 0: no errors or warnings. 1: some. 2: could not check.
    """
    try:
        if explain:
            click.echo(page(rule(explain)), nl=False)
            return
        if list_rules:
            _list()
            return
        if path is None:
            raise CheckError("What is to be checked? Name a script or a source folder.")
        target = Target(framework_version, instance_type, channels or None)
        choice = _choice(path, select, ignore, warn)
        report = check(path, entry_point=entry_point, target=target, choice=choice)
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
    if form == "json":
        click.echo(formats.as_json(report))
    elif form == "sarif":
        click.echo(formats.sarif(report))
    elif form == "github":
        if report.findings:
            click.echo(formats.github(report))
    else:
        is_terminal = sys.stdout.isatty()
        click.echo(formats.text(report, _paint if is_terminal else formats.plain))


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True, fg=None if colour == "bold" else colour)
