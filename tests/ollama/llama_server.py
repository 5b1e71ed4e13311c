"""A real llama.cpp HTTP server from the xllamacpp wheel, one per process.

    python -m tests.ollama.llama_server MODEL --ctx 4096

prints its URL on the first line once the model is loaded. SIGTERM, or the end of its standard input, ends it,
so it never outlives the process that started it, whatever kills that one.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
BATCH = 512  # tokens evaluated at a time, as Ollama does; a disconnect is noticed between two batches


class ServerGoneError(ConnectionError):
    """The process of a model has gone while it was asked."""


class LlamaServer:
    """A running llama.cpp server with one model.

    Args:
        model: the GGUF file.
        num_ctx: context length in tokens; llama.cpp rounds it up to a multiple of 256.
        parallel: slots, each with num_ctx tokens and a prompt cache of its own.
        embedding: serves embeddings and nothing else.

    Raises:
        RuntimeError: it ended before it was ready.
    """

    def __init__(self, model: Path, *, num_ctx: int, parallel: int = 1, embedding: bool = False) -> None:
        command = [sys.executable, "-m", "tests.ollama.llama_server", str(model)]
        command += ["--ctx", str(num_ctx * parallel), "--parallel", str(parallel)]
        command += ["--embedding"] if embedding else []
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        if not self.url:
            raise RuntimeError(f"llama.cpp ended with {self.process.wait()} while loading {model.name}")

    def connect(self) -> http.client.HTTPConnection:
        """A new connection; closing it stops what was asked over it."""
        address = urlsplit(self.url)
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST a body (GET without one) and return the JSON of the answer, errors included."""
        connection = self.connect()
        try:
            data = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, data)
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException) as error:
            raise ServerGoneError from error
        finally:
            connection.close()

    def tokens(self, text: str) -> list[int]:
        """Token numbers of a text, special tokens recognised, no start token added."""
        return list(self.ask("/tokenize", {"content": text, "parse_special": True})["tokens"])

    def idle(self) -> bool:
        """True if no slot evaluates or generates."""
        return not any(slot["is_processing"] for slot in self.ask("/slots"))

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing runs. False if something still did after so long, or the server is gone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                if self.idle():
                    return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.005)
        return False

    def kill(self) -> None:
        """SIGKILL, as when the system runs out of memory."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """End it and wait until it is gone."""
        self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def end_with_stdin(done: threading.Event) -> None:
    """Set the event when whoever holds the other end of the standard input has gone."""
    sys.stdin.buffer.read()
    done.set()


def main() -> None:
    """Serve one model until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--ctx", type=int, default=4096)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--embedding", action="store_true")
    arguments = parser.parse_args()

    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the kernel picks a free one
    params.n_ctx = arguments.ctx
    params.n_parallel = arguments.parallel
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.endpoint_slots = True
    params.cache_prompt = True
    params.cache_ram_mib = 0  # the cache is the slot's own and no other, as in the server measured
    params.ctx_shift = True
    params.warmup = False
    params.ui = False
    if arguments.embedding:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_batch = params.n_ubatch = arguments.ctx
    server = xllamacpp.Server(params)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test runner, which then ends this
    threading.Thread(target=end_with_stdin, args=(done,), daemon=True).start()
    print(server.listening_address, flush=True)
    done.wait()
    os._exit(0)  # nothing to save, and tearing the C++ server down takes a second


if __name__ == "__main__":
    main()
