"""K30: nothing a user sends – YAML, JSON, weights, model folders, templates, run names – runs code or leads outside.

Each test sends something that leaves a mark if it is run, and looks for the mark.
"""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import time
from pathlib import Path

import pytest
import torch

from tunewright import models
from tunewright.data import audit
from tunewright.errors import ModelError, RecipeError, RenderError, RunError
from tunewright.evaluate import make_suite, measures
from tunewright.project import ProjectFolder
from tunewright.recipe import DataSpec, ModelSpec, Recipe, SuiteSpec, read_spec
from tunewright.records import Example, Message
from tunewright.render import Renderer

SOURCE = Path(models.__file__).parents[1]


class Marks:
    """Unpickling this writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Where a mark would appear."""
    return tmp_path / "it-ran"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded base to spoil."""
    return Path(shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), tmp_path), tmp_path / "model"))


def test_the_mark_would_be_seen(mark: Path) -> None:
    pickle.loads(pickle.dumps(Marks(mark)))
    assert mark.exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os"])
def test_yaml_builds_no_objects(tag: str, tmp_path: Path, mark: Path) -> None:
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text(f"version: 1\nmodel: {tag} [{mark}]\ndata: {{train: [a.jsonl]}}\n")
    with pytest.raises(RecipeError):
        read_spec(Recipe, recipe, ())
    recipe.write_text("version: 1\nmodel: seedling\ndata: {train: [a.jsonl]}\n")
    with pytest.raises(RecipeError):
        read_spec(Recipe, recipe, [f"task={tag} [{mark}]"])
    assert not mark.exists()


def test_a_yaml_bomb_is_refused_or_small(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text("\n".join(lines) + "\nmodel: seedling\n")
    began = time.perf_counter()
    with pytest.raises(RecipeError):
        read_spec(Recipe, recipe, ())
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "[" * 5000, "{" * 5000, "&a a: *a", "? [x, y]\n: z", "task: !!binary x"]
)
def test_strange_yaml_is_answered_in_words(text: str, tmp_path: Path) -> None:
    recipe = tmp_path / "tunewright.yaml"
    recipe.write_text(text)
    with pytest.raises(RecipeError):
        read_spec(Recipe, recipe, ())


def test_pickled_weights_are_not_loaded(folder: Path, mark: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(Marks(mark), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        models.load(ModelSpec(id=str(folder), revision=None))
    assert not mark.exists()


def test_pickled_weights_beside_good_ones_are_left_alone(folder: Path, mark: Path) -> None:
    torch.save(Marks(mark), folder / "pytorch_model.bin")
    torch.save(Marks(mark), folder / "training_args.bin")
    assert models.load(ModelSpec(id=str(folder), revision=None)).parameters > 0
    assert not mark.exists()


def test_code_beside_a_model_is_not_run(folder: Path, mark: Path) -> None:
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError):
        models.load(ModelSpec(id=str(folder), revision=None))
    assert not mark.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.mkdir(MARK) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for m in messages %}{{ m.__class__.__base__.__subclasses__()[0] }}{% endfor %}",
        "{{ messages.append({'role': 'assistant', 'content': 'changed'}) }}",
    ],
)
def test_templates_are_rendered_in_a_sandbox(template: str, mark: Path) -> None:
    tokenizer = models.load("seedling").tokenizer
    renderer = Renderer(tokenizer, ())
    tokenizer.chat_template = template.replace("MARK", repr(str(mark)))
    example = Example((Message("user", "hello"), Message("assistant", "hi")))
    with pytest.raises(RenderError):
        renderer.render(example)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../outside", "..", "/etc", "a/../../outside", "~"])
def test_a_run_name_does_not_lead_out_of_the_project(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "run.json").write_text("{}")
    inside = tmp_path / "project" / ".tunewright" / "runs" / "20260101-000000-0000"
    inside.mkdir(parents=True)
    (inside / "run.json").write_text("{}")
    with pytest.raises(RunError):
        ProjectFolder(tmp_path / "project").run(name)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that somebody tried to open."""
    asked: list[str] = []

    def fetch(request: object, *_: object, **__: object) -> object:
        asked.append(str(getattr(request, "full_url", request)))
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", fetch)
    return asked


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/other.json", "file:///etc/hostname", "http://[", "#/nowhere"])
def test_what_a_schema_refers_to_is_not_fetched(address: str, tmp_path: Path, fetched: list[str]) -> None:
    """Neither what a row's tool refers to, whose calls are then not held against it, nor what the recipe's schema does.

    What a schema refers to in itself is followed.
    """
    given = {"type": "object", "properties": {"a": {"$ref": address}, "b": {"$ref": "#/$defs/whole"}}}
    schema = {**given, "$defs": {"whole": {"type": "integer"}}}
    lines = []
    for i, arguments in enumerate([{"a": 1}, {"b": 1}, {"b": "one"}]):
        call = {"function": {"name": "act", "arguments": arguments}}
        turns = [{"role": "user", "content": f"act {i}"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
        lines.append(json.dumps({"messages": turns, "tools": [{"name": "act", "parameters": schema}]}))
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    result = audit(DataSpec.model_validate({"train": "train.jsonl"}), root=tmp_path, store=tmp_path)
    wrong = [f.rows for f in result.findings if f.code == "tool_call_invalid"]
    assert wrong == [("train.jsonl:3",)] and not fetched
    asked = [Example((Message("user", "hello"), Message("assistant", "{}")), row="r:1")]
    suite = make_suite(asked, SuiteSpec(scorers=["json_schema"]), seed=0)
    with pytest.raises(RecipeError, match="nothing is fetched"):
        measures(suite, schema=json.dumps(schema))
    assert not fetched


def _calls(path: Path) -> list[tuple[int, str]]:
    """Every call in a file, as (line, dotted name)."""
    return [
        (node.lineno, ast.unparse(node.func))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_nothing_in_the_source_could(path: Path) -> None:
    """No eval, no pickle, no shell; torch.load only with `weights_only`; remote code never trusted."""
    text = path.read_text(encoding="utf-8")
    never = {"eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads"}
    never |= {
        "yaml.unsafe_load",
        "yaml.full_load",
        "joblib.load",
        "shelve.open",
        "importlib.util.spec_from_file_location",
    }
    assert not [(line, name) for line, name in _calls(path) if name in never]
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        given = {k.arg: k.value for k in node.keywords}
        if ast.unparse(node.func) == "torch.load":
            assert ast.unparse(given["weights_only"]) == "True", node.lineno
        if "trust_remote_code" in given:
            assert ast.unparse(given["trust_remote_code"]) == "False", node.lineno
        if "shell" in given:
            assert ast.unparse(given["shell"]) == "False", node.lineno
