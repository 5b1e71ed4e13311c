"""The line above the In-tray: which documents are shown, with the number of each kind."""

from app.tui.store import DocumentStore, Filter
from app.tui.widgets.choice_bar import ChoiceBar


class FilterBar(ChoiceBar):
    """The filters with their counts."""

    def __init__(self, store: DocumentStore) -> None:
        super().__init__()
        self._store = store

    def show_store(self) -> None:
        """Show the store's filter and counts as they are now."""
        store = self._store
        choices = [(chosen.value, f"{chosen.value} {store.count(chosen):,}") for chosen in Filter]
        marked = f"{len(store.marked):,} marked" if store.marked else ""
        self.show(choices, store.filter.value, marked)
