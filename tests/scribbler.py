"""A program that puts files into a folder in every way that programs do, for the tests of the watch folder.

`python scribbler.py FOLDER OUTSIDE SEED COUNT ROUND REST` prints a line a file that it has made, and at the
end, as JSON, the hash of each content that has to be taken, and of those that may be: contents that were to
stand for a moment only, and stood for longer than REST because this program was kept from going on.
"""

import contextlib
import hashlib
import io
import json
import mmap
import os
import random
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

STEP_SECONDS = 0.05
"""Between the parts of a file: other programs take their time as well."""

Way = Callable[["Scribbler"], None]
WAYS: list[Way] = []


def way(function: Way) -> Way:
    """A way in which a file comes to be."""
    WAYS.append(function)
    return function


class Scribbler:
    """One file to be made."""

    def __init__(self, arguments: "Arguments", number: int) -> None:
        self.root = arguments.root
        self.outside = arguments.outside
        self.rest_seconds = arguments.rest_seconds
        self.number = number
        self.random = random.Random(f"{arguments.seed} {arguments.is_second} {number}")
        self.final: set[str] = set()
        """Hashes of what has to be taken."""
        self._passing: dict[str, float] = {}
        """Hashes of what stands for a moment only, and since when."""

    def place(self, ending: str = ".txt", folder: str = "") -> Path:
        """Where the file is put; the folder is made."""
        path = self.root / folder / f"f{self.number}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self) -> bytes:
        """Some content of its own."""
        lines = [f"Document {self.number}, line {n}: {self.random.random()}" for n in range(40)]
        return "\n".join(lines).encode()

    def keep(self, content: bytes) -> bytes:
        """This content has to be taken."""
        self.final.add(hashlib.sha256(content).hexdigest())
        return content

    def passing(self, content: bytes) -> bytes:
        """This content stands for a moment only, and nothing else shows that more comes."""
        self._passing[hashlib.sha256(content).hexdigest()] = time.monotonic()
        return content

    def stood_too_long(self) -> set[str]:
        """Hashes of passing contents that may have come to rest. To be asked at once when all is done."""
        now = time.monotonic()
        return {one for one, since in self._passing.items() if now - since > 0.8 * self.rest_seconds}

    def parts(self, content: bytes, number: int = 5) -> Iterator[bytes]:
        """The content piece by piece, with pauses."""
        size = len(content) // number + 1
        for start in range(0, len(content), size):
            if start:
                self.passing(content[:start])
                time.sleep(STEP_SECONDS)
            yield content[start : start + size]

    def rest(self) -> None:
        """A pause that is longer than files have to rest; where something shows that more comes."""
        time.sleep(1.5 * self.rest_seconds)


def pdf(text: bytes) -> bytes:
    """As much of a PDF as the watcher looks at."""
    return b"%PDF-1.4\n" + text + b"\ntrailer\nstartxref\n9\n%%EOF\n"


