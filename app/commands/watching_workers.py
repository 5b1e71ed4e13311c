"""The command that serves Flower."""

import click

from app.called import need_extra
from app.plain_text import visible
from tasks.settings import get_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs the token.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="Default: the setting flower_port, 5555."
)
def flower(host: str, port: int | None) -> None:
    """Show workers, queues and tasks in a browser by Flower, until Ctrl-C or SIGTERM; see docs/flower.md.

    It only shows. From elsewhere it asks for the user `shoebox` with the API's token as the password, on
    this machine only if the setting flower_needs_token says so.
    """
    need_extra("flower", "flower")
    need_extra("api", "fastapi")  # whose token it asks for
    from app.api.access import load_token
    from app.flower.gate import Gate
    from app.flower.serving import serve
    from app.listening import address_of, bound_socket, is_loopback
    from app.services.redis_client import ask_redis

    settings = get_settings()
    ask_redis(settings)  # or why not
    gate = Gate(load_token(settings), needs_token=settings.flower_needs_token or not is_loopback(host))
    listener = bound_socket(host, settings.flower_port if port is None else port)
    try:
        click.echo(f"Flower is at {visible(address_of(listener))}", err=True)
        serve(settings, listener, gate)
    finally:
        listener.close()


COMMANDS = (flower,)
"""What this module adds to the command line."""
