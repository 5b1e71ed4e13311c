"""The OCR models on torch: conversion, and what they read beside onnxruntime. Runs where the extra gpu is."""

import gc
import logging
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.engines import ocr_device, ocr_pipeline, ocr_torch_models, onnx_weights, paddle
from tasks.engines.ocr_device import OcrDevice
from tasks.engines.ocr_memory import Trouble, trouble_of
from tasks.engines.ocr_models import OcrModels, ensure_models
from tasks.engines.ocr_torch_models import ensure_torch_models
from tasks.engines.paddle import PaddleEngine
from tasks.errors import ConfigError
from tests import pageimages
from tests.pageimages import cer
from tests.torchvision_ops import declare_missing_operators

torch: Any = pytest.importorskip("torch")
declared = declare_missing_operators(torch)
for module in ("torchvision", "transformers", "onnx"):
    pytest.importorskip(module)

pytestmark = pytest.mark.ocr

ON_TORCH = OcrDevice("transformers", "cpu", "for the tests; nothing but the device differs on a GPU")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def source(models_dir: Path) -> OcrModels:
    return ensure_models(models_dir)


@pytest.fixture(scope="module")
def converted(models_dir: Path, source: OcrModels) -> OcrModels:
    return ensure_torch_models(models_dir, source)


@pytest.fixture
def engine(models_dir: Path, converted: OcrModels, monkeypatch: pytest.MonkeyPatch) -> Iterator[PaddleEngine]:
    monkeypatch.setattr(ocr_device, "choose", lambda wanted: ON_TORCH)
    made = PaddleEngine(models_dir)
    yield made
    made.release()


def test_folders_are_whole_and_made_once(models_dir: Path, source: OcrModels, converted: OcrModels) -> None:
    for folder in (converted.det, converted.rec):
        assert {path.name for path in folder.iterdir()} == {
            "config.json",
            "inference.yml",
            "model.safetensors",
            "preprocessor_config.json",
        }
    made = (converted.rec / "model.safetensors").stat().st_ino
    assert ensure_torch_models(models_dir, source) == converted
    assert (converted.rec / "model.safetensors").stat().st_ino == made


