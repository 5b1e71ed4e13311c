"""The command that serves the terminal UI to a browser on this machine."""

import click

from app.called import need_extra
from app.commands.serving import log_to_stderr
from app.plain_text import visible
from tasks.errors import ServiceError
from tasks.settings import get_settings

_PORT = 8766


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Another loopback address; no other is served."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="0: any that is free."
)
def web(host: str, port: int) -> None:
    """Show the terminal UI in a browser on this machine, until Ctrl-C or SIGTERM; see docs/web.md.

    Prints a link that opens one browser; when it was used, the next one.
    """
    from app.listening import bound_socket, is_loopback

    if not is_loopback(host):
        raise ServiceError(
            f"The UI is shown to browsers on this machine only, never at {visible(host)}.",
            f"From another machine: ssh -L {port or _PORT}:127.0.0.1:{port or _PORT} THIS-MACHINE, start it"
            " there, and open the link here. For programs there is ./run.sh api.",
        )
    need_extra("web", "textual_serve")
    from app.web.server import serve
    from tasks.ledger import Ledger

    settings = get_settings()
    with Ledger.open(settings):  # made or migrated before anybody looks, or said why not
        pass
    listener = bound_socket(host, port)
    try:
        log_to_stderr()
        serve(settings, listener, lambda link: click.echo(f"The UI, for one browser: {link}", err=True))
    finally:
        listener.close()


@click.command("_ui", hidden=True)
def web_ui() -> None:
    """Be the UI behind one page of a browser: what `web` starts."""
    from app.tui.app import run

    run(get_settings())


COMMANDS = (web, web_ui)
"""What this module adds to the command line."""
