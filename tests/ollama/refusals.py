"""Errors in the words of the recorded server: those that a fault orders, and the one about images."""

from tests.ollama.answers import Answer, ClientWatch, CutError, RefusedError
from tests.ollama.faults import Fault, FaultKind
from tests.ollama.models import ModelSpec
from tests.ollama.runners import BUSY

_FOR_EVER = 3600.0
REFUSALS = {
    FaultKind.BUSY: (503, BUSY),
    FaultKind.MISSING: (404, "model '{model}' not found"),
    FaultKind.CLOUD: (403, "ollama cloud is disabled: remote model is unavailable"),
    FaultKind.BAD_SCHEMA: (
        400,
        '{"error":{"code":400,"message":"Field \'json_schema\': \\"json_schema\\": JSON schema conversion '
        'failed:\\nUnrecognized schema: {}","type":"invalid_request_error"}}',
    ),
    FaultKind.OVERFLOW: (
        400,
        '{"error":{"code":400,"message":"request (9999 tokens) exceeds the available context size '
        '(4096 tokens), try increasing it","type":"exceed_context_size_error",'
        '"n_prompt_tokens":9999,"n_ctx":4096}}',
    ),
}


def refuse_ordered(fault: Fault | None, model: str) -> None:
    """Raise what a fault says in place of an answer, if it says so."""
    if fault is None:
        return
    if fault.kind is FaultKind.CLOSED:
        raise CutError
    if fault.kind is FaultKind.INTERNAL:
        raise RefusedError(500, fault.text or "something went wrong")
    if fault.kind in REFUSALS:
        status, message = REFUSALS[fault.kind]
        raise RefusedError(status, message.replace("{model}", model))


def answer_instead(fault: Fault, answer: Answer, watch: ClientWatch) -> None:
    """Say nothing, or what a proxy says, and close the connection; if a fault says so."""
    if fault.kind is FaultKind.HANG:
        watch.sleep(_FOR_EVER)
    elif fault.kind is FaultKind.STATUS:
        kind = "text/html" if fault.text.startswith("<") else "application/json"
        more = {"Retry_After": f"{fault.seconds:g}"} if fault.seconds else {}
        answer.plain(fault.status, fault.text.encode(), kind, Location="http://127.0.0.1:9/", **more)
        raise CutError


def no_images(spec: ModelSpec) -> RefusedError:
    """The error of a model that cannot see."""
    if spec.mode == "native":
        hint = (
            "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
        )
        return RefusedError(
            500, f'{{"error":{{"code":500,"message":"{hint}","type":"server_error"}}}}', late=True
        )
    text = "Multimodal data provided, but model does not support multimodal requests."
    return RefusedError(
        400, f'{{"error":{{"code":400,"message":"{text}","type":"invalid_request_error"}}}}', late=True
    )
