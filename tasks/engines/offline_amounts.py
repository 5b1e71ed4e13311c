"""Amounts of a category: labels propose them, and net + tax = total decides between proposals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tasks.engines.offline_text import Candidate, Hit, Reading, TextLine, lines_after
from tasks.recipes import Category, FieldSpec
from tasks.values import Amount, format_amount

_MAX_PROPOSALS = 12
_TABLE_ROWS = 8
_HEAD_LABELS = 3
_UNLABELLED = 0.3


@dataclass(frozen=True)
class Proposal:
    """An amount that may be the value of a field."""

    line: TextLine
    amount: Amount
    score: float

    @property
    def candidate(self) -> Candidate:
        """The same as an engine's candidate; the confidence stays below certainty."""
        span = self.line.span(self.amount.start, self.amount.end)
        return Candidate(format_amount(self.amount.value), span, min(self.score, 0.95))


def find_field_amounts(reading: Reading, category: Category) -> dict[str, Proposal]:
    """The best amount for each amount field, by field name; fields without one are left out."""
    specs = [spec for spec in category.fields if spec.type == "amount"]
    proposals = _proposals(reading, specs)
    chosen = {name: max(each, key=lambda p: p.score) for name, each in proposals.items() if each}
    main = category.field_with_role("amount")
    if main is None:
        return chosen
    if main.name not in chosen and (largest := _largest(reading)):
        chosen[main.name] = largest
    if {"net", "tax"} <= {spec.name for spec in specs} and main.name in chosen:
        _agree(proposals, chosen, main.name)
    return chosen


def _proposals(reading: Reading, specs: Sequence[FieldSpec]) -> dict[str, list[Proposal]]:
    proposals: dict[str, list[Proposal]] = {spec.name: [] for spec in specs}
    most = max((abs(a.value) for line in reading.lines for a in line.money), default=Decimal(0))
    for index, hits in enumerate(reading.hits(specs)):
        for owner, end, limit in _groups(reading.lines[index], hits):
            for line, amount, certainty in _values(reading, index, owner, end, limit):
                score = (
                    owner.score + certainty + 0.05 * bool(amount.currency) + 0.1 * index / len(reading.lines)
                )
                if owner.spec.role == "amount" and abs(amount.value) == most:
                    score += 0.1
                proposals[owner.spec.name].append(Proposal(line, amount, score))
    return {name: sorted(each, key=lambda p: -p.score)[:_MAX_PROPOSALS] for name, each in proposals.items()}


def _groups(line: TextLine, hits: list[Hit]) -> list[tuple[Hit, int, int]]:
    """Labels with no amount between them are one label, and the first says whose it is ("Summe inkl. USt").

    Gives the owner, where the last label of the group ends, and where the next group begins.
    """
    if len(hits) >= _HEAD_LABELS and not line.amounts:  # the head of a table: each label is a column
        return [(hit, hit.end, len(line.text)) for hit in hits]
    groups: list[tuple[Hit, int, int]] = []
    for hit in hits:
        if groups:
            owner, end, _ = groups[-1]
            if not any(end <= amount.start < hit.start for amount in line.money):
                groups[-1] = (owner, hit.end, len(line.text))
                continue
            groups[-1] = (owner, end, hit.start)
        groups.append((hit, hit.end, len(line.text)))
    return groups


def _values(
    reading: Reading, index: int, owner: Hit, end: int, limit: int
) -> list[tuple[TextLine, Amount, float]]:
    """Amounts for one label, with what the place adds to the score."""
    line = reading.lines[index]
    after = [amount for amount in line.money if end <= amount.start < limit]
    if after:
        return [(line, after[-1], 0.0)]
    bare = [a for a in line.amounts if end <= a.start < limit]
    if bare and bare[0].start - end <= 4:  # "Total: 119", without decimals
        return [(line, bare[0], -0.2)]
    if bare:
        return []
    for below in lines_after(reading, index, replace(owner, end=end)):
        if len(below.money) == 1 and len(below.text) <= 30:
            return [(below, below.money[0], -0.05)]
    if limit == len(line.text) and end >= len(line.text.rstrip(": .)")):
        return _last_column(reading, index)
    return []


def _last_column(reading: Reading, index: int) -> list[tuple[TextLine, Amount, float]]:
    """The label ends the head of a table: the value ends its last row."""
    rows = []
    for line in reading.lines[index + 1 : index + 1 + _TABLE_ROWS]:
        letters = sum(character.isalpha() for character in line.text)
        if len(line.money) < 2 or letters > len(line.text) * 0.3:
            break
        rows.append(line)
    return [(rows[-1], rows[-1].money[-1], 0.0)] if rows else []


def _agree(proposals: dict[str, list[Proposal]], chosen: dict[str, Proposal], main: str) -> None:
    """Prefer a total, net and tax that add up; of several taxes that do not, none is the whole tax."""
    best: tuple[float, Proposal, Proposal, Proposal] | None = None
    for total in proposals[main] or [chosen[main]]:
        for net in proposals["net"]:
            for tax in proposals["tax"]:
                score = total.score + 0.3 * (net.score + tax.score)
                adds_up = net.amount.value + tax.amount.value == total.amount.value
                if adds_up and tax.amount.value and (best is None or score > best[0]):
                    best = (score, total, net, tax)
    # A sum that adds up outweighs a better label, but not a label on another line by far.
    if best and best[1].score + 0.35 >= chosen[main].score:
        for name, proposal in zip((main, "net", "tax"), best[1:], strict=True):
            chosen[name] = replace(proposal, score=proposal.score + 0.15)
        return
    _complete_from_row(chosen, main)
    if "net" in chosen and "tax" in chosen:
        difference = chosen[main].amount.value - chosen["net"].amount.value
        rates = {proposal.amount.value for proposal in proposals["tax"]}
        if chosen["tax"].amount.value != difference and len(rates) > 1:
            del chosen["tax"]


def _complete_from_row(chosen: dict[str, Proposal], main: str) -> None:
    """In a row of sums, the two amounts before the total that add up to it are net and tax."""
    total = chosen[main]
    row = [amount for amount in total.line.money if amount.start < total.amount.start]
    for net in row:
        for tax in row:
            adds_up = net.value + tax.value == total.amount.value
            if adds_up and net.start < tax.start and tax.value:
                chosen["net"] = Proposal(total.line, net, 0.6)
                chosen["tax"] = Proposal(total.line, tax, 0.6)
                return


def _largest(reading: Reading) -> Proposal | None:
    """Without any label: the largest amount that has a currency, which is a guess."""
    found = [(line, amount) for line in reading.lines for amount in line.money if amount.currency]
    if not found:
        return None
    line, amount = max(found, key=lambda pair: abs(pair[1].value))
    return Proposal(line, amount, _UNLABELLED)