def archive(text: bytes) -> bytes:
    """A ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        file.writestr("a.txt", text)
        file.writestr("b.txt", text[::-1])
    return buffer.getvalue()


# Written in one place


@way
def at_once(s: Scribbler) -> None:
    s.place().write_bytes(s.keep(s.text()))


@way
def slowly_held_open(s: Scribbler) -> None:
    with s.place().open("wb", buffering=0) as file:
        for part in s.parts(s.keep(s.text())):
            file.write(part)


@way
def slowly_opened_anew(s: Scribbler) -> None:
    path = s.place()
    for part in s.parts(s.keep(s.text())):
        with path.open("ab") as file:
            file.write(part)


@way
def held_open_for_long(s: Scribbler) -> None:
    content = s.keep(s.text())
    with s.place().open("wb", buffering=0) as file:
        file.write(content[:100])
        s.rest()
        file.write(content[100:])


@way
def room_made_before(s: Scribbler) -> None:
    content = s.keep(s.text())
    with s.place().open("wb", buffering=0) as file:
        file.truncate(len(content))
        for part in s.parts(content):
            file.write(part)


@way
def backwards(s: Scribbler) -> None:
    content = s.keep(pdf(s.text()))
    half = len(content) // 2
    with s.place(".pdf").open("wb", buffering=0) as file:
        file.seek(half)
        file.write(content[half:])
        time.sleep(STEP_SECONDS)
        file.seek(0)
        file.write(content[:half])


@way
def mapped(s: Scribbler) -> None:
    content = s.keep(s.text())
    with s.place().open("w+b") as file:
        file.truncate(len(content))
        memory = mmap.mmap(file.fileno(), len(content))
    with memory:
        for start in range(0, len(content), 500):
            memory[start : start + 500] = content[start : start + 500]
            time.sleep(STEP_SECONDS / 5)


@way
def mapped_and_held(s: Scribbler) -> None:
    content = s.keep(s.text())
    with s.place().open("w+b") as file:
        file.write(b"x" * len(content))
        file.flush()
        memory = mmap.mmap(file.fileno(), len(content))
    with memory:
        s.rest()
        memory[:] = content


@way
def pdf_with_long_pauses(s: Scribbler) -> None:
    content = s.keep(pdf(s.text()))
    path = s.place(".pdf")
    path.write_bytes(content[: len(content) // 2])
    s.rest()
    with path.open("ab") as file:
        file.write(content[len(content) // 2 :])


@way
def archive_with_long_pauses(s: Scribbler) -> None:
    content = s.keep(archive(s.text()))
    path = s.place(".zip")
    path.write_bytes(content[: len(content) // 3])
    s.rest()
    with path.open("ab") as file:
        file.write(content[len(content) // 3 :])


@way
def empty_and_filled_later(s: Scribbler) -> None:
    path = s.place()
    path.touch()
    s.rest()
    path.write_bytes(s.keep(s.text()))


@way
def empty(s: Scribbler) -> None:
    s.place().touch()


@way
def with_a_hole(s: Scribbler) -> None:
    content = s.text()
    with s.place().open("wb") as file:
        file.seek(100_000)
        file.write(content)
    s.keep(bytes(100_000) + content)


@way
def cut_and_written_again(s: Scribbler) -> None:
    path = s.place()
    path.write_bytes(s.passing(s.text()))
    time.sleep(STEP_SECONDS)
    with path.open("wb") as file:
        time.sleep(STEP_SECONDS)
        file.write(s.keep(s.text()))


@way
def cut_shorter(s: Scribbler) -> None:
    content = s.text()
    path = s.place()
    path.write_bytes(s.passing(content))
    time.sleep(STEP_SECONDS)
    os.truncate(path, 200)
    s.keep(content[:200])


@way
def same_size_and_old_times(s: Scribbler) -> None:
    path = s.place()
    path.write_bytes(s.passing(b"a" * 500))
    info = path.stat()
    time.sleep(STEP_SECONDS)
    path.write_bytes(s.keep(s.text()[:500]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


# Put in place


@way
def renamed_from_hidden(s: Scribbler) -> None:
    hidden = s.place().with_name(f".f{s.number}.txt.Xy12")
    hidden.write_bytes(s.keep(s.text()))
    hidden.rename(s.place())


@way
def renamed_from_download(s: Scribbler) -> None:
    part = s.place(".txt.part")
    with part.open("wb") as file:
        for piece in s.parts(s.keep(s.text())):
            file.write(piece)
    part.rename(s.place())


@way
def renamed_from_outside(s: Scribbler) -> None:
    outside = s.outside / f"o{s.number}"
    outside.write_bytes(s.keep(s.text()))
    outside.rename(s.place())


@way
def renamed_twice(s: Scribbler) -> None:
    path = s.place()
    path.write_bytes(s.keep(s.text()))
    time.sleep(STEP_SECONDS)
    path = path.rename(s.place("-b.txt"))
    time.sleep(STEP_SECONDS)
    path.rename(s.place("-c.txt"))


@way
def renamed_to_another_folder(s: Scribbler) -> None:
    path = s.place(folder="from")
    path.write_bytes(s.keep(s.text()))
    time.sleep(STEP_SECONDS)
    path.rename(s.place(folder="to"))


@way
def replaced(s: Scribbler) -> None:
    path, new = s.place(), s.place(".new.tmp")
    path.write_bytes(s.passing(s.text()))
    new.write_bytes(s.keep(s.text()))
    new.replace(path)


@way
def exchanged(s: Scribbler) -> None:
    first, second, third = s.place("-1.txt"), s.place("-2.txt"), s.place(".tmp")
    first.write_bytes(s.keep(s.text()))
    second.write_bytes(s.keep(s.text()))
    first.rename(third)
    second.rename(first)
    third.rename(second)


@way
def linked_from_outside(s: Scribbler) -> None:
    outside = s.outside / f"l{s.number}"
    outside.write_bytes(s.keep(s.text()))
    s.place().hardlink_to(outside)


@way
def two_hard_links(s: Scribbler) -> None:
    path = s.place()
    path.write_bytes(s.keep(s.text()))
    s.place("-link.txt").hardlink_to(path)


@way
def without_a_name_first(s: Scribbler) -> None:
    with contextlib.ExitStack() as stack:
        descriptor = os.open(s.root, os.O_WRONLY | os.O_TMPFILE, 0o600)
        stack.callback(os.close, descriptor)
        own = os.open("/proc/self/fd", os.O_RDONLY)  # without a folder Python leaves out AT_SYMLINK_FOLLOW
        stack.callback(os.close, own)
        os.write(descriptor, s.keep(s.text()))
        os.link(str(descriptor), s.place(), src_dir_fd=own, follow_symlinks=True)


@way
def copied_with_old_times(s: Scribbler) -> None:
    outside = s.outside / f"c{s.number}"
    outside.write_bytes(s.keep(s.text()))
    os.utime(outside, (1_000_000_000, 1_000_000_000))
    shutil.copy2(outside, s.place())


@way
def from_the_future(s: Scribbler) -> None:
    path = s.place()
    path.write_bytes(s.keep(s.text()))
    os.utime(path, (4_000_000_000, 4_000_000_000))


@way
def same_content_twice(s: Scribbler) -> None:
    content = s.keep(s.text())
    s.place("-1.txt").write_bytes(content)
    s.place("-2.txt", folder="twice").write_bytes(content)


@way
def pages_of_a_scanner(s: Scribbler) -> None:
    for page in range(3):
        with s.place(f"-page{page}.txt", folder="scan").open("wb") as file:
            for part in s.parts(s.keep(s.text()), 2):
                file.write(part)


# Folders


@way
def deep_folders(s: Scribbler) -> None:
    deep = "/".join(f"d{s.number}-{n}" for n in range(8))
    s.place(folder=deep).write_bytes(s.keep(s.text()))


@way
def folder_moved_in(s: Scribbler) -> None:
    folder = s.outside / f"folder{s.number}" / "below"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(s.keep(s.text()))
    (folder.parent / "b.txt").write_bytes(s.keep(s.text()))
    folder.parent.rename(s.root / f"folder{s.number}")


@way
def folder_renamed(s: Scribbler) -> None:
    folder = s.root / f"old{s.number}"
    folder.mkdir()
    (folder / "a.txt").write_bytes(s.keep(s.text()))
    time.sleep(STEP_SECONDS)
    folder.rename(s.root / f"new{s.number}")


@way
def folder_copied(s: Scribbler) -> None:
    folder = s.outside / f"tree{s.number}"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_bytes(s.keep(s.text()))
    shutil.copytree(folder, s.root / f"tree{s.number}")


@way
def folder_removed_and_made_again(s: Scribbler) -> None:
    folder = s.root / f"again{s.number}"
    folder.mkdir()
    (folder / "a.txt").write_bytes(s.passing(s.text()))
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "a.txt").write_bytes(s.keep(s.text()))


# What must not be taken


@way
def hidden_and_locks(s: Scribbler) -> None:
    for name in (f".f{s.number}", f"~$f{s.number}.txt", f"f{s.number}.lock", f"f{s.number}.txt~"):
        (s.root / name).write_bytes(s.text())


@way
def symbolic_links(s: Scribbler) -> None:
    outside = s.outside / f"s{s.number}"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(s.text())
    s.place("-file.txt").symlink_to(outside / "secret.txt")
    s.place("-folder").symlink_to(outside)


@way
def named_pipe(s: Scribbler) -> None:
    os.mkfifo(s.place())


@way
def removed_at_once(s: Scribbler) -> None:
    path = s.place()
    path.write_bytes(s.passing(s.text()))
    time.sleep(STEP_SECONDS)
    path.unlink()


@way
def folder_removed_at_once(s: Scribbler) -> None:
    folder = s.root / f"short{s.number}"
    folder.mkdir()
    (folder / "a.txt").write_bytes(s.passing(s.text()))
    time.sleep(STEP_SECONDS)
    shutil.rmtree(folder)


# Names


@way
def odd_names(s: Scribbler) -> None:
    names = (b"line\nbreak", "turn\u202egpj".encode(), b"no text \xff\xfe", b"[red]x[/]", b"-rf", b"n" * 240)
    for number, name in enumerate(names):
        path = os.fsencode(s.root) + b"/" + name + f"{s.number}-{number}.t".encode()
        with contextlib.suppress(OSError), open(path, "xb") as file:  # noqa: PTH123 - bytes
            file.write(s.keep(s.text()))


# After it was taken: only in the second round, on a file of the first


def changed_later(s: Scribbler) -> None:
    """Rewrite, append to, or replace a file that was taken."""
    path = s.place()
    if path.is_symlink() or not path.is_file():
        return
    content = s.text()
    match s.random.randrange(3):
        case 0:
            path.write_bytes(s.keep(content))
        case 1:
            new = path.with_suffix(".tmp")
            new.write_bytes(s.keep(content))
            new.replace(path)
        case _:
            old = path.read_bytes()
            with path.open("ab") as file:
                file.write(content)
            s.keep(old + content)


@dataclass(frozen=True)
class Arguments:
    """The command line."""

    root: Path
    outside: Path
    seed: int
    count: int
    is_second: bool
    rest_seconds: float


def main() -> None:
    """See the module."""
    root, outside, seed, count, turn, rest = sys.argv[1:]
    arguments = Arguments(Path(root), Path(outside), int(seed), int(count), turn == "2", float(rest))

    def make(number: int) -> tuple[set[str], set[str]]:
        scribbler = Scribbler(arguments, number)
        if arguments.is_second:
            changed_later(scribbler)
        else:
            WAYS[number % len(WAYS)](scribbler)
        late = scribbler.stood_too_long()
        print(number, flush=True)
        return scribbler.final, late

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(make, range(arguments.count)))
    final = sorted(set().union(*(final for final, _ in done)))
    late = sorted(set().union(*(late for _, late in done)))
    print(json.dumps({"ways": len(WAYS), "final": final, "late": late}))


if __name__ == "__main__":
    main()
