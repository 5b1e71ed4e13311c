"""Choosing a category by weighted words: how often, how early, and in the file's name."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tasks.documents import Classification, DocumentText
from tasks.engines.offline_summary import close_letter_spacing
from tasks.recipes import MAIL_HEADERS, OTHER, Category, Recipe

_FIRST_CHARS, _LAST_CHARS = 20_000, 4_000
_HEAD_CHARS = 800
_OTHER_SCORE = 4.0
"""What a category has to beat: one strong word in an ordinary place does not make an invoice."""
_TEMPERATURE = 3.0
_MAX_CONFIDENCE = 0.95
_MAX_EVIDENCE = 6
_REPEATS = (1.0, 0.4, 0.2)
"""What the first, second and third occurrence of the same word count."""
_MAIL_HEADER = re.compile(
    r"^(?:from|to|cc|subject|date|sent|von|an|betreff|datum|gesendet|de|à|objet|envoyé|message-id):\s",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class _Find:
    """One occurrence of an evidence word."""

    word: str
    """The evidence word of the recipe."""
    shown: str
    """As the document writes it, in quotation marks."""
    where: str
    place: float
    """What an occurrence at this place counts, 0 to 2."""


def classify(document: DocumentText, recipe: Recipe) -> Classification:
    """The category whose words weigh most, or `other` where none weighs enough."""
    finds = list(_finds(document, recipe))
    scores: dict[str, float] = {}
    reasons: dict[str, list[tuple[float, str]]] = {}
    for category in recipe.categories:
        scored = list(_scored(category, finds))
        scores[category.name] = sum(score for score, _ in scored)
        reasons[category.name] = sorted(scored, key=lambda each: -each[0])
    scores[OTHER] = max(scores[OTHER], _OTHER_SCORE)
    best = max(recipe.category_names, key=lambda name: scores[name])
    evidence = tuple(text for _, text in reasons[best][:_MAX_EVIDENCE])
    if best == OTHER and not evidence:
        evidence = ("no category's words stand out",)
    return Classification(category=best, confidence=_confidence(scores, best), evidence=evidence)


def _confidence(scores: dict[str, float], best: str) -> float:
    """Share of the best score in a softmax. `other` is what is left over, and never sure of itself."""
    top = scores[best]
    share = 1 / sum(math.exp((score - top) / _TEMPERATURE) for score in scores.values())
    return round(min(share, 0.4 if best == OTHER else _MAX_CONFIDENCE), 3)


def _scored(category: Category, finds: list[_Find]) -> Iterator[tuple[float, str]]:
    """Score and words for the user for each evidence word of a category that was found."""
    for evidence in category.evidence:
        own = sorted((f for f in finds if f.word == evidence.word.lower()), key=lambda f: -f.place)
        score = evidence.weight * sum(find.place * share for find, share in zip(own, _REPEATS, strict=False))
        if own:
            yield score, f"{own[0].shown} {own[0].where}"


def _finds(document: DocumentText, recipe: Recipe) -> Iterator[_Find]:
    words = tuple(sorted({e.word.lower() for category in recipe.categories for e in category.evidence}))
    pattern = _word_pattern(words)
    left = _FIRST_CHARS
    for page in document.pages:
        text = close_letter_spacing(page.text[:left])
        for match in pattern.finditer(text):
            where = f"on page {page.number}"
            first_page = page is document.pages[0]
            place = (2.0 if match.start() < _HEAD_CHARS else 1.0) if first_page else 0.5
            yield from _named(words, match, where, place)
        left -= len(page.text)
        if left <= 0:
            break
    if left <= 0:
        last = document.pages[-1]
        for match in pattern.finditer(last.text[-_LAST_CHARS:]):
            yield from _named(words, match, f"on page {last.number}", 0.5)
    name = re.sub(r"[\W_]+", " ", document.name)[-200:]
    for match in pattern.finditer(name):
        yield from _named(words, match, "in the file's name", 0.5)
    if MAIL_HEADERS in words and document.pages and has_mail_headers(document.pages[0].text):
        yield _Find(MAIL_HEADERS, "mail headers", "at the beginning", 2.0)


def _named(words: tuple[str, ...], match: re.Match[str], where: str, place: float) -> Iterator[_Find]:
    shown = " ".join(match[0].split())
    plain = shown.lower()
    if plain in words:
        yield _Find(plain, f"'{shown}'", where, place)
        return
    for word in words:
        if word.startswith("*") and plain.endswith(word[1:]):
            yield _Find(word, f"'{shown}'", where, place)
            return


def has_mail_headers(text: str) -> bool:
    """At least three different header lines in the first eight lines."""
    head = "\n".join(text[:2000].lstrip().split("\n")[:8])
    return len({match[0].lower() for match in _MAIL_HEADER.finditer(head)}) >= 3


@lru_cache(maxsize=8)
def _word_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """All words in one pattern, the longest first, so that `tax invoice` wins over `invoice`."""
    choices = []
    for word in sorted(words, key=lambda each: (-len(each), each)):
        if word == MAIL_HEADERS:
            continue
        exact = r"\s{1,3}".join(re.escape(part) for part in word.lstrip("*").split())
        choices.append(rf"\w{{1,30}}-?{exact}" if word.startswith("*") else exact)
    if not choices:
        return re.compile(r"(?!)")
    return re.compile(rf"(?<!\w)(?:{'|'.join(choices)})(?!\w)", re.IGNORECASE)
