"""The sample documents: always the same, and what they claim to be."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.samples import SAMPLES, TRUTH, make_corpus
from tests.samples.trouble import HOSTILE_NAMES, make_hostile_names

ROOT = Path(__file__).parent.parent
BIG = {"scanned-long.pdf", "long-report.pdf"}


def test_a_sample_is_the_same_bytes_every_time() -> None:
    for name in SAMPLES.keys() - BIG:
        assert SAMPLES[name]() == SAMPLES[name](), name


def test_the_command_writes_every_sample_and_the_truth(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.samples", str(tmp_path / "out")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*SAMPLES, "truth.json", "names"}
    assert json.loads((tmp_path / "out" / "truth.json").read_text()) == TRUTH


def test_hostile_names_reach_the_file_system_as_they_are(tmp_path: Path) -> None:
    paths = make_hostile_names(tmp_path)
    assert {os.fsencode(path.name) for path in paths} == set(HOSTILE_NAMES)
    assert set(paths) == set(tmp_path.iterdir())


def test_a_corpus_has_the_count_asked_for_and_no_two_alike(tmp_path: Path) -> None:
    paths = make_corpus(tmp_path, 40)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert [path.name for path in paths] == list(truth)
    assert len({path.read_bytes() for path in paths}) == 40
    assert len({entry["number"] for entry in truth.values()}) == 40


def test_another_seed_gives_another_corpus(tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "a", 3, seed=1)
    second = make_corpus(tmp_path / "b", 3, seed=2)
    assert [path.read_bytes() for path in first] != [path.read_bytes() for path in second]


def test_the_truth_of_an_invoice_adds_up() -> None:
    # 6 x 148.50 + 9 x 42.00 + 65.00 = 1334.00, plus 20 % VAT
    assert TRUTH["invoice-en.pdf"] == {
        "number": "INV-2026-0417",
        "date": "2026-03-14",
        "total": "1600.80",
        "currency": "GBP",
        "seller": "Harbour Lane Joinery Ltd",
        "buyer": "Marchmont Bookshop",
        "category": "invoice",
    }
