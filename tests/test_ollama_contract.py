"""The double of Ollama held to recordings of a real one, and a real one held to the same.

Each recorded request is sent again. Compared are: the status; the content type; whether a stream was chunked
and came to its end; the keys and types of every line; `done` line by line; `role`; `done_reason`; and the
text of an error, digits aside.

Not compared, on purpose: what a random model says and its log probabilities (the weights differ); token
counts (another tokenizer), durations, dates, digests and sizes; how many lines a stream or entries a list
has; the Modelfile's text, template and tensors; Date, Content-Length, and whether a whole body was chunked
(it depends on its length); routes that Shoebox never calls (blobs, legacy embeddings, the OpenAI ones).

With SHOEBOX_TEST_OLLAMA=http://... the requests that need no special model go to that server, with its
smallest completion model in place of the recorded one. Nothing is created or deleted there.
"""

import dataclasses
import http.client
import json
import os
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.ollama import FaultKind, ModelSpec, OllamaDouble
from tests.ollama.recording import Exchange, Recording, load, names, send, shape

REAL = os.environ.get("SHOEBOX_TEST_OLLAMA", "").rstrip("/")
tiny = ModelSpec("tiny", num_ctx=1024, labelled=False)
MODELS = (
    tiny,
    dataclasses.replace(tiny, name="tiny-ct", seed=7),
    dataclasses.replace(tiny, name="tiny-native", mode="native", seed=4),
    dataclasses.replace(tiny, name="tiny-garbage"),
    dataclasses.replace(tiny, name="slow", layers=48, parameter_size="309.56M", context_length=4096),
    ModelSpec("tiny-embed", capabilities=("embedding",), labelled=False, num_ctx=2048),
)
BEFORE = {
    "05-ps-tiny": ["05-chat-tiny-ct-format-nostream"],
    "05-ps-tiny-ct": ["05-chat-tiny-ct-format-nostream"],
    "04-ps-empty": ["05-chat-tiny-ct-format-nostream"],  # not empty when it was recorded
    "15-tiny-ct-ps-after-keepalive-0": ["31-expect-100"],
    "15-tiny-ct-ps-after-unload": ["31-expect-100"],
    "15-tiny-ct-ps-keepalive-90s": ["15-tiny-ct-keepalive-str"],
    "15-tiny-ct-ps-keepalive-neg": ["15-tiny-ct-keepalive-neg"],
    "14-tiny-ct-ps-after-numctx-beyond": ["14-tiny-ct-numctx-beyond-trained"],
    "42-after-runner-killed-ps": ["31-expect-100"],
    "43-ps-after": ["31-expect-100"],
    "44-ps-parallel2": ["31-expect-100"],
    "19-delete": ["19-copy"],
    "19-delete-missing": ["19-copy", "19-delete"],
    "20-delete-api": ["20-create-stream"],
    "20-delete-api2": ["20-create-nostream"],
}
"""What is sent first, so that there is something to tell."""
ORDERED = {
    "31-tiny-garbage-free-stream": FaultKind.EMPTY_STREAM,
    "31-tiny-garbage-free-nostream": FaultKind.EMPTY_STREAM,
    "31-tiny-repeat-abort-nostream": FaultKind.REPEAT_ABORT,
    "42-runner-killed-midstream": FaultKind.RUNNER_KILLED,
    "42-runner-killed-nostream": FaultKind.RUNNER_KILLED,
    "46-server-sigterm-midstream": FaultKind.SERVER_KILLED,
    "44-maxqueue1-req0": FaultKind.BUSY,
}
"""What happened to the real server by chance or by hand."""
TOLD_ELSEWHERE = {
    "40-disconnect-midstream": "below: the client leaves",
    "44-maxqueue1-req1": "below: the queue is full",
    "44-maxqueue1-req4": "below: the queue is full",
    "44-maxqueue1-req5": "below: the queue is full",
    "45-num_batch-1": "a crash of that llama.cpp; RUNNER_KILLED is the same to a client",
}
ANYWHERE: tuple[str, ...] = (
    "01-",
    "02-tags",
    "03-show-missing",
    "04-ps",
    "05-",
    "10-chat-bad",
    "10-chat-empty",
    "10-chat-get",
)
ANYWHERE += ("10-chat-m", "10-chat-no", "10-unk", "11-tiny-ct-opt", "15-", "17-embed-missing")
"""Recordings that any server can answer."""
OPEN = ("tensors", "model_info", "modelfile", "template", "parameters")
"""Keys whose form depends on the weights."""
ENDS_ANYHOW = (
    "05-chat-tiny-ct-json-nostream",
    "12-tiny-ct-format-emptyobj",
    "12-tiny-ct-format-remote",
    "12-tiny-ct-format-badenum",
    "30-native-format-badenum",
)
"""Replies whose end depends on the weights."""


