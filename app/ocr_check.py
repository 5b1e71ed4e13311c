"""The doctor's look at OCR: which engine reads the pages, on which device, and why."""

import json
import os
import subprocess
import sys
from pathlib import Path

from app.checks import Check, Verdict
from tasks.engines.ocr_device import OcrDevice, two_onnxruntimes
from tasks.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
ASK_SECONDS = 60.0
"""Importing torch takes seconds from a warm disk and more from a cold one."""
_NAME = "ocr engine"
_BOTH = "onnxruntime and onnxruntime-gpu are both installed and share a folder, so the last one counts"


def check_ocr_engine(settings: Settings) -> Check:
    """Ask in a process of its own: CUDA is only ever woken in a worker's child, and never here."""
    command = [sys.executable, "-P", "-m", "tasks.engines.ocr_device", settings.ocr_device]
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        ended = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check(_NAME, Verdict.WARN, f"not found out within {ASK_SECONDS:.0f} s", "Try again.")
    if ended.returncode:
        words = (ended.stderr.strip() or f"asking ended with status {ended.returncode}").splitlines()[-1]
        return Check(_NAME, Verdict.FAIL, words, "./run.sh install base, then ./run.sh install gpu again.")
    # Libraries print what they please when they are imported; the choice is the last line.
    chosen = OcrDevice(**json.loads(ended.stdout.splitlines()[-1]))
    return _as_check(chosen, settings.ocr_device == "gpu")


def _as_check(chosen: OcrDevice, gpu_is_wanted: bool) -> Check:
    found = f"{chosen.engine} on {chosen.device}: {chosen.why}"
    remedy = chosen.remedy
    if gpu_is_wanted and not chosen.on_gpu:
        found += "; the setting ocr_device says gpu"
        remedy = remedy or "Set ocr_device to auto."
    if two_onnxruntimes():
        found += f"; {_BOTH}"
        if not chosen.on_gpu:
            remedy = f"{sys.executable} -m pip install --force-reinstall --no-deps onnxruntime-gpu. {remedy}"
    return Check(_NAME, Verdict.WARN if remedy else Verdict.OK, found, remedy.strip())
