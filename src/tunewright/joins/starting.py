"""Where training starts: at the bare base, or at an earlier adapter of the same base, rank and layers: warm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from tunewright.data import load
from tunewright.errors import RunError
from tunewright.models import Base
from tunewright.project import ProjectFolder, RunFolder
from tunewright.records import Message, Record, RunRecord
from tunewright.store import digest, read_json, tree_digest
from tunewright.text import normal
from tunewright.train import Settings, adapters

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What makes an adapter more than a plain LoRA, which is all that is trained here.
_MORE = ("use_dora", "lora_bias", "rank_pattern", "alpha_pattern", "modules_to_save")


class _Made(Record):
    """How an adapter came about: its base, the data it learnt, and the adapter it started from itself."""

    base: str
    base_sha256: str
    quantisation: dict[str, Any] | None = None
    dataset: str
    init_from: str | None = None


def start(
    name: str, folder: ProjectFolder, base: Base, resolved: Mapping[str, Any], held: Iterable[Sequence[Message]]
) -> dict[str, Any]:
    """What `train.init_from` resolves to: `init_from`, the adapter's folder (relative to the project, where it lies in
    it), `init_sha256`, the digest of its config and weights, and `init_rows`: `apart` or `unknown`.

    `name` is a run of the project or a folder; `held` are the conversations that choose and judge. Raises `RunError`
    when there is no such adapter, when base, rank or layers differ, or when it has learnt what is held out (K20).
    """
    path, where = _located(name, folder), f"train.init_from: {name}"
    made = _made(path)
    _same_base(made, base, where)
    _same_shape(path, base, resolved, where)
    learnt = None if made is None else _learnt(path, made)
    seen = [asked for asked in map(question, held) if asked in learnt] if learnt else []
    if seen:
        raise RunError(
            f"that adapter has learnt {len(seen):,} of the questions that are held out now: they would judge nothing.",
            where=where,
            remedy="Hold out what it has not seen, in a file of its own (data.test), or leave train.init_from out.",
        )
    inside = path.is_relative_to(folder.root)
    return {
        "init_from": path.relative_to(folder.root).as_posix() if inside else str(path),
        "init_sha256": digest(tree_digest(path / _CONFIG), tree_digest(path / _WEIGHTS)),
        "init_rows": "unknown" if learnt is None else "apart",
    }


def settings_of(resolved: Mapping[str, Any], root: Path) -> Settings:
    """The settings of a training, from what the recipe resolved to in the project at `root`."""
    found = Settings.model_validate({k: v for k, v in resolved.items() if k in Settings.model_fields})
    return found if found.init_from is None else found.model_copy(update={"init_from": str(root / found.init_from)})


def words(resolved: Mapping[str, Any]) -> Iterator[str]:
    """A line on where training started, if not at the base."""
    if resolved.get("init_from"):
        unknown = "; which rows that has learnt is not known, and some may be held out here"
        yield f"started from {resolved['init_from']}{unknown if resolved['init_rows'] == 'unknown' else ''}"


def _located(name: str, folder: ProjectFolder) -> Path:
    """The folder of the adapter called `name`."""
    where = f"train.init_from: {name}"
    path = folder.root / Path(name).expanduser()
    if not path.exists() and "/" in name:
        raise RunError("there is no such folder.", where=where, remedy="Name an adapter's folder, or a run's id.")
    if not path.exists():
        try:
            path = folder.trained(name).path
        except RunError as error:
            raise RunError(error.message, where=where, remedy=f"{error.remedy}. Or name an adapter's folder.") from None
    if (path / "run.json").is_file():
        path = RunFolder(path).weights
    if not (path / _CONFIG).is_file() or not (path / _WEIGHTS).is_file():
        raise RunError(
            f"holds no adapter: there is no {_CONFIG} beside an {_WEIGHTS} in {path}.",
            where=where,
            remedy="Name a run tuned with lora or qlora, or a folder that it was exported to. After full tuning the "
            "folder is a model: model: FOLDER.",
        )
    return path.resolve()


def _made(path: Path) -> _Made | None:
    """How the adapter at `path` came about, as its run or its manifest says; None for a stranger's."""
    if (path.parent / "run.json").is_file():
        record = read_json(path.parent / "run.json", RunRecord)
        facts = record.model_dump(include={"base", "base_sha256", "quantisation", "dataset"})
        return _Made(**facts, init_from=record.resolved.get("init_from"))
    if not (path / "manifest.json").is_file():
        return None
    told = read_json(path / "manifest.json")
    try:
        of = told["base"]
        return _Made(
            base=of["name"],
            base_sha256=of["sha256"],
            quantisation=of.get("quantisation"),
            dataset=told["dataset"],
            init_from=told["resolved"].get("init_from"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"its manifest is not one of ours ({error}).",
            where=str(path / "manifest.json"),
            remedy="Export the run again, or take the file away: then nothing vouches for the adapter's base.",
        ) from error


def _same_base(made: _Made | None, base: Base, where: str) -> None:
    if made is None:
        return
    if made.base_sha256 != base.sha256:
        raise RunError(
            f"that adapter was trained on another base ({made.base}, {made.base_sha256[:12]}) than the recipe's "
            f"({base.name}, {base.sha256[:12]}).",
            where=where,
            remedy=f"Set model: {made.base}, or start from an adapter of this base.",
        )
    if made.quantisation != base.quantisation:
        was, now = ("in 4 bits" if form else "whole" for form in (made.quantisation, base.quantisation))
        raise RunError(
            f"that adapter was trained on the base {was}, and the recipe asks for it {now}: that is another model.",
            where=where,
            remedy=f"Set train.method: {'qlora' if made.quantisation else 'lora'}.",
        )


def _same_shape(path: Path, base: Base, resolved: Mapping[str, Any], where: str) -> None:
    config = read_json(path / _CONFIG)
    more = [name for name in _MORE if config.get(name)]
    if config.get("peft_type") != "LORA" or more:
        kind = ", ".join(more) or config.get("peft_type")
        raise RunError(
            f"that adapter is more than a plain LoRA ({kind}).", where=where, remedy="Start from one trained here."
        )
    if config["r"] != resolved["rank"]:
        raise RunError(
            f"that adapter has rank {config['r']}, and train.rank is {resolved['rank']}.",
            where=where,
            remedy=f"Set train.rank: {config['r']}, or start from an adapter of rank {resolved['rank']}.",
        )
    try:
        with safe_open(path / _WEIGHTS, framework="pt") as file:
            names = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise RunError(f"its weights cannot be read: {error}.", where=str(path / _WEIGHTS)) from error
    adapted = {name.removeprefix("base_model.model.").split(".lora_")[0] for name in names}
    asked = resolved["target_modules"]
    wanted = set(adapters.targets(base.model, asked if isinstance(asked, str) else tuple(asked)))
    if adapted != wanted:
        parts = ", ".join(sorted({layer.rsplit(".", 1)[-1] for layer in adapted}))
        raise RunError(
            f"that adapter lies on other layers than train.target_modules names: {len(adapted - wanted)} more, "
            f"{len(wanted - adapted)} fewer.",
            where=where,
            remedy=f"Set train.target_modules: [{parts}].",
        )


def _learnt(path: Path, made: _Made, known: frozenset[Path] = frozenset()) -> set[str] | None:
    """What the adapter at `path` was trained to answer, by it or what it started from; None where that is not known."""
    homes = (folder for folder in path.parents if (folder / "datasets" / made.dataset / "dataset.json").is_file())
    home = next(homes, None)
    if home is None or path in known:
        return None
    found = {question(example.prompt) for example in load(home / "datasets" / made.dataset, "train")}
    if made.init_from is None:
        return found
    earlier = home.parent / made.init_from
    before = _made(earlier) if earlier.is_dir() else None
    more = None if before is None else _learnt(earlier, before, known | {path})
    return None if more is None else found | more


def question(turns: Sequence[Message]) -> str:
    """What is asked, in normal form and without the system prompt: a question learnt behind another one is learnt."""
    return "\n".join(normal(turn.content) for turn in turns if turn.role != "system")
