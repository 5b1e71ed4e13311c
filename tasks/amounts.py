"""Amounts as the ledger has them: decimals with a point, as text, which anybody may have said."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation


def decimal_of(amount: str) -> Decimal | None:
    """The number that a text stands for; None if it is none, or not finite."""
    try:
        found = Decimal(amount)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def sums_by_currency(amounts: Iterable[tuple[str, str]]) -> dict[str, Decimal]:
    """The sum of amounts, each given with its currency, in the currencies' order; `?` for one unsaid."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for amount, currency in amounts:
        if (number := decimal_of(amount)) is not None:
            sums[currency or "?"] += number
    return dict(sorted(sums.items()))
