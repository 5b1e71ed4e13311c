"""Image classifiers of the user's own: a TorchScript file and what must be known to use it, by name.

`NAME.pt` and `NAME.toml` lie in the folder `classifiers` of a worker's data directory; see
docs/image-classifier.md. Loading a TorchScript file runs the code in it, so a name is all that ever travels:
which file that is, the machine that has it decides. Nothing here imports torch.
"""

import hashlib
import importlib.util
import math
import os
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from tasks.documents import Value
from tasks.errors import ConfigError
from tasks.settings import Settings

_NAME = r"[a-z0-9][a-z0-9_-]{0,39}"
ENDING = ".pt"
MAX_ANNOUNCED = 64
_MAX_BYTES = 2 * 1024**3
_MAX_SIDECAR_BYTES = 64 * 1024
_DIGEST_DIGITS = 16

ClassifierName = Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]

_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}


class InputForm(Value):
    """What a page image must look like for a classifier. Home draws it so: only what is looked at travels."""

    width: int = Field(ge=16, le=1024)
    """Pixels."""
    height: int = Field(ge=16, le=1024)
    resize: Literal["letterbox", "stretch"] = "letterbox"
    """`letterbox` keeps the page's proportions and fills the rest with `pad`; `stretch` does not."""
    pad: int = Field(default=255, ge=0, le=255)
    """Gray value of what is filled; 255 is white, as paper."""


class ImageClassifier(Value):
    """A classifier as a worker announces it."""

    name: ClassifierName
    digest: Digest
    """Of the file and what is said about it: the first sixteen hex digits of SHA-256."""
    form: InputForm

    @property
    def model(self) -> str:
        """What units for it ask for, beside the names of language models."""
        return look_model(self.name, self.digest)


LOOK_PREFIX = "look:"


def look_model(name: str, digest: str) -> str:
    """What units ask for that want this classifier. No model server has names that begin so."""
    return f"{LOOK_PREFIX}{name}@{digest}"


def is_look_model(model: str) -> bool:
    """Whether that is an image classifier and no language model."""
    return model.startswith(LOOK_PREFIX)


class Sidecar(InputForm):
    """What `NAME.toml` says about `NAME.pt`."""

    labels: tuple[Label, ...] = Field(min_length=2, max_length=200)
    """In the order of the output."""
    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    """Taken from each channel, whose values are 0 to 1; one for all channels or one for each."""
    std: tuple[float, ...] = (1.0,)
    """What each channel is divided by after that."""
    output: Literal["logits", "probabilities"] = "logits"
    temperature: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False)
    """Logits are divided by it before the softmax: above 1 for a network that is too sure of itself."""
    batch: int = Field(default=16, ge=1, le=256)
    """Images in one forward pass, at most; 1 for a network that was traced for a single image only."""

    @property
    def channel_count(self) -> int:
        """Channels of the input: 1 or 3."""
        return _CHANNELS[self.channels]

    @property
    def form(self) -> InputForm:
        """The part that home needs."""
        return InputForm(width=self.width, height=self.height, resize=self.resize, pad=self.pad)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is there twice")
        if any(not label.isprintable() for label in self.labels):
            raise ValueError("a label holds a character that cannot be printed")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in {1, self.channel_count}:
                raise ValueError(f"{name} has {len(values)} values; {self.channels} has {self.channel_count}")
            if not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} is not finite")
        if any(value <= 0 for value in self.std):
            raise ValueError("std must be above 0")
        return self


class ClassifierError(ConfigError):
    """An image classifier is missing, or what is said about it is wrong."""


class Installed(Value):
    """A classifier on this machine."""

    path: Path
    sidecar: Sidecar
    announced: ImageClassifier


def classifiers_dir(settings: Settings) -> Path:
    """The folder where a worker's classifiers lie."""
    return settings.data_dir / "classifiers"


def list_classifiers(settings: Settings) -> tuple[str, ...]:
    """The names of the classifiers on this machine, also of those that cannot be used."""
    stems = (path.stem for path in classifiers_dir(settings).glob(f"*{ENDING}") if path.is_file())
    return tuple(sorted(stem for stem in stems if re.fullmatch(_NAME, stem)))


def find_classifier(name: str, settings: Settings) -> Installed:
    """The classifier of that name on this machine. Reads all of its file, once for each change of it.

    Raises:
        ClassifierError: there is none, it is too large, or its sidecar is missing or wrong.
    """
    if not re.fullmatch(_NAME, name):
        raise ClassifierError(f"{name!r} is no name of an image classifier.", "Use a-z, 0-9, - and _.")
    path = classifiers_dir(settings) / f"{name}{ENDING}"
    try:
        stamps = tuple(
            (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
            for stat in (one.stat() for one in (path, path.with_suffix(".toml")))
        )
    except OSError as error:
        raise ClassifierError(
            f"There is no image classifier {name!r} here: {error.filename} cannot be read.",
            f"Put {name}{ENDING} and {name}.toml there; docs/image-classifier.md says how.",
        ) from error
    return _read(name, path, stamps)


def usable_classifiers(settings: Settings) -> tuple[ImageClassifier, ...]:
    """What this machine announces: nothing without torch, and nothing that cannot be used."""
    if not has_torch():
        return ()
    found = []
    for name in list_classifiers(settings)[:MAX_ANNOUNCED]:
        try:
            found.append(find_classifier(name, settings).announced)
        except ClassifierError:  # the doctor says what is wrong with it
            continue
    return tuple(found)


def has_torch() -> bool:
    """Whether torch is installed. Does not import it: only the child that runs a classifier does."""
    return importlib.util.find_spec("torch") is not None


@lru_cache(maxsize=64)
def _read(name: str, path: Path, stamps: tuple[tuple[int, ...], ...]) -> Installed:
    """Called again when one of the two files has changed: their stamps are part of the key."""
    if stamps[0][-1] > _MAX_BYTES or stamps[1][-1] > _MAX_SIDECAR_BYTES:
        raise ClassifierError(f"{path} or its .toml is too large.", "At most 2 GB and 64 kB are taken.")
    try:
        source = path.with_suffix(".toml").read_bytes()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise ClassifierError(f"{error.filename} cannot be read.", "Make it readable.") from error
    digest.update(source)
    sidecar = _sidecar(path.with_suffix(".toml"), source)
    announced = ImageClassifier(name=name, digest=digest.hexdigest()[:_DIGEST_DIGITS], form=sidecar.form)
    return Installed(path=path, sidecar=sidecar, announced=announced)


def _sidecar(path: Path, source: bytes) -> Sidecar:
    remedy = "Correct it; docs/image-classifier.md says what it may hold."
    try:
        return Sidecar.model_validate(tomllib.loads(source.decode("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = first["msg"].removeprefix("Value error, ")
        raise ClassifierError(f"{os.fspath(path)}: {key}: {reason}.", remedy) from error
    except ValueError as error:  # neither UTF-8 nor TOML: both are ValueErrors
        raise ClassifierError(f"{os.fspath(path)} is not valid TOML: {error}.", remedy) from error
