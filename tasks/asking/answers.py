"""The words of asking: passages, sources, sentences and the answer."""

from tasks.documents import Value
from tasks.engines.llm.base import CallTrace

NOT_SAID = "The documents do not say."
QUESTION_CHARS = 1_000
"""A longer question is refused."""


class Passage(Value):
    """A piece of a page that a question is answered from."""

    number: int
    """Under which the model cites it, from 1."""
    document: str
    name: str
    """Of the document; untrusted."""
    page: int
    start: int
    """Offset of the passage in the text of its page."""
    text: str


class Source(Value):
    """Words of a page: its own text from offset `start` to `end`. Name and quote are untrusted."""

    document: str
    name: str
    page: int
    quote: str
    start: int
    end: int


class Sentence(Value):
    """A sentence of an answer."""

    text: str
    """What the model wrote; untrusted."""
    sources: tuple[Source, ...] = ()
    """Where it stands, as far as that was found. A supported sentence has at least one."""
    problem: str = ""
    """Why it does not count as an answer, in words; empty if every citation was found."""


class Answer(Value):
    """What a question gave."""

    question: str
    sentences: tuple[Sentence, ...] = ()
    """Those that the documents support, and those that they do not, in the order of the model."""
    passages: tuple[Source, ...] = ()
    """Only without a language model: the passages that say most about the question, the best first."""
    model: str = ""
    """Empty if no language model was asked."""
    note: str = ""
    """Why no language model answered, in words."""
    passages_read: int = 0
    documents_read: int = 0
    calls: tuple[CallTrace, ...] = ()

    @property
    def supported(self) -> tuple[Sentence, ...]:
        """The sentences that count."""
        return tuple(sentence for sentence in self.sentences if not sentence.problem)

    @property
    def unsupported(self) -> tuple[Sentence, ...]:
        """The sentences whose citation was not found."""
        return tuple(sentence for sentence in self.sentences if sentence.problem)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of the sentences that count, each once, in their order; else the passages."""
        cited = (source for sentence in self.supported for source in sentence.sources)
        return tuple(dict.fromkeys(cited)) or self.passages
