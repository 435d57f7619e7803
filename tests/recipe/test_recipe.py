"""The recipe: defaults, spellings, overrides, its JSON schema."""

import json

import pytest

from tunewright import Recipe
from tunewright.errors import RecipeError
from tunewright.recipe import recipe_yaml

SMALL = "model: seedling\ndata: {train: a.jsonl}\n"


def load(tmp_path, text, overrides=()):
    (tmp_path / "tunewright.yaml").write_text(text)
    return Recipe.load(tmp_path, overrides)


def test_two_lines_are_a_recipe(tmp_path):
    recipe = load(tmp_path, SMALL)
    assert recipe.model.id == "seedling"
    assert recipe.data.train[0].path == "a.jsonl"
    assert recipe.train.alpha is None


@pytest.mark.parametrize("key", ["license", "licence"])
def test_both_spellings(tmp_path, key):
    recipe = load(tmp_path, f"model: seedling\ndata: {{train: [{{path: a.jsonl, {key}: MIT}}]}}\n")
    assert recipe.data.train[0].license == "MIT"


@pytest.mark.parametrize("text", ["2e-4", "2.0e-4", "0.0002", "2E-04"])
def test_scientific_notation_is_a_number(tmp_path, text):
    assert load(tmp_path, SMALL + f"train: {{learning_rate: {text}}}\n").train.learning_rate == 0.0002


def test_a_text_that_looks_like_a_number_is_written_so_that_it_stays_a_text(tmp_path):
    (tmp_path / "tunewright.yaml").write_text(recipe_yaml({"model": "2e-4", "data": {"train": ["a.jsonl"]}}))
    assert Recipe.load(tmp_path).model.id == "2e-4"


def test_set_overrides_and_keeps_the_rest(tmp_path):
    recipe = load(tmp_path, SMALL + "train: {epochs: 2}\n", ["train.rank=8", "gates.min_gain=0.1", "model=other/id"])
    assert (recipe.train.rank, recipe.train.epochs, recipe.gates.min_gain) == (8, 2, 0.1)
    assert recipe.model.id == "other/id"


def test_set_of_an_unknown_setting_says_which_was_meant(tmp_path):
    with pytest.raises(RecipeError, match="Did you mean `rank`"):
        load(tmp_path, SMALL, ["train.rnk=8"])


def test_a_key_twice_is_an_error_with_both_lines(tmp_path):
    with pytest.raises(RecipeError, match="twice"):
        load(tmp_path, SMALL + "train: {rank: 8}\ntrain: {rank: 16}\n")


def test_it_is_frozen_and_a_value_error(tmp_path):
    recipe = load(tmp_path, SMALL)
    with pytest.raises(ValueError, match="frozen"):
        recipe.task = "x"
    assert issubclass(RecipeError, ValueError)


@pytest.mark.parametrize("setting", ["train.loraplus_lr_ratio=4", "train.init_from=an-adapter"])
def test_what_is_an_adapters_is_refused_for_full_tuning(tmp_path, setting):
    load(tmp_path, SMALL, (setting,))
    with pytest.raises(RecipeError, match=setting.split(".")[1].split("=")[0]):
        load(tmp_path, SMALL, (setting, "train.method=full"))


def test_b_does_not_learn_slower_than_a(tmp_path):
    with pytest.raises(RecipeError, match="greater than or equal to 1"):
        load(tmp_path, SMALL, ("train.loraplus_lr_ratio=0.5",))


@pytest.mark.parametrize("value", ["0", "1", "soon"])
def test_an_optimiser_has_a_memory_and_forgets(tmp_path, value):
    with pytest.raises(RecipeError, match="adam_beta2"):
        load(tmp_path, SMALL, (f"train.adam_beta2={value}",))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "model: [\n", "just words"])
def test_what_is_no_recipe_says_so(tmp_path, text):
    with pytest.raises(RecipeError):
        load(tmp_path, text)


def test_yaml_cannot_run_code(tmp_path):
    with pytest.raises(RecipeError):
        load(tmp_path, SMALL + "task: !!python/object/apply:os.system ['true']\n")


def test_the_schema_names_every_setting_with_words():
    schema = json.loads(json.dumps(Recipe.model_json_schema()))
    assert set(schema["properties"]) == set(Recipe.model_fields)
    for part in [schema, *schema["$defs"].values()]:
        for name, setting in part.get("properties", {}).items():
            assert setting.get("description") or "$ref" in str(setting), name
