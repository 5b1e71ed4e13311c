"""A password that stands in a file of its own, as Compose and systemd hand secrets over."""

from pathlib import Path
from urllib.parse import quote, urlsplit

MOST_BYTES = 4096


def absolute(path: Path) -> Path:
    """Make sure that a path means the same in every process.

    Raises:
        ValueError: it is relative.
    """
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def with_password(url: str, file: Path) -> str:
    """The address with the password that the file holds; a newline at its end is not part of it.

    Raises:
        ValueError: the file cannot be read, is empty, or the address has a password already. Its words
            hold neither.
    """
    try:
        with file.open("rb") as opened:
            password = opened.read(MOST_BYTES + 1).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise ValueError(f"needs {file}, which cannot be read: {error.strerror}") from None
    if not password or len(password) > MOST_BYTES:
        raise ValueError(f"needs {file}, which holds no password")
    try:
        parts = urlsplit(url)
        has_password = bool(parts.password)
    except ValueError:
        raise ValueError("is not an address") from None
    if has_password:
        raise ValueError("has a password already, and redis_password_file names another")
    user, _, host = parts.netloc.rpartition("@")
    login = f"{user.rstrip(':')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{host}").geturl()
