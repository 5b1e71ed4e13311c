"""Whether the values of a document can be right. What cannot is for a person to look at."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from tasks.amounts import decimal_of
from tasks.check_digits import number_problem
from tasks.documents import Field, FieldStatus
from tasks.recipes import Category, FieldSpec, Role

_SUMMED: tuple[Role, ...] = ("net", "tax", "amount")
_ROUNDING = Decimal("0.05")
"""Sums of rounded lines are off by cents, and totals are rounded to five where there is no smaller coin."""


def failed_checks(category: Category, fields: Iterable[Field]) -> list[str]:
    """What does not agree, in sentences. What a person has said in full is not doubted."""
    by_name = {field.name: field for field in fields if field.value}
    by_role = {
        spec.role: by_name[spec.name] for spec in category.fields if spec.role and spec.name in by_name
    }
    together = [words for check in _CHECKS if (words := check(by_role))]
    return together + [words for spec in category.fields if (words := _number(spec, by_name.get(spec.name)))]


def _sum(fields: dict[Role, Field]) -> str:
    """Net and tax make the total."""
    net, tax, total = (decimal_of(fields[role].value) if role in fields else None for role in _SUMMED)
    if net is None or tax is None or total is None or _is_said(fields, *_SUMMED):
        return ""
    if abs(net + tax - total) <= _ROUNDING:
        return ""
    return f"Net {net} and tax {tax} make {net + tax}, not the total of {total}."


def _order(fields: dict[Role, Field]) -> str:
    """Nothing is due before it was written. ISO dates compare as text."""
    date, due = fields.get("date"), fields.get("due")
    if date is None or due is None or due.value >= date.value or _is_said(fields, "date", "due"):
        return ""
    return f"The {due.name.replace('_', ' ')} {due.value} is before the date {date.value}."


def _number(spec: FieldSpec, field: Field | None) -> str:
    """The check digits of a number fit."""
    if spec.check is None or field is None or field.status is FieldStatus.CORRECTED:
        return ""
    problem = number_problem(spec.check, field.value)
    return f"The {spec.name.replace('_', ' ')} {field.value} {problem}." if problem else ""


_CHECKS: tuple[Callable[[dict[Role, Field]], str], ...] = (_sum, _order)


def _is_said(fields: dict[Role, Field], *roles: Role) -> bool:
    return all(fields[role].status is FieldStatus.CORRECTED for role in roles)
