"""Title and summary, both in the document's own words."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tasks.engines.offline_text import Candidate, Reading, TextLine
from tasks.recipes import Category

_TITLE_CHARS = 120
_SUMMARY_CHARS = 600
_SUMMARY_SENTENCES = 3
_MAX_SENTENCES = 1500
_SENTENCE_END = re.compile(r"[.!?](?=\s{1,3}[^\W_]|\s*$)")
_ABBREVIATION = re.compile(
    r"(?<![^\W_])(?:\w{1,2}|\d+|str|nr|ziff|abs|art|bzw|inkl|exkl|zzgl|ust|mwst|geschäftsf|ident|ref|inc|ltd|corp|"
    r"mrs|prof|dipl|tel|vol|fig|approx|e\.g|i\.e|z\.b|u\.a|d\.h|\w{2,30}str)\.$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{4,30}")
# What programs write into a file's metadata when nobody gave it a title.
_NO_TITLE = re.compile(
    r"untitled|unbenannt|document\d*|dokument\d*|microsoft (?:word|excel|powerpoint) - .*|scan.{0,20}|"
    r".{0,80}\.(?:docx?|xlsx?|pdf|xml|indd|tmp|html?|rtf|odt|pptx?|psd|tiff?|jpe?g|png)|"
    r"adobe photoshop pdf|[\W\d_]*|.{0,3}|slide \d+|powerpoint.presentation",
    re.IGNORECASE | re.DOTALL,
)
_SUBJECT = re.compile(
    r"(?:subject|betreff|betrifft|betr\.|objet|asunto|oggetto|onderwerp|re)\s{0,3}:\s{0,3}(?P<text>\S.{0,200})",
    re.IGNORECASE,
)
_SALUTATION = re.compile(
    r"(?:dear |sehr geehrte|liebe[r]? |guten tag|hello |hi |madame|monsieur|cher |chère |estimad|gentile |"
    r"egregi|geachte |beste )",
    re.IGNORECASE,
)
_GREETING = re.compile(_SALUTATION.pattern + r"[^,.!?]{0,60}, ?", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r" (?:Seite|Page) \d.*$", re.IGNORECASE)
_LETTER_SPACED = re.compile(r"(?<!\S)\w(?: \w){3,30}(?!\S)")


def close_letter_spacing(text: str) -> str:
    """`I N V O I C E` becomes `INVOICE`."""
    return _LETTER_SPACED.sub(lambda match: match[0].replace(" ", ""), text)


def find_title(reading: Reading, category: Category) -> str:
    """The file's own title if it says something, else subject, heading, first good line, or file name."""
    own = " ".join(reading.document.title[:500].split())
    if own and not _NO_TITLE.fullmatch(own):
        return own[:_TITLE_CHARS]
    if subject := subject_line(reading):
        return subject.value[:_TITLE_CHARS]
    for candidate in (_heading(reading, category), _first_good_line(reading)):
        if candidate:
            title = " ".join(close_letter_spacing(candidate.text).split())
            return _PAGE_NUMBER.sub("", title)[:_TITLE_CHARS]
    return reading.document.name[:_TITLE_CHARS]


def subject_line(reading: Reading) -> Candidate | None:
    """The labelled subject, else the line above the salutation of a letter."""
    head = reading.lines[:60]
    for line in head:
        if match := _SUBJECT.match(line.text):
            span = line.span(match.start("text"), match.end("text"))
            return Candidate(" ".join(span.quote.split()), span, 0.9)
    for above, line in pairwise(head):
        greets = _SALUTATION.match(line.text) and line.text.endswith((",", "!", ":"))
        if greets and _says_something(above) and not above.text.endswith((".", ",", ")", ":")):
            return Candidate(above.text, above.span(0, len(above.text)), 0.5)
    return None


