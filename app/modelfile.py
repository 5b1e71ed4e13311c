"""Reading the Modelfiles of this project: FROM, PARAMETER and SYSTEM."""

import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import ConfigError

_SYSTEM = re.compile(r'^SYSTEM\s+"""(.*?)"""\s*$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Modelfile:
    """What a model is made of."""

    base: str
    system: str
    parameters: dict[str, int | float | str]


def modelfiles() -> Path:
    """The folder of this project's Modelfiles: in the checkout, or where pip has put them.

    Not simply the first: beside an installed `app` lies the Python package of Ollama's client, by that name.
    """
    checkout = Path(__file__).resolve().parent.parent / "ollama"
    if (checkout / "Modelfile").exists():
        return checkout
    return Path(sysconfig.get_path("data")) / "share" / "shoebox" / "ollama"


def read_modelfile(path: Path) -> Modelfile:
    """Read a Modelfile of the simple form that this project uses.

    Raises:
        ConfigError: it is not there, or has no FROM.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", "Check out the project again."
        ) from error
    system = _SYSTEM.search(text)
    rest = _SYSTEM.sub("", text)
    base = re.search(r"^FROM\s+(\S+)\s*$", rest, re.MULTILINE)
    if base is None:
        raise ConfigError(f"{path} has no line FROM.", "Name a model there, such as: FROM qwen2.5:1.5b")
    found = re.findall(r"^PARAMETER\s+(\S+)\s+(.+?)\s*$", rest, re.MULTILINE)
    return Modelfile(
        base=base[1],
        system=system[1] if system else "",
        parameters={name: _number(value) for name, value in found},
    )


def _number(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
