"""A model for each stage and category, chosen in the recipe: who is asked, and who waits for whom."""

import random
from pathlib import Path

import pytest

from tasks.circuit import load_circuit
from tasks.documents import Classification, PartAnalysis, Stage, State
from tasks.engines.llm.base import ModelInfo
from tasks.ledger import Ledger
from tasks.orders import ReadParams
from tasks.recipes import Recipe, RecipeError, parse_recipe
from tasks.routing import context_of, known_models, wanted_model
from tasks.settings import Settings
from tasks.units import UnitRow, units_of
from tasks.waiting import look_at_waiting, still_open
from tests.test_circuit import ANALYSIS, INVOICE, LARGE, LETTER, SMALL, Bench, worker_with

PLAIN = """\
[categories.invoice]
describe = "An invoice."

[categories.letter]
describe = "A letter."
"""
MIXED = """\
[models]
classify = "sorter:1b"
analyse = "reader:8b"

[categories.invoice]
describe = "An invoice."
model = "bookkeeper:14b"

[categories.letter]
describe = "A letter."
"""
SORTER = ModelInfo(name="sorter:1b", parameters=1_000_000_000)
READER = ModelInfo(name="reader:8b", parameters=8_000_000_000)
BOOKKEEPER = ModelInfo(name="bookkeeper:14b", parameters=14_000_000_000)
ALL = known_models([worker_with(SMALL, LARGE, SORTER, READER, BOOKKEEPER)])
NO_BOOKKEEPER = known_models([worker_with(SMALL, LARGE, SORTER, READER)])


def parse(source: str, name: str = "mine") -> Recipe:
    return parse_recipe(source.encode(), name, f"{name}.toml")


@pytest.fixture
def recipe_file(settings: Settings) -> Path:
    settings.recipes_path.mkdir(parents=True)
    path = settings.recipes_path / "mine.toml"
    path.write_text(MIXED)
    return path


@pytest.fixture
def bench(ledger: Ledger, settings: Settings, tmp_path: Path, recipe_file: Path) -> Bench:
    made = Bench(ledger, settings, tmp_path)
    made.see(ALL)
    return made


def read(bench: Bench, document: str, found: Classification) -> tuple[UnitRow, UnitRow]:
    """Both stages of a short document, as the workers would."""
    return bench.succeed(document, found), bench.succeed(document, ANALYSIS)


# What a recipe may say


