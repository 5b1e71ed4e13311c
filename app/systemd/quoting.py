"""How systemd reads command lines, paths and environment files (systemd.syntax(7), systemd.service(5))."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors import ConfigError


def command_line(words: Sequence[str]) -> str:
    """A value of ExecStart= and the like. The colon keeps `$` from being looked up (systemd.service(5)).

    A program whose own path holds quotes or backslashes is refused there, so env(1) starts it.

    Raises:
        ConfigError: a word has a control character or bytes that are no UTF-8.
    """
    if set(words[0]) & set("\"'\\"):
        words = ("/usr/bin/env", *words)
    return ":" + " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    escaped = _printable(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def path_value(path: Path) -> str:
    """A value that is one path: taken as it is to the end of the line, but for specifiers.

    Raises:
        ConfigError: as `command_line`, or it ends in a backslash, which would continue the line.
    """
    text = _printable(str(path))
    if text.endswith(("\\", " ")):
        raise ConfigError(f"{text!r} ends in a character that systemd cannot take.", "Use another folder.")
    return text.replace("%", "%%")


def environment_file(variables: Mapping[str, str]) -> str:
    """Lines of an EnvironmentFile=, which knows double quotes and backslashes as a shell does.

    Raises:
        ConfigError: as `command_line`.
    """
    lines = []
    for name, value in sorted(variables.items()):
        if not value.isprintable():
            raise ConfigError(f"{name} holds a control character.", "Correct it in your environment.")
        escaped = "".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ConfigError(
            f"{text!a} holds a character that no unit of systemd can.",
            "Move Shoebox, or what is named, to a folder with a simpler name.",
        )
    return text
