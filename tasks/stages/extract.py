"""Stage extract: the text of a file, page by page. Runs at home, where the files are."""

from pathlib import Path

from tasks import spool
from tasks.documents import Extraction
from tasks.errors import FileError
from tasks.ledger import Ledger
from tasks.orders import ExtractParams, Order
from tasks.settings import Settings


def extract(order: Order, settings: Settings) -> Extraction:
    """Read the spooled copy of a document.

    Raises:
        LimitError: reading it took too long or too much memory, or crashed.
        FileError: the file is broken, protected, too large, of an unknown kind, or gone.
    """
    from tasks.reading.apart import extract as read_file

    params = ExtractParams.model_validate(order.params)
    return read_file(spooled(order, params.sha256, settings), params.name, settings)


def spooled(order: Order, sha256: str, settings: Settings) -> Path:
    """The copy of the order's document, taken again from the original if it has been dropped."""
    copy = spool.spool_path(settings, sha256)
    if copy.exists():
        return copy
    with Ledger.open(settings) as ledger:
        document = ledger.document(order.document)
    if document is None:
        raise FileError(f"The document {order.document} was removed meanwhile.")
    return spool.ensure(settings, document)
