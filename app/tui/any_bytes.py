"""Terminals send the names of dropped files as the bytes that they are."""

import codecs
from functools import partial


def accept_any_bytes() -> None:
    """Have Textual read bytes that are not UTF-8 as `os.fsdecode` does; by itself it ends with an error.

    To be called before the application runs. Its driver has no setting for this (Textual 8.2).
    """
    from textual.drivers import linux_driver

    def tolerant(encoding: str) -> partial[codecs.IncrementalDecoder]:
        return partial(codecs.getincrementaldecoder(encoding), errors="surrogateescape")

    linux_driver.getincrementaldecoder = tolerant  # type: ignore[assignment,attr-defined]
