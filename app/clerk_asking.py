"""What the clerk does with a question: find what to read, and hand it to the workers."""

from app.clerk import Job
from app.requests import AskQuestion, Reply
from tasks.settings import Settings


def ask(settings: Settings, job: Job, request: AskQuestion) -> Reply:
    """Have a question answered on its stream. May be done again: it is answered once.

    Raises:
        ShoeboxError: the question cannot be asked, or Redis is away.
    """
    from tasks.asking.answers import Answer
    from tasks.broker_url import redis_url
    from tasks.exchange import connect
    from tasks.ledger import Ledger
    from tasks.question_asking import enter_answer, hand_over, prepare
    from tasks.question_road import QuestionRoad

    with Ledger.open(settings) as ledger:
        home = ledger.home
        asked = prepare(ledger, settings, request.question, request.documents)
    redis = connect(redis_url(settings))
    try:
        road = QuestionRoad(redis, home, request.question_id)
        if isinstance(asked, Answer):
            enter_answer(road, asked)
            return Reply(job.number, ok=True, message="Looked up.")
        hand_over(road, asked, settings)
    finally:
        redis.close()
    return Reply(job.number, ok=True, message=f"{asked.payload.model} is asked.")
