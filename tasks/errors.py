"""Errors that a person sees: each class carries the exit code and the remedy."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit status means. Documented in README.md."""

    OK = 0
    ERROR = 1
    """Something unexpected; the message says what."""
    USAGE = 2
    """The command line was wrong (click's own code)."""
    NOT_FOUND = 3
    """No such file, folder or document."""
    BAD_FILE = 4
    """A file cannot be read: broken, protected, of an unknown kind."""
    CONFIG = 5
    """A setting or a recipe is wrong."""
    SERVICE = 6
    """Redis, a worker or the supervisor is not there."""
    UNFINISHED = 7
    """`--wait` ended with documents that failed, were quarantined or cancelled."""
    UNANSWERED = 8
    """`ask`: the documents do not say, or no language model answered."""
    INTERRUPTED = 130


class ShoeboxError(Exception):
    """Base of every error with a text for the user.

    `message` names the thing at fault; `remedy` says what to do, and may be empty.
    """

    exit_code = ExitCode.ERROR

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class NotFoundError(ShoeboxError):
    """No such file, folder or document."""

    exit_code = ExitCode.NOT_FOUND


class FileError(ShoeboxError):
    """The file itself is at fault; trying again changes nothing."""

    exit_code = ExitCode.BAD_FILE
    kind = "file"
    """What follows for the unit that read it: the `kind` of its `Failure`."""


class LimitError(FileError):
    """Reading a file was stopped by a limit (kind `limit`, final), or crashed (`died`, an attempt)."""

    def __init__(self, message: str, remedy: str, kind: str) -> None:
        super().__init__(message, remedy)
        self.kind = kind


class ConfigError(ShoeboxError):
    """A setting or a recipe is wrong."""

    exit_code = ExitCode.CONFIG


class ServiceError(ShoeboxError):
    """Redis, a worker or the supervisor is not there or refuses."""

    exit_code = ExitCode.SERVICE
