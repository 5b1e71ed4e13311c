"""What `status` says of workers."""

import pytest

from app.commands.services import _capabilities
from app.plain_text import visible
from tasks.engines.llm.base import ModelInfo
from tasks.gpu import Gpu
from tasks.orders import Presence
from tests.looking import CLASSIFIER
from tests.tui import HOSTILE

GIB = 2**30


def test_a_workers_capabilities_are_said() -> None:
    presence = Presence(
        worker="gpu-1@box",
        queues=("gpu",),
        slots=1,
        pid=1,
        version="0.1.0",
        models=(ModelInfo(name="shoebox-large:latest", parameters=0),),
        gpus=(
            Gpu(index=3, name="L4", memory_total=24 * GIB, memory_used=6 * GIB),
            Gpu(index=4, name="GB10", memory_total=0, memory_used=0),
        ),
        software={"python": "3.12.1", "torch": "2.9"},
        image_classifiers=(CLASSIFIER,),
        version_problem="This is Shoebox 0.1.0, but home has 0.2.0.",
    )

    assert list(_capabilities(presence.model_dump(mode="json"))) == [
        "GPU 3: L4, 6.0 of 24.0 GiB in use",
        "GPU 4: GB10",
        "models: shoebox-large:latest",
        "image classifiers: letters",
        "runs on Shoebox 0.1.0, python 3.12.1, torch 2.9",
        "This is Shoebox 0.1.0, but home has 0.2.0.",
    ]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_other_machines_say_is_text_of_some_length(hostile: str) -> None:
    presence = Presence(
        worker="w",
        queues=("gpu",),
        slots=1,
        pid=1,
        version=hostile,
        models=(ModelInfo(name=hostile, parameters=0),),
        gpus=(Gpu(index=0, name=hostile, memory_total=0, memory_used=0),),
        software={hostile: hostile},
        version_problem=hostile,
    )

    lines = list(_capabilities(presence.model_dump(mode="json")))

    assert len(lines) == 4
    assert all(visible(line) == line and len(line) < 300 for line in lines)
