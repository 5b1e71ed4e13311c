"""PaddleOCR's pipeline, built from local models for one engine and device, without a look at the network."""

import importlib
import importlib.metadata
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from typing import Any

from tasks.engines.ocr_device import OcrDevice
from tasks.engines.ocr_models import DETECTION_NAME, RECOGNITION_NAME, OcrModels, ensure_models
from tasks.errors import ShoeboxError

_ON_CUDA = "CUDAExecutionProvider"


class GpuEngineError(ShoeboxError):
    """The engine was loaded, but does not compute on the GPU."""


def load(models_dir: Path, threads: int, where: OcrDevice, side: int) -> Any:
    """Build the pipeline; `side` is the longer side, in pixels, at which text is looked for by default.

    Raises:
        ConfigError: the models are missing, cannot be written or cannot be converted.
        GpuEngineError: the engine would quietly have computed on the CPU.
        Exception: whatever torch or onnxruntime raise where the GPU cannot be used.
    """
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")  # else it calls four model hubs
    os.environ.setdefault("PADDLE_PDX_CACHE_HOME", str(models_dir / "paddlex"))  # else ~/.paddlex
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # transformers, too, has a hub
    _vouch_for_headless_opencv()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of libraries that PaddleX imports and we never call
        models = _models(models_dir, where)
        if where.engine == "onnxruntime" and where.on_gpu:
            _find_cuda_libraries()
        from paddleocr import PaddleOCR

        for name in ("paddlex", "paddleocr"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with _read_descriptions_fast():
            pipeline = PaddleOCR(
                text_detection_model_name=DETECTION_NAME,  # without the names it asks the hubs
                text_detection_model_dir=str(models.det),
                text_recognition_model_name=RECOGNITION_NAME,
                text_recognition_model_dir=str(models.rec),
                text_recognition_batch_size=1,  # lines of one batch are padded or stretched to the longest
                use_doc_orientation_classify=False,
                use_doc_unwarping=False,
                use_textline_orientation=False,
                text_det_limit_side_len=side,
                text_det_limit_type="max",
                device=where.device,
                engine=where.engine,
                engine_config=_engine_config(where, threads),
            )
    if where.engine == "onnxruntime" and where.on_gpu:
        _insist_on_cuda(pipeline)
    return _Float32Pipeline(pipeline) if where.engine == "transformers" else pipeline


@contextmanager
def _read_descriptions_fast() -> Iterator[None]:
    """PaddleX reads a model's alphabet of 18,700 characters by that loader of PyYAML which is in Python.

    That takes 0.4 s of processor time at each load, and libyaml's, which gives the same, a fifth.
    """
    yaml: Any = importlib.import_module("yaml")
    in_python = yaml.FullLoader
    yaml.FullLoader = getattr(yaml, "CFullLoader", in_python)
    try:
        yield
    finally:
        yaml.FullLoader = in_python


def _models(models_dir: Path, where: OcrDevice) -> OcrModels:
    models = ensure_models(models_dir)
    if where.engine == "onnxruntime":
        return models
    from tasks.engines.ocr_torch_models import ensure_torch_models

    _quieten_transformers()
    return ensure_torch_models(models_dir, models)


def _engine_config(where: OcrDevice, threads: int) -> dict[str, object]:
    """Options of PaddleX's engines; what they take is in `paddlex.inference.models.engines`."""
    if where.engine == "transformers":
        return {"dtype": "float32"}
    config: dict[str, object] = {"enable_cpu_mem_arena": False}  # the arena never shrinks
    if threads:
        config["intra_op_num_threads"] = threads
    if where.on_gpu:
        config["provider_options"] = [
            {
                # By default each new width of a line costs a search through all algorithms.
                "cudnn_conv_algo_search": "HEURISTIC",
                "arena_extend_strategy": "kSameAsRequested",  # else it grows by powers of two
                "use_tf32": "0",  # the same results as on the CPU
            },
            {},
        ]
    return config


def _quieten_transformers() -> None:
    """No bars and no advice in the logs of workers."""
    hub: Any = importlib.import_module("transformers")
    hub.utils.logging.set_verbosity_error()
    hub.utils.logging.disable_progress_bar()


def _find_cuda_libraries() -> None:
    """Load CUDA's libraries from their wheels, if they are installed that way."""
    onnxruntime: Any = importlib.import_module("onnxruntime")
    if preload := getattr(onnxruntime, "preload_dlls", None):
        preload()


def _insist_on_cuda(pipeline: Any) -> None:
    """onnxruntime goes on with the CPU where CUDA fails, at the start and later; let it fail instead."""
    inner = pipeline.paddlex_pipeline._pipeline
    for model in (inner.text_det_model, inner.text_rec_model):
        session = model.runner.session
        if _ON_CUDA not in session.get_providers():
            raise GpuEngineError(
                "onnxruntime cannot use CUDA, though it is built for it.",
                "Its log says which library is missing; onnxruntime-gpu needs CUDA and cuDNN of its version.",
            )
        session.disable_fallback()


class _Float32Pipeline:
    """The pipeline on torch without TF32, by which convolutions would lose 13 of 23 bits on newer GPUs."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def predict(self, *arguments: object, **options: object) -> Any:
        torch: Any = importlib.import_module("torch")
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self._pipeline.predict(*arguments, **options)


_ANY = DistributionFinder.Context()


class _HeadlessOpenCv(DistributionFinder):
    """Answers for the distribution `opencv-contrib-python` with its headless build.

    PaddleX looks for that name (paddlex.utils.deps) and imports no cv2 without it. The headless build is
    the same package, but needs no libGL, which a server has not.
    """

    missing = "opencv-contrib-python"
    installed = "opencv-contrib-python-headless"

    def find_spec(self, *_: object) -> None:
        """It finds no modules."""

    def find_distributions(self, context: DistributionFinder.Context = _ANY) -> Iterable[Distribution]:
        """The headless build's distribution, if that is the one asked for by the other name."""
        return Distribution.discover(name=self.installed) if context.name == self.missing else ()


def _vouch_for_headless_opencv() -> None:
    try:
        importlib.metadata.version(_HeadlessOpenCv.missing)
    except importlib.metadata.PackageNotFoundError:
        sys.meta_path.append(_HeadlessOpenCv())