@pytest.mark.parametrize("harm", ["a bit", "a file", "the manifest"])
def test_damaged_folders_are_made_anew(
    tmp_path: Path, source: OcrModels, converted: OcrModels, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / converted.version
    shutil.copytree(converted.det.parent, home)
    victim = home / converted.det.name / "model.safetensors"
    if harm == "a bit":
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    elif harm == "a file":
        victim.unlink()
    else:
        (home / "made.json").write_text("[]")
    monkeypatch.setattr(
        ocr_torch_models, "_make", lambda source, built: shutil.copytree(converted.det.parent, built)
    )
    again = ensure_torch_models(tmp_path, source)
    assert victim.read_bytes() == (converted.det / "model.safetensors").read_bytes()
    assert again.det.parent == home and [path.name for path in tmp_path.iterdir()] == [home.name]


def test_weights_that_give_other_results_are_refused(
    tmp_path: Path, source: OcrModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(path: Path) -> list[onnx_weights.Weights]:
        weights = onnx_weights.weights_in_order(path)
        weights[0].weight = weights[0].weight * 1.5
        return weights

    monkeypatch.setattr(ocr_torch_models, "weights_in_order", shifted)
    with pytest.raises(ConfigError, match="gives other results on torch") as caught:
        ensure_torch_models(tmp_path, source)
    assert "ocr_device" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["missing", "left over", "other shape"])
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, source: OcrModels, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def changed(path: Path) -> list[onnx_weights.Weights]:
        weights = onnx_weights.weights_in_order(path)
        if change == "other shape":
            weights[0].weight = weights[0].weight[:1]
        return {"missing": weights[:-1], "left over": [*weights, weights[0]]}.get(change, weights)

    monkeypatch.setattr(ocr_torch_models, "weights_in_order", changed)
    with pytest.raises(ConfigError, match="do not fit the model"):
        ensure_torch_models(tmp_path, source)


@pytest.mark.parametrize(
    "page",
    [
        pageimages.letter((pageimages.ENGLISH[0], pageimages.GERMAN[1]), dpi=200),
        pageimages.letter(points=6, dpi=200, kind="tiny print"),
        pageimages.two_columns(),
        pageimages.turned(pageimages.invoice_table(), 180),
    ],
    ids=lambda page: page.kind,
)
def test_torch_reads_the_same_text_as_onnxruntime(
    engine: PaddleEngine, models_dir: Path, page: pageimages.PageImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_torch = engine.read(page.image, 1)
    monkeypatch.setattr(ocr_device, "choose", lambda wanted: ocr_device.on_cpu("to compare"))
    on_onnxruntime = PaddleEngine(models_dir).read(page.image, 1)
    assert on_torch.text == on_onnxruntime.text
    assert cer(page.text, on_torch.text) <= 0.005
    assert on_torch.rotation == on_onnxruntime.rotation
    corners = [np.array([line.box for line in one.lines]) for one in (on_torch, on_onnxruntime)]
    assert np.abs(corners[0] - corners[1]).max() <= 3
    assert on_torch.score == pytest.approx(on_onnxruntime.score, abs=0.02)


def test_an_empty_page_and_a_tiny_image_are_no_errors(engine: PaddleEngine) -> None:
    assert engine.read(pageimages.blank(), 1).text == ""
    assert engine.read(np.full((3, 5, 3), 255, np.uint8), 1).text == ""


def test_the_engine_says_where_it_reads(engine: PaddleEngine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shoebox.ocr"):
        assert engine.device == "cpu"
    assert "OCR runs on cpu (transformers): for the tests" in caplog.text


def test_releasing_gives_the_models_back(engine: PaddleEngine, capfd: pytest.CaptureFixture[str]) -> None:
    engine.read(pageimages.blank(), 1)
    assert capfd.readouterr() == ("", ""), "loading is quiet"
    inner = engine._ladder.pipeline(ON_TORCH)._pipeline.paddlex_pipeline._pipeline
    models = [weakref.ref(one.infer) for one in (inner.text_det_model, inner.text_rec_model)]
    assert all(isinstance(model(), torch.nn.Module) for model in models)
    del inner
    gc.disable()  # so that it is the engine that collects
    try:
        engine.release()
        assert [model() for model in models] == [None, None]
    finally:
        gc.enable()


def test_the_memory_of_a_gpu_is_given_back(engine: PaddleEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("emptied"))
    engine.release()
    assert emptied == [], "nothing was loaded"
    engine.read(pageimages.blank(), 1)
    engine.release()
    assert emptied == ["emptied"]


def test_convolutions_keep_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []

    class Pipeline:
        def predict(self, *_: object, **__: object) -> None:
            seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))

    before = torch.backends.cudnn.allow_tf32
    ocr_pipeline._Float32Pipeline(Pipeline()).predict()
    assert seen == [(True, False)]
    assert torch.backends.cudnn.allow_tf32 is before


def test_torchs_own_exceptions_are_told_apart() -> None:
    assert trouble_of(torch.OutOfMemoryError("")) is Trouble.MEMORY
    assert trouble_of(torch.AcceleratorError("CUDA error: unspecified launch failure")) is Trouble.GPU
    with pytest.raises(RuntimeError) as too_much:
        torch.empty(2**55)
    assert trouble_of(too_much.value) is Trouble.MEMORY


def test_a_page_is_read_on_after_torch_ran_out_of_memory(
    engine: PaddleEngine, models_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A real refusal of torch's allocator where the detector runs, until the image is small enough."""
    page = pageimages.letter((pageimages.ENGLISH[0],), dpi=300)
    assert max(page.image.shape) == 1560
    load = paddle._load

    def greedy(*arguments: Any) -> Any:
        pipeline = load(*arguments)
        detector = pipeline._pipeline.paddlex_pipeline._pipeline.text_det_model.infer

        def hold(module: object, args: object, kwargs: dict[str, Any]) -> None:
            if max(kwargs["pixel_values"].shape) > 1200:
                torch.empty(2**55)

        detector.register_forward_pre_hook(hold, with_kwargs=True)
        return pipeline

    monkeypatch.setattr(paddle, "_load", greedy)
    with caplog.at_level(logging.INFO, "shoebox.ocr"):
        read = PaddleEngine(models_dir).read(page.image, 5)
    assert cer(page.text, read.text) <= 0.01
    assert "page 5: out of memory on cpu: RuntimeError" in caplog.text
    assert "at 1092 pixels instead of 1560 for want of memory\n" in caplog.text
