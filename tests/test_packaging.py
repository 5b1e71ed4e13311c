"""What `pip install .` gives: all files of the packages, types, the command, and words that fit it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app import called, doctor, modelfile
from app.checks import Verdict
from tasks.errors import ServiceError
from tasks.settings import Settings
from tests.system import ROOT

# Setuptools' own answer, without building: its build writes into the checkout.
_WHAT_IS_PACKED = """
import json, os
from setuptools.config.pyprojecttoml import apply_configuration
from setuptools.dist import Distribution

found = Distribution({"script_name": "setup.py"})
apply_configuration(found, "pyproject.toml")
build = found.get_command_obj("build_py")
build.ensure_finalized()
build.manifest_files = {}
files = [module[2] for module in build.find_all_modules()]
for package in found.packages:
    files += build.find_data_files(package, package.replace(".", "/"))
files = [os.path.normpath(file) for file in files]
print(json.dumps({"files": files, "scripts": found.entry_points, "beside": found.data_files}))
"""


def test_every_file_of_the_packages_is_packed_and_the_command_exists() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _WHAT_IS_PACKED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    packed = json.loads(done.stdout)
    ours = {
        str(file.relative_to(ROOT))
        for package in ("app", "tasks")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert ours - set(packed["files"]) == set()
    assert {"app/py.typed", "tasks/py.typed", "tasks/builtin_recipe.toml"} <= ours
    models = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "ollama").iterdir())
    assert [(folder, sorted(files)) for folder, files in packed["beside"]] == [
        ("share/shoebox/ollama", models)
    ]
    assert packed["scripts"] == {"console_scripts": [f"{called.INSTALLED} = app.cli:main"]}


def test_the_doctor_does_not_miss_the_lock_of_a_checkout(settings: Settings, tmp_path: Path) -> None:
    lock = tmp_path / ".requirements" / "base.lock"
    assert doctor.check_packages(settings, lock).verdict is Verdict.OK
    (tmp_path / "run.sh").write_text("")
    assert doctor.check_packages(settings, lock).verdict is Verdict.WARN


def test_modelfiles_are_found_in_the_checkout_and_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert modelfile.modelfiles() == ROOT / "ollama"
    client = tmp_path / "site-packages" / "ollama"  # the Python package, which is none of ours
    client.mkdir(parents=True)
    monkeypatch.setattr(modelfile, "__file__", str(tmp_path / "site-packages" / "app" / "modelfile.py"))
    assert modelfile.modelfiles() == Path(sys.prefix) / "share" / "shoebox" / "ollama"


def test_an_extra_that_is_not_installed_is_named() -> None:
    called.need_extra("web", "click")
    with pytest.raises(ServiceError, match="extra web") as missing:
        called.need_extra("web", "no_such_module")
    assert "pip install '.[web]'" in missing.value.remedy
