"""Everything that Shoebox does, in a network namespace where it would be seen: only loopback is tried."""

from typing import Any

import pytest

from tests.closed.papers import PAPERS
from tests.closed.place import cannot, run_inside

pytestmark = [pytest.mark.ocr, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen of a whole day's work there."""
    if reason := cannot():
        pytest.skip(reason)
    return run_inside("--inside", str(tmp_path_factory.mktemp("closed")), timeout=590)


def test_what_tries_to_leave_is_seen_there(found: dict[str, Any]) -> None:
    """A name looked up, a connection, and one made past Python, which the hook alone would not see."""
    assert found["control"] == {
        "name_asked_for": True,
        "name_noted": True,
        "connection_caught": True,
        "connection_noted": True,
        "native_caught": True,
        "native_noted": False,
    }


def test_all_stages_and_faces_did_their_work_there(found: dict[str, Any]) -> None:
    done = found["done"]
    assert done["states"].keys() == PAPERS.keys()
    assert set(done["states"].values()) <= {"done", "review"}
    assert done["engines"] == ["ollama shoebox-large"]
    assert done["ocr"] == ["done"]
    assert any("meaning" in by for by in done["searched"])
    assert done["exported"] == len(PAPERS)
    assert (done["added"], done["tidied"], done["notified"], done["ui"]) == (0, 0, 0, 0)
    assert done["asked"] and done["digest"] and done["models"] and done["doctor"]
    assert found["told"] > 0


@pytest.mark.parametrize(
    "process",
    [
        "supervisord",
        "_serve-redis",
        "--queues home",
        "--queues cpu",
        "--queues gpu",
        "_beat",
        "_watch",
        "_clerk",
    ],
)
def test_every_process_of_ours_was_watched(found: dict[str, Any], process: str) -> None:
    assert any(process in command for command in found["watched"]), found["watched"]


def test_nothing_but_loopback_was_tried(found: dict[str, Any]) -> None:
    assert found["notes"] == []
    assert found["packets"] == []


def test_nothing_listens_but_on_loopback(found: dict[str, Any]) -> None:
    assert found["listens_elsewhere"] == []
