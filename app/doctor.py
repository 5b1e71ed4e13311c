"""What is here, what is missing and the exact remedy. Starts nothing, changes nothing, shows no secret."""

import importlib.metadata
import locale
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.checks import Check, Verdict
from app.classifier_check import check_image_classifiers
from app.model_server import ask_model_server, last_failure, missing_models
from app.ocr_check import check_ocr_engine
from app.services import find_server, status
from app.services.folders import MIN_FREE_BYTES
from app.services.redis_client import ask_redis, redis_place
from app.services.redis_data import damage_note
from app.share_check import check_data_place
from app.trust_check import check_ledger, check_trust
from tasks.errors import ConfigError, ExitCode, ShoeboxError
from tasks.meaning.standing import standing_line
from tasks.settings import Settings

__all__ = ("Check", "Verdict", "exit_code", "run_checks")

LOCK = Path(__file__).resolve().parent.parent / ".requirements" / "base.lock"
REINSTALL = "Remove {prefix} and start ./run.sh again."
GIB = 2**30
LOW_DISK_BYTES = 2 * GIB
LOW_MEMORY_BYTES = 2 * GIB
"""OCR of one page takes up to 1.5 GB."""
IMPORT_SECONDS = 20.0


def run_checks(settings: Settings) -> list[Check]:
    """Look at everything, side by side; takes about as long as its slowest part.

    A check that breaks is itself a failure and never stops the others.
    """
    checks: tuple[Callable[[Settings], Check], ...] = (
        check_python,
        check_packages,
        check_data_dir,
        check_data_place,
        check_ledger,
        check_trust,
        check_redis,
        check_services,
        check_native_libraries,
        check_ocr_models,
        check_ocr_engine,
        check_recipes,
        check_llm_server,
        check_search,
        check_gpu,
        check_image_classifiers,
        check_memory,
        check_terminal,
    )
    with ThreadPoolExecutor(max_workers=len(checks)) as pool:
        return list(pool.map(lambda check: _guarded(check, settings), checks))


def exit_code(checks: list[Check]) -> ExitCode:
    """OK unless a check failed; a warning is no failure."""
    failed = any(check.verdict is Verdict.FAIL for check in checks)
    return ExitCode.ERROR if failed else ExitCode.OK


def _guarded(check: Callable[[Settings], Check], settings: Settings) -> Check:
    name = check.__name__.removeprefix("check_").replace("_", " ")
    try:
        return check(settings)
    except ShoeboxError as error:
        return Check(name, Verdict.FAIL, error.message, error.remedy)
    except Exception as error:  # the doctor outlives what it finds
        return Check(name, Verdict.FAIL, f"could not be checked: {error!r}", "Please report this.")


def check_python(settings: Settings) -> Check:  # noqa: ARG001 - every check has the same shape
    """The interpreter is recent enough and not 32-bit."""
    found = f"{sys.version.split()[0]} in {sys.prefix}"
    if sys.version_info < (3, 11) or sys.maxsize < 2**32:
        return Check("python", Verdict.FAIL, found, "Name a 64-bit Python 3.11 or later with SHOEBOX_PYTHON.")
    return Check("python", Verdict.OK, found)


