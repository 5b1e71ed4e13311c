"""What an image classifier saw of a document, for every way of showing it."""

from typing import Any

from tasks.agreement import Verdict, verdict
from tasks.documents import FINAL_STATES, Classification
from tasks.ledger import DocumentRow, Ledger
from tasks.looks import Look, LookParams, Sighting, sighting, text_classification
from tasks.said import EVIDENCE

_SHOWN_LABELS = 3


def look_line(ledger: Ledger, document: DocumentRow) -> str:
    """What the pages look like, beside what the text says; or why nobody looked. Empty if nobody was to look.

    Labels are the user's own words: make them safe before they are printed.
    """
    seen = sighting(ledger, document.id)
    if seen is None:
        return ""
    if seen.params is None or seen.look is None:
        return _why_not(seen)
    found = verdict(seen.params, seen.look)
    words = f"{_scores(seen.look)}, by {seen.params.classifier} on {seen.look.device}"
    if not found.category:
        words += "; that is no category"
    text = text_classification(ledger, document.id)
    if text is not None and document.evidence != EVIDENCE:
        words += f"; the text says {text.category} {text.confidence:.0%}"
    return words


def _scores(look: Look) -> str:
    best = sorted(look.by_label.items(), key=lambda one: -one[1])[:_SHOWN_LABELS]
    return ", ".join(f"{label} {probability:.0%}" for label, probability in best)


def _why_not(seen: Sighting) -> str:
    if seen.state not in FINAL_STATES:
        return "not looked at yet"
    return f"not looked at: {seen.message}" if seen.message else "not looked at"


def look_record(ledger: Ledger, document: DocumentRow) -> dict[str, Any] | None:
    """The same as JSON values; None if nobody was to look."""
    seen = sighting(ledger, document.id)
    if seen is None:
        return None
    record: dict[str, Any] = {"state": seen.state.value, "message": seen.message}
    if seen.params is not None:
        record |= {"classifier": seen.params.classifier, "digest": seen.params.digest}
    if seen.params is not None and seen.look is not None:
        record |= _found(seen.params, seen.look, verdict(seen.params, seen.look))
        record |= {"worker": seen.worker, "seconds": seen.seconds}
        record["text"] = _text(text_classification(ledger, document.id))
    return record


def _found(params: LookParams, look: Look, found: Verdict) -> dict[str, Any]:
    return {
        "device": look.device,
        "category": found.category,
        "labels": [
            {"label": label, "category": params.category_of(label), "probability": round(probability, 6)}
            for label, probability in look.by_label.items()
        ],
        "pages": [page.page for page in look.pages],
    }


def _text(text: Classification | None) -> dict[str, Any] | None:
    """What the text alone said."""
    return None if text is None else {"category": text.category, "confidence": round(text.confidence, 3)}
