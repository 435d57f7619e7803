"""Commands that come before there is a recipe: `init`, the demo's project, the schema."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunewright.cli.terminal import Terminal
from tunewright.cli.words import read_as
from tunewright.errors import DataError


def make_demo(out: Path) -> Path:
    """The sample project in `out`, ready to run; returns its folder. Raises `DataError` rather than replace a file."""
    from tunewright import sample
    from tunewright.project import RECIPE
    from tunewright.recipe import recipe_yaml

    recipe = {
        "version": 1,
        "model": "seedling",
        "task": "Route a support ticket to JSON with the fields category, priority, product, order_id and action.",
        "data": {"train": ["tickets.jsonl"]},
        "suite": {"slices": ["category"]},
        "gates": {"min_gain": 0.05},
    }
    sample.write(out, {RECIPE: recipe_yaml(recipe)})
    return out


def init_project(
    folder: Path,
    data: list[Path],
    test: list[Path],
    model: str,
    task: str | None,
    input: str | None,
    output: str | None,
    *,
    template: str | None = None,
    as_json: bool,
) -> int:
    """Recognise the data files, write the recipe this project needs, show what the model will see."""
    from tunewright import models
    from tunewright.data import recognise
    from tunewright.project import RECIPE
    from tunewright.recipe import ModelSpec

    terminal = Terminal(as_json=as_json)
    if (folder / RECIPE).exists():
        raise DataError(
            "there is a recipe here already.", where=str(folder / RECIPE), remedy="Edit it, or name another folder."
        )
    readings = {path: recognise(path, input=input, output=output) for path in [*data, *test]}
    models.locate(ModelSpec(id=model, revision=None), Path.cwd())
    recipe = _recipe_for(folder, data, test, model, task, input, output)
    held = [{"path": _relative(path, folder), "split": readings[path].test} for path in data if readings[path].test]
    if held and not test:
        recipe["data"] = {"train": recipe["data"].pop("train"), "test": held, **recipe["data"]}
    if template is not None:
        kept = template if template == "plain" else _relative(Path(template).expanduser(), folder)
        recipe["model"] = {"id": recipe["model"], "template": kept}
    with _whole(folder):
        folder.mkdir(parents=True, exist_ok=True)
        thinks = _thinks(folder, recipe) if all(reading.thoughts for reading in readings.values()) else None
        if thinks is not None:
            recipe = thinks
            readings = {path: recognise(path, input=input, output=output, thinking=True) for path in readings}
        _write_recipe(folder, recipe)
        _say_readings(terminal, readings, held if not test else [], thinks is not None)
        _show_first(folder, terminal)
    terminal.say(f"  recipe   {folder / RECIPE}")
    terminal.say(f"  next     tunewright run {folder}")
    if as_json:
        said = {"shape", "reason", "not_read"}
        files = [{"path": str(p.resolve()), **r.model_dump(mode="json", include=said)} for p, r in readings.items()]
        terminal.document({"recipe": str((folder / RECIPE).resolve()), "files": files})
    return 0


def _thinks(folder: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The recipe for a model that thinks before it answers; None where the base has no way to write thoughts."""
    from tunewright import journey

    model = recipe["model"] if isinstance(recipe["model"], dict) else {"id": recipe["model"]}
    found = {**recipe, "model": {**model, "thinking": True}}
    _write_recipe(folder, found)
    return found if journey.open_project(folder).renderer.writes_thoughts else None


def _say_readings(terminal: Terminal, readings: dict[Path, Any], held: list[dict[str, str]], thinks: bool) -> None:
    """How files are read, what of them is held out, and what comes of their thoughts."""
    for path, reading in readings.items():
        terminal.say(read_as(path.name, reading.shape, reading.reason))
    for part in held:
        terminal.say(f"{part['path']}: its split `{part['split']}` is held out: no row of it trains.")
    if thinks:
        terminal.say("model.thinking is on: answers come with what was thought before them. Both are learned, and")
        terminal.say("what stands behind a thought is what is scored.")
    elif any(reading.thoughts for reading in readings.values()):
        terminal.say("Some answers come with what was thought before them, and it is not learned as such: not all")
        terminal.say("files have thoughts, or the base's chat template has no place for them (docs/train.md).")
    terminal.say()


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """A project is made in `folder`, or nothing is: whatever goes wrong within, what was made there is taken back.

    The base and the rows are looked at after the recipe is written. A recipe left behind would refuse the same command
    once the mistake is mended.
    """
    from tunewright.project import ProjectFolder

    project = ProjectFolder(folder)
    new = [path for path in (project.store, project.recipe, folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in new:
            if path == project.store:
                shutil.rmtree(path, ignore_errors=True)
                continue
            # What somebody else has put there meanwhile stays, and its folder with it.
            with contextlib.suppress(OSError):
                (path.rmdir if path.is_dir() else path.unlink)()
        raise


def _recipe_for(
    folder: Path,
    data: list[Path],
    test: list[Path],
    model: str,
    task: str | None,
    input: str | None,
    output: str | None,
) -> dict[str, Any]:
    """The lines this project needs, in the order a person reads them."""
    local = Path(model).expanduser()
    recipe: dict[str, Any] = {
        "version": 1,
        "model": _relative(local, folder) if model != "seedling" and local.exists() else model,
    }
    if task:
        recipe["task"] = task
    recipe["data"] = {"train": [_relative(p, folder) for p in data]}
    if test:
        recipe["data"]["test"] = [_relative(p, folder) for p in test]
    if input:
        recipe["data"]["input"] = input
    if output:
        recipe["data"]["output"] = output
    return recipe


def write_schema(out: Path | None, *, as_json: bool) -> int:
    """The recipe's JSON schema, to stdout or a file."""
    from tunewright.recipe import Recipe
    from tunewright.store import write_json

    terminal = Terminal(as_json=as_json or out is None)  # without a file, the document is the answer
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}
    if out is None:
        terminal.document(schema)
        return 0
    write_json(out, schema)
    terminal.document({"path": str(out.resolve())})
    terminal.say(f"{out}: name it in your editor, or put this on the recipe's first line:")
    terminal.say(f"    # yaml-language-server: $schema={out}")
    return 0


def _write_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    from tunewright.project import RECIPE
    from tunewright.recipe import recipe_yaml
    from tunewright.store import write_text

    write_text(folder / RECIPE, recipe_yaml(recipe))


def _relative(path: Path, folder: Path) -> str:
    """`path` as the recipe in `folder` names it: relative where that is possible."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(path.resolve())


def _show_first(folder: Path, terminal: Terminal) -> None:
    from tunewright import journey
    from tunewright.cli.show import print_example

    project = journey.open_project(folder)
    # Two short ones of the first rows: enough to see what is learned, and they fit a screen.
    rows = journey.rendered(project, count=20)
    rows.sort(key=lambda row: sum(len(text) for spans in row[1] for text, _ in spans))
    for name, sequences in rows[:2]:
        print_example(terminal, name, sequences)
