"""How sure a model was of its choice: measured from the probabilities of its tokens, never asked for.

Servers report the probabilities before the grammar. The model may have preferred something that the grammar
forbids, so what is left is shared out anew among the names that are allowed.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.engines.llm.base import Alternative, ReplyToken

UNMEASURED = 0.3
"""The confidence where nothing can be measured: low enough that a person looks by default."""
_BEFORE_NAME = " \t\r\n\"':"


def measure(tokens: Sequence[ReplyToken], key: str, names: Sequence[str]) -> dict[str, float] | None:
    """The probability of each allowed name as the value of `key`, adding up to 1.

    Looks at each token of the value where names still differ. A token that the server did not list gets at
    most the probability of the last one listed. None if the reply has no such value, or if at some token no
    allowed name was among those listed.
    """
    shares: dict[str, float] = dict.fromkeys(names, 0.0)
    share, alive = 1.0, list(names)
    for step in _steps(tokens, key):
        if len(alive) == 1:
            break
        here = _share_out(step, alive)
        if here is None:
            return None
        staying = [name for name in alive if _may_begin(step.chosen, name[len(step.written) :])]
        if not staying:
            return None
        for name in set(alive) - set(staying):
            shares[name] = share * here[name]
        share *= sum(here[name] for name in staying)
        alive = staying
    if len(alive) != 1:
        return None
    shares[alive[0]] = share
    return shares


@dataclass(frozen=True)
class _Step:
    """One token of the value."""

    written: str
    """What of the value stands before it."""
    chosen: str
    """What it adds to the value; a quotation mark in it ends the value."""
    lead: str
    """What it holds before the value begins."""
    listed: tuple[Alternative, ...]
    """The likeliest tokens of all, as the server lists them."""
    own_logprob: float


def _steps(tokens: Sequence[ReplyToken], key: str) -> Iterator[_Step]:
    reply = "".join(token.token for token in tokens)
    places = list(re.finditer(rf'"{re.escape(key)}"\s*:\s*"', reply))
    if not places:
        return
    begin, start = places[-1].end(), 0
    for token in tokens:
        end = start + len(token.token)
        if end > begin:
            written = reply[begin : max(start, begin)]
            if '"' in written:
                return
            lead = reply[start:begin] if start < begin else ""
            yield _Step(written, token.token[len(lead) :], lead, token.alternatives, token.logprob)
        start = end


def _share_out(step: _Step, alive: Sequence[str]) -> dict[str, float] | None:
    """What each name has at this token, adding up to 1. An ambiguous beginning is shared equally."""
    begun = [(_without_lead(listed.token, step), math.exp(listed.logprob)) for listed in step.listed]
    masses = _masses(begun, step, alive)
    if not any(masses.values()):
        return None
    if step.chosen not in [text for text, _ in begun]:  # the grammar chose what the model ranked low
        own = _masses([(step.chosen, math.exp(step.own_logprob))], step, alive)
        masses = {name: mass + own[name] for name, mass in masses.items()}
    missing = [name for name, mass in masses.items() if not mass]
    least = min(probability for _, probability in begun)
    left_over = max(1 - sum(probability for _, probability in begun), 0.0)
    for name in missing:
        masses[name] = min(least, left_over / len(missing))
    total = sum(masses.values())
    return {name: mass / total for name, mass in masses.items()}


def _masses(begun: Sequence[tuple[str, float]], step: _Step, alive: Sequence[str]) -> dict[str, float]:
    masses = dict.fromkeys(alive, 0.0)
    for text, probability in begun:
        fitting = [name for name in alive if _may_begin(text, name[len(step.written) :])]
        for name in fitting:
            masses[name] += probability / len(fitting)
    return masses


def _without_lead(token: str, step: _Step) -> str:
    """What an alternative adds to the value. Without the grammar a model often begins with a space."""
    if step.lead and token.startswith(step.lead):
        return token[len(step.lead) :]
    return token if step.written else token.lstrip(_BEFORE_NAME)


def _may_begin(begun: str, rest: str) -> bool:
    """Whether a token may stand at the beginning of what is left of a name."""
    text, mark, _ = begun.casefold().partition('"')
    if mark:
        return bool(text or not rest) and text == rest
    return bool(text) and rest.startswith(text)
