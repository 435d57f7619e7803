"""Several bases on the same cases, the best first, with what each costs beside its score."""

import pytest
import torch

from tests.command_line import colours
from tunewright import models


@pytest.fixture
def numbed(tmp_path):
    """The seedling with its last layers' weights at nothing: the same tokens, and never a right answer."""
    base = models.load("seedling")
    with torch.no_grad():
        for name, weight in base.model.named_parameters():
            if "layers" in name:
                weight.zero_()
    base.model.save_pretrained(tmp_path / "numb")
    base.tokenizer.save_pretrained(tmp_path / "numb")
    return tmp_path / "numb"


def test_bases_are_ranked_on_the_same_cases(cli, project, numbed):
    folder = project(recipe="suite: {scorers: [perplexity]}\narms: [base, few_shot, classifier]\n")
    ran = cli("baseline", folder, "--models", f"{numbed},seedling", "--json")
    assert ran.code == 0, ran.out
    first, second = ran.document["models"]
    assert (first["model"], second["model"]) == ("seedling", str(numbed))
    assert first["score"] > second["score"] and first["cases"] == second["cases"] == 32
    assert first["behind"] is None and second["behind_high"] < 0 and second["p"] < 0.01
    assert {a["name"] for a in first["arms"]} == {"base", "few_shot"}  # the classifier asks no base
    assert first["parameters"] == second["parameters"] > 3e6
    assert first["tokens_per_word"] == second["tokens_per_word"] > 1
    assert first["licence"].casefold() == "apache-2.0" and first["fits"] and first["run"] != second["run"]
    told = cli("baseline", folder, "--models", f"{numbed},seedling")
    assert "behind the first" in told.out and "apache-2.0" in told.out.casefold()


def test_one_base_is_no_ranking(cli, project):
    ran = cli("baseline", project(), "--models", "seedling", "--json")
    assert ran.code == 2 and "two bases" in ran.document["error"]["message"]


def test_a_gate_that_says_no_is_a_no_for_several_bases_as_for_one(cli, project, numbed):
    folder = project(colours(80) + ["{broken"] * 20, recipe="suite: {scorers: [perplexity]}\narms: [base]\n")
    several = cli("baseline", folder, "--models", f"{numbed},seedling", "--json")
    assert cli("baseline", folder, "--json").code == several.code == 3
    no = [[g["name"] for g in one["gates"] if g["ok"] is False] for one in several.document["models"]]
    assert no == [["bad_rows"], ["bad_rows"]]
    allowed = ("--allow", "bad_rows", "--because", "known")
    told = cli("baseline", folder, "--models", f"{numbed},seedling", *allowed)
    assert told.code == 0 and "Allowed: known" in told.out
