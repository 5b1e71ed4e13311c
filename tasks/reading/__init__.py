"""Reading files: the text of a document by page, and page images for OCR.

`extract` reads a file, `render` draws one of its pages as PNG, `decode` turns that PNG into an array on the
worker that reads it, `picture` draws a page for a model to look at, `fitted` one for an image
classifier, `text_score` says how far a text layer
can be trusted. Importing this package is cheap; each function imports the library it needs. The parsers are
native code: a process that calls `extract`, `render`, `picture` or `fitted` must be one that may die.
"""

from tasks.reading.files import extract
from tasks.reading.rendering import decode, fitted, picture, render
from tasks.reading.text_score import text_score

DRAWING = "Drawing page "
"""How a page's error begins that a limit was met at; see `tasks.reading.apart`."""

__all__ = ["DRAWING", "decode", "extract", "fitted", "picture", "render", "text_score"]
