"""Stages classify and analyse: an engine reads the text of a document."""

from tasks.documents import Analysis, Classification, DocumentText
from tasks.engines import reading_engine
from tasks.orders import Order, ReadParams
from tasks.recipes import Recipe


def classify(order: Order, payload: list[bytes]) -> Classification:
    """Choose the document's category. The payload is its text and its recipe, as JSON."""
    document, recipe = _unpack(payload)
    return reading_engine(ReadParams.model_validate(order.params).engine).classify(document, recipe)


def analyse(order: Order, payload: list[bytes]) -> Analysis:
    """Find title, summary and the fields of the document's category."""
    document, recipe = _unpack(payload)
    params = ReadParams.model_validate(order.params)
    return reading_engine(params.engine).analyse(document, recipe.category(params.category))


def _unpack(payload: list[bytes]) -> tuple[DocumentText, Recipe]:
    text, recipe = payload
    return DocumentText.model_validate_json(text), Recipe.model_validate_json(recipe)
