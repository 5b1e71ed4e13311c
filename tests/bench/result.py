"""What a bench found."""

from typing import Any

from pydantic import BaseModel, Field


class Ratio(BaseModel):
    """A figure that has a bar to keep."""

    value: float
    aim: str = ""
    """The bar in words, such as `at least 2`; empty for a ratio that has none."""
    kept: bool | None = None
    """Whether the bar is kept; None where there is none."""


def at_least(value: float, limit: float) -> Ratio:
    """A ratio that should not be smaller."""
    return Ratio(value=value, aim=f"at least {limit:g}", kept=value >= limit)


def at_most(value: float, limit: float) -> Ratio:
    """A ratio that should not be larger."""
    return Ratio(value=value, aim=f"at most {limit:g}", kept=value <= limit)


class BenchResult(BaseModel):
    """Of one bench."""

    name: str
    figures: dict[str, float] = Field(default_factory=dict)
    """Name with unit -> value. Absolute: of this machine, on this day."""
    ratios: dict[str, Ratio] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0
    """How long the bench took."""


def from_found(name: str, found: "BenchResult | dict[str, Any]") -> BenchResult:
    """A result, also from a bench that gives a plain dictionary.

    Such a dictionary may have the keys of a BenchResult. Else numbers are figures and all else is a note.
    """
    if isinstance(found, BenchResult):
        return found
    if isinstance(found.get("figures"), dict):
        return BenchResult.model_validate({"name": name, **found})
    figures = {key: float(value) for key, value in found.items() if isinstance(value, int | float)}
    notes = [f"{key}: {value}" for key, value in found.items() if key not in figures]
    return BenchResult(name=name, figures=figures, notes=notes)
