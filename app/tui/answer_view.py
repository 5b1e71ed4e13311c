"""An answer while it comes and when it is whole, as text for the screen. Knows no widgets."""

from collections.abc import Iterator

from textual.content import Content

from app.tui.text import plain, plain_lines
from tasks.asking.answers import NOT_SAID, Answer, Sentence, Source
from tasks.question_road import Entry, EntryKind

PASSAGES_TITLE = "No language model: these passages say most about it."
_SHOWN_QUOTE = 400


class AnswerView:
    """What is known of an answer so far."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        """The whole answer, at the end."""
        self.problem = ""
        """Why there is none, in words."""
        self._status = "Looking for what to read."
        self._sentences: list[Sentence] = []
        self._draft = ""

    def waiting(self, status: str) -> None:
        """Say what is waited for."""
        self._status = status

    def take(self, entry: Entry) -> None:
        """Something happened."""
        match entry.kind:
            case EntryKind.BEGUN:
                self._status = "The model is reading."
            case EntryKind.DRAFT:
                self._draft += entry.text
            case EntryKind.SENTENCE if entry.sentence is not None:
                self._draft = ""
                self._sentences.append(entry.sentence)
            case EntryKind.AGAIN:
                self._draft = ""
                self._sentences.clear()
            case EntryKind.ANSWER if entry.answer is not None:
                self.answer = entry.answer
                self._draft = ""
                self._sentences = list(entry.answer.sentences)

    @property
    def is_whole(self) -> bool:
        """Whether nothing more comes."""
        return self.answer is not None or bool(self.problem)

    @property
    def sources(self) -> list[Source]:
        """What the sentences so far stand on, each once; else the passages."""
        if self.answer is not None:
            return list(self.answer.sources)
        cited = (one for sentence in self._sentences if not sentence.problem for one in sentence.sources)
        return list(dict.fromkeys(cited))

    def content(self) -> Content:
        """Sentences that are supported, then what is being written, then what was left out and why."""
        return Content("\n").join(self._lines())

    def _lines(self) -> Iterator[Content]:
        sources = self.sources
        for sentence in self._sentences:
            if not sentence.problem:
                numbers = "".join(f" [{sources.index(one) + 1}]" for one in sentence.sources)
                yield plain(sentence.text).append(Content.styled(numbers, "$accent"))
        if self.problem:
            yield plain_lines(self.problem, "$error")
        elif self.answer is None:
            yield plain(self._draft, "dim italic") if self._draft else plain(self._status, "dim")
        else:
            yield from self._ending(self.answer)
        left_out = [sentence for sentence in self._sentences if sentence.problem]
        if left_out:
            yield Content("")
            yield Content.styled("Unsupported, and no part of the answer:", "dim bold")
        for sentence in left_out:
            yield plain(f"{sentence.text}  ({sentence.problem})", "dim strike")

    @staticmethod
    def _ending(answer: Answer) -> Iterator[Content]:
        if answer.passages:
            yield Content.styled(PASSAGES_TITLE, "bold")
        elif not answer.supported:
            yield Content.styled(NOT_SAID, "bold")
        if answer.note:
            yield plain_lines(answer.note, "dim")
        if answer.model and answer.passages_read:
            passages = counted(answer.passages_read, "passage")
            documents = counted(answer.documents_read, "document")
            yield plain(f"{answer.model} read {passages} of {documents}.", "dim")


def counted(number: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def source_text(number: int, source: Source) -> Content:
    """A source: where it is, and its words."""
    place = plain(f"[{number}] {source.name}", "bold").append(plain(f"  page {source.page}", "dim"))
    words = " ".join(source.quote.split())
    return Content("\n").join([place, plain(f"    {words[:_SHOWN_QUOTE]}")])
