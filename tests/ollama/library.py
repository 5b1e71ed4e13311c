"""The models that are there: listing, showing, pulling, creating, copying, deleting, embedding."""

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tests.ollama import requests
from tests.ollama.answers import BARE_JSON, Answer, RefusedError
from tests.ollama.journal import Call
from tests.ollama.models import ModelSpec, full_name, timestamp
from tests.ollama.runners import RunnerPool
from tests.ollama.word_vectors import word_vector

FILE_BYTES = 876_960  # of a tiny model
NO_NETWORK = (
    'pull model manifest: Get "https://registry.ollama.ai/v2/library/{name}/manifests/{tag}": '
    "dial tcp: lookup registry.ollama.ai on 127.0.0.53:53: no such host"
)
CLOUD = "ollama cloud is disabled: remote model is unavailable"


class Library:
    """Every model by its full name. Safe to use from several threads."""

    def __init__(self, specs: Iterable[ModelSpec], pool: RunnerPool) -> None:
        self.pool = pool
        self._lock = threading.Lock()
        self._modified = timestamp()
        self._specs: dict[str, ModelSpec] = {}
        self._pullable: dict[str, ModelSpec] = {}
        self.replace(specs)

    def replace(self, specs: Iterable[ModelSpec]) -> None:
        """These models from now on; what is loaded and no longer there is unloaded."""
        with self._lock:
            before, self._specs = self._specs, {spec.full_name: spec for spec in specs}
        for name, spec in before.items():
            if self._specs.get(name) != spec:
                self.pool.unload(spec)

    def offer(self, spec: ModelSpec) -> None:
        """Let the model be pulled."""
        with self._lock:
            self._pullable[spec.full_name] = spec

    def find(self, name: str) -> ModelSpec:
        """The model of that name.

        Raises:
            RefusedError: there is none, or it runs elsewhere.
        """
        with self._lock:
            spec = self._specs.get(full_name(name))
        if (spec and spec.remote) or name.endswith(("-cloud", ":cloud")):
            raise RefusedError(403, CLOUD)
        if spec is None:
            raise RefusedError(404, f"model '{name}' not found")
        return spec

    def tags(self, answer: Answer) -> None:
        """/api/tags"""
        with self._lock:
            specs = list(self._specs.values())
        answer.json({"models": [spec.tag(spec.file_bytes or FILE_BYTES, self._modified) for spec in specs]})

    def ps(self, answer: Answer) -> None:
        """/api/ps"""
        answer.json({"models": [runner.ps() for runner in self.pool.loaded()]})

    def show(self, answer: Answer, body: dict[str, Any]) -> None:
        """/api/show"""
        name = full_name(requests.model_name(body))
        with self._lock:
            spec = self._specs.get(name)
        if spec is None:
            raise RefusedError(404, f"model '{name}' not found")
        answer.json(spec.show(self._modified))

    def copy(self, answer: Answer, body: dict[str, Any]) -> None:
        """/api/copy"""
        source = self.find(str(body.get("source", "")))
        self._add(replace(source, name=str(body["destination"])))
        answer.plain(200)

    def delete(self, answer: Answer, body: dict[str, Any]) -> None:
        """/api/delete"""
        name = requests.model_name(body)
        with self._lock:
            spec = self._specs.pop(full_name(name), None)
        if spec is None:
            raise RefusedError(404, f"model '{name}' not found")
        self.pool.unload(spec)
        answer.plain(200)

    def create(self, answer: Answer, body: dict[str, Any]) -> None:
        """/api/create from a model that is there. Files are taken to hold the tiny model."""
        name, source = requests.model_name(body), str(body.get("from") or "")
        if not source and not body.get("files"):
            raise RefusedError(400, "neither 'from' or 'files' was specified", bare=True)
        with self._lock:
            base = self._specs.get(full_name(source)) if source else ModelSpec(name)
        if base is None:
            bare, _, tag = full_name(source).partition(":")
            self._tell(answer, body, ["pulling manifest"], error=NO_NETWORK.format(name=bare, tag=tag))
            return
        parameters = dict(body.get("parameters") or {})
        made = replace(
            base,
            name=name,
            num_ctx=int(parameters.pop("num_ctx", base.num_ctx)),
            system=str(body.get("system") or base.system),
            parameters={**base.parameters, **parameters},
        )
        self._add(made)
        first = ["parsing GGUF", "verifying conversion"] if not source else []
        layers = [f"using existing layer sha256:{base.digest}", f"creating new layer sha256:{made.digest}"]
        self._tell(answer, body, [*first, *layers, "writing manifest", "success"])

    def pull(self, answer: Answer, body: dict[str, Any]) -> None:
        """/api/pull: progress for a model that was offered, else what a machine without network says."""
        name = full_name(requests.model_name(body))
        with self._lock:
            spec = self._pullable.get(name) or self._specs.get(name)
        if spec is None:
            bare, _, tag = name.partition(":")
            self._tell(answer, body, ["pulling manifest"], error=NO_NETWORK.format(name=bare, tag=tag))
            return
        self._add(spec)
        digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        layer = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": FILE_BYTES}
        parts = [layer, *({**layer, "completed": FILE_BYTES * i // 4} for i in range(1, 5))]
        ending = ["verifying sha256 digest", "writing manifest", "success"]
        self._tell(answer, body, ["pulling manifest", *parts, *ending])

    def embed(self, answer: Answer, body: dict[str, Any], call: Call) -> None:
        """/api/embed"""
        name = requests.model_name(body)
        with self._lock:
            spec = self._specs.get(full_name(name))
        if spec is None:
            raise RefusedError(404, f'model "{name}" not found, try pulling it first')
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts or []
        if not all(isinstance(text, str) for text in texts):
            raise RefusedError(400, "invalid input type")
        if not texts:
            answer.json({"model": name, "embeddings": []})
            return
        if not spec.can("embedding"):
            raise RefusedError(501, "This server does not support embeddings. Start it with `--embeddings`")
        num_ctx = requests.options(body).get("num_ctx")
        with self.pool.use(spec, num_ctx, requests.keep_alive(body), call) as runner:
            inputs = [[1, *runner.server.tokens(text)] for text in texts]
            if body.get("truncate") is False and any(len(tokens) > runner.num_ctx - 2 for tokens in inputs):
                raise RefusedError(400, "the input length exceeds the context length")
            inputs = [tokens[: runner.num_ctx - 2] for tokens in inputs]
            if spec.scripted:
                vectors, count = [word_vector(text) for text in texts], sum(map(len, inputs))
            else:
                got = runner.server.ask("/v1/embeddings", {"input": inputs})
                vectors = [item["embedding"] for item in sorted(got["data"], key=lambda item: item["index"])]
                count = got["usage"]["prompt_tokens"]
        times = {"total_duration": 1_000_000, "load_duration": 1000}
        answer.json({"model": name, "embeddings": vectors, **times, "prompt_eval_count": count})

    def _add(self, spec: ModelSpec) -> None:
        with self._lock:
            self._specs[spec.full_name] = spec
            self._modified = timestamp()

    @staticmethod
    def _tell(answer: Answer, body: dict[str, Any], states: list[Any], error: str = "") -> None:
        """A stream of states, or only how it ended."""
        if body.get("stream") is False:
            if error:
                raise RefusedError(500, error, bare=True)
            answer.json({"status": "success"}, kind=BARE_JSON)
            return
        for state in states:
            answer.line({"status": state} if isinstance(state, str) else state)
        if error:
            answer.line({"error": error})
        answer.end()
