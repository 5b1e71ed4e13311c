"""Following one answer from the event loop: the waiting is done in a thread."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import closing, suppress

from tasks.broker_url import redis_url
from tasks.question_road import Entry
from tasks.settings import Settings

_Put = Callable[[Entry | Exception | None], None]


async def follow_answer(settings: Settings, home: str, question_id: str) -> AsyncGenerator[Entry, None]:
    """The entries of an answer as they come. To close it is to leave the question: its worker stops.

    Raises:
        ShoeboxError: as `tasks.question_following.follow`.
    """
    loop = asyncio.get_running_loop()
    come: asyncio.Queue[Entry | Exception | None] = asyncio.Queue()
    left = threading.Event()

    def put(news: Entry | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(come.put_nowait, news)

    threading.Thread(
        target=_listen, args=(settings, home, question_id, put, left), name="answer", daemon=True
    ).start()
    try:
        while (news := await come.get()) is not None:
            if isinstance(news, Exception):
                raise news
            yield news
    finally:
        left.set()


def _listen(settings: Settings, home: str, question_id: str, put: _Put, left: threading.Event) -> None:
    from tasks.exchange import connect
    from tasks.question_following import follow
    from tasks.question_road import QuestionRoad

    try:
        redis = connect(redis_url(settings))
        try:
            with closing(follow(QuestionRoad(redis, home, question_id), left.is_set)) as entries:
                for entry in entries:
                    put(entry)
        finally:
            redis.close()
    except Exception as error:  # whatever it is, the one who waits gets it
        put(error)
    put(None)
