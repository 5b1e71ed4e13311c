"""Routes: questions over the documents."""

from typing import Annotated

from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from app.api.description import Responses, content, problems
from app.api.finding_models import AskIn, Question
from app.api.headers import Prefer, wait_seconds
from app.api.questions import Asking, question_events
from app.api.replies import json_reply
from app.api.service import Api
from app.api.sse import event_stream

router = APIRouter(tags=["asking"])

QuestionId = Annotated[str, Path(description="Its id.", max_length=64)]
_ANSWERS: Responses = {
    200: {"model": Question, "description": "It is settled."},
    202: {"model": Question, "description": "It is being answered; look again, or follow its events."},
    **problems(404, 422, 429, 503),
}


@router.post("/ask", operation_id="ask", status_code=202, responses=_ANSWERS)
async def ask(api: Api, asked: AskIn, prefer: Prefer = None) -> Response:
    """Ask a question over all documents, or over some.

    A language model answers from the pages that say most about it. Only sentences whose citation was
    found are given, each with its sources. Without a language model the passages themselves are.
    """
    asking = await api.questions.ask(asked.question, asked.documents)
    return await _settled(asking, wait_seconds(prefer))


@router.get("/ask/{question}", operation_id="getQuestion", responses=_ANSWERS)
async def get_question(api: Api, question: QuestionId, prefer: Prefer = None) -> Response:
    """Show how a question stands, with the sentences that are there."""
    return await _settled(api.questions.find(question), wait_seconds(prefer))


@router.get(
    "/ask/{question}/events",
    operation_id="followQuestion",
    response_class=Response,
    responses={200: content("Events until the question is settled.", "text/event-stream"), **problems(404)},
)
async def follow_question(
    api: Api, question: QuestionId, last: Annotated[str | None, Header(alias="Last-Event-ID")] = None
) -> Response:
    """Follow an answer: `sentence` as each is there, `again` if the model begins anew, `end`."""
    asking = api.questions.find(question)
    told = int(last) if last and last.isascii() and last.isdecimal() and len(last) < 7 else 0
    return event_stream(question_events(asking, min(told, len(asking.sentences))))


@router.delete("/ask/{question}", operation_id="cancelQuestion", status_code=204, responses=problems(404))
async def cancel_question(api: Api, question: QuestionId) -> Response:
    """Take a question back; the model stops."""
    api.questions.cancel(api.questions.find(question))
    return Response(status_code=204)


async def _settled(asking: Asking, seconds: float) -> Response:
    """How a question stands: when it is settled, after so long in any case."""
    import asyncio

    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while asking.state == "open" and (left := give_up - loop.time()) > 0:
        await asking.wait(left)
    is_open = asking.state == "open"
    headers = {"Location": f"/ask/{asking.id}"} | ({"Retry-After": "1"} if is_open else {})
    return json_reply(asking.shown(), 202 if is_open else 200, headers)
