"""Bringing together what the text of a document says about its category and what its pages look like.

The two are taken as independent witnesses: the probabilities that each gives are multiplied, the images'
raised to a weight, and made to add up to 1 (a product of experts: Hinton 2002). What keeps the images modest:

- The text's reader gives a probability for its own category only; the rest is spread evenly over the others.
- A part `_DOUBT` of what the images say is spread evenly over their labels, so that none is ever excluded.
- Categories that no label means are neither raised nor lowered.

docs/image-classifier.md has what that does to the share of right categories.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.documents import Classification
from tasks.looks import Look, LookParams

_DOUBT = 0.1
_MAX_CONFIDENCE = 0.995
"""Two witnesses that agree are still no proof."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the images say, in terms of the recipe."""

    label: str
    """The most likely one."""
    probability: float
    """Of that label."""
    category: str
    """What it means; empty if it means no category."""
    by_category: Mapping[str, float]
    """The probability of each category that some label means. What means no category is left out."""


def verdict(params: LookParams, look: Look) -> Verdict:
    """What a look at a document's pages says about its category."""
    by_label = look.by_label
    by_category: defaultdict[str, float] = defaultdict(float)
    for label, probability in by_label.items():
        if category := params.category_of(label):
            by_category[category] += probability
    label = max(by_label, key=lambda one: by_label[one])
    return Verdict(label, by_label[label], params.category_of(label), dict(by_category))


def combined(found: Classification, params: LookParams, look: Look) -> Classification:
    """The category and confidence with the images' word; unchanged where that counts for nothing."""
    seen = verdict(params, look)
    if not seen.by_category or not params.use.weight or found.category not in params.categories:
        return found
    support = _support(seen.by_category)
    share = {
        name: _of_text(found, name, len(params.categories)) * support.get(name, 1.0) ** params.use.weight
        for name in params.categories
    }
    best = max(share, key=lambda name: (share[name], name == found.category))
    confidence = min(share[best] / (sum(share.values()) or 1.0), max(_MAX_CONFIDENCE, found.confidence))
    said = _evidence(params.classifier, seen, best)
    words = (
        (*found.evidence, said) if best == found.category else (said, f"the text alone says {found.category}")
    )
    return found.model_copy(update={"category": best, "confidence": round(confidence, 3), "evidence": words})


def _of_text(found: Classification, name: str, categories: int) -> float:
    if name == found.category:
        return found.confidence
    return (1 - found.confidence) / max(1, categories - 1)


def _support(by_category: Mapping[str, float]) -> dict[str, float]:
    """How many times as likely the images make each category that they know; 1 is neither nor.

    What they give to labels without a category is spread over the others: it counts for nothing.
    """
    count = len(by_category)
    unknown = max(0.0, 1 - sum(by_category.values()))
    return {
        name: (1 - _DOUBT) * (probability * count + unknown) + _DOUBT
        for name, probability in by_category.items()
    }


def _evidence(classifier: str, seen: Verdict, category: str) -> str:
    """What the images say, in words, beside the category that the document gets."""
    if not seen.category:
        return f"{classifier} sees {seen.label!r} ({seen.probability:.0%}), which is no category"
    but = "" if seen.category == category else "though "
    named = "" if seen.label == seen.category else f", {seen.label!r}"
    return (
        f"{but}it looks like {seen.category} ({seen.by_category[seen.category]:.0%} by {classifier}{named})"
    )


def contradiction(found: Classification, params: LookParams, look: Look, sure_text: float) -> str:
    """Why a person should look: the images are sure of one category and the text of another; else empty.

    A category that no label means is not contradicted: the images could not have said it. `sure_text` is the
    confidence from which the text counts as sure.
    """
    seen = verdict(params, look)
    could_agree = found.category in seen.by_category
    if not could_agree or seen.category in {"", found.category} or found.confidence < sure_text:
        return ""
    sure = seen.by_category[seen.category]
    if sure < params.use.review_above:
        return ""
    return (
        f"The image looks like {seen.category!r} ({sure:.0%}, by {params.classifier}),"
        f" but the text says {found.category!r} ({found.confidence:.0%})."
    )