def find_summary(reading: Reading) -> str:
    """Two or three whole sentences of the document, in its order, that carry its commonest words."""
    sentences = _sentences(reading)
    if not sentences:
        return ""
    words = Counter(word.lower() for sentence in sentences for word in _WORD.findall(sentence.text))
    ranked = sorted(sentences, key=lambda each: (-_weight(each, words, len(sentences)), each.place))
    chosen: list[_Sentence] = []
    for sentence in ranked:
        length = sum(len(each.text) + 1 for each in chosen) + len(sentence.text)
        repeated = any(sentence.text == each.text for each in chosen)
        if len(chosen) < _SUMMARY_SENTENCES and length <= _SUMMARY_CHARS and not repeated:
            chosen.append(sentence)
    return " ".join(each.text for each in sorted(chosen, key=lambda each: each.place))


@dataclass(frozen=True)
class _Sentence:
    text: str
    place: int


def _sentences(reading: Reading) -> list[_Sentence]:
    """Sentences with white space collapsed; lines that say something where there are no sentences."""
    found: list[str] = []
    for paragraph in _paragraphs(reading):
        found += _split_sentences(paragraph)
    good = [body for text in found if _is_sentence(body := _GREETING.sub("", text), greeted=body != text)]
    if not good:
        good = [line.text for line in reading.lines[:40] if _says_something(line)][:_SUMMARY_SENTENCES]
    return [_Sentence(text, place) for place, text in enumerate(good[:_MAX_SENTENCES])]


def _split_sentences(paragraph: str) -> list[str]:
    """Cut behind full stops that end no abbreviation; what follows the last one is no sentence."""
    sentences, start = [], 0
    for match in _SENTENCE_END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph, max(start, match.end() - 40), match.end()):
            sentences.append(paragraph[start : match.end()].strip())
            start = match.end()
    return sentences


def _is_sentence(text: str, greeted: bool) -> bool:
    """Of readable length, with a beginning, and not a row of names or headings."""
    words = text.split()
    small = sum(word[0].islower() for word in words)
    begins = text[:1].isupper() or text[:1].isdigit() or greeted
    return 25 <= len(text) <= 400 and len(words) >= 5 and small * 3 >= len(words) and begins


def _paragraphs(reading: Reading) -> list[str]:
    """Lines joined where a sentence goes on; a line of figures or a short one ends the paragraph."""
    paragraphs: list[list[str]] = [[]]
    previous: TextLine | None = None
    for line in reading.lines:
        prose = not line.money and len(_WORD.findall(line.text)) >= 2 and not line.text.endswith(":")
        continues = previous is not None and previous.page is line.page and _runs_on(previous.text)
        if not continues or not prose:
            paragraphs.append([])
        if prose or (continues and line.text[0].islower()):
            paragraphs[-1].append(" ".join(line.text.split()))
        previous = line if prose else None
    return [" ".join(parts) for parts in paragraphs if parts]


def _runs_on(text: str) -> bool:
    """Whether a sentence may go on in the next line: the line is full, or ends in a comma."""
    return len(text) > 40 or text.endswith(",")


def _weight(sentence: _Sentence, words: Counter[str], count: int) -> float:
    """Mean frequency of its words, more for an early sentence."""
    own = [word.lower() for word in _WORD.findall(sentence.text)]
    frequency = sum(words[word] for word in set(own)) / (len(own) + 3)
    early = 1 + 1.5 * (1 - sentence.place / count) ** 2
    return frequency * early


def _heading(reading: Reading, category: Category) -> TextLine | None:
    """A short line near the top with one of the category's strong words, such as `Invoice 4711`."""
    strong = [each.word.lstrip("*").lower() for each in category.evidence if each.weight >= 4]
    for line in reading.lines[:40]:
        text = close_letter_spacing(line.text).lower()
        short = len(text) <= 60 and ":" not in text and not text.endswith((".", ","))
        if short and not _SALUTATION.match(text) and any(word in text for word in strong):
            return line
    return None


def _first_good_line(reading: Reading) -> TextLine | None:
    return next((line for line in reading.lines[:40] if _says_something(line)), None)


def _says_something(line: TextLine) -> bool:
    """Mostly letters, and more than one word or one long one."""
    letters = sum(character.isalpha() for character in line.text)
    mostly_letters = letters >= 6 and letters > len(line.text) * 0.5
    return mostly_letters and ":" not in line.text[:-1] and not _SALUTATION.match(line.text)
