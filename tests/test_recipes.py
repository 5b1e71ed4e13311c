"""Recipes: the packaged one, users' own, and errors that name file, line and field."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.errors import ConfigError, ExitCode
from tasks.recipe_lines import line_of
from tasks.recipes import OTHER, Recipe, RecipeError, list_recipes, load_recipe, parse_recipe

OWN = """\
[categories.bill]
describe = "What has to be paid."

[categories.bill.evidence]
"amount due" = 4

[categories.bill.fields.total]
type = "amount"
describe = "The total."
role = "amount"
labels = ["amount due", "total"]
"""


def parse(source: str) -> Recipe:
    return parse_recipe(source.encode(), "own", "own.toml")


def test_the_packaged_recipe_has_its_categories_and_roles(tmp_path: Path) -> None:
    recipe = load_recipe("builtin", tmp_path)
    assert recipe.category_names == (
        *("invoice", "receipt", "contract", "letter", "statement", "report", "form", "email"),
        OTHER,
    )
    for category in recipe.categories:
        assert category.field_with_role("party"), category.name
        assert category.field_with_role("date"), category.name
        assert category.evidence or category.name == OTHER


def test_a_recipe_of_ones_own_is_read_and_gets_other(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    recipe = load_recipe("own", tmp_path)
    assert recipe.category_names == ("bill", OTHER)
    total = recipe.category("bill").field_with_role("amount")
    assert total is not None
    assert (total.name, total.labels) == ("total", ("amount due", "total"))
    assert recipe.category("bill").field_with_role("due") is None


def test_the_version_changes_with_the_content_only() -> None:
    assert parse(OWN).version == parse(OWN + "\n# a comment\n").version
    assert parse(OWN).version != parse(OWN.replace("= 4", "= 5")).version


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValidationError):
        parse(OWN).name = "else"  # type: ignore[misc]


def test_recipes_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("zoo.toml", "own.toml", "builtin.toml", "Not A Name.toml", "notes.txt"):
        (tmp_path / name).write_text(OWN, encoding="utf-8")
    assert list_recipes(tmp_path) == ("builtin", "own", "zoo")
    assert list_recipes(tmp_path / "none") == ("builtin",)


@pytest.mark.parametrize("name", ["missing", "../own", "", "/etc/passwd"])
def test_a_recipe_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    with pytest.raises(RecipeError, match="There is no recipe") as caught:
        load_recipe(name, folder)
    assert isinstance(caught.value, ConfigError)
    assert caught.value.exit_code is ExitCode.CONFIG
    assert "builtin" in caught.value.remedy


FIELD = '[categories.bill.fields.total]\ntype = "amount"\ndescribe = "d"\n'
HEAD = '[categories.bill]\ndescribe = "d"\n'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("[categories.bill\n", "line 1"),
        (HEAD + "describe = 3\n", "line 3"),
        ("", "own.toml: categories: must be a table"),
        ("title = 1\n" + HEAD, "line 1: title: is not a key"),
        (
            "\n[categories.Bill]\n",
            "line 2: categories.Bill: is missing|line 2: categories.Bill: String should match",
        ),
        ("\n[categories.bill]\n", "line 2: categories.bill.describe: is missing"),
        (HEAD + "colour = 1\n", "line 3: categories.bill.colour: is not a key"),
        (
            HEAD + FIELD.replace("amount", "number"),
            "line 4: categories.bill.fields.total.type: Input should be",
        ),
        (
            HEAD + FIELD + 'role = "date"\n',
            "line 3: categories.bill.fields.total: role 'date' needs type date",
        ),
        (HEAD + FIELD + "labels = [\n  'a',\n  '',\n]\n", "line 6: categories.bill.fields.total.labels: "),
        (HEAD + FIELD.replace('"d"', f'"{"x" * 401}"'), "line 5: categories.bill.fields.total.describe: "),
        (HEAD + "fields.a = {type = 'text'}\n", "line 3: categories.bill.fields.a.describe: is missing"),
        (HEAD + "fields = [1]\n", "line 3: categories.bill.fields: must be a table"),
        (
            HEAD + "[categories.bill.evidence]\n'a' = 1\n'b c' = 11\n",
            "line 5: categories.bill.evidence.b c: ",
        ),
        (HEAD + "[categories.bill.evidence]\n'a' = 0\n", "line 4: categories.bill.evidence.a: "),
        (
            HEAD + FIELD + "role='amount'\n" + FIELD.replace("total", "net") + "role='amount'\n",
            "line 1: categories.bill: more than one field has the role 'amount'",
        ),
        (f'[categories.{"a" * 41}]\ndescribe = "d"\n', "line 1: categories.a"),
        ('[categories]\nbill = "x"\n', "line 2: categories.bill: |line 1: categories"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_line_and_field(source: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parse(source)
    assert "own.toml" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("".join(f'[categories.c{n}]\ndescribe = "d"\n' for n in range(41)), "at most 40"),
        (HEAD + "".join(FIELD.replace("total", f"f{n}") for n in range(41)), "at most 40"),
        ("#" * 300_000, "larger than 256 kB"),
    ],
)
def test_a_recipe_that_is_too_large_is_refused(source: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(source)


def test_a_recipe_that_is_no_utf8_names_the_line() -> None:
    with pytest.raises(RecipeError, match=r"own\.toml, line 2: not UTF-8"):
        parse_recipe(b"# a\n# \xff\n", "own", "own.toml")


def test_a_line_is_found_by_key_and_not_inside_a_string() -> None:
    source = 'a = """\nb = 1\n"""\nb = 2\n[c."d e"]\nf.g = 3\n'
    assert line_of(source, ["b"]) == 4
    assert line_of(source, ["c", "d e", "f", "g"]) == 6
    assert line_of(source, ["c", "d e", "none"]) == 5
    assert line_of(source, ["nowhere"]) == 0