@pytest.fixture(scope="module")
def double() -> Iterator[OllamaDouble]:
    """A double with the models of the recordings."""
    with OllamaDouble(MODELS) as running:
        yield running


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest) -> str:
    """The server under test."""
    return REAL or str(request.getfixturevalue("double").url)


@pytest.fixture(scope="module")
def model(url: str) -> str:
    """A completion model of the real server under test, the smallest."""
    listed = send(url, "GET", "/api/tags", b"").lines[0]["models"]
    usable = [m for m in listed if "completion" in m.get("capabilities", ["completion"])]
    if not usable:
        pytest.skip("the server has no completion model")
    return str(min(usable, key=lambda m: m["size"])["name"])


def elsewhere(recording: Recording, name: str) -> Recording:
    """The same request for another model."""
    if recording.json.get("model") not in ("tiny", "tiny-ct"):
        return recording
    body = recording.body.replace(f'"{recording.json["model"]}"'.encode(), json.dumps(name).encode(), 1)
    return dataclasses.replace(recording, body=body)


def same_form(real: Any, ours: Any) -> None:
    """Two JSON values of one form, but for the keys whose form depends on the weights."""
    for value in (real, ours):
        for key in OPEN:
            if isinstance(value, dict) and key in value:
                value[key] = ""
    assert shape(ours) == shape(real)


def error_form(text: str) -> Any:
    """An error without what differs from model to model: digits, and how llama.cpp explains a schema."""
    if text.startswith("{"):  # JSON inside the string
        inner = json.loads(text)["error"]
        return shape(inner), inner["code"], inner["type"], error_form(inner["message"])
    text = text.partition("JSON schema ")[0]
    return re.sub(r"\d+", "N", re.sub(r'"[\w.:-]+" does', '"M" does', text))


def compare(name: str, real: Exchange, ours: Exchange) -> None:
    """All that the module's docstring promises."""
    assert (ours.status, ours.headers.get("content-type")) == (real.status, real.headers.get("content-type"))
    assert ours.complete == real.complete
    assert ours.headers.get("allow") == real.headers.get("allow")
    if not real.is_json:
        assert ours.body == real.body
        return
    if "ndjson" in real.headers["content-type"] or real.status != 200:
        assert ours.headers.get("transfer-encoding") == real.headers.get("transfer-encoding")
    theirs, mine = real.lines, ours.lines
    assert bool(mine) == bool(theirs)
    if not theirs:
        return
    same_form(theirs[-1], mine[-1])
    assert shape(mine[:-1])[:1] == shape(theirs[:-1])[:1] or len(mine) == 1 or len(theirs) == 1
    assert [line.get("done") for line in mine[:-1]] == [mine[0].get("done")] * (len(mine) - 1)
    for key in ("done", "role", "status"):
        assert mine[-1].get(key) == theirs[-1].get(key)
    if not name.startswith(ENDS_ANYHOW):
        assert mine[-1].get("done_reason") == theirs[-1].get("done_reason")
    assert error_form(mine[-1].get("error", "")) == error_form(theirs[-1].get("error", ""))


