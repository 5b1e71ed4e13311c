"""The command that prints what a shell needs to complete our command lines."""

import click

from app.completion import SHELLS, script


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script by which SHELL completes commands, options, recipes, documents and files.

    \b
    bash, in ~/.bashrc:  source <(/path/to/run.sh completion bash)
    zsh, in ~/.zshrc:    source <(/path/to/run.sh completion zsh)      after compinit
    fish:                /path/to/run.sh completion fish > ~/.config/fish/completions/run.sh.fish
    """
    click.echo(script(shell), nl=False)


COMMANDS = (completion,)
"""What this module adds to the command line."""
