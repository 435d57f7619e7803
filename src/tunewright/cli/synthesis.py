"""`tunewright data synthesise`: a teacher model is asked for rows, which wait for a review."""

from __future__ import annotations

import json as _json
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Json, ProjectPath
from tunewright.cli.words import in_a_line

_SHOWN = 3


def synthesise(
    path: ProjectPath = Path(),
    url: Annotated[str | None, typer.Option("--url", help="OpenAI-compatible server, up to and including /v1.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The teacher's name there.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="paraphrase, augment (the rarest classes) or generate.")] = (
        "paraphrase"
    ),
    count: Annotated[int, typer.Option("--count", min=1, max=100_000, help="How many rows to ask for.")] = 20,
    label: Annotated[list[str] | None, typer.Option("--label", help="Aim at this class only. Repeatable.")] = None,
    slice: Annotated[str | None, typer.Option("--slice", help="Field of JSON answers that makes classes.")] = None,
    key_env: Annotated[str | None, typer.Option("--key-env", help="Environment variable with the key.")] = None,
    region: Annotated[str | None, typer.Option("--region", help="Where the server stands, for `privacy`.")] = None,
    prices: Annotated[
        str | None, typer.Option("--prices", help="Per million prompt and completion tokens: 2.5,10")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which rows are shown; another one asks anew.")] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask a teacher model for more rows; they wait for your review, and nothing trains on them before."""
    from tunewright.cli.state import stop
    from tunewright.joins import synthesising

    opening = Opening(json, _overrides(url, model, key_env, region, prices))
    project, terminal = opening.project(path), opening.terminal
    stop.patient = True
    made = synthesising.synthesise(project, kind=kind, count=count, seed=seed, only=label or (), slice=slice)
    stop.patient = False
    _say_set_aside(terminal, made)
    if made.pending:
        terminal.say(f"  read     tunewright data review list --project {path}")
        terminal.say(f"  sheet    tunewright data review export --project {path} --out sheet.csv")
    else:
        terminal.say("  nothing  is left to review; another --seed shows the teacher other rows")
    terminal.document(made.model_dump(mode="json"))


def _say_set_aside(terminal: Any, made: Any) -> None:
    """Each reason in words, with a few drafts it was found in."""
    from tunewright.synthesis import Sieve

    for reason, words in Sieve.reasons.items():
        if reason in made.set_aside:
            terminal.say(f"    {made.set_aside[reason]:,} {reason}: {words}")
        for one in [d for d in made.details if d["reason"] == reason][:_SHOWN]:
            because = f"  ({in_a_line(one['detail'], 60)})" if one["input"] and one["detail"] else ""
            terminal.say(f"        {in_a_line(one['input'] or one['detail'])}{because}", style="dim")


def _overrides(
    url: str | None, model: str | None, key_env: str | None, region: str | None, prices: str | None
) -> list[str]:
    """The flags as settings of the recipe. A server named here takes nothing over from the one in the recipe."""
    from tunewright.errors import RecipeError

    given: dict[str, Any] = {"url": url, "model": model, "key_env": key_env, "region": region}
    if prices is not None:
        try:
            given["prices"] = [float(part) for part in prices.split(",")]
        except ValueError:
            raise RecipeError(f"`{prices}` are no prices.", where="--prices", remedy="Two numbers: 2.5,10") from None
    given = {name: value for name, value in given.items() if value is not None}
    if url is not None:
        if model is None:
            raise RecipeError("which model of that server?", where="--model", remedy="Name it: --url URL --model NAME")
        return [f"teacher={_json.dumps(given)}"]
    return [f"teacher.{name}={_json.dumps(value)}" for name, value in given.items()]
