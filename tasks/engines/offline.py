"""The offline engine: no model, no network, the same result every time.

It chooses a category by weighted words and extracts what the document says literally. Its results are
provisional: a language model replaces them when one is there. See docs/offline-engine.md.
"""

from collections.abc import Sequence

from tasks.documents import Analysis, Classification, DocumentText, Field
from tasks.engines.offline_classify import classify
from tasks.engines.offline_examples import category_of_examples, with_examples, with_learned_labels
from tasks.engines.offline_fields import find_fields
from tasks.engines.offline_summary import find_summary, find_title
from tasks.engines.offline_text import Reading
from tasks.examples import Example
from tasks.recipes import Category, Recipe


class OfflineEngine:
    """Deterministic and extractive; implements `tasks.engines.base.ReadingEngine`."""

    name = "offline"
    version = "3"
    provisional = True

    def classify(
        self, document: DocumentText, recipe: Recipe, examples: Sequence[Example] = ()
    ) -> Classification:
        """Choose the category whose words weigh most; `other` with little confidence if none does."""
        return category_of_examples(classify(document, recipe), recipe, examples)

    def analyse(
        self, document: DocumentText, category: Category, examples: Sequence[Example] = ()
    ) -> Analysis:
        """Title, summary and every field of the category, each value with the place it was read at."""
        reading = Reading(document)
        return Analysis(
            title=find_title(reading, category),
            summary=find_summary(reading),
            fields=_fields(reading, category, examples),
            language=reading.form.language,
        )


def _fields(reading: Reading, category: Category, examples: Sequence[Example]) -> tuple[Field, ...]:
    fields = find_fields(reading, category)
    if not examples:
        return fields
    learned = find_fields(reading, with_learned_labels(category, examples))
    return with_examples(fields, learned, reading.document, category, examples)