def check_packages(settings: Settings, lock: Path = LOCK) -> Check:  # noqa: ARG001
    """The installed packages are those of the lock."""
    from packaging.requirements import Requirement

    if not lock.exists() and not (lock.parent.parent / "run.sh").exists():
        return Check(
            "packages", Verdict.OK, "those that pip chose; `pip check` says whether they fit together"
        )
    if not lock.exists():
        return Check("packages", Verdict.WARN, f"{lock} is missing", "Get the whole of Shoebox again.")
    lines = re.findall(r"^([A-Za-z0-9][^\s=]*==.*?)\s*\\?$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    wanted = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    wrong = [one.name for one in wanted if not _is_installed(one.name, str(one.specifier))]
    if wrong:
        named = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        return Check(
            "packages",
            Verdict.FAIL,
            f"{len(wrong)} of {len(wanted)} are missing or of another version: {named}",
            REINSTALL.format(prefix=sys.prefix),
        )
    return Check("packages", Verdict.OK, f"all {len(wanted)} of the lock")


def _is_installed(name: str, specifier: str) -> bool:
    try:
        return importlib.metadata.version(name) == specifier.removeprefix("==")
    except importlib.metadata.PackageNotFoundError:
        return False


def check_data_dir(settings: Settings) -> Check:
    """The data directory, or the folder it will be made in, can be written and has room."""
    folder = settings.data_dir
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(
            "data folder",
            Verdict.FAIL,
            f"{folder} cannot be written",
            f"Make {there} yours, or name another with SHOEBOX_DATA_DIR.",
        )
    free = shutil.disk_usage(there).free
    found = f"{folder}{'' if there == folder else ' (not made yet)'}, {free / GIB:.1f} GB free"
    if free < LOW_DISK_BYTES:
        verdict = Verdict.FAIL if free < MIN_FREE_BYTES else Verdict.WARN
        return Check("data folder", verdict, found, "Free some space, or name another with SHOEBOX_DATA_DIR.")
    if there == folder and folder.stat().st_mode & 0o077:
        return Check("data folder", Verdict.WARN, f"{found}, open to other users", f"chmod 700 '{folder}'")
    return Check("data folder", Verdict.OK, found)


def check_redis(settings: Settings) -> Check:
    """The user's Redis answers; without one, there is a server program to start."""
    if settings.redis_url is None:
        server = find_server(settings)
        if note := damage_note(settings):
            return Check("redis", Verdict.WARN, f"{server.binary} {server.version}", note)
        return Check("redis", Verdict.OK, f"{server.binary} {server.version}, started when needed")
    info = ask_redis(settings)
    found = f"{redis_place(settings)}, version {info.version}"
    if info.warning:
        return Check("redis", Verdict.WARN, found, info.warning)
    return Check("redis", Verdict.OK, found)


def check_services(settings: Settings) -> Check:
    """What `up` started is well."""
    services = status(settings)
    if services.problems:
        return Check(
            "services", Verdict.FAIL, " ".join(services.problems), "./run.sh down, then ./run.sh up."
        )
    if not services.running:
        return Check("services", Verdict.WARN, "not started", "./run.sh up, or just ./run.sh.")
    return Check("services", Verdict.OK, "running: " + ", ".join(one.name for one in services.programs))


def check_native_libraries(settings: Settings) -> Check:  # noqa: ARG001
    """The native libraries load, in a process of their own because a bad one takes its process down."""
    source = "import onnxruntime, cv2; print('onnxruntime', onnxruntime.__version__, 'cv2', cv2.__version__)"
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", source],
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check("libraries", Verdict.WARN, f"did not load within {IMPORT_SECONDS:.0f} s", "Try again.")
    if ended.returncode == 0:
        return Check("libraries", Verdict.OK, ended.stdout.strip())
    last = (ended.stderr.strip().split("\n") or [""])[-1]
    found = last or f"loading them ended with status {ended.returncode}"
    return Check("libraries", Verdict.FAIL, found, REINSTALL.format(prefix=sys.prefix))


def check_ocr_models(settings: Settings) -> Check:  # noqa: ARG001
    """The wheel that carries the OCR models is whole."""
    from tasks.engines.ocr_models import WHEEL, WHEEL_DETECTION, WHEEL_RECOGNITION, models_version

    version = models_version()
    wheel = importlib.metadata.distribution(WHEEL)
    missing = [
        name
        for name in (WHEEL_DETECTION, WHEEL_RECOGNITION)
        if not Path(str(wheel.locate_file(name))).is_file()
    ]
    if missing:
        remedy = REINSTALL.format(prefix=sys.prefix)
        return Check("ocr models", Verdict.FAIL, f"missing: {', '.join(missing)}", remedy)
    return Check("ocr models", Verdict.OK, version)


def check_recipes(settings: Settings) -> Check:
    """Every recipe can be read, and the one that is set is among them."""
    from tasks.recipes import list_recipes, load_recipe

    names = list_recipes(settings.recipes_path)
    for name in (*names, settings.recipe):
        load_recipe(name, settings.recipes_path)
    return Check("recipes", Verdict.OK, ", ".join(names))


def check_llm_server(settings: Settings) -> Check:
    """An Ollama answers at OLLAMA_HOST, and the models that settings and recipes name are there."""
    try:
        server = ask_model_server(settings)
    except ConfigError as error:
        return Check("llm server", Verdict.WARN, error.message, error.remedy)
    if not server.version:
        return Check(
            "llm server",
            Verdict.WARN,
            f"no Ollama at {server.place}; documents get provisional results until there is one",
            "Install and start Ollama (https://ollama.com/download), or set OLLAMA_HOST.",
        )
    found = f"Ollama {server.version} at {server.place}"
    if missing := missing_models(settings, server):
        remedy = "./run.sh models sets them up, here or on the machine whose worker is to use them."
        return Check("llm server", Verdict.WARN, f"{found}; missing: {', '.join(missing)}", remedy)
    if failure := last_failure(settings):
        remedy = "It is asked again by itself; docs/models.md says what each failure means."
        return Check("llm server", Verdict.WARN, f"{found}; it failed last. {failure}", remedy)
    return Check("llm server", Verdict.OK, found)


def check_search(settings: Settings) -> Check:
    """Which model search by meaning has; without one, words are searched all the same."""
    return Check("search by meaning", Verdict.OK, standing_line(settings))


def check_gpu(settings: Settings) -> Check:  # noqa: ARG001
    """NVIDIA GPUs, if any; none is well too."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader"]
    try:
        ended = subprocess.run(query, capture_output=True, text=True, timeout=5, check=False)
    except FileNotFoundError:
        return Check("gpu", Verdict.OK, "none; the processor does all the work")
    except subprocess.TimeoutExpired:
        return Check("gpu", Verdict.WARN, "nvidia-smi does not answer", "Check the NVIDIA driver.")
    if ended.returncode != 0:
        words = (ended.stdout + ended.stderr).strip().split("\n")[0]
        return Check("gpu", Verdict.WARN, f"nvidia-smi: {words}", "Check the NVIDIA driver.")
    return Check("gpu", Verdict.OK, "; ".join(ended.stdout.strip().split("\n")))


def check_memory(settings: Settings) -> Check:  # noqa: ARG001
    """Enough for OCR of one page."""
    import psutil  # type: ignore[import-untyped]

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GB available"
    if memory.available < LOW_MEMORY_BYTES:
        return Check("memory", Verdict.WARN, found, "Close other programs; OCR takes up to 1.5 GB.")
    return Check("memory", Verdict.OK, found)


def check_terminal(settings: Settings) -> Check:  # noqa: ARG001
    """The user interface can be drawn."""
    encoding = (sys.stdout.encoding or locale.getpreferredencoding(False)).lower().replace("-", "")
    terminal = os.environ.get("TERM", "")
    found = f"{terminal or 'no TERM'}, {encoding}"
    if not sys.stdout.isatty():
        return Check("terminal", Verdict.OK, f"output goes to a pipe or file; {found}")
    if encoding != "utf8":
        return Check(
            "terminal", Verdict.WARN, found, "Choose a UTF-8 locale, for example: export LANG=C.UTF-8"
        )
    if terminal in ("", "dumb"):
        return Check("terminal", Verdict.WARN, found, "Use a terminal that can draw, or the commands.")
    return Check("terminal", Verdict.OK, found)
