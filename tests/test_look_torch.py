"""Image classifiers in TorchScript, with torch itself. CI has none: run where torch is installed."""

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.documents import Stage
from tasks.engines.torchscript import LookError, TorchClassifier
from tasks.image_classifiers import ClassifierError, Sidecar, find_classifier
from tasks.looks import LookParams
from tasks.orders import ImagePage, Order
from tasks.recipe_images import ImageClassifierUse
from tasks.settings import Settings
from tasks.stages import look as stage
from tests.looking import install

torch = pytest.importorskip("torch")

PAGE = Path(__file__).parent.parent / "docs" / "image-classifier.md"
LABELS = ("Rechnung", "letter", "photo")
WIDTH, HEIGHT = 64, 96
ABOUT = Sidecar(labels=LABELS, width=WIDTH, height=HEIGHT, mean=(0.485, 0.456, 0.406), std=(0.2,), batch=4)


class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Small, with everything that could tell a batch from single images apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(8, len(LABELS)),
        )

    def forward(self, images: Any) -> Any:
        return self.layers(images)


class Bright(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Its logits are the means of the channels, so a test can say what they must be."""

    def forward(self, images: Any) -> Any:
        return images.mean(dim=(2, 3))


class Bad(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Gives what is no answer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: Any) -> Any:
        logits = images.mean(dim=(2, 3))
        return {
            "nan": logits * float("nan"),
            "infinite": logits / 0,
            "too many": torch.cat([logits, logits], dim=1),
            "one row": logits[:1],
            "flat": logits.flatten(),
            "two": (logits, logits),
        }[self.kind]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Traces a network and saves it as a user does."""

    def traced(network: Any, name: str = "letters", images: int = 1) -> Path:
        path = tmp_path / f"{name}.pt"
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of torch.jit being deprecated, and of what tracing cannot follow
            example = torch.rand(images, 3, HEIGHT, WIDTH)
            torch.jit.trace(network.eval(), example, check_trace=False).save(str(path))
        return path

    return traced


def pages(count: int, seed: int = 1) -> list[Any]:
    noise = np.random.default_rng(seed)
    return [noise.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(count)]


def flat(blue: int, green: int, red: int) -> Any:
    return np.full((HEIGHT, WIDTH, 3), (blue, green, red), dtype=np.uint8)


# One and many


@pytest.mark.parametrize("traced_for", [1, 3])
def test_an_image_in_a_batch_gets_what_it_gets_alone(save: Callable[..., Path], traced_for: int) -> None:
    torch.manual_seed(3)
    classifier = TorchClassifier(save(Network(), images=traced_for), ABOUT)
    images = pages(11)
    together = classifier.predict(images)
    alone = [classifier.predict([image])[0] for image in images]
    assert np.abs(np.array(together) - np.array(alone)).max() < 1e-5
    assert np.array(together).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array(together).std(axis=0).min() > 0  # the images are told apart
    assert classifier.predict([]) == []


def test_no_forward_pass_gets_more_images_than_the_sidecar_allows(save: Callable[..., Path]) -> None:
    classifier = TorchClassifier(save(Network()), ABOUT)
    sizes = counting(classifier)
    classifier.predict(pages(11))
    assert sizes == [4, 4, 3]


def counting(classifier: TorchClassifier) -> list[int]:
    sizes: list[int] = []
    network = classifier._network

    def counted(batch: Any) -> Any:
        sizes.append(len(batch))
        return network(batch)

    classifier._network = counted
    return sizes


# From a page to numbers


@pytest.mark.parametrize(
    ("channels", "expected"),
    [("rgb", (1.0, 0.2, 0.0)), ("bgr", (0.0, 0.2, 1.0))],
)
def test_the_network_gets_its_channels_in_its_order(
    save: Callable[..., Path], channels: str, expected: tuple[float, ...]
) -> None:
    about = Sidecar.model_validate(
        {**ABOUT.model_dump(), "channels": channels, "mean": (0.5,), "std": (0.5,)}
    )
    [row] = TorchClassifier(save(Bright()), about).predict([flat(0, 51, 255)])
    logits = (np.array(expected) - 0.5) / 0.5
    assert row == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=1e-5)


def test_gray_is_one_channel_and_a_temperature_flattens(save: Callable[..., Path], tmp_path: Path) -> None:
    class Gray(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, images: Any) -> Any:
            mean = images.mean(dim=(2, 3))
            return torch.cat([mean, 1 - mean, mean * 0], dim=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Gray(), torch.rand(1, 1, HEIGHT, WIDTH)).save(str(tmp_path / "gray.pt"))
    about = Sidecar(labels=LABELS, width=WIDTH, height=HEIGHT, channels="gray", temperature=2.0)
    [row] = TorchClassifier(tmp_path / "gray.pt", about).predict([flat(0, 0, 255)])
    logits = np.array([0.299, 0.701, 0.0]) / 2
    assert row == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=1e-3)


