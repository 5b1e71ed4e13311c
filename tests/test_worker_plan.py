"""Which worker processes a machine runs, what they are called, and who they are."""

from pathlib import Path

import pytest

from app.services import default_programs
from app.services.programs import config_path, write_config
from app.worker_identity import worker_identity
from app.worker_plan import PlannedWorker, plan_workers, serving_line
from tasks.errors import ServiceError
from tasks.gpu import Gpu
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.settings import Settings
from tasks.worker import child_kilobytes

QUEUES = (CPU_QUEUE, GPU_QUEUE)


def card(index: int, uuid: str, name: str = "L4") -> Gpu:
    return Gpu(index=index, name=name, memory_total=1, memory_used=0, uuid=uuid)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], [("gpu", "")]),
        ([card(0, "GPU-a")], [("gpu", "GPU-a")]),
        ([card(1, "GPU-b"), card(3, "GPU-c")], [("gpu-1", "GPU-b"), ("gpu-3", "GPU-c")]),
        ([card(0, "MIG-a"), card(0, "MIG-b")], [("gpu-0", "MIG-a"), ("gpu-1", "MIG-b")]),
        ([card(0, "GPU-a"), card(1, "")], [("gpu", "")]),
    ],
)
def test_there_is_a_process_for_each_gpu(found: list[Gpu], expected: list[tuple[str, str]]) -> None:
    cpu, *gpus = plan_workers(QUEUES, found)

    assert (cpu.name(), cpu.environment) == ("cpu", {})
    assert [(one.name(), one.environment.get("CUDA_VISIBLE_DEVICES", "")) for one in gpus] == expected


def test_names_hold_the_identity() -> None:
    names = [one.name("3f9a1c07") for one in plan_workers(QUEUES, [card(0, "GPU-a"), card(1, "GPU-b")])]

    assert names == ["cpu-3f9a1c07", "gpu-3f9a1c07-0", "gpu-3f9a1c07-1"]


def test_it_is_said_what_is_served_and_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    two = plan_workers(QUEUES, [card(0, "GPU-a", "A\x1b[2J"), card(1, "GPU-b")])

    assert serving_line(two, 3) == (
        r"Serving cpu with 3 at a time, and gpu with a process on each of 2 GPUs (0 A\x1b[2J, 1 L4)."
    )
    assert serving_line(plan_workers(QUEUES[1:], [card(0, "GPU-a")]), 3) == (
        "Serving gpu with one process on GPU 0 L4."
    )
    assert "no nvidia-smi here" in serving_line(plan_workers(QUEUES), 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES names no GPU" in serving_line(plan_workers(QUEUES), 1)
    assert serving_line([PlannedWorker(HOME_QUEUE)], 1) == "Serving home."


def test_the_supervisor_binds_each_worker_to_its_gpu(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker_plan.visible_gpus", lambda: (card(0, "GPU-a"), card(1, "GPU-b")))
    programs = default_programs(settings)
    config_path(settings).parent.mkdir(parents=True)

    write_config(settings, programs)

    sections = config_path(settings).read_text().split("[program:")
    bound = {text.partition("]")[0]: text for text in sections if "environment=" in text}
    assert set(bound) == {"gpu-0", "gpu-1"}
    assert 'environment=CUDA_VISIBLE_DEVICES="GPU-b"\n' in bound["gpu-1"]
    assert "--queues gpu --name gpu-1" in bound["gpu-1"]


# Who a worker is


def test_a_worker_keeps_its_identity_and_shares_it_with_nobody(settings: Settings) -> None:
    with worker_identity(settings) as first, worker_identity(settings) as second:
        assert first.id != second.id
    with worker_identity(settings) as again:
        assert again.id == first.id
    another = settings.model_copy(update={"data_dir": settings.data_dir / "another"})
    with worker_identity(another) as other:
        assert other.id not in {first.id, second.id}


def test_a_copied_directory_does_not_copy_the_identity(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker_identity(settings) as here:
        pass
    monkeypatch.setattr("app.worker_identity.socket.gethostname", lambda: "the copy")
    with worker_identity(settings) as there:
        assert there.id != here.id
    with worker_identity(settings) as again:
        assert again.id == there.id


def test_a_damaged_identity_is_drawn_anew(settings: Settings) -> None:
    with worker_identity(settings) as first:
        pass
    (settings.data_dir / "workers" / "1").write_bytes(b"\xff../../x host\n" * 9)
    with worker_identity(settings) as drawn:
        assert len(drawn.id) == 8
        assert drawn.id != first.id
    assert (settings.data_dir / "workers" / "1").read_text().startswith(f"{drawn.id} ")


def test_a_data_directory_that_is_a_file_is_refused_with_words(settings: Settings) -> None:
    settings.data_dir.write_text("in the way")
    with pytest.raises(ServiceError, match="in the way"), worker_identity(settings):
        pass


# Memory


@pytest.mark.parametrize(
    ("queue", "visible", "given", "expected"),
    [
        (GPU_QUEUE, None, 0, 2_000_000),
        (GPU_QUEUE, "", 0, 2_000_000),
        (GPU_QUEUE, "GPU-a", 0, 8_000_000),
        (GPU_QUEUE, "GPU-a", 3000, 3_000_000),
        (CPU_QUEUE, None, 0, 1_000_000),
        (HOME_QUEUE, None, 3000, 0),
    ],
)
def test_a_process_is_replaced_when_it_has_grown(
    monkeypatch: pytest.MonkeyPatch, queue: str, visible: str | None, given: int, expected: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert child_kilobytes(queue, Settings(gpu_child_megabytes=given)) == expected