def test_the_category_outranks_the_recipe_and_that_the_settings(settings: Settings) -> None:
    plain, mixed = parse(PLAIN), parse(MIXED)
    wanted = [
        wanted_model(stage, settings, recipe, category)[0]
        for recipe in (plain, mixed)
        for stage, category in (
            (Stage.CLASSIFY, ""),
            (Stage.ANALYSE, "invoice"),
            (Stage.ANALYSE, "letter"),
            (Stage.ANALYSE, "other"),
        )
    ]
    assert wanted == [
        *("shoebox-small", "shoebox-large", "shoebox-large", "shoebox-large"),
        *("sorter:1b", "bookkeeper:14b", "reader:8b", "reader:8b"),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('[models]\nclassify = "two words"\n' + PLAIN, r"line 2: models.classify: "),
        (
            '[models]\nanalyse = "offline"\n' + PLAIN,
            r"line 2: models.analyse: 'offline' is no",
        ),
        ('[models]\nanalyse = ""\n' + PLAIN, r"line 2: models.analyse: "),
        ('[models]\nanalyse = "[red]x"\n' + PLAIN, r"line 2: models.analyse: "),
        ('[models]\nocr = "x"\n' + PLAIN, r"line 2: models.ocr: is not a key"),
        ('models = "x"\n' + PLAIN, r"line 1: models: must be a table"),
        (PLAIN + f'model = "{"x" * 201}"\n', r"line 6: categories.letter.model: "),
        (PLAIN + "model = 3\n", r"line 6: categories.letter.model: "),
    ],
)
def test_a_wrong_model_is_named_with_its_line(source: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(source)


@pytest.mark.parametrize(
    "name", ["qwen3", "qwen3:8b", "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "/models/q.gguf", "Qwen/Qwen2.5-7B"]
)
def test_names_of_models_as_servers_write_them_are_taken(name: str) -> None:
    assert parse(PLAIN + f'model = "{name}"\n').model_for(Stage.ANALYSE, "letter") == name


def test_the_models_are_no_part_of_the_version() -> None:
    assert parse(PLAIN).version == parse(MIXED).version == "0b9f73b09520"
    assert parse(PLAIN).version != parse(PLAIN.replace("A letter", "Any letter")).version


# One context a model


def test_a_model_has_one_context_in_whatever_recipe_stage_or_category(settings: Settings) -> None:
    chance = random.Random(7)
    names = ["shoebox-small", "shoebox-small:latest", "shoebox-large", "a", "b:7b", "c", None]
    settings = settings.model_copy(update={"model_contexts": {"c": 4096}})
    contexts: dict[str, set[int]] = {}
    for _ in range(200):
        chosen = {where: chance.choice(names) for where in ("classify", "analyse", "invoice", "letter")}
        models = "".join(
            f'{stage} = "{chosen[stage]}"\n' for stage in ("classify", "analyse") if chosen[stage]
        )
        categories = "".join(
            f'[categories.{one}]\ndescribe = "d"\n' + (f'model = "{chosen[one]}"\n' if chosen[one] else "")
            for one in ("invoice", "letter")
        )
        recipe = parse(f"[models]\n{models}{categories}")
        for stage, category in [
            (Stage.CLASSIFY, ""),
            *((Stage.ANALYSE, one) for one in recipe.category_names),
        ]:
            name, num_ctx = wanted_model(stage, settings, recipe, category)
            contexts.setdefault(name.removesuffix(":latest"), set()).add(num_ctx)
    assert contexts == {
        **{"shoebox-small": {8192}, "shoebox-large": {16384}},  # as without any recipe
        **{"a": {16384}, "b:7b": {16384}, "c": {4096}},
    }


def test_a_model_of_both_tiers_has_the_larger_context(settings: Settings) -> None:
    one = settings.model_copy(update={"small_model": "one", "large_model": "one:latest"})
    assert {wanted_model(stage, one)[1] for stage in (Stage.CLASSIFY, Stage.ANALYSE)} == {16384}
    assert context_of("one", one.model_copy(update={"model_contexts": {"one:latest": 2048}})) == 2048


# Who reads


def test_each_stage_and_category_is_read_by_its_model_on_its_queue(bench: Bench) -> None:
    invoice, letter = bench.add("Amount due", recipe="mine"), bench.add("Dear Sir", recipe="mine")
    seen = [
        [(unit.model, unit.queue, ReadParams.model_validate(unit.params).llm) for unit in units]
        for units in (read(bench, invoice, INVOICE), read(bench, letter, LETTER))
    ]
    assert [[(model, queue, llm and llm.model) for model, queue, llm in units] for units in seen] == [
        [("sorter:1b", "cpu", "sorter:1b"), ("bookkeeper:14b", "gpu", "bookkeeper:14b")],
        [("sorter:1b", "cpu", "sorter:1b"), ("reader:8b", "gpu", "reader:8b")],
    ]
    assert bench.row(invoice).engine == "ollama bookkeeper:14b"
    assert bench.row(letter).engine == "ollama reader:8b"


def test_the_parts_of_a_long_document_are_merged_by_the_model_that_read_them(bench: Bench) -> None:
    page = "The committee considered the report of the working party at some length. " * 60
    document = bench.add(*[page] * 20, recipe="mine")
    bench.succeed(document, INVOICE)
    for _ in bench.waiting(document):
        bench.succeed(
            document, PartAnalysis(title="t", summary="s", first_page=1, last_page=1, characters=10)
        )
    bench.succeed(document, ANALYSIS)
    reading = units_of(bench.ledger, document, Stage.ANALYSE)
    assert len(reading) > 2
    llms = [ReadParams.model_validate(unit.params).llm for unit in reading]
    assert {(llm.model, llm.num_ctx) for llm in llms if llm} == {("bookkeeper:14b", 16384)}


def test_another_model_for_one_category_asks_only_for_its_documents(bench: Bench, recipe_file: Path) -> None:
    invoice, letter = bench.add("Amount due", recipe="mine"), bench.add("Dear Sir", recipe="mine")
    read(bench, invoice, INVOICE)
    read(bench, letter, LETTER)
    recipe_file.write_text(MIXED.replace("bookkeeper:14b", "shoebox-large"))
    for document in (invoice, letter):
        bench.pipeline.retry(bench.row(document))
    assert bench.row(letter).state is State.DONE  # what is known was not asked for again
    [asked] = bench.waiting(invoice)
    assert (asked.stage, asked.model) == (Stage.ANALYSE, "shoebox-large")


# A model that is missing


def test_a_missing_model_holds_up_only_what_is_for_it(bench: Bench) -> None:
    bench.see(NO_BOOKKEEPER)
    invoice, letter = bench.add("Amount due", recipe="mine"), bench.add("Dear Sir", recipe="mine")
    read(bench, letter, LETTER)
    assert bench.row(letter).state is State.DONE
    bench.succeed(invoice, INVOICE)
    assert bench.succeed(invoice, ANALYSIS).model == "offline"
    row = bench.row(invoice)
    assert (row.state, row.provisional, row.category) == (State.WAITING, True, "invoice")
    assert "no model 'bookkeeper:14b'. `./run.sh models` sets it up." in row.message
    assert not load_circuit(bench.ledger).is_paused
    assert bench.pipeline.upgrade_all(10) == []  # nobody goes in circles
    bench.see(ALL)
    assert [again.id for again in bench.pipeline.upgrade_all(10)] == [invoice]
    assert [unit.model for unit in bench.waiting(invoice)] == ["bookkeeper:14b"]
    bench.succeed(invoice, ANALYSIS)
    assert (bench.row(invoice).state, bench.row(invoice).engine) == (State.DONE, "ollama bookkeeper:14b")


def test_many_that_wait_for_a_missing_model_do_not_starve_the_others(bench: Bench) -> None:
    bench.see(NO_BOOKKEEPER)
    invoices = [bench.add(f"Amount due {number}", recipe="mine") for number in range(12)]
    for invoice in invoices:
        read(bench, invoice, INVOICE)
    bench.see(known_models([]))
    letters = [bench.add(f"Dear Sir {number}", recipe="mine") for number in range(3)]
    for letter in letters:
        bench.read_offline(letter)
    bench.see(NO_BOOKKEEPER)
    begun = [bench.pipeline.upgrade_all(1) for _ in range(4)]
    assert [[row.id for row in rows] for rows in begun] == [*([letter] for letter in letters), []]
    assert {bench.row(invoice).state for invoice in invoices} == {State.WAITING}


def test_units_of_a_model_that_went_are_let_go_and_those_of_others_stay(bench: Bench) -> None:
    invoices = [bench.add(f"Amount due {number}", recipe="mine") for number in range(5)]
    letters = [bench.add(f"Dear Sir {number}", recipe="mine") for number in range(5)]
    for document in invoices + letters:
        bench.succeed(document, INVOICE if document in invoices else LETTER)
    bench.see(NO_BOOKKEEPER)
    left = []
    for _ in range(3):
        bench.pipeline.fall_back_all(2)
        left.append(sum(bench.waiting(one)[0].model == "bookkeeper:14b" for one in invoices))
    assert left == [3, 1, 0]
    assert {bench.waiting(letter)[0].model for letter in letters} == {"reader:8b"}


def test_a_server_without_the_model_is_no_broken_server(bench: Bench) -> None:
    invoice, letter = bench.add("Amount due", recipe="mine"), bench.add("Dear Sir", recipe="mine")
    bench.succeed(invoice, INVOICE)
    bench.fail(invoice, "no model")
    circuit = load_circuit(bench.ledger)
    assert not circuit.is_paused
    assert "bookkeeper:14b" in str(circuit.route_to("bookkeeper:14b", bench.pipeline.settings))
    bench.succeed(invoice, ANALYSIS)
    row = bench.row(invoice)
    assert (row.state, row.provisional, row.model_failures) == (State.WAITING, True, 0)
    assert "no model 'bookkeeper:14b'" in row.message
    assert bench.pipeline.upgrade_all(10) == []
    assert [unit.model for unit in read(bench, letter, LETTER)] == ["sorter:1b", "reader:8b"]


def test_why_documents_wait_is_said_anew_when_it_changes(bench: Bench, recipe_file: Path) -> None:
    bench.see(NO_BOOKKEEPER)
    invoice = bench.add("Amount due", recipe="mine")
    read(bench, invoice, INVOICE)
    said = []
    for known in (known_models([]), NO_BOOKKEEPER):
        bench.see(known)
        bench.pipeline.fall_back_all(10)
        bench.pipeline.upgrade_all(10)
        said.append(bench.row(invoice).message.partition("provisional. ")[2])
    recipe_file.write_text(MIXED.replace("bookkeeper:14b", "auditor:70b"))
    bench.pipeline.upgrade_all(10)
    said.append(bench.row(invoice).message.partition("provisional. ")[2])
    assert [words.partition(". ")[0] for words in said] == [
        "No worker that reaches a language model is up.",
        "The model server has no model 'bookkeeper:14b'",
        "The model server has no model 'auditor:70b'",
    ]


def test_a_category_that_a_person_gave_needs_no_model_that_classifies(bench: Bench) -> None:
    bench.see(known_models([]))
    document = bench.add("Dear Sir", recipe="mine")
    bench.read_offline(document)
    bench.pipeline.correct(bench.row(document), "category", "invoice")
    bench.read_offline(document)
    bench.see(known_models([worker_with(SORTER, READER)]))
    assert bench.pipeline.upgrade_all(10) == []
    bench.see(known_models([worker_with(BOOKKEEPER)]))
    assert [row.id for row in bench.pipeline.upgrade_all(10)] == [document]
    assert [unit.model for unit in bench.waiting(document)] == ["bookkeeper:14b"]


def test_nothing_is_classified_again_where_no_category_could_be_read(bench: Bench) -> None:
    bench.see(known_models([]))
    document = bench.add("Dear Sir", recipe="mine")
    bench.read_offline(document)
    bench.see(known_models([worker_with(SORTER)]))
    assert bench.pipeline.upgrade_all(10) == []
    bench.see(known_models([worker_with(SORTER, BOOKKEEPER)]))  # it may turn out to be an invoice
    bench.pipeline.upgrade_all(10)
    bench.succeed(document, LETTER)
    assert bench.row(document).state is State.WAITING  # the offline engine's analysis is known
    assert bench.pipeline.upgrade_all(10) == []


def test_what_happened_meanwhile_to_documents_that_were_to_be_begun_counts(bench: Bench) -> None:
    bench.see(known_models([]))
    documents = [bench.add(f"Dear Sir {number}", recipe="mine") for number in range(3)]
    for document in documents:
        bench.read_offline(document)
    bench.see(ALL)
    looked = look_at_waiting(bench.ledger, load_circuit(bench.ledger), bench.pipeline.settings, 10)
    assert list(looked.to_begin) == documents
    bench.pipeline.remove(bench.row(documents[0]))
    bench.pipeline.retry(bench.row(documents[1]))
    assert still_open(bench.ledger, looked.to_begin) == [documents[2]]
