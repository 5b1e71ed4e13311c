"""What the entry says, in the form of the Desktop Entry Specification 1.5."""

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import ConfigError

_RESERVED = frozenset(" \t\n\"'\\><~|&;$*?#()`")
"""What an argument of Exec= may only hold in double quotes (chapter "The Exec key")."""
_ESCAPED = frozenset('"`$\\')
"""What has a backslash before it within them."""


def entry_text(command: Sequence[str], icon: Path) -> str:
    """The entry that starts `command` in a terminal, with the files that were dropped on it.

    Raises:
        ConfigError: a path holds a control character.
    """
    # No MimeType: where nothing else shows a PDF file, Shoebox would become what opens it.
    return f"""\
[Desktop Entry]
Type=Application
Version=1.5
Name=Shoebox
GenericName=Documents into a table
Comment=Drop your papers in; get a table you can trust
Keywords=scan;bill;letter;document;invoice;
Categories=Office;
Terminal=true
StartupNotify=false
Exec={exec_value(command)} %F
Icon={string_value(str(icon))}
"""


def exec_value(command: Sequence[str]) -> str:
    """A command line, without field codes. Quoted first, then escaped as any value of a string is.

    Raises:
        ConfigError: as `entry_text`.
    """
    if "=" in command[0]:  # which the name of a program must not hold
        command = ("sh", "-c", 'exec "$0" "$@"', *command)
    return string_value(" ".join(_argument(word) for word in command))


def _argument(word: str) -> str:
    word = word.replace("%", "%%")
    if word and not set(word) & _RESERVED:
        return word
    return '"' + "".join(f"\\{letter}" if letter in _ESCAPED else letter for letter in word) + '"'


def string_value(text: str) -> str:
    """A value of the type string, in which a backslash begins an escape (chapter "Possible value types").

    Raises:
        ConfigError: as `entry_text`.
    """
    if not text.isprintable():
        raise ConfigError(
            f"{text!a} holds a character that a desktop entry cannot.",
            "Move Shoebox, or what is named, to a folder with a simpler name.",
        )
    return text.replace("\\", "\\\\")
