"""sagedock env: the variables that lead a shell to the emulator."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import click

from sagedock.cli.address import client_folder, home_option, json_option, required_url
from sagedock.client_environment import Variable, client_variables
from sagedock.settings import Settings

_SET: dict[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {shlex.quote(value)}",
    "powershell": lambda name, value: f"$env:{name} = '" + value.replace("'", "''") + "'",
}
_UNSET = {"sh": "unset {}", "fish": "set -e {}", "powershell": "Remove-Item Env:{}"}


@click.command("env")
@home_option
@click.option(
    "--shell", type=click.Choice(sorted(_SET)), default="sh", show_default=True, help="Spelling."
)
@click.option("--unset", is_flag=True, help="Print the lines that undo it.")
@click.option("--explain", is_flag=True, help="Say what each variable is for and how to undo it.")
@json_option
def command(home: Path | None, shell: str, unset: bool, explain: bool, as_json: bool) -> None:
    """Print the lines that lead this shell's AWS clients to the emulator.

    \b
    eval "$(sagedock env)"            from now on, in this shell only
    eval "$(sagedock env --unset)"    and back again
    """
    settings = Settings.read(home=home)
    # Back again has to work when the emulator is gone.
    url = "" if unset else required_url(settings)
    folder = settings.home if unset else client_folder(url, settings)
    variables = client_variables(url, settings.region, folder)
    if as_json:
        click.echo(json.dumps({v.name: v.value for v in variables}, indent=2))
    elif explain:
        _explain(variables)
    else:
        for variable in variables:
            if unset or variable.value is None:
                click.echo(_UNSET[shell].format(variable.name))
            else:
                click.echo(_SET[shell](variable.name, variable.value))


def _explain(variables: list[Variable]) -> None:
    for variable in variables:
        value = "(taken away)" if variable.value is None else variable.value
        click.echo(f"{variable.name}={value}\n    {variable.why}\n")
    click.echo(
        'To undo all of it in a shell: eval "$(sagedock env --unset)", or close the shell.\n'
        "Nothing is written outside the emulator's home, and no trust store is touched."
    )
