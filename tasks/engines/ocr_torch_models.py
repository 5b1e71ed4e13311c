"""The OCR models for PaddleOCR's engine on torch, made once of the ONNX files that onnxruntime reads.

PP-OCRv6's architectures are in `transformers`; what they lack offline is the weights in their own order. Both
graphs compute the same, so the weights are taken in the order in which the ONNX file lists its operators and
given to the modules of torch in the order in which they run. Before the folders are kept, both are run on the
same input and must agree.

Needs torch, torchvision, transformers and onnx (the extra `gpu`); nothing is computed on a GPU here.
"""

import hashlib
import importlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from tasks.engines.ocr_models import DETECTION_NAME, RECOGNITION_NAME, OcrModels, put_in_place
from tasks.engines.onnx_weights import Weights, weights_in_order
from tasks.errors import ConfigError

log = logging.getLogger("shoebox.ocr")

LAYOUT_REVISION = 1
"""Raised when this module makes other folders of the same models."""
MOST_DIFFERENCE = 1e-3
"""Between the outputs (0 to 1) of torch and onnxruntime; measured on a CPU: 1e-7 and 4e-5."""

_MANIFEST = "made.json"
_REMEDY = "Run ./run.sh install gpu again, or set ocr_device to cpu."
_BLOCKS = [
    [[3, 48, 48, 1, True], [3, 48, 48, 1, False]],
    [[3, 48, 96, 2, False], [3, 96, 96, 1, True], [3, 96, 96, 1, False]],
    [
        [3, 96, 192, 2, False],
        [3, 192, 192, 1, True],
        [3, 192, 192, 1, False],
        [3, 192, 192, 1, True],
        [3, 192, 192, 1, False],
    ],
    [[3, 192, 384, 2, False], [3, 384, 384, 1, True], [3, 384, 384, 1, False]],
]
_DETECTION_BACKBONE = {
    "model_type": "pp_lcnet_v4",
    "stem_channels": [3, 24, 48],
    "stem_type": "large",
    "stem_strides": [2, 1, 1, 2, 1],
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
    "block_configs": _BLOCKS,
}
"""The small detector's, which transformers has no default for; from PaddleX's description of the model."""
_NECK = "conv2d_94.w_0"
"""The first weight of the detector's neck in the ONNX file."""
_LEVELS, _INSIDE, _INPUT = 4, 3, 4
"""The neck's levels, and the operators with weights of each: in its inner and its input part."""


def ensure_torch_models(models_dir: Path, source: OcrModels) -> OcrModels:
    """Make the folders for torch under `models_dir` of `source`, unless they are there and whole.

    They appear whole or not at all, and of two processes that make them at once one wins. Making them takes
    some ten seconds, and checking them 0.1.

    Raises:
        ConfigError: they cannot be made or written, or torch does not agree with onnxruntime.
    """
    made = f"{source.version}-torch-{version('transformers')}-{LAYOUT_REVISION}"
    home = models_dir / made
    models = OcrModels(home / DETECTION_NAME, home / RECOGNITION_NAME, made)
    if _is_whole(home, source):
        return models
    log.info("Making the OCR models for torch in %s; this happens once.", home)
    try:
        with tempfile.TemporaryDirectory(prefix=".building-", dir=models_dir) as scratch:
            built = Path(scratch, "built")
            _make(source, built)
            _write_manifest(built, source)
            put_in_place(built, home, Path(scratch, "broken"), lambda: _is_whole(home, source))
    except OSError as error:
        raise ConfigError(
            f"The OCR models for torch cannot be written to {models_dir}: {error.strerror or error}.",
            "Make room there or let SHOEBOX_DATA_DIR name another folder.",
        ) from error
    return models


def _make(source: OcrModels, built: Path) -> None:
    torch: Any = importlib.import_module("torch")
    hub: Any = importlib.import_module("transformers")
    characters = _characters(source.rec)
    detector = hub.PPOCRV6SmallDetForObjectDetection(
        hub.PPOCRV6SmallDetConfig(
            backbone_config=_DETECTION_BACKBONE,
            layer_list_out_channels=[blocks[-1][2] for blocks in _BLOCKS],
        )
    ).eval()
    recogniser = hub.PPOCRV6SmallRecForTextRecognition(
        hub.PPOCRV6SmallRecConfig(head_out_channels=len(characters))
    ).eval()
    _convert(torch, detector, source.det, built, hub.PPOCRV5ServerDetImageProcessor(), (3, 128, 192))
    processor = hub.PPOCRV6SmallRecImageProcessor(character_list=characters)
    _convert(torch, recogniser, source.rec, built, processor, (3, 48, 320))


def _characters(rec: Path) -> list[str]:
    """What the recogniser's classes stand for: CTC's blank first, the space last."""
    description = yaml.safe_load((rec / "inference.yml").read_text(encoding="utf-8"))
    return ["blank", *description["PostProcess"]["character_dict"], " "]


