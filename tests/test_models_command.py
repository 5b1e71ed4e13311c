"""`models`: what is here, where it runs and why; fetching and making what is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.modelfile import read_modelfile
from tasks.engines.llm.prompts import SYSTEM
from tasks.errors import ConfigError, ExitCode
from tasks.settings import Settings
from tests.ollama import FaultKind, ModelSpec, OllamaDouble
from tests.system import ROOT, System

BASES = [read_modelfile(ROOT / "ollama" / name).base for name in ("Modelfile", "Modelfile.large")]


@pytest.fixture
def double() -> Iterator[OllamaDouble]:
    with OllamaDouble(()) as running:
        yield running


@pytest.fixture
def command(double: OllamaDouble, tmp_path: Path) -> System:
    return System(tmp_path / "home", {"OLLAMA_HOST": double.url})


@pytest.mark.parametrize(("name", "tier"), [("Modelfile", "small"), ("Modelfile.large", "large")])
def test_the_modelfiles_say_what_the_engine_says(name: str, tier: str) -> None:
    made = read_modelfile(ROOT / "ollama" / name)
    assert made.system == SYSTEM
    settings = Settings(data_dir=Path("unused"))
    assert made.parameters["num_ctx"] == getattr(settings, f"{tier}_num_ctx")
    assert made.parameters["temperature"] == 0


def test_a_modelfile_without_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "Modelfile").write_text("PARAMETER num_ctx 1\n")
    with pytest.raises(ConfigError, match="no line FROM"):
        read_modelfile(tmp_path / "Modelfile")


def test_what_is_missing_is_fetched_and_made_and_the_second_time_nothing_is(
    command: System, double: OllamaDouble
) -> None:
    for base, size in zip(BASES, ("1.5B", "7.6B"), strict=True):
        double.let_pull(ModelSpec(base, parameter_size=size, context_length=32768, scripted=True))
    done = command.run("models")
    assert "making shoebox-small" in done.stderr
    rows = {row["name"]: row for row in command.json("models", "--check")}
    small, large = rows["shoebox-small:latest"], rows["shoebox-large:latest"]
    assert (small["queue"], small["used_for"]) == ("cpu", "classifies")
    assert (large["queue"], large["used_for"]) == ("gpu", "title, summary, fields")
    assert "keeps to the schema" in small["probe"]
    before = len(double.calls())
    again = command.run("models")
    assert again.stderr == ""
    asked = {call.path for call in double.calls()[before:]}
    assert asked <= {"/api/tags", "/api/ps", "/api/show", "/api/version"}
    assert "shoebox-large takes about " in again.stdout
    assert "with a context of 16,384 tokens." in again.stdout


def test_models_that_are_missing_and_cannot_be_fetched_are_named(
    command: System, double: OllamaDouble
) -> None:
    looked = command.run("models", "--check", check=False)
    assert looked.returncode == ExitCode.CONFIG
    assert "shoebox-small, shoebox-large" in looked.stderr
    offline = command.run("models", check=False)
    assert offline.returncode == ExitCode.SERVICE
    assert "Traceback" not in offline.stderr


def test_the_models_of_recipes_and_those_named_are_set_up_too(command: System, double: OllamaDouble) -> None:
    sizes = {"shoebox-small": "1B", "shoebox-large": "7B"}
    double.offer(ModelSpec(name, parameter_size=size, scripted=True) for name, size in sizes.items())
    for name in ("bookkeeper:14b", "named:2b"):
        double.let_pull(ModelSpec(name, parameter_size=name.partition(":")[2].upper(), scripted=True))
    recipes = command.folder / "config" / "shoebox" / "recipes"
    recipes.mkdir(parents=True)
    (recipes / "mine.toml").write_text(
        '[models]\nclassify = "far:cloud"\n'
        '[categories.invoice]\ndescribe = "An invoice."\nmodel = "bookkeeper:14b"\n'
    )
    (recipes / "broken.toml").write_text("categories = 1\n")

    done = command.run("models", "named:2b", check=False)

    assert done.returncode == ExitCode.CONFIG
    assert "broken.toml" in done.stderr
    assert "Missing: far:cloud. far:cloud runs in a cloud" in done.stderr
    rows = {row["name"]: row for row in command.json("models", "--check")}
    assert {name: (row["queue"], row["used_for"], row["missing"]) for name, row in rows.items()} == {
        "shoebox-small:latest": ("cpu", "classifies", False),
        "shoebox-large:latest": ("gpu", "title, summary, fields", False),
        "bookkeeper:14b": ("gpu", "title, summary, fields (mine: invoice)", False),
        "named:2b": ("cpu", "", False),  # was named on the command line alone
        "far:cloud": ("", "classifies (mine)", True),
    }
    assert "keeps to the schema" in rows["bookkeeper:14b"]["probe"]
    assert not any("far:cloud" in call.body for call in double.calls())


def test_a_model_that_keeps_to_no_schema_is_said_to_be_of_no_use(
    command: System, double: OllamaDouble
) -> None:
    double.offer(
        ModelSpec(f"shoebox-{tier}", parameter_size="1B", context_length=32768, scripted=True)
        for tier in ("small", "large")
    )
    double.order(FaultKind.INVALID_JSON)
    assert "does not keep to a schema" in command.run("models").stdout


def test_without_a_server_the_remedy_is_said(command: System, double: OllamaDouble) -> None:
    double.stop()
    done = command.run("models", check=False)
    assert done.returncode == ExitCode.SERVICE
    assert "does not answer" in done.stderr


def test_an_engine_without_an_address_is_named(command: System) -> None:
    command.environment["SHOEBOX_ENGINE"] = "openai"
    done = command.run("models", check=False)
    assert done.returncode == ExitCode.CONFIG
    assert "SHOEBOX_OPENAI_URL" in done.stderr
