"""POST /v1/systemone: a decision model answers typed questions with probabilities.

Documented, not recorded: no server with this endpoint was seen. The fields are those of the client
library's types; the limits (64 KiB of body, 64 questions, a 400 for a model that cannot decide) those of
Ollama's own tests and documentation. The form is held to llama.cpp's own /v1/systemone by the tests.
The probabilities are real: those that the tiny model gives to the first token of each option after reading
state and question.
"""

import math
from typing import Any

from tests.ollama import requests
from tests.ollama.answers import Answer, RefusedError
from tests.ollama.journal import Call
from tests.ollama.library import Library
from tests.ollama.models import full_name, render

BODY_BYTES = 64 * 1024
QUESTIONS = 64
LEAST = -30.0  # log probability of a word that the model's list does not hold


def systemone(library: Library, answer: Answer, call: Call, body: dict[str, Any]) -> None:
    """Answer it."""
    if len(call.raw) > BODY_BYTES:
        raise RefusedError(413, "request body too large")
    name = requests.model_name(body)
    if name.endswith(("-cloud", ":cloud")):
        raise RefusedError(400, "cloud models are not supported")
    spec = library.find(name)
    if not spec.can("decision"):
        raise RefusedError(400, f'"{full_name(name)}" does not support decisions')
    questions = body.get("questions")
    if not isinstance(questions, dict) or not 0 < len(questions) <= QUESTIONS:
        raise RefusedError(400, f"questions must hold 1 to {QUESTIONS} questions")
    options = {key: _options(key, question) for key, question in questions.items()}
    answers, read = {}, 0
    call.tokens_computed = call.tokens_cached = 0
    with library.pool.use(spec, None, requests.keep_alive(body), call) as runner:
        for key, question in questions.items():
            asked = f"{body.get('state')}\n{question['instructions']}\nAnswer with one of: " + ", ".join(
                options[key]
            )
            got = runner.server.ask(
                "/completion",
                {
                    "prompt": render([{"role": "user", "content": asked}]),
                    "n_predict": 1,
                    "n_probs": 1024,
                    "temperature": 0,
                },
            )
            if "error" in got:
                raise RefusedError(400, got["error"]["message"])
            timings = got["timings"]
            call.tokens_computed += timings["prompt_n"]
            call.tokens_cached += timings["cache_n"]
            read += timings["prompt_n"] + timings["cache_n"]
            entries = got["completion_probabilities"][0]["top_logprobs"]
            known = {entry["token"].strip(): entry["logprob"] for entry in reversed(entries)}
            scores = [max(LEAST, known.get(option, LEAST)) for option in options[key]]
            answers[key] = _answer(question, options[key], _softmax(scores))
    answer.json({"model": name, "answers": answers, "usage": {"input_tokens": read, "output_tokens": 0}})


def _options(key: str, question: Any) -> list[str]:
    """What the answer is chosen from."""
    if not isinstance(question, dict) or not question.get("instructions"):
        raise RefusedError(400, f'questions.{key}: "instructions" must be provided')
    criteria = question.get("criteria")
    match question.get("type"):
        case "choice" if isinstance(criteria, dict) and 0 < len(criteria) <= 255:
            return list(criteria)
        case "score" if isinstance(criteria, list) and 2 <= len(criteria) <= 10:
            return [str(i) for i in range(len(criteria))]
        case "noul":
            return ["false", "true"]
        case "choice" | "score":
            raise RefusedError(400, f'questions.{key}: "criteria" must hold the options')
    raise RefusedError(400, f'questions.{key}: "type" must be one of: choice, score, noul')


def _answer(question: dict[str, Any], options: list[str], p: list[float]) -> dict[str, Any]:
    probabilities = dict(zip(options, p, strict=True))
    if question["type"] == "noul":
        return {"type": "noul", "noul": probabilities["true"]}
    top, n = max(p), len(p)
    if question["type"] == "choice":
        choice = options[p.index(top)]
        sure = 1.0 if n == 1 else max(0.0, (top - 1 / n) / (1 - 1 / n))
        return {"type": "choice", "choice": choice, "probabilities": probabilities, "confidence": sure}
    mode = p.index(top)
    away = sum(abs(i - mode) * q for i, q in enumerate(p))
    even = sum(abs(i - mode) for i in range(n)) / n
    return {
        "type": "score",
        "score": sum(i * q for i, q in enumerate(p)),
        "legend": dict(zip(options, question["criteria"], strict=True)),
        "probabilities": probabilities,
        "confidence": max(0.0, 1 - away / even),
    }


def _softmax(scores: list[float]) -> list[float]:
    weights = [math.exp(score - max(scores)) for score in scores]
    return [weight / sum(weights) for weight in weights]
