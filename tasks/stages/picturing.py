"""The page images that a unit of analyse is given: drawn at home, where the files are."""

import logging

from tasks.engines.llm.page_images import PageImage
from tasks.errors import FileError, LimitError
from tasks.ledger import DocumentRow
from tasks.orders import LlmParams, Order
from tasks.settings import Settings
from tasks.stages.extract import spooled

log = logging.getLogger("shoebox.picturing")


def page_images(
    order: Order, document: DocumentRow, params: LlmParams, settings: Settings
) -> tuple[PageImage, ...]:
    """The pages of the document that `params` asks for, upright and in its order.

    A page that cannot be drawn is left out, and so are all if the file is gone: the text is there without it.
    """
    from tasks.reading.apart import picture

    found = []
    for page in params.images:
        try:
            path = spooled(order, document.sha256, settings)
            data = picture(path, document.mime, page.number, page.rotation, settings)
        except LimitError as error:  # the next page would take as long
            log.warning("%s: no more pages are shown: %s", order.task_id, error)
            break
        except FileError as error:
            log.warning("%s: page %d is not shown: %s", order.task_id, page.number, error)
        else:
            found.append(PageImage(page=page.number, data=data))
    return tuple(found)
