"""The adapter in PEFT's own layout, with a manifest that says which base, data and template it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.errors import RunError
from tunewright.export.canonical import CONFIG, write_canonical
from tunewright.records import RunRecord
from tunewright.store import directory, read_json, tree_digest, write_json

# Up to the last `@` before the host: a password may hold one, and a slash, where nobody wrote it as a URL should be.
_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]*@(?:[^\s/@]*@)*", re.IGNORECASE)


def manifest(run: RunRecord, stop_ids: frozenset[int]) -> dict[str, Any]:
    """What a stranger needs to trust and rerun the weights of `run`, and no password that a URL of its recipe holds.

    The writers add the hashes of what they write.
    """
    return {
        "run": run.id,
        "base": {"name": run.base, "sha256": run.base_sha256, "quantisation": run.quantisation},
        "renderer": run.renderer,
        "stop_ids": sorted(stop_ids),
        "dataset": run.dataset,
        "recipe": without_passwords(run.recipe),
        "resolved": run.resolved,
        "versions": run.versions,
    }


def without_passwords(settings: Any) -> Any:
    """Settings as they may leave the house: passwords in URLs, wherever these stand, are `***`."""
    if isinstance(settings, str):
        return _PASSWORD.sub(r"\1***@", settings)
    if isinstance(settings, Mapping):
        return {key: without_passwords(value) for key, value in settings.items()}
    return [without_passwords(value) for value in settings] if isinstance(settings, list | tuple) else settings


def write_adapter(source: Path, into: Path, facts: dict[str, Any], tokenizer: Any) -> Path:
    """Write the adapter at `source` to `into` in canonical form (K22), with tokenizer, template and `manifest.json`.

    Whole or not at all. The manifest has the hashes of what is written, and of the weights at `source` it was made
    from. Raises `RunError` when these cannot be read.
    """
    with directory(into) as draft:
        write_canonical(source, draft)
        tokenizer.save_pretrained(str(draft))
        write_json(draft / "manifest.json", {**facts, **hashes(draft), "trained_sha256": weights_hash(source)})
    return into


def check_manifest(
    folder: Path,
    base_sha256: str,
    renderer: str,
    quantisation: dict[str, Any] | None = None,
    *,
    any_form: bool = False,
) -> dict[str, Any]:
    """The manifest in `folder`, after comparing it with the base and renderer at hand (K24).

    `quantisation` is the form of that base, as `models.Base` has it. Raises `RunError` when the weights were made for
    another base, the same in another form (unless `any_form` is wanted), or another template, or when they or the
    configuration that says how they are used (an adapter's alpha and rank) have changed since.
    """
    facts: dict[str, Any] = read_json(folder / "manifest.json")
    made_for = facts["base"].get("quantisation")
    if made_for != quantisation and not any_form:
        was, now = (f"in {form['type'].upper()}" if form else "unquantised" for form in (made_for, quantisation))
        raise RunError(
            f"this was made with the base {was}, and the base at hand is {now}: together they are another model.",
            where=str(folder),
            remedy=f"Load the base {was}: train.method: {'qlora' if made_for else 'lora'}.",
        )
    for what, wanted, found in (
        ("base weights", facts["base"]["sha256"], base_sha256),
        ("chat template or tokenizer", facts["renderer"], renderer),
        *((f"exported {what}", facts.get(f"{what}_sha256", "none"), found) for what, found in _written(folder)),
    ):
        if wanted != found:
            raise RunError(
                f"this was made with other {what} than those at hand ({wanted[:12]} expected, {found[:12]} found).",
                where=str(folder),
                remedy="Use the base named in manifest.json, or export the run again.",
            )
    return facts


def hashes(folder: Path) -> dict[str, str]:
    """What a manifest says of the files beside it: `weights_sha256`, `config_sha256`."""
    return {f"{what}_sha256": found for what, found in _written(folder)}


def _written(folder: Path) -> Iterator[tuple[str, str]]:
    """The weights and what says how they are used – with another alpha or rank they are another model – by hash."""
    yield "weights", weights_hash(folder)
    config = folder / CONFIG
    yield "config", tree_digest(config if config.is_file() else folder / "config.json")


def weights_hash(folder: Path) -> str:
    """One hash over the safetensors files directly in `folder`."""
    files = sorted(folder.glob("*.safetensors"))
    return tree_digest(files[0]) if len(files) == 1 else "+".join(tree_digest(f)[:16] for f in files)
