"""The language of a text, and how languages write months and numbers.

Which language it is says py3langid (BSD, 4.5 MB, a naive Bayes model of 97 languages); how it writes
months and numbers says Babel with the Unicode CLDR. Both are loaded when they are first needed.
"""

import re
import unicodedata
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = ("en", "de", "fr", "es", "it", "nl")
"""Those whose dates and amounts are read, as ISO 639-1."""

_SAMPLE = 4_000
"""Letters and spaces that a language is told from: more make it no surer, only slower (2 ms for 4,000)."""
_FEWEST_LETTERS = 12
_LEAST_PROBABILITY = 0.5
_LEAST_SHARE_OF_OURS = 0.25
_LOADING = Lock()
# What people write and CLDR does not list for these languages.
_OTHER_MONTHS = {
    1: "jänner jän janv jan",
    2: "febr févr fév",
    3: "mrz mär märz",
    4: "avr",
    7: "juil",
    9: "sep sept setiembre",
    10: "oktob",
    12: "déc",
}


def detect_language(text: str) -> str:
    """The language of a text as ISO 639-1 code, such as `de`; empty where its words do not tell."""
    words = " ".join(re.findall(r"[^\W\d_]{2,}", text[: 2 * _SAMPLE]))[:_SAMPLE]
    if len(words) < _FEWEST_LETTERS:
        return ""
    # Words in capitals look foreign: half a bill is written in them.
    ranked = _identifier().rank(words.lower())
    # A bill is full of names, which look like any language; one that is read is likelier than it seems.
    ours, share = next(each for each in ranked if each[0] in LANGUAGES)
    if share >= _LEAST_SHARE_OF_OURS:
        return str(ours)
    language, probability = ranked[0]
    return str(language) if probability >= _LEAST_PROBABILITY else ""


def language_name(code: str) -> str:
    """What a language is called in English; the code itself if it is not known."""
    if not code:
        return ""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale(code).get_display_name("en") or code
    except (UnknownLocaleError, ValueError):
        return code


@lru_cache(maxsize=128)
def decimal_mark(language: str) -> str:
    """`,` or `.`, as the language's own country writes numbers; `.` for one that is not known."""
    if not language:
        return "."
    from babel import Locale, UnknownLocaleError

    try:
        symbols = Locale.parse(language).number_symbols
    except (UnknownLocaleError, ValueError):
        return "."
    mark = (symbols.get("latn") or {}).get("decimal", ".")
    return mark if mark in {".", ","} else "."


@lru_cache(maxsize=1)
def month_numbers() -> dict[str, int]:
    """Names and abbreviations of months in the languages that are read, in lower case without a full stop.

    Also without accents, which OCR and typewriters lose.
    """
    from babel import Locale

    numbers: dict[str, int] = {}
    for language in LANGUAGES:
        for context in Locale(language).months.values():
            for width in ("wide", "abbreviated"):
                for number, name in context.get(width, {}).items():
                    numbers[name.lower().rstrip(".")] = number
    for number, names in _OTHER_MONTHS.items():
        numbers.update(dict.fromkeys(names.split(), number))
    return {_without_accents(name): number for name, number in numbers.items()} | numbers


def _without_accents(name: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", name) if not unicodedata.combining(each))


def load() -> None:
    """Load everything now, half a second of work, that else the first text would have to wait for."""
    _identifier()
    month_numbers()


def _identifier() -> "LanguageIdentifier":
    with _LOADING:  # who comes while another thread loads it waits, instead of loading it once more
        return _loaded_identifier()


@lru_cache(maxsize=1)
def _loaded_identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    # norm_probs: probabilities instead of bare scores
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
