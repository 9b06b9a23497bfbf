"""sagedock completion SHELL: the lines that make a shell complete sagedock's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash   eval "$(sagedock completion bash)"       in ~/.bashrc
    zsh    eval "$(sagedock completion zsh)"        in ~/.zshrc
    fish   sagedock completion fish | source        in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None, shell
    root = context.find_root().command
    click.echo(found(root, {}, "sagedock", "_SAGEDOCK_COMPLETE").source())
