"""Image classifiers on a machine, without torch: names, sidecars, what is announced, recipes, the doctor."""

import re
import tomllib
from pathlib import Path

import pytest

from app.classifier_check import check_image_classifiers
from app.doctor import Verdict
from tasks import image_classifiers
from tasks.image_classifiers import (
    ClassifierError,
    Sidecar,
    find_classifier,
    list_classifiers,
    look_model,
    usable_classifiers,
)
from tasks.ledger import Ledger
from tasks.look_planning import note_classifiers
from tasks.recipe_images import ImageClassifierUse
from tasks.recipes import RecipeError, load_recipe, parse_recipe
from tasks.settings import Settings
from tests.looking import CLASSIFIER, RECIPE, SIDECAR, install, presence, write_recipe


@pytest.fixture(params=[True])
def torch_is_there(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(image_classifiers, "has_torch", lambda: request.param)
    monkeypatch.setattr("app.classifier_check.has_torch", lambda: request.param)
    monkeypatch.setattr("app.classifier_check.version", lambda _: "2.13.0")


# Files


@pytest.mark.parametrize(
    "name", ["", "../letters", "a/b", "Letters", ".hidden", "letters\n", "a" * 41, "a.b"]
)
def test_a_name_is_never_a_path(settings: Settings, name: str) -> None:
    install(settings)
    with pytest.raises(ClassifierError, match="is no name of an image classifier"):
        find_classifier(name, settings)


def test_what_is_announced_is_the_name_what_home_must_draw_and_which_file_it_is(
    settings: Settings, torch_is_there: None
) -> None:
    install(settings)
    install(settings, "Not-A-Name")
    install(settings, "broken", sidecar="labels = 3")
    assert list_classifiers(settings) == ("broken", "letters")
    [announced] = usable_classifiers(settings)
    assert (announced.name, announced.form.width, announced.form.height) == ("letters", 64, 96)
    assert announced.model == look_model("letters", announced.digest)


@pytest.mark.parametrize("torch_is_there", [False], indirect=True)
def test_nothing_is_announced_without_torch(settings: Settings, torch_is_there: None) -> None:
    install(settings)
    assert usable_classifiers(settings) == ()


def test_another_network_or_another_sidecar_is_another_classifier(settings: Settings) -> None:
    path = install(settings)
    digests = {find_classifier("letters", settings).announced.digest}
    path.write_bytes(b"another")
    digests.add(find_classifier("letters", settings).announced.digest)
    path.with_suffix(".toml").write_text(SIDECAR + "temperature = 2.0\n")
    digests.add(find_classifier("letters", settings).announced.digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('channels = "cmyk"', "channels"),
        ("mean = [0.5, 0.5]", "mean has 2 values; rgb has 3"),
        ("std = [0.0]", "std must be above 0"),
        ("mean = [nan]", "mean is not finite"),
        ("temperature = 0", "temperature"),
        ("batch = 1000", "batch"),
        ('path = "/etc/passwd"', "path"),
        ('resize = "crop"', "resize"),
    ],
)
def test_a_wrong_sidecar_is_named_with_its_key(settings: Settings, more: str, reason: str) -> None:
    install(settings, sidecar=f"{SIDECAR}{more}\n")
    with pytest.raises(ClassifierError, match=reason):
        find_classifier("letters", settings)


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [
        (SIDECAR.replace('"photo"', '"letter"'), "a label is there twice"),
        (SIDECAR.replace('"photo"', '"pho\\u001bto"'), "cannot be printed"),
        (SIDECAR.replace('"letter", "photo"', ""), "labels"),
        (SIDECAR.replace("64", "4096"), "width"),
        ("labels = [", "not valid TOML"),
    ],
)
def test_a_sidecar_that_makes_no_sense_is_refused(settings: Settings, sidecar: str, reason: str) -> None:
    install(settings, sidecar=sidecar)
    with pytest.raises(ClassifierError, match=reason):
        find_classifier("letters", settings)


def test_a_network_without_a_sidecar_is_named_with_its_remedy(settings: Settings) -> None:
    path = install(settings)
    path.with_suffix(".toml").unlink()
    with pytest.raises(ClassifierError, match=r"letters\.toml cannot be read") as error:
        find_classifier("letters", settings)
    assert "docs/image-classifier.md" in error.value.remedy


