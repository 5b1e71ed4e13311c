"""How far the text layer of a page can be trusted, from the text alone.

A text layer may be missing, a stamp of the scanner, the work of a bad OCR program, or letters whose font
maps them to the wrong characters. Each rule below gives a factor between 0 and 1; the score is their product.
The thresholds were chosen so that invoices, tables of contents and lists in any language pass.
"""

import re
import unicodedata

MIN_CHARACTERS = 20
"""Letters and digits at which a page counts as having text: fewer is a page number or a heading."""
MIN_CHARACTERS_OVER_IMAGE = 300
"""The same for a page that carries a large image. A stamp or a letterhead has less, a page of text more."""

# `(cid:12)` is what PDF programs write for a glyph without a character.
_CID = re.compile(r"\(cid:\d+\)")
# UTF-8 read as Windows-1252: "Ã¤" for "ä", "â€™" for an apostrophe, "Â " before a blank.
_MOJIBAKE = re.compile("[ÂÃ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[\x80-\xff™œž“”˜¦]")
# Dot leaders and ruled lines are layout, not symbols that speak against the text.
_LEADER = re.compile(r"([^\w\s])(?:\s?\1){2,}")
# Latin, Greek and Cyrillic: the scripts whose letters stand alone, without combining signs.
_WORD = re.compile("[A-Za-zÀ-\u02ff\u0370-\u052f]+")
_LATIN_WORD = re.compile("[A-Za-zÀ-ɏ]{3,}")
_VOWEL = re.compile(
    "[aeiouyæøœıə"
    + "".join(c for c in map(chr, range(0xC0, 0x250)) if unicodedata.normalize("NFD", c)[0] in "aeiouyAEIOUY")
    + "]",
    re.IGNORECASE,
)
# Replacement, control and private-use characters. PDFium's marks for a hyphen at a line's end, U+0002 and
# U+FFFE, are not among them.
_MEANINGLESS = re.compile(
    "[\x00\x01\x03-\x08\x0e-\x1f\x7f-\x9f\ud800-\uf8ff\ufffd\uffff\U000f0000-\U0010ffff]"
)
# Scripts written without blanks between words: kana, CJK, Thai, Lao, Burmese, Khmer, Tibetan.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)


def text_score(text: str, *, over_image: bool = False) -> float:
    """Trust in a page's text layer, 0 (do not use it) to 1. Run it on the text before cleaning.

    Args:
        text: The whole text layer of one page.
        over_image: The page carries an image large enough to be a scan; then little text proves nothing.
    """
    wanted = MIN_CHARACTERS_OVER_IMAGE if over_image else MIN_CHARACTERS
    characters = count_characters(text)
    if not characters:
        return 0.0
    score = min(1.0, characters / wanted)
    for rule in (
        _known_characters,
        _letters_not_symbols,
        _no_mojibake,
        _spaces,
        _whole_words,
        _vowels,
        _ascii_share,
    ):
        score *= rule(text)
    return round(score, 3)


def count_characters(text: str) -> int:
    """Letters and digits in the text; `(cid:12)` is neither."""
    return sum(map(str.isalnum, _CID.sub("", text)))


def _known_characters(text: str) -> float:
    """Replacement, private-use and control characters and `(cid:12)` are glyphs without meaning.

    One in nine halves the score. A few are normal: Word's bullets are private-use characters.
    """
    bare, glyphs = _CID.subn("", text)
    bad = glyphs + len(_MEANINGLESS.findall(bare))
    return _falling(bad / (len(_visible(bare)) + glyphs), harmless=0.02, useless=0.2)


def _letters_not_symbols(text: str) -> float:
    """A font with a shifted encoding turns letters into punctuation. Text has at most a third of it."""
    visible = _visible(_LEADER.sub(r"\1", text))
    others = [c for c in visible if not c.isalnum()]
    # A combining mark is part of a letter (Devanagari, Thai, decomposed accents).
    symbols = sum(c.isascii() or unicodedata.category(c)[0] != "M" for c in others)
    return _falling(symbols / len(visible), harmless=0.4, useless=0.75)


def _no_mojibake(text: str) -> float:
    """UTF-8 that was read as Windows-1252. One in five words spoils the page, one in a hundred does not."""
    return _falling(len(_MOJIBAKE.findall(text)) / len(text.split()), harmless=0.01, useless=0.2)


def _spaces(text: str) -> float:
    """Words without blanks between them cannot be searched or quoted. Scripts without blanks are exempt."""
    tokens = [token for token in _LEADER.sub(r"\1", text).split() if not _UNSPACED.search(token)]
    # Long numbers, links and German compounds exist; a page whose mean is 15 has lost its blanks.
    mean = sum(map(len, tokens)) / max(1, len(tokens))
    return _falling(mean, harmless=14, useless=30)


def _whole_words(text: str) -> float:
    """`I n v o i c e`: most words are single letters, as some programs place every glyph alone."""
    words = _WORD.findall(text)
    if len(words) < 5:
        return 1.0
    return _falling(sum(len(word) == 1 for word in words) / len(words), harmless=0.4, useless=0.8)


def _vowels(text: str) -> float:
    """Letters shifted along the alphabet ("This" as "7KLV", a font's missing table) have few vowels.

    Of 60 readable pages none had less than 33 % vowels in its Latin words, of the same pages shifted by
    29, as such fonts do, hardly any more than 22 %.
    """
    letters = "".join(_LATIN_WORD.findall(text))
    if len(letters) < 2 * MIN_CHARACTERS:
        return 1.0
    return _falling(1 - len(_VOWEL.findall(letters)) / len(letters), harmless=0.72, useless=0.82)


def _ascii_share(text: str) -> float:
    """Cyrillic or Greek read as Latin-1 is nearly all accented letters ("Ïðèâåò"); Vietnamese, the most
    accented language, has about one in three."""
    latin = [c for c in text if c.isalpha() and (c.isascii() or c <= "\u024f")]
    if len(latin) < MIN_CHARACTERS:
        return 1.0
    return _falling(1 - sum(map(str.isascii, latin)) / len(latin), harmless=0.5, useless=0.8)


def _visible(text: str) -> str:
    return "".join(text.split())


def _falling(value: float, *, harmless: float, useless: float) -> float:
    """1 up to `harmless`, 0 from `useless` on, a straight line between."""
    return min(1.0, max(0.0, (useless - value) / (useless - harmless)))
