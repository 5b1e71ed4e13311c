"""The command that serves the HTTP API."""

import logging

import click

from app.called import need_extra
from app.plain_text import visible
from tasks.settings import get_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs the token.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="Default: the setting api_port, 8765."
)
@click.option("--show-token", is_flag=True, help="Print the token that clients send, and end.")
@click.option(
    "--services/--no-services", default=True, help="Whether to start Redis and workers as `up` does."
)
def api(host: str, port: int | None, show_token: bool, services: bool) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM; see docs/api.md.

    On this machine no token is needed, unless the setting api_needs_token says so. Clients elsewhere always
    send it: `Authorization: Bearer ...`.
    """
    need_extra("api", "fastapi")
    from app.api.access import load_token

    settings = get_settings()
    if show_token:
        click.echo(load_token(settings))
        return
    from app.api.serving import serve
    from app.listening import address_of, bound_socket
    from tasks.ledger import Ledger

    with Ledger.open(settings):  # made or migrated before anybody asks, or said why not
        load_token(settings)
    listener = bound_socket(host, settings.api_port if port is None else port)
    try:
        if services:
            from app import services as local_services

            local_services.up(settings)
        log_to_stderr()
        logging.getLogger("shoebox.api").setLevel(logging.INFO)
        click.echo(f"The API is at {visible(address_of(listener))}; what there is: /docs", err=True)
        serve(settings, listener, host)
    finally:
        listener.close()


def log_to_stderr() -> None:
    """Have a server that stays in the foreground say there what goes wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


COMMANDS = (api,)
"""What this module adds to the command line."""
