"""Where the licence of a base is read, and in which order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi

from tunewright import models
from tunewright.recipe import ModelSpec


def base(root: Path, **files: str) -> ModelSpec:
    folder = root / "base"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    for name, text in {"config.json": "{}", **{k.replace("_", "."): v for k, v in files.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return ModelSpec.model_validate({"id": "base"})


@pytest.mark.parametrize(
    ("files", "text", "where"),
    [
        ({"README_md": "---\nlicense: cc-by-nc-4.0\n---\n# Card"}, "cc-by-nc-4.0", "README.md"),
        ({"README_md": "---\nlicense: other\nlicense_name: lfm1.0\n---\n"}, "lfm1.0", "README.md"),
        ({"README_md": "---\nlicense: [mit, cc-by-nc-4.0]\n---\n"}, "mit AND cc-by-nc-4.0", "README.md"),
        ({"README_md": "---\nlicense: other\n---\n"}, "other", "README.md"),
        ({"README_md": "---\nlicense: [open\n---\n", "config_json": '{"license": "mit"}'}, "mit", "config.json"),
        ({"README_md": "# No head", "LICENSE": "MIT License\n\nCopyright"}, "MIT", "LICENSE"),
        ({"LICENSE": "            Apache License\n      Version 2.0, January 2004"}, "Apache-2.0", "LICENSE"),
        (
            {"LICENSE_txt": "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nRelease"},
            "llama3.1",
            "LICENSE.txt",
        ),
        ({"LICENSE": "Something of our own"}, None, "base"),
        ({}, None, "base"),
    ],
)
def test_a_folder_says_it_itself(tmp_path: Path, files: dict[str, str], text: str | None, where: str) -> None:
    stated = models.licence_of(base(tmp_path, **files), tmp_path)
    assert (stated.owner, stated.text, Path(stated.where).name) == ("base", text, where)


def test_the_recipe_goes_before_the_card(tmp_path: Path) -> None:
    base(tmp_path, README_md="---\nlicense: cc-by-nc-4.0\n---\n")
    spec = ModelSpec.model_validate({"id": "base", "licence": "LicenseRef-bought"})
    assert models.licence_of(spec, tmp_path).text == "LicenseRef-bought"


def test_the_embedded_base_says_its_own() -> None:
    assert models.licence_of(ModelSpec.model_validate({"id": "seedling"}), Path()).text == "apache-2.0"


def test_a_hub_id_is_looked_up_and_an_unreachable_hub_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tunewright.models.licence.locate", lambda spec, root: spec.id)
    spec = ModelSpec.model_validate({"id": "who/what"})

    def answer(card: Any) -> Any:
        return lambda *_, **__: SimpleNamespace(card_data=card and SimpleNamespace(to_dict=lambda: card))

    monkeypatch.setattr(HfApi, "model_info", answer({"license": "gemma"}))
    assert models.licence_of(spec, tmp_path).text == "gemma"
    monkeypatch.setattr(HfApi, "model_info", answer(None))
    assert models.licence_of(spec, tmp_path).text is None

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(HfApi, "model_info", away)
    stated = models.licence_of(spec, tmp_path)
    assert stated.text is None and "could not be asked" in stated.where
