"""run.sh, on a small checkout whose lock names one tiny package."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

RUN_SH = Path(__file__).parent.parent / "run.sh"
PROGRAM = """
import json, os, sys, tiny
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "tiny": tiny.VERSION}))
sys.exit(7 if "fail" in sys.argv else 0)
"""
TESTING = """
import extra, sys
print("testing with", extra.VERSION, *sys.argv[1:])
"""
BENCHING = TESTING.replace("testing", "benching")


@dataclass(frozen=True)
class Checkout:
    """A folder with run.sh, locks and a program."""

    folder: Path
    wheels: Path

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("SHOEBOX_", "PIP_", "PYTHON"))
        }
        return (
            kept
            | {
                "SHOEBOX_PYTHON": str(Path(sys.base_prefix) / "bin" / "python3"),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.wheels),
            }
            | changes
        )

    def start(
        self, *arguments: str, cwd: Path | None = None, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "run.sh", *arguments],
            cwd=cwd or self.folder.parent,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start_aside(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.folder / "run.sh", *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def write_locks(self, version: str = "1.0", gpu: str = "1.0") -> None:
        locks = self.folder / ".requirements"
        locks.mkdir(exist_ok=True)
        base = self._line("tiny", version)
        (locks / "base.lock").write_text(base)
        (locks / "test.lock").write_text(base + self._line("extra", "1.0"))
        (locks / "gpu.lock").write_text(self._line("torchlet", gpu))

    def _line(self, name: str, version: str) -> str:
        wheel = self.wheels / f"{name}-{version}-py3-none-any.whl"
        if not wheel.exists():
            write_wheel(wheel, name, version)
        return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"

    def files(self) -> dict[str, int]:
        """Everything but .venv, with the time of its last change."""
        return {
            str(path.relative_to(self.folder)): path.stat().st_mtime_ns
            for path in self.folder.rglob("*")
            if not path.is_relative_to(self.venv)
        }


def write_wheel(path: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def make_checkout(folder: Path) -> Checkout:
    made = Checkout(folder / "my papers" / "shoe box", folder / "wheels")
    (made.folder / "app").mkdir(parents=True)
    made.wheels.mkdir()
    shutil.copy(RUN_SH, made.folder / "run.sh")
    (made.folder / "app" / "__main__.py").write_text(PROGRAM)
    (made.folder / "app" / "testing.py").write_text(TESTING)
    (made.folder / "app" / "benching.py").write_text(BENCHING)
    made.write_locks()
    return made


@dataclass(frozen=True)
class FirstStarts:
    """What was said by a start that was killed, and by two that came after it at once."""

    checkout: Checkout
    killed: str
    both: tuple[tuple[str, str], tuple[str, str]]


@pytest.fixture(scope="module")
def first_starts(tmp_path_factory: pytest.TempPathFactory) -> FirstStarts:
    checkout = make_checkout(tmp_path_factory.mktemp("run"))
    said = ""
    with checkout.start_aside() as killed:
        assert killed.stderr is not None
        while "Installing" not in said and (line := killed.stderr.readline()):
            said += line
        os.killpg(killed.pid, signal.SIGKILL)
    assert "Installing" in said
    first, second = checkout.start_aside("one"), checkout.start_aside("two")
    return FirstStarts(checkout, said, (first.communicate(timeout=120), second.communicate(timeout=120)))


@pytest.fixture
def installed(first_starts: FirstStarts) -> Iterator[Checkout]:
    yield first_starts.checkout
    first_starts.checkout.write_locks()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """One in which nothing is installed yet."""
    return make_checkout(tmp_path)


def fake_python(path: Path, failing: str, words: str) -> str:
    """An interpreter that works, but for commands that contain `failing`."""
    real = Path(sys.base_prefix) / "bin" / "python3"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *{failing}*) echo "{words}" >&2; exit 1 ;; esac\nexec "{real}" "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


# --- Starting


def test_an_interrupted_installation_is_begun_anew_and_two_starts_share_it(first_starts: FirstStarts) -> None:
    assert "Making" in first_starts.killed
    outputs = [json.loads(output) for output, _ in first_starts.both]
    assert [output["arguments"] for output in outputs] == [["one"], ["two"]]
    assert {output["tiny"] for output in outputs} == {"1.0"}
    said = [messages for _, messages in first_starts.both]
    assert sum("Clearing away an unfinished" in messages for messages in said) == 1
    assert sum("Installing 1 packages" in messages for messages in said) == 1
    assert sum("waiting for it" in messages for messages in said) == 1


def test_a_second_start_is_silent_and_keeps_arguments_and_folder(installed: Checkout, tmp_path: Path) -> None:
    started = installed.start("add", "a b.pdf", "", cwd=tmp_path, PIP_FIND_LINKS="/nonexistent")
    assert started.stderr == ""
    found = json.loads(started.stdout)
    assert found["arguments"] == ["add", "a b.pdf", ""]
    assert found["folder"] == str(tmp_path)


def test_the_exit_status_is_handed_on(installed: Checkout) -> None:
    assert installed.start("fail").returncode == 7


def test_modules_in_the_current_folder_are_not_taken_for_ours(installed: Checkout, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("print('hijacked')")
    (tmp_path / "json.py").write_text("print('hijacked')")
    started = installed.start(cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert "hijacked" not in started.stdout
    assert json.loads(started.stdout)["folder"] == str(tmp_path)


def test_it_works_through_a_link(installed: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "shoebox"
    link.symlink_to(os.path.relpath(installed.folder / "run.sh", tmp_path))
    started = subprocess.run([link], env=installed.environment(), capture_output=True, text=True, check=True)
    assert json.loads(started.stdout)["tiny"] == "1.0"


def test_nothing_is_written_outside_the_virtual_environment(installed: Checkout) -> None:
    before = installed.files()
    installed.write_locks()
    locks = {name for name in before if name.startswith(".requirements")}
    for compiled in installed.venv.glob("pycache/**/app/*.pyc"):
        compiled.unlink()
    assert installed.start(PYTHONDONTWRITEBYTECODE="1").returncode == 0
    after = installed.files()
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in before.keys() - locks)
    assert list(installed.venv.glob("pycache/**/app/*.pyc"))


def test_another_lock_is_installed(installed: Checkout) -> None:
    installed.write_locks("2.0")
    started = installed.start()
    assert "up to date" in started.stderr
    assert json.loads(started.stdout)["tiny"] == "2.0"


def test_only_test_and_bench_install_the_test_lock(installed: Checkout) -> None:
    site = next(installed.venv.glob("lib/python*/site-packages"))
    installed.start()
    assert not (site / "extra.py").exists()
    started = installed.start("test", "-k", "one")
    assert started.stdout.strip() == "testing with 1.0 -k one"
    assert installed.start().stderr == ""
    assert installed.start("test").stderr == ""
    assert installed.start("bench", "idle").stdout.strip() == "benching with 1.0 idle"


def test_the_virtual_environment_can_be_elsewhere(installed: Checkout, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    shutil.copytree(installed.venv, place, symlinks=True)
    shutil.rmtree(place / "pycache")
    started = installed.start(SHOEBOX_VENV="elsewhere", cwd=tmp_path)
    assert started.returncode == 0
    assert started.stderr == ""
    assert (place / "pycache").is_dir()


def test_the_extra_gpu_is_added_kept_and_taken_away(installed: Checkout, tmp_path: Path) -> None:
    installed.start()
    site = next(installed.venv.glob("lib/python*/site-packages"))
    added = installed.start("install", "gpu", cwd=tmp_path)
    assert (added.returncode, added.stdout) == (0, "")
    assert "Adding the extra gpu, 1 packages" in added.stderr
    assert (site / "torchlet.py").exists() and (site / "tiny.py").exists()

    again = installed.start("install", "gpu", PIP_FIND_LINKS="/nonexistent")
    assert (again.returncode, again.stderr) == (0, "The extra gpu is installed already.\n")
    assert installed.start(PIP_FIND_LINKS="/nonexistent").stderr == ""
    assert installed.start("test").stdout.startswith("testing with 1.0")
    assert installed.start().stderr == ""

    installed.write_locks("2.0", gpu="2.0")  # an update brings the extra along
    updated = installed.start()
    assert "Bringing the 2 packages" in updated.stderr
    assert json.loads(updated.stdout)["tiny"] == "2.0"
    assert "2.0" in (site / "torchlet.py").read_text()

    installed.write_locks("1.0", gpu="2.0")  # an update that was not started yet is not forgotten
    removed = installed.start("install", "base")
    assert removed.returncode == 0
    assert removed.stderr.startswith("Removing the extra gpu ...\nRemoved.\nBringing the 1 packages")
    assert not (site / "torchlet.py").exists()
    started = installed.start(PIP_FIND_LINKS="/nonexistent")
    assert started.stderr == "" and json.loads(started.stdout)["tiny"] == "1.0"
    assert installed.start("install", "base").stderr == "The extra gpu is not installed.\n"


def test_an_extra_that_cannot_be_fetched_costs_nothing_else(installed: Checkout) -> None:
    installed.start()
    (installed.folder / ".requirements" / "gpu.lock").write_text(f"absent==1.0 --hash=sha256:{'0' * 64}\n")
    failed = installed.start("install", "gpu")
    assert failed.returncode == 1
    assert "The extra gpu is not installed: a package has no build for" in failed.stderr
    started = installed.start(PIP_FIND_LINKS="/nonexistent")
    assert json.loads(started.stdout)["tiny"] == "1.0"
    assert "Clearing away" not in started.stderr
    assert not (installed.venv / "shoebox.gpu").exists()


def test_the_lock_of_the_extra_holds_nothing_of_the_others() -> None:
    """Taking the extra away removes all that its lock names."""
    locks = {
        name: names_in(RUN_SH.parent / ".requirements" / f"{name}.lock") for name in ("base", "test", "gpu")
    }
    assert {"torch", "torchvision", "transformers", "onnx"} <= locks["gpu"]
    assert not locks["gpu"] & (locks["base"] | locks["test"])
    assert not {name for name in locks["base"] if name == "torch" or name.startswith(("nvidia-", "cuda-"))}


def names_in(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", lock.read_text(), re.MULTILINE))


def test_an_unknown_extra_is_refused(installed: Checkout) -> None:
    installed.start()
    assert "./run.sh install gpu" in refused(installed.start("install", "cuda"))


# --- Saying what is wrong


def refused(started: subprocess.CompletedProcess[str]) -> str:
    assert started.returncode == 1
    assert started.stdout == ""
    assert "Shoebox cannot start" in started.stderr
    return started.stderr


def test_a_machine_without_python(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "env", "cat", "cksum", "dirname", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what a version before 3.11 answers
    old.chmod(0o755)
    said = refused(checkout.start(PATH=str(tools), SHOEBOX_PYTHON=""))
    assert "no Python 3.11 or later" in said
    assert "apt install python3 python3-venv" in said
    assert not checkout.venv.exists()


def test_a_wrong_interpreter_is_named(checkout: Checkout) -> None:
    assert "SHOEBOX_PYTHON is '/nonexistent'" in refused(checkout.start(SHOEBOX_PYTHON="/nonexistent"))


def test_a_python_without_venv(checkout: Checkout, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", "ensurepip", "No module named ensurepip")
    assert "apt install python3-venv" in refused(checkout.start(SHOEBOX_PYTHON=python))


def test_a_full_disk(checkout: Checkout, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", "-m?venv", "OSError: [Errno 28] No space left on device")
    assert "the disk is full" in refused(checkout.start(SHOEBOX_PYTHON=python))


def test_a_folder_of_something_else_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("Dear")
    assert "is a folder of something else" in refused(checkout.start(SHOEBOX_VENV=str(letters)))
    assert [path.name for path in letters.iterdir()] == ["dear.txt"]


def test_a_path_with_a_colon(checkout: Checkout, tmp_path: Path) -> None:
    assert "contains a colon" in refused(checkout.start(SHOEBOX_VENV=str(tmp_path / "a:b")))


def test_a_missing_lock(checkout: Checkout) -> None:
    (checkout.folder / ".requirements" / "base.lock").unlink()
    assert "base.lock is missing" in refused(checkout.start())


def test_no_network(installed: Checkout) -> None:
    installed.write_locks("3.0")
    nowhere = "http://127.0.0.1:9/simple"
    changes = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": nowhere, "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    assert "packages cannot be fetched" in refused(installed.start(**changes))
    installed.write_locks()
    again = installed.start()
    assert "Clearing away" not in again.stderr
    assert json.loads(again.stdout)["tiny"] == "1.0"


def test_a_package_that_is_not_the_one_in_the_lock(installed: Checkout) -> None:
    lock = installed.folder / ".requirements" / "base.lock"
    installed.write_locks("4.0")
    lock.write_text(lock.read_text().partition("sha256:")[0] + f"sha256:{'0' * 64}\n")
    assert "is not the one in" in refused(installed.start())