@pytest.mark.parametrize("name", [n for n in names() if n not in TOLD_ELSEWHERE])
def test_answers_as_recorded(name: str, url: str, request: pytest.FixtureRequest) -> None:
    recording = load(name)
    if REAL:
        if not name.startswith(ANYWHERE):
            pytest.skip("needs a model or a setting of its own")
        model = str(request.getfixturevalue("model"))
        for first in BEFORE.get(name, []):
            elsewhere(load(first), model).replay(url)
        ours = elsewhere(recording, model).replay(url)
    else:
        for first in BEFORE.get(name, []):
            load(first).replay(url)
        double: OllamaDouble = request.getfixturevalue("double")
        if kind := ORDERED.get(name):
            double.order(kind, after=3 if name.endswith("midstream") else 0)
        ours = recording.replay(url)
        assert double.pending() == []
    compare(name, recording.answer, ours)


@pytest.mark.skipif(bool(REAL), reason="looks into the double")
def test_generation_stops_when_the_client_leaves(double: OllamaDouble) -> None:
    body = load("40-disconnect-midstream").json
    body["options"] = {"temperature": 1, "seed": 1, "num_predict": 100_000}  # would run for minutes
    address = urlsplit(double.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    connection.request("POST", "/api/chat", json.dumps(body))
    response = connection.getresponse()
    lines = [response.readline() for _ in range(4)]
    assert all(json.loads(line)["done"] is False for line in lines)
    response.close()
    connection.close()
    calls = double.settled()
    assert calls[-1].disconnected is not None
    assert calls[-1].generation_stopped is not None  # llama.cpp's slot is free, long before its time
    assert calls[-1].done_reason is None


@pytest.mark.skipif(bool(REAL), reason="needs a slow load")
def test_a_full_queue_is_busy() -> None:
    slow_to_load = dataclasses.replace(tiny, name="slow", load_seconds=0.5)
    recorded = {name: load(name) for name in names() if name.startswith("44-maxqueue1-req")}
    answers: list[Exchange] = []
    with OllamaDouble([slow_to_load], max_queue=1) as double:
        threads = [
            threading.Thread(target=lambda r=r: answers.append(r.replay(double.url)))
            for r in recorded.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(double.loads()) == 1
    assert sorted(a.status for a in answers) == sorted(r.answer.status for r in recorded.values())
    refused = next(a for a in answers if a.status == 503)
    compare("44-maxqueue1-req0", recorded["44-maxqueue1-req0"].answer, refused)


@pytest.mark.skipif(bool(REAL), reason="needs a slow model")
def test_unloading_lets_a_stream_finish(double: OllamaDouble) -> None:
    stream, unload = load("43-unload-while-generating"), load("43-unload-while-generating-unload-call")
    address = urlsplit(double.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    connection.request("POST", "/api/chat", stream.body)
    response = connection.getresponse()
    first = response.readline()
    compare(unload.name, unload.answer, unload.replay(double.url))
    rest = response.read()
    connection.close()
    compare(
        stream.name, stream.answer, Exchange(200, dict(load(stream.name).answer.headers), first + rest, True)
    )
    double.settled()
    assert "slow:latest" not in [runner["model"] for runner in double.runners()]


@pytest.mark.skipif(bool(REAL), reason="looks into the double")
def test_cached_tokens_count_as_evaluated(double: OllamaDouble) -> None:
    recording = load("05-chat-tiny-ct-format-nostream")
    first, second = (recording.replay(double.url).lines[0]["prompt_eval_count"] for _ in range(2))
    assert first == second
    last = double.settled("/api/chat")[-1]
    assert last.tokens_computed is not None and last.tokens_cached is not None
    assert last.tokens_computed + last.tokens_cached == second
    assert last.tokens_computed <= 4


def test_every_recording_is_replayed_or_told_elsewhere() -> None:
    assert set(TOLD_ELSEWHERE) | set(BEFORE) | set(ORDERED) <= set(names())
    assert len(names()) > 150
