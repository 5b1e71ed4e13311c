"""Naming a file that is sent by HTTP."""

from urllib.parse import quote

from app.plans.names import safe_file_name


def disposition(name: str) -> str:
    """A Content-Disposition from which no name can break out (RFC 6266)."""
    safe = safe_file_name(name)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "_" for c in safe)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"
