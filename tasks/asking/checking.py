"""Whether a sentence stands where it says that it stands."""

from collections.abc import Sequence

from tasks.asking.answers import Passage, Sentence, Source
from tasks.asking.numbers import unknown_numbers
from tasks.asking.reply import Citation, Claim
from tasks.documents import PageText
from tasks.engines.llm.quotes import QuoteFinder

_LEAST_LETTERS = 4
"""A quote of fewer letters, and without a digit, stands on every page."""


class CitationChecker:
    """Checks sentences against the passages that the model was given."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = {passage.number: passage for passage in passages}
        self._finders: dict[int, QuoteFinder] = {}

    def check(self, claim: Claim) -> Sentence:
        """The sentence with its sources, or with what is wrong about it.

        Every citation has to be of a passage that was given, with words that stand there, and every number
        and date of the sentence has to stand in the passages that it cites. What is shown as a quote is the
        text of the page, not the model's.
        """
        if not claim.sources:
            return _unsupported(claim, "it names no source")
        sources: list[Source] = []
        for citation in claim.sources:
            passage = self._passages.get(citation.passage)
            if passage is None:
                return _unsupported(claim, "it cites a passage that was not given")
            source = self._find(passage, citation)
            if source is None:
                return _unsupported(
                    claim, f"the words it cites are not in {passage.name}, page {passage.page}"
                )
            sources.append(source)
        texts = [self._passages[citation.passage].text for citation in claim.sources]
        if unknown := unknown_numbers(claim.text, texts):
            return _unsupported(claim, f"{unknown[0]} is not in what it cites")
        if not any(character.isalnum() for character in claim.text):
            return _unsupported(claim, "it says nothing")
        return Sentence(text=claim.text, sources=tuple(dict.fromkeys(sources)))

    def _find(self, passage: Passage, citation: Citation) -> Source | None:
        if not _is_telling(citation.quote):
            return None
        place = self._finder(passage).find(citation.quote)
        # Nearly the same words may differ in a digit, and that is another statement.
        if place is None or unknown_numbers(citation.quote, [place.quote]):
            return None
        return Source(
            document=passage.document,
            name=passage.name,
            page=passage.page,
            quote=place.quote,
            start=passage.start + place.start,
            end=passage.start + place.end,
        )

    def _finder(self, passage: Passage) -> QuoteFinder:
        if passage.number not in self._finders:
            self._finders[passage.number] = QuoteFinder([PageText(number=passage.page, text=passage.text)])
        return self._finders[passage.number]


def _is_telling(quote: str) -> bool:
    letters = sum(character.isalpha() for character in quote)
    return letters >= _LEAST_LETTERS or any(character.isdigit() for character in quote)


def _unsupported(claim: Claim, problem: str) -> Sentence:
    return Sentence(text=claim.text, problem=problem)
