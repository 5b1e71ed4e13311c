"""The columns of the In-tray: which there are at a given width, and the words in each."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.plain_text import shortened
from app.tui.store import Sort
from tasks.documents import Stage, State
from tasks.overview import Overview

_STAGES = tuple(Stage)
_BAR_CELLS = 8


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `width` is in cells; 0 takes a share of what the others leave."""

    title: str
    width: int
    cell: Callable[[Overview], str]
    sort: Sort
    from_width: int = 0
    """Shown in lists that are at least so wide."""
    to_width: int = 10_000
    right: bool = False
    share: int = 0
    """Of the rest, for columns without a width."""


def age(added_at: float) -> str:
    """How long ago, in at most four characters; empty under a minute."""
    seconds = max(0.0, time.time() - added_at)
    if seconds < 60:
        return "now"
    for size, unit in ((86400 * 7, "w"), (86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return ""


def units_words(row: Overview) -> str:
    """The stage with units ended of units planned, as in `ocr 12/40`; at the end the number of pages."""
    if row.state is State.WAITING and (row.provisional or row.progress is None):
        return "for a model" if row.provisional else ""
    if row.state in {State.WAITING, State.RUNNING}:
        if row.progress is None or row.progress.planned <= 1:
            return row.stage.value
        return f"{row.stage.value} {row.progress.done}/{row.progress.planned}"
    return f"{row.page_count} p" if row.page_count else ""


def stage_bar(row: Overview) -> str:
    """How far a document has come on its way through the stages, with the words of `units_words` after it."""
    words = units_words(row)
    if row.state not in {State.WAITING, State.RUNNING} or row.provisional:
        return words
    done = row.progress.done / row.progress.planned if row.progress and row.progress.planned else 0.0
    share = (_STAGES.index(row.stage) + done) / len(_STAGES)
    full = int(share * _BAR_CELLS)
    return f"{'━' * full}{'─' * (_BAR_CELLS - full)} {words}"


def _category(row: Overview) -> str:
    if not row.category:
        return ""
    sure = "" if row.confidence is None else f" {row.confidence:.0%}"
    return f"{shortened(row.category, 18)}{'*' if row.provisional else ''}{sure}"


def _amount(row: Overview) -> str:
    return shortened(f"{row.amount} {row.currency}".strip(), 20)


def _name(row: Overview) -> str:
    return shortened(row.name, 200)


def _party(row: Overview) -> str:
    return shortened(row.party, 200)


COLUMNS: tuple[Column, ...] = (
    Column("state", 11, lambda row: row.state.value + ("!" if row.urgent else ""), Sort.STATE),
    Column("name", 0, _name, Sort.NAME, share=3),
    Column("stage", 12, units_words, Sort.STATE, from_width=48, to_width=119),
    Column("stage", 22, stage_bar, Sort.STATE, from_width=120),
    Column("category", 16, _category, Sort.CATEGORY, from_width=64),
    Column("party", 0, _party, Sort.PARTY, from_width=100, share=2),
    Column("amount", 13, _amount, Sort.AMOUNT, from_width=76, right=True),
    Column("date", 10, lambda row: shortened(row.date, 10), Sort.DATE, from_width=88),
    Column("age", 5, lambda row: age(row.added_at), Sort.AGE, right=True),
)


def columns_at(width: int) -> list[tuple[Column, int]]:
    """The columns of a list that is `width` cells wide, each with its own width; two cells are for marks."""
    shown = [column for column in COLUMNS if column.from_width <= width <= column.to_width]
    fixed = sum(column.width for column in shown) + len(shown) - 1 + 2
    shares = sum(column.share for column in shown) or 1
    rest = max(0, width - fixed)
    return [(column, column.width or max(8, rest * column.share // shares)) for column in shown]
