"""Reading and drawing bytes in tests the way the stages do: from a copy whose name says nothing."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tasks.documents import Extraction
from tasks.reading import extract, render
from tasks.settings import Settings

SPOOL_NAME = "0f343b0931126a20f133d67c2b018a3b"


def read(content: bytes, name: str, **settings: object) -> Extraction:
    """What `extract` says of a file with this content and original name."""
    with TemporaryDirectory() as folder:
        return extract(_spooled(content, folder), name, _settings(folder, settings))


def drawn(content: bytes, name: str = "", number: int = 1, **settings: object) -> bytes:
    """The PNG that `render` makes of a page."""
    with TemporaryDirectory() as folder:
        path, used = _spooled(content, folder), _settings(folder, settings)
        return render(path, extract(path, name, used).mime, number, used)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file of this kind."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _spooled(content: bytes, folder: str) -> Path:
    path = Path(folder) / SPOOL_NAME
    path.write_bytes(content)
    return path


def _settings(folder: str, changed: dict[str, object]) -> Settings:
    return Settings(data_dir=Path(folder) / "data", **changed)
