"""Every recorded answer of a real Ollama to a chat ends in the right class of error, or in a reply."""

import json
from collections.abc import Iterator

import pytest

from tasks.engines.llm.base import ChatRequest, LlmError, LlmErrorKind, Message
from tasks.engines.llm.ollama_client import OllamaClient
from tests.raw_server import RECORDINGS, json_answer, raw_server, recorded

FAMILIES = ("10-", "11-", "12-", "13-", "30-", "31-", "42-", "44-", "45-", "46-")

UNAVAILABLE, OVERFLOW, BAD_REPLY, REFUSED = (
    LlmErrorKind.UNAVAILABLE,
    LlmErrorKind.OVERFLOW,
    LlmErrorKind.BAD_REPLY,
    LlmErrorKind.REFUSED,
)

# By the beginning of the name, the longest first; a recording that fits none is a reply.
FAILURES = {
    "10-chat-missing-model": LlmErrorKind.NO_MODEL,
    "10-chat-": REFUSED,
    "11-tiny-ct-debug-render": BAD_REPLY,
    "11-tiny-ct-images": REFUSED,
    "11-tiny-ct-messages-empty": UNAVAILABLE,  # done_reason "load"
    "11-tiny-ct-opt-numctx-string": REFUSED,
    "11-tiny-ct-opt-numpredict-0": UNAVAILABLE,  # repeats itself for ever; all in one line, it is not seen
    "11-tiny-ct-opt-stop-string": REFUSED,
    "11-tiny-ct-opt-temperature-string": REFUSED,
    "11-tiny-ct-think-true": REFUSED,
    "11-tiny-ct-tools": REFUSED,
    "11-tiny-ct-toplogprobs-21": REFUSED,
    "13-tiny-ct-overflow-bothfalse": OVERFLOW,
    "13-tiny-ct-overflow-history-debugrender": BAD_REPLY,
    "13-tiny-ct-overflow-shiftfalse": OVERFLOW,
    "13-tiny-ct-overflow-truncfalse": OVERFLOW,
    "30-native-images": REFUSED,
    "30-native-overflow-history-debugrender": BAD_REPLY,
    "30-native-overflow-bothfalse": OVERFLOW,
    "30-native-overflow-default": OVERFLOW,
    "30-native-overflow-shiftfalse": OVERFLOW,
    "30-native-overflow-truncfalse": OVERFLOW,
    "31-tiny-garbage-free": BAD_REPLY,
    "31-tiny-repeat-abort": UNAVAILABLE,  # as above
    "42-runner-killed": UNAVAILABLE,
    "44-maxqueue1-req0": UNAVAILABLE,
    "44-maxqueue1-req1": UNAVAILABLE,
    "44-maxqueue1-req4": UNAVAILABLE,
    "44-maxqueue1-req5": UNAVAILABLE,
    "45-num_batch-1": UNAVAILABLE,  # the runner died
    "46-server-sigterm-midstream": UNAVAILABLE,
} | {
    f"{mode}-format-{what}": REFUSED
    for mode in ("12-tiny-ct", "30-native")
    for what in ("array", "badref", "badtype", "number", "pattern", "xml")
}


def _chats() -> Iterator[str]:
    for path in sorted(RECORDINGS.iterdir()):
        request = path.read_bytes().partition(b"##### REQUEST\n")[2].partition(b"\n")[0]
        if path.name.startswith(FAMILIES) and b" /api/chat " in request:
            yield path.name


def _expected(name: str) -> LlmErrorKind | None:
    fitting = [beginning for beginning in FAILURES if name.startswith(beginning)]
    return FAILURES[max(fitting, key=len)] if fitting else None


def test_there_are_recordings_of_every_family_and_every_failure() -> None:
    names = list(_chats())

    assert all(any(name.startswith(family) for name in names) for family in FAMILIES)
    assert all(any(name.startswith(beginning) for name in names) for beginning in FAILURES)


@pytest.mark.parametrize("name", list(_chats()))
def test_a_recorded_answer_ends_in_the_right_class(name: str) -> None:
    request = ChatRequest(
        model="tiny", messages=(Message(role="user", content="hi"),), num_ctx=256, max_tokens=8
    )
    with raw_server() as server:
        server.routes["/api/tags"] = json_answer(
            {
                "models": [
                    {
                        "name": "tiny:latest",
                        "details": {"parameter_size": "151K", "context_length": 256},
                        "capabilities": ["completion"],
                    }
                ]
            }
        )
        server.scripts = [recorded(name)]
        client = OllamaClient(server.url, silence_seconds=30, load_seconds=30)
        expected = _expected(name)
        try:
            if expected is None:
                reply = client.chat(request, lambda _: None, lambda: False)
                last = (RECORDINGS / name).read_text().strip().rpartition("\n")[2]
                assert reply.done_reason == json.loads(last)["done_reason"]
                assert reply.reply_tokens == json.loads(last)["eval_count"]
            else:
                with pytest.raises(LlmError) as failure:
                    client.chat(request, lambda _: None, lambda: False)
                assert failure.value.kind is expected
                if expected is OVERFLOW and "13-tiny-ct-overflow-shiftfalse" not in name:
                    assert failure.value.prompt_tokens in (3879, 3937)
                    assert failure.value.context_tokens == 256
        finally:
            client.close()
        assert len(server.to("/api/chat")) == 1