def _convert(
    torch: Any, model: Any, source: Path, built: Path, processor: Any, shape: tuple[int, int, int]
) -> None:
    """Fill a model of torch's with the weights in `source`, compare the two, and save it."""
    weights = weights_in_order(source / "inference.onnx")
    if source.name == DETECTION_NAME:
        weights = _neck_as_torch_runs_it(weights)
    sample = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    try:
        _fill(torch, model, torch.from_numpy(sample), weights)
    except (RuntimeError, ValueError, StopIteration) as error:  # another number or shape of weights
        raise ConfigError(
            f"The weights of {source.name} do not fit the model in transformers: {error}.", _REMEDY
        ) from error
    difference = _difference(torch, model, source / "inference.onnx", sample)
    if not difference <= MOST_DIFFERENCE:
        raise ConfigError(
            f"{source.name} gives other results on torch than on onnxruntime (by {difference:.2g}).", _REMEDY
        )
    log.info("%s on torch differs from onnxruntime by %.1g at most.", source.name, difference)
    folder = built / source.name
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    shutil.copyfile(source / "inference.yml", folder / "inference.yml")


def _neck_as_torch_runs_it(weights: Sequence[Weights]) -> list[Weights]:
    """The detector's weights with its neck's levels in torch's order: ONNX lists the coarsest first."""
    start = next((index for index, one in enumerate(weights) if one.name == _NECK), None)
    if start is None:
        raise ConfigError(
            f"The detection model has no weight {_NECK}: it is not the one known here.", _REMEDY
        )
    middle = start + _LEVELS * _INSIDE
    end = middle + _LEVELS * _INPUT
    return [
        *weights[:start],
        *_levels_reversed(weights[start:middle], _INSIDE),
        *_levels_reversed(weights[middle:end], _INPUT),
        *weights[end:],
    ]


def _levels_reversed(part: Sequence[Weights], size: int) -> list[Weights]:
    starts = range(len(part) - size, -1, -size)
    return [one for start in starts for one in part[start : start + size]]


def _fill(torch: Any, model: Any, sample: Any, weights: Iterable[Weights]) -> None:
    """Give each module its weights, in the order in which the modules run on `sample`."""
    left = iter(weights)
    latest: Weights | None = None
    layer: Any = None
    with torch.no_grad():
        for module in _modules_as_they_run(torch, model, sample):
            if isinstance(module, torch.nn.BatchNorm2d):
                if latest is None:
                    raise ValueError("a normalisation without a convolution before it")
                _fill_norm(torch, module, layer, latest)
                continue
            latest, layer = next(left), module
            flat = latest.weight.T if isinstance(module, torch.nn.Linear) else latest.weight
            _copy(torch, module.weight, flat)
            if module.bias is not None:
                if latest.bias is None:
                    raise ValueError(f"{latest.name} has no bias")
                _copy(torch, module.bias, latest.bias.reshape(-1))
    if (extra := next(left, None)) is not None:
        raise ValueError(f"{extra.name} is left over")


def _fill_norm(torch: Any, norm: Any, layer: Any, weights: Weights) -> None:
    if weights.norm is not None:
        gain, bias, mean, variance = weights.norm
        values = (gain, bias, mean, variance + weights.epsilon - norm.eps)
        for name, value in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
            _copy(torch, getattr(norm, name), value)
        return
    # ONNX has it folded into the convolution: it becomes the identity and takes over the folded bias.
    if weights.bias is None:
        raise ValueError(f"{weights.name} has no normalisation and no bias")
    norm.weight.fill_(1)
    _copy(torch, norm.bias, weights.bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    if layer.bias is not None:
        layer.bias.zero_()


def _copy(torch: Any, target: Any, values: NDArray[Any]) -> None:
    source = torch.from_numpy(np.array(values, dtype=np.float32, order="C"))
    if source.shape != target.shape:  # or it would be spread over the target
        raise ValueError(f"{tuple(source.shape)} instead of {tuple(target.shape)}")
    target.copy_(source)


def _modules_as_they_run(torch: Any, model: Any, sample: Any) -> list[Any]:
    """The modules with weights of their own, once for each time they run."""
    order: list[Any] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: order.append(module))
        for module in model.modules()
        if not list(module.children()) and list(module.parameters(recurse=False))
    ]
    with torch.inference_mode():
        model(pixel_values=sample)
    for hook in hooks:
        hook.remove()
    return order


def _difference(torch: Any, model: Any, onnx_file: Path, sample: NDArray[np.float32]) -> float:
    """How far the outputs of both are apart, at most."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: sample})[0]
    with torch.inference_mode():
        got = model(pixel_values=torch.from_numpy(sample)).last_hidden_state.numpy()
    return float(np.abs(expected - got.reshape(expected.shape)).max())


# --- whole or not at all


def _write_manifest(built: Path, source: OcrModels) -> None:
    files = {str(path.relative_to(built)): _sha256(path) for path in _files(built)}
    (built / _MANIFEST).write_text(json.dumps({"of": _sources(source), "files": files}), encoding="utf-8")


def _is_whole(home: Path, source: OcrModels) -> bool:
    """Whether every file is there, as it was written, and was made of these sources."""
    try:
        manifest = json.loads((home / _MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["of"] == _sources(source)) and all(
            _sha256(home / name) == digest for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sources(source: OcrModels) -> list[str]:
    return [_sha256(folder / "inference.onnx") for folder in (source.det, source.rec)]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
