"""What is different when the UI is shown by a browser: some keys, and originals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

    from tasks.ledger import DocumentRow

KEYS: Mapping[str, str] = {
    "shoebox.add": "alt+n,ctrl+n",
    "shoebox.quit": "alt+q,ctrl+q",
    "picker.take": "alt+n,ctrl+n",
    "intray.copy": "alt+t,ctrl+t",
    "document.copy": "alt+t,ctrl+t",
}
"""For keys that browsers keep for themselves: new window (Ctrl+N), new tab (Ctrl+T), their end (Ctrl+Q)."""


def deliver_original(app: "App[Any]", document: "DocumentRow") -> None:
    """Have the browser save a document's original.

    Raises:
        FileError: the file is gone, cannot be read, or is no regular file.
    """
    from app.opening import original_file
    from app.plans.names import safe_file_name

    app.deliver_binary(
        original_file(document.path),
        save_filename=safe_file_name(document.name),
        mime_type="application/octet-stream",
    )
