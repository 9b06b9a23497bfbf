"""sagedock check: will this script, model, image or request survive in the cloud?"""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sagedock.check.checker import Choice
from sagedock.check.configuration import Configuration, configured, configured_in
from sagedock.check.findings import Report
from sagedock.check.reports import report as formats
from sagedock.check.rules.shelves import named
from sagedock.check.wanted import BACKENDS, Wanted, channels_of, hyperparameters_of
from sagedock.check.whole import checked
from sagedock.errors import SagedockError

if TYPE_CHECKING:
    from sagedock.check.runs.machine import Machine

FORMATS = ("text", "json", "junit", "github", "sarif")
_FILE = click.Path(path_type=Path)


@click.command("check")
@click.argument("path", required=False, type=_FILE)
@click.option("--model", type=_FILE, metavar="ARCHIVE", help="A model.tar.gz to look into.")
@click.option("--image", metavar="IMAGE", help="A container image of your Docker engine.")
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
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME[=FOLDER]",
    help="A channel of the job; with its data the training is run.",
)
@click.option("--run", is_flag=True, help="Train for real, then serve and ask the model.")
@click.option("--hyperparameters", type=_FILE, metavar="JSON", help="For a run: name → value.")
@click.option(
    "--request",
    "requests",
    multiple=True,
    metavar="FILE[=TYPE]",
    help="A body to send to the served model.",
)
@click.option("--accept", multiple=True, metavar="TYPE", help="Ask for answers of this type.")
@click.option("--instance-count", type=click.IntRange(1, 8), metavar="N", help="Hosts of a run.")
@click.option("--resume", is_flag=True, help="Run twice, the second time with the checkpoints.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    metavar="S",
    help="A training is stopped after so long (120).",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0.1),
    metavar="S",
    help="From SIGTERM to SIGKILL (a training 20, a server 30; the cloud waits 120 and 30).",
)
@click.option(
    "--request-seconds",
    type=click.FloatRange(min=0.1),
    metavar="S",
    help="A request may take so long (60).",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="Where a run takes place: as processes of yours (default), or in containers.",
)
@click.option(
    "--network-isolation", is_flag=True, help="Run without a network, as EnableNetworkIsolation."
)
@click.option("--config", type=_FILE, metavar="TOML", help="Instead of the nearest sagedock.toml.")
@click.option("--select", multiple=True, metavar="IDS", help="Only these rules: SD101,SD12.")
@click.option("--ignore", multiple=True, metavar="IDS", help="Not these rules.")
@click.option("--warn", multiple=True, metavar="IDS", help="Errors of these are warnings.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--explain", metavar="ID", help="Print the page of one rule.")
@click.option("--rules", "list_rules", is_flag=True, help="List all rules.")
def command(
    channels: tuple[str, ...],
    hyperparameters: Path | None,
    config: Path | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    warn: tuple[str, ...],
    form: str,
    explain: str | None,
    list_rules: bool,
    **target: Any,
) -> None:
    """Check the training script or source folder PATH, an archive, an image or requests against the
    cloud's contract.

    Reads them and runs nothing, unless it is told what to run: with --run, data for a channel,
    --hyperparameters or --request it trains for a while, serves what came out and asks it. Exit
    code 0: no errors or warnings. 1: some. 2: could not check.
    """
    try:
        if explain:
            _explain(explain)
            return
        if list_rules:
            _list()
            return
        project = _project(config, target)
        wanted = project.target.overridden(
            channels=channels_of(channels),
            hyperparameters=hyperparameters_of(hyperparameters) if hyperparameters else None,
            **target,
        )
        choice = _choice(project, select, ignore, warn)
        with _ended_by_sigterm():
            report = checked(wanted, choice, _settings, _progress)
    except SagedockError as error:
        click.echo(f"sagedock: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        # Not click's 1, which is that of findings.
        click.echo("sagedock: The check was stopped, and what it ran with it.", err=True)
        sys.exit(128 + signal.SIGINT)
    _print(report, form)
    sys.exit(report.exit_code)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """A CI server that gives a check up sends SIGTERM: what runs ends then too."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _project(config: Path | None, given: Mapping[str, Any]) -> Configuration:
    """Of --config, else of the folders around what is checked. Options override the project's
    target; where another thing is named than the project's, its target does not count."""
    if config is not None:
        return configured_in(config) or Configuration()
    named = [p for p in (given["path"], given["model"], *given["jobs"]) if p is not None]
    project = configured(named[0] if named else Path.cwd())
    target = project.target
    declared = {p.resolve() for p in (target.path, target.model, *target.jobs) if p is not None}
    is_other_image = given["image"] is not None and given["image"] != target.image
    others = any(path.resolve() not in declared for path in named)
    if (declared or target.image) and (others or (is_other_image and not named)):
        return replace(project, target=Wanted())
    return project


def _settings() -> Machine:
    settings: Machine = importlib.import_module("sagedock.settings").Settings.read()
    return settings


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _explain(id: str) -> None:
    # The pages and the table below need every rule, and a check only those of its target.
    catalogue = importlib.import_module("sagedock.check.rules.catalogue")
    pages = importlib.import_module("sagedock.check.reports.pages")
    click.echo(pages.page(catalogue.rule(id)), nl=False)


def _list() -> None:
    for one in importlib.import_module("sagedock.check.rules.catalogue").RULES:
        click.echo(f"{one.id}  {one.level:<7}  {one.name:<24}  {one.sentence}")


def _choice(
    project: Configuration, select: Sequence[str], ignore: Sequence[str], warn: Sequence[str]
) -> Choice:
    """The project's table, which --select replaces and --ignore and --warn add to."""
    chosen = _words(select) or project.select
    return Choice(
        select=None if chosen is None else named(chosen),
        ignore=named([*project.ignore, *_words(ignore)]),
        warn=named([*project.warn, *_words(warn)]),
    )


def _words(options: Sequence[str]) -> list[str]:
    return [word.strip() for option in options for word in option.split(",")]


def _print(report: Report, form: str) -> None:
    if form == "github":
        if report.findings or report.not_run:
            click.echo(formats.github(report))
    elif form == "text":
        is_terminal = sys.stdout.isatty()
        click.echo(formats.text(report, _paint if is_terminal else formats.plain))
    elif form == "json":
        click.echo(formats.as_json(report))
    else:
        write = getattr(importlib.import_module(f"sagedock.check.reports.{form}"), form)
        click.echo(write(report))


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True, fg=None if colour == "bold" else colour)
