"""The offline engine: no model, no network, the same result every time.

It chooses a category by weighted words and extracts what the document says literally. Its results are
provisional: a language model replaces them when one is there. See docs/offline-engine.md.
"""

from tasks.documents import Analysis, Classification, DocumentText
from tasks.engines.offline_classify import classify
from tasks.engines.offline_fields import find_fields
from tasks.engines.offline_summary import find_summary, find_title
from tasks.engines.offline_text import Reading
from tasks.recipes import Category, Recipe


class OfflineEngine:
    """Deterministic and extractive; implements `tasks.engines.base.ReadingEngine`."""

    name = "offline"
    version = "3"
    provisional = True

    def classify(self, document: DocumentText, recipe: Recipe) -> Classification:
        """Choose the category whose words weigh most; `other` with little confidence if none does."""
        return classify(document, recipe)

    def analyse(self, document: DocumentText, category: Category) -> Analysis:
        """Title, summary and every field of the category, each value with the place it was read at."""
        reading = Reading(document)
        return Analysis(
            title=find_title(reading, category),
            summary=find_summary(reading),
            fields=find_fields(reading, category),
            language=reading.form.language,
        )
