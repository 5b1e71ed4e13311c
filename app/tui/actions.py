"""What can be done with documents, alike from the In-tray and from a document's page.

`DocumentActions` is for screens that say which documents are meant. What cannot be taken back, or concerns
several documents at once, is asked about first; what succeeds is only told.
"""

from collections.abc import Sequence

from textual import work

from app.requests import Accept, Cancel, Export, Remove, Retry, SetUrgent
from app.tui.screens.base import ShoeboxScreen
from app.tui.screens.confirm import Confirm
from tasks.documents import FINAL_STATES, State
from tasks.overview import Overview

_READ = frozenset({State.DONE, State.REVIEW})


class DocumentActions(ShoeboxScreen):
    """Urgent, retry, cancel, forget, export, copy text, open the original."""

    @property
    def chosen(self) -> Sequence[str]:
        """The ids of the documents that an action is for."""
        raise NotImplementedError

    @property
    def _chosen_rows(self) -> list[Overview]:
        rows = [self.shell.store.get(document) for document in self.chosen]
        return [row for row in rows if row is not None]

    def _none_of(self, words: str) -> None:
        self.shell.say(f"Nothing to {words} here.", severity="warning")

    async def _agrees(
        self, rows: Sequence[Overview], question: str, detail: str, *, yes: str, no: str
    ) -> bool:
        """Ask about these documents, naming them."""
        items = [row.name for row in rows]
        return await self.app.push_screen_wait(Confirm(question, detail, yes=yes, no=no, items=items))

    def action_urgent(self) -> None:
        """Read the documents before all that are not urgent; if all of them are urgent, no longer so."""
        rows = [row for row in self._chosen_rows if row.state not in FINAL_STATES]
        if not rows:
            self._none_of("hurry: it has been read")
            return
        urgent = not all(row.urgent for row in rows)
        self.shell.ask(SetUrgent(tuple(row.id for row in rows), urgent=urgent))

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_retry(self) -> None:
        """Read the documents again; asks before results of several are dropped."""
        rows = self._chosen_rows
        finished = [row for row in rows if row.state in _READ]
        if not rows:
            self._none_of("read again")
        elif len(finished) < 2 or await self._agrees(
            rows,
            f"Read {len(rows)} documents again?",
            f"{len(finished)} of them have been read; that is done anew. Your corrections stay.",
            yes="Read again",
            no="Leave",
        ):
            self.shell.ask(Retry(tuple(row.id for row in rows)))

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_accept(self) -> None:
        """The documents are right as they are; asks if there are several."""
        rows = [row for row in self._chosen_rows if row.state in _READ]
        if not rows:
            self._none_of("accept: it has not been read to the end")
        elif len(rows) == 1 or await self._agrees(
            rows,
            f"Accept {len(rows)} documents as they are?",
            "Their values count as confirmed by you, and nothing is open any more.",
            yes="Accept",
            no="Leave",
        ):
            self.shell.ask(Accept(tuple(row.id for row in rows)))
            self.accepted()

    def accepted(self) -> None:
        """The documents have been accepted."""

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_cancel(self) -> None:
        """Stop reading the documents; asks if there are several."""
        rows = [row for row in self._chosen_rows if row.state not in FINAL_STATES]
        if not rows:
            self._none_of("cancel: nothing is being read")
        elif len(rows) == 1 or await self._agrees(
            rows,
            f"Stop reading {len(rows)} documents?",
            "What has been read of them stays. Retry takes them up again.",
            yes="Stop",
            no="Go on reading",
        ):
            self.shell.ask(Cancel(tuple(row.id for row in rows)))

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_forget(self) -> None:
        """Forget the documents, after a question."""
        rows = self._chosen_rows
        if not rows:
            self._none_of("forget")
            return
        what = "this document" if len(rows) == 1 else f"{len(rows)} documents"
        if await self._agrees(
            rows,
            f"Forget {what}?",
            "Text, fields, corrections and stored results are deleted. The files themselves stay.",
            yes="Forget",
            no="Keep",
        ):
            self.shell.ask(Remove(tuple(row.id for row in rows)))

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_export(self) -> None:
        """Write the documents to a file: those that are meant, or all if none is marked."""
        from app.tui.screens.save_as import SaveAs

        documents = self.export_documents()
        if not documents:
            self._none_of("export")
            return
        target = await self.app.push_screen_wait(SaveAs(len(documents)))
        if target is not None:
            path, replace = target
            self.shell.ask(Export(str(path), tuple(documents), replace=replace))

    def export_documents(self) -> list[str]:
        """The ids of the documents that Export is for."""
        return list(self.chosen)

    def action_open_original(self) -> None:
        """Open the file itself in the desktop's viewer; in a browser, have that save it."""
        from app.opening import open_original
        from app.tui.browser import deliver_original
        from tasks.errors import ShoeboxError

        rows = self._chosen_rows
        document = self.shell.ledger.document(rows[0].id) if rows else None
        if document is None:
            self._none_of("open")
            return
        try:
            if self.app.is_web:
                deliver_original(self.app, document)
            else:
                open_original(document.path)
        except ShoeboxError as error:
            self.shell.say(f"{error.message}\n{error.remedy}", severity="error")
        else:
            self.shell.say(f"{document.name} is being {'downloaded' if self.app.is_web else 'opened'}.")

    def action_copy(self) -> None:
        """Copy the text of the documents to the clipboard."""
        rows = self._chosen_rows
        texts = [page.text for row in rows for page in self.shell.ledger.pages(row.id)]
        text = "\n\n".join(texts)
        if not text:
            self._none_of("copy: no text was found yet")
            return
        self.app.copy_to_clipboard(text)
        self.shell.say(f"{len(text):,} characters copied, if this terminal lets programs copy.")
