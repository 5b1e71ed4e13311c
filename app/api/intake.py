"""Taking what was sent into the ledger. Runs in a thread that acts as home."""

import os
from pathlib import Path
from typing import Any

from app.api.models import Accepted, RefusedFile, Taken
from app.api.problems import ApiError
from app.api.uploads import Upload
from app.plain_text import visible
from tasks.errors import FileError, NotFoundError
from tasks.home import Home
from tasks.pipeline import printable_name
from tasks.recipes import RecipeError, load_recipe
from tasks.settings import Settings


def recipe_named(settings: Settings, recipe: str | None) -> str:
    """The recipe that a client means.

    Raises:
        ApiError: 422: there is no such recipe, or its file is wrong.
    """
    name = recipe or settings.recipe
    try:
        load_recipe(name, settings.recipes_path)
    except RecipeError as error:
        raise ApiError(422, error.message, error.remedy) from error
    return name


def take_upload(home: Home, upload: Upload, recipe: str, *, urgent: bool) -> Taken | RefusedFile:
    """Take a file that was sent; it stays only if it is the original of a document now.

    Raises:
        ServiceError: the ledger or the spool cannot be written.
    """
    path = upload.path.absolute()
    try:
        submission = home.add(path, recipe, urgent=urgent)
    except (FileError, NotFoundError) as error:  # its place is nobody's business
        return RefusedFile(
            name=upload.name, detail=error.message.replace(str(path), upload.name), remedy=error.remedy
        )
    document = submission.document
    upload.is_kept = submission.new or document.path == os.fsencode(path)
    return Taken(id=document.id, name=upload.name, new=submission.new, state=document.state)


def take_path(home: Home, path: Path, recipe: str, *, urgent: bool) -> Taken | RefusedFile:
    """Take a file of this machine, where it lies.

    Raises:
        ServiceError: the ledger or the spool cannot be written.
    """
    name = visible(printable_name(path))
    try:
        submission = home.add(path, recipe, urgent=urgent)
    except (FileError, NotFoundError) as error:
        return RefusedFile(name=name, detail=error.message, remedy=error.remedy)
    document = submission.document
    return Taken(id=document.id, name=name, new=submission.new, state=document.state)


def accepted(results: list[Taken | RefusedFile]) -> tuple[int, Accepted]:
    """The answer to files, with its status: 202 for new ones, 200 where all were known.

    Raises:
        ApiError: 422: none could be taken.
    """
    taken = [one for one in results if isinstance(one, Taken)]
    refused = [one for one in results if isinstance(one, RefusedFile)]
    if refused and not taken:
        more: dict[str, Any] = {"refused": [one.model_dump() for one in refused]} if len(refused) > 1 else {}
        raise ApiError(422, refused[0].detail, refused[0].remedy, **more)
    status = 202 if any(one.new for one in taken) else 200
    return status, Accepted(documents=taken, refused=refused)