def test_mean_and_deviation_may_be_one_for_all_channels_or_one_for_each() -> None:
    given = {"labels": ("a", "b"), "width": 32, "height": 32}
    for values in ((0.5,), (0.1, 0.2, 0.3)):
        assert Sidecar.model_validate({**given, "mean": values, "std": values}).mean == values
    assert Sidecar.model_validate({**given, "channels": "gray"}).channel_count == 1


# Recipes


def parse(source: str) -> object:
    return parse_recipe(source.encode(), "own", "own.toml")


def test_a_recipe_names_a_classifier_its_pages_and_what_its_labels_mean(tmp_path: Path) -> None:
    write_recipe(tmp_path, "pages = 3\nweight = 0.25")
    use = load_recipe("pics", tmp_path).image_classifier
    assert use is not None
    assert (use.model, use.page_count, use.weight) == ("letters", 3, 0.25)
    assert [(label.name, label.category) for label in use.labels] == [("Rechnung", "invoice")]


def test_versions_of_recipes_are_what_they_were_before_there_were_image_classifiers(tmp_path: Path) -> None:
    """The version is part of the key of every stored result; asking for a look changes none of them."""
    assert load_recipe("builtin", tmp_path).version == "8af2d82bf68b"
    write_recipe(tmp_path, "pages = 2")
    with_it = load_recipe("pics", tmp_path)
    without = with_it.model_copy(update={"image_classifier": None})
    assert "image_classifier" not in without.model_dump_json()
    assert type(with_it).model_validate(without.model_dump()).version == with_it.version


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"letters"', '"../letters"', r"line 2: image_classifier\.model"),
        ('"letters"', '"/tmp/letters.pt"', r"line 2: image_classifier\.model"),
        ('model = "letters"', "", r"line 1: image_classifier\.model: is missing"),
        ("{keys}", "pages = 0", r"line 3: image_classifier\.pages"),
        ("{keys}", "weight = -1", r"line 3: image_classifier\.weight"),
        ("{keys}", 'file = "x"', r"line 3: image_classifier\.file: is not a key of a recipe"),
        ('= "invoice"', '= "bill"', "the label 'Rechnung' of the image classifier means 'bill', which is no"),
        ('= "invoice"', "= 3", r"line 6: image_classifier\.labels\.Rechnung"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(RECIPE.replace(old, new).replace("{keys}", ""))


# The doctor


def test_the_doctor_says_which_are_here_and_which_labels_mean_nothing(
    settings: Settings, torch_is_there: None
) -> None:
    assert check_image_classifiers(settings).found == "none; no recipe names one"
    write_recipe(settings.recipes_path)
    missing = check_image_classifiers(settings)
    assert missing.verdict is Verdict.WARN
    assert "recipe pics names 'letters', which is not on this machine" in missing.found
    with Ledger.open(settings) as ledger, ledger.transaction():
        note_classifiers(ledger, [presence(CLASSIFIER)])
    assert check_image_classifiers(settings).verdict is Verdict.OK  # another machine has it
    install(settings)
    here = check_image_classifiers(settings)
    assert here.verdict is Verdict.OK
    assert "torch 2.13.0; letters (3 labels, 64 x 96)" in here.found
    assert "in recipe pics 'photo' of 'letters' mean no category" in here.found
    install(settings, "broken", sidecar="")
    assert check_image_classifiers(settings).verdict is Verdict.WARN


@pytest.mark.parametrize("torch_is_there", [False], indirect=True)
def test_the_doctor_says_that_torch_is_missing_where_it_would_be_needed(
    settings: Settings, torch_is_there: None
) -> None:
    install(settings)
    check = check_image_classifiers(settings)
    assert check.verdict is Verdict.WARN
    assert "torch is not installed" in check.found and "Install torch" in check.remedy


# The documentation


def test_the_documented_sidecar_and_recipe_are_right(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "image-classifier.md").read_text(encoding="utf-8")
    sidecar, asked = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert Sidecar.model_validate(tomllib.loads(sidecar)).labels == ("invoice", "Brief", "photo")
    categories = RECIPE[RECIPE.index("[categories") :]
    recipe = parse_recipe(f"{asked}\n{categories}".encode(), "own", "own.toml")
    assert recipe.image_classifier is not None
    defaults = ImageClassifierUse(model="papers")
    assert f"| `weight` | {defaults.weight} |" in page
    assert f"| `review_above` | {defaults.review_above} |" in page