def test_probabilities_are_taken_as_they_are(save: Callable[..., Path]) -> None:
    about = ABOUT.model_copy(update={"output": "probabilities", "mean": (0.0,), "std": (1.0,)})
    [row] = TorchClassifier(save(Bright()), about).predict([flat(51, 51, 153)])
    assert row == pytest.approx([0.6, 0.2, 0.2], abs=1e-5)
    with pytest.raises(LookError, match="is no probabilities"):
        TorchClassifier(save(Bright()), about).predict([flat(255, 255, 255)])


# What is no answer


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "not finite"),
        ("infinite", "not finite"),
        ("too many", r"of shape \(2, 6\); with 3 labels and 2 images it has to be \(2, 3\)"),
        ("one row", r"of shape \(1, 3\)"),
        ("flat", r"of shape \(6,\)"),
        ("two", "gave a tuple instead of one tensor"),
    ],
)
def test_what_is_no_answer_is_said_in_words(save: Callable[..., Path], kind: str, message: str) -> None:
    classifier = TorchClassifier(save(Bad(kind)), ABOUT)
    with pytest.raises(LookError, match=message):
        classifier.predict([flat(9, 9, 9), flat(99, 99, 99)])


def test_a_network_for_other_images_is_said_to_be_one(save: Callable[..., Path], tmp_path: Path) -> None:
    class Fixed(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, images: Any) -> Any:
            return images.reshape(1, -1)[:, :3]

    class Four(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(4, 3, 3)

        def forward(self, images: Any) -> Any:
            return self.first(images).mean(dim=(2, 3))

    one_only = TorchClassifier(save(Fixed()), ABOUT)
    with pytest.raises(LookError, match="2 images"):
        one_only.predict(pages(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Four(), torch.rand(1, 4, HEIGHT, WIDTH)).save(str(tmp_path / "four.pt"))
    with pytest.raises(LookError, match="does not take 1 images"):
        TorchClassifier(tmp_path / "four.pt", ABOUT).predict(pages(1))
    with pytest.raises(LookError, match="not of the size"):
        one_only.predict([np.zeros((8, 8, 3), np.uint8)])


def test_a_file_that_is_no_torchscript_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "letters.pt"
    for content in (b"", b"not a network", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(LookError, match="cannot load the image classifier 'letters'"):
            TorchClassifier(path, ABOUT)


# Out of memory. There is no GPU here: what stands in for one fails as torch does.


class Crowded:
    """A network on a GPU with room for so many images, and on a processor with room for all."""

    def __init__(self, network: Any, room: int, cpu_room: int = 99) -> None:
        self.network = network
        self.room = {"cuda:0": room, "cpu": cpu_room}
        self.place = "cpu"
        self.is_stuck = False
        self.error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.tried: list[tuple[str, int]] = []

    def to(self, place: str) -> "Crowded":
        if self.is_stuck and place == "cpu":
            raise self.error
        if place == "cuda:0" and self.room[place] < 0:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.place = place
        return self

    def __call__(self, batch: Any) -> Any:
        self.tried.append((self.place, len(batch)))
        if len(batch) > self.room[self.place]:
            raise self.error
        return self.network(batch)


class FakeCuda:
    """`torch.cuda` of a machine with a GPU."""

    def __init__(self) -> None:
        self.emptied = 0

    def is_available(self) -> bool:
        return True

    def empty_cache(self) -> None:
        self.emptied += 1


class FakeTorch:
    """torch with a GPU: tensors stay on the processor."""

    def __init__(self) -> None:
        self.cuda = FakeCuda()

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def from_numpy(self, values: Any) -> Any:
        return Tensor(torch.from_numpy(values))


class Tensor:
    """A batch that is asked to go to the GPU and stays."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.shape = values.shape

    def to(self, place: str) -> Any:
        return self.values


def crowded(path: Path, room: int, cpu_room: int = 99) -> tuple[TorchClassifier, Crowded, FakeTorch]:
    classifier, fake = TorchClassifier(path, ABOUT), FakeTorch()
    network = Crowded(classifier._network, room, cpu_room)
    classifier._network, classifier._torch = network, fake
    return classifier, network, fake


def test_where_a_batch_has_no_room_half_of_it_is_tried(save: Callable[..., Path]) -> None:
    path, images = save(Network()), pages(5)
    classifier, network, fake = crowded(path, room=1)
    found = classifier.predict(images)
    assert network.tried == [("cuda:0", size) for size in (4, 2, 1, 1, 1, 1, 1)]
    assert fake.cuda.emptied == 2
    assert classifier.device == "cuda:0"
    assert np.array(found) == pytest.approx(np.array(TorchClassifier(path, ABOUT).predict(images)), abs=1e-5)


@pytest.mark.parametrize("room", [0, -1])
def test_where_the_gpu_has_no_room_the_processor_does_it(save: Callable[..., Path], room: int) -> None:
    path, images = save(Network()), pages(5)
    classifier, network, _ = crowded(path, room)
    found = classifier.predict(images)
    assert classifier.device == "cpu"
    assert network.tried[-2:] == [("cpu", 4), ("cpu", 1)]
    assert np.array(found) == pytest.approx(np.array(TorchClassifier(path, ABOUT).predict(images)), abs=1e-5)


INSIDE = "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript:\n"


@pytest.mark.parametrize(
    ("words", "on_gpu"),
    [
        ("CUDA out of memory. Tried to allocate 20.00 MiB.", [4, 2, 1]),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", [4, 2, 1]),
        ("CUDA error: device-side assert triggered", [4]),
    ],
)
def test_whatever_fails_on_the_gpu_the_processor_does_it(
    save: Callable[..., Path], words: str, on_gpu: list[int]
) -> None:
    path, images = save(Network()), pages(5)
    classifier, network, _ = crowded(path, room=0)
    network.error = RuntimeError(f"{INSIDE}RuntimeError: {words}")
    found = classifier.predict(images)
    assert network.tried == [*(("cuda:0", size) for size in on_gpu), ("cpu", 4), ("cpu", 1)]
    assert np.array(found) == pytest.approx(np.array(TorchClassifier(path, ABOUT).predict(images)), abs=1e-5)


def test_a_gpu_that_gives_nothing_back_costs_loading_again(save: Callable[..., Path]) -> None:
    path = save(Network())
    classifier, network, _ = crowded(path, room=0)
    network.error = RuntimeError("CUDA error: an illegal memory access was encountered")
    network.is_stuck = True
    assert len(classifier.predict(pages(2))) == 2
    assert classifier.device == "cpu" and classifier._network is not network


def test_memory_that_ends_inside_torchscript_is_told_by_its_words(tmp_path: Path) -> None:
    """With torch's own allocator: what it raises in TorchScript is a plain RuntimeError."""

    class Hungry(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, images: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            if images.size(0) > 1:
                images = images + torch.zeros([1 << 46])[:1]
            return images.mean(dim=[2, 3])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Hungry()).save(str(tmp_path / "hungry.pt"))
    classifier = TorchClassifier(tmp_path / "hungry.pt", ABOUT)
    sizes = counting(classifier)
    assert len(classifier.predict(pages(3))) == 3
    assert sizes == [3, 1, 1, 1]


def test_a_gpu_that_was_full_is_tried_again_a_minute_later(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("tasks.engines.torchscript.time.monotonic", lambda: now)
    classifier, network, _ = crowded(save(Network()), room=0)
    classifier.predict(pages(1))
    network.room["cuda:0"] = 9
    classifier.predict(pages(1))
    assert network.tried[-1] == ("cpu", 1)
    now += 61
    classifier.predict(pages(1))
    assert network.tried[-1] == ("cuda:0", 1)


def test_where_nothing_has_room_that_is_said(save: Callable[..., Path]) -> None:
    classifier, network, _ = crowded(save(Network()), room=0, cpu_room=0)
    with pytest.raises(MemoryError, match="no room for one image"):
        classifier.predict(pages(4))
    assert network.tried[-1] == ("cpu", 1)


# The stage


def order_for(digest: str, settings: Settings) -> Order:
    params = LookParams(
        sha256="",
        mime="",
        pages=(ImagePage(number=1), ImagePage(number=2)),
        classifier="letters",
        digest=digest,
        form=find_classifier("letters", settings).sidecar.form,
        use=ImageClassifierUse(model="letters"),
        categories=("letter", "other"),
    )
    return Order(
        home="h", unit=1, issue=1, document="d", stage=Stage.LOOK, params=params.model_dump(mode="json")
    )


def png(image: Any) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", image)[1])


def test_a_worker_loads_a_classifier_once_and_again_when_its_file_changes(
    save: Callable[..., Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage._loaded.cache_clear()
    path = install(settings, network=save(Network()).read_bytes())
    first = find_classifier("letters", settings).announced.digest
    images = [png(image) for image in pages(2)]
    seen = stage.look_at(order_for(first, settings), images, settings)
    assert stage.look_at(order_for(first, settings), images, settings) == seen
    assert stage._loaded.cache_info().misses == 1
    assert [page.page for page in seen.pages] == [1, 2]
    assert (seen.labels, seen.device) == (LABELS, "cpu")

    path.write_bytes(save(Bright(), "other").read_bytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(ClassifierError, match="is not the one that was asked for"):
        stage.look_at(order_for(first, settings), images, settings)
    second = find_classifier("letters", settings).announced.digest
    assert stage.look_at(order_for(second, settings), images, settings) != seen
    assert stage._loaded.cache_info().misses == 2


# The page that tells users how


def test_what_the_documentation_says_works_as_it_stands(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = dict(re.findall(r"```(python|toml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[:2])
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(blocks["python"], str(PAGE), "exec"), {})
    install(settings, "papers", blocks["toml"], Path("papers.pt").read_bytes())
    here = find_classifier("papers", settings)
    classifier = TorchClassifier(here.path, here.sidecar)
    images = [np.full((224, 224, 3), shade, dtype=np.uint8) for shade in (0, 90, 255)]
    together = np.array(classifier.predict(images))
    assert together.shape == (3, 3)
    assert together == pytest.approx(np.array([classifier.predict([one])[0] for one in images]), abs=1e-5)
