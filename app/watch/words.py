"""Watched folders and their files in words, for the command line and the UI."""

from collections.abc import Iterator, Mapping

from app.plain_text import visible
from app.watch.journal import FileState, WatchedFile, WatchedFolder


def folder_lines(folder: WatchedFolder, runs: bool, counts: Mapping[FileState, int]) -> Iterator[str]:
    """How a folder is watched, and how many of its files are in each state; `runs` if there is a watcher."""
    yield f"{visible(str(folder.path))}: {how_watched(folder, runs)}"
    if folder.problem:
        yield f"  Problem: {visible(folder.problem)}"
    if counts:
        yield f"  {count_words(counts)}"


def how_watched(folder: WatchedFolder, runs: bool) -> str:
    """In a sentence, whether and how a folder is watched."""
    if not folder.is_on:
        return "not watched"
    then = "taken files are moved" if folder.moves_taken else "files stay where they are"
    if not runs:
        return f"will be watched when the services run (./run.sh up); {then}"
    return f"watched by {visible(folder.mode)}; {then}" if folder.mode else f"about to be watched; {then}"


def count_words(counts: Mapping[FileState, int]) -> str:
    """Such as `12 taken, 1 waiting`."""
    return ", ".join(f"{counts[state]:,} {state.value}" for state in FileState if counts.get(state))


def file_line(file: WatchedFile) -> str:
    """A file and what became of it."""
    about = "".join(f"  {visible(part)}" for part in (file.document, file.reason) if part)
    return f"{file.state.value:<11} {visible(str(file.path))}{about}"
