"""The commands. Each loads its rooms when it runs, so that `--help` answers at once."""

from __future__ import annotations

import json as _json
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.advise import advise
from tunewright.cli.curve import curve
from tunewright.cli.data import data_app
from tunewright.cli.data_review import review_app as drafts_app
from tunewright.cli.evidence import review_app, trials
from tunewright.cli.exchange import exchange_app
from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Held, Input, Json, Output, ProjectPath, RunName, Sets, Where, belongs
from tunewright.cli.synthesis import synthesise

app = typer.Typer(
    help="From examples of a behaviour to a model that provably has it – or proof that tuning is not worth it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Allows = Annotated[list[str] | None, typer.Option("--allow", help="Pass this gate on the record; needs --because.")]
Because = Annotated[str | None, typer.Option("--because", help="Why the gate may be passed; kept in the run.")]
Strict = Annotated[bool, typer.Option("--strict", help="Any finding of severity error is a no.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the newest unfinished run.")]
Which = Annotated[str | None, typer.Option("--run", help="With --resume: the run to go on with, or a part of its id.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to make the sample project in.")] = Path("demo"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The whole journey on sample data, in a minute."""
    from tunewright.cli import show
    from tunewright.cli.start import make_demo

    recipe = make_demo(out)
    opening = Opening(json)
    raise typer.Exit(show.run_all(opening.project(recipe), opening.terminal, resume=False, name=str(out), demo=True))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    data: Annotated[list[Path], typer.Option("--data", help="File with examples. Repeatable.")],
    test: Annotated[list[Path] | None, typer.Option("--test", help="Held-out file, when there is one.")] = None,
    model: Annotated[str, typer.Option("--model", help="Hub id, path, or seedling.")] = "seedling",
    template: Annotated[
        str | None, typer.Option("--template", help="For a base without a chat template: plain, or a Jinja file.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="The task in one sentence.")] = None,
    input: Input = None,
    output: Output = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Recognise data, write the recipe, show examples."""
    from tunewright.cli.start import init_project

    made = init_project(folder, data, test or [], model, task, input, output, template=template, as_json=json)
    raise typer.Exit(made)


app.command()(advise)


@app.command()
def check(
    path: Annotated[list[Path] | None, typer.Argument(help="Recipe, its folder, or data files.")] = None,
    test: Held = None,
    requests: Annotated[
        list[Path] | None, typer.Option("--requests", help="Log of what is really asked, to compare with. Repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Count tokens under this base's template.")] = None,
    license: Annotated[str | None, typer.Option("--license", help="Licence of the data files (SPDX id).")] = None,
    input: Input = None,
    output: Output = None,
    set: Sets = None,
    allow: Allows = None,
    because: Because = None,
    strict: Strict = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Audit the data: findings, ledger, split, report."""
    from tunewright.cli import show

    opening = Opening(json, set, allow, because, strict)
    given, logs = path or [Path()], [str(p.resolve()) for p in requests or ()]
    if show.is_recipe(given):
        about = {"--test": test, "--model": model, "--license": license, "--input": input, "--output": output}
        belongs(about, "with data files", "Say it in the recipe, or for this once with --set, as --set model=PATH.")
        asked = [f"data.requests={_json.dumps(logs, ensure_ascii=False)}"] if logs else []
        project = opening.project(given[0], *asked)
    else:
        belongs({"--set": set}, "with a recipe", "Without one: --model, --license, --input, --output, --requests.")
        project = opening.files(given, test, model=model, license=license, input=input, output=output, requests=logs)
    raise typer.Exit(show.check(project, opening.terminal))


@app.command()
def plan(path: ProjectPath = Path(), set: Sets = None, json: Json = False, debug: Debug = False) -> None:
    """Will it fit, how long, at what price?"""
    from tunewright.cli import show

    opening = Opening(json, set)
    raise typer.Exit(show.plan(opening.project(path), opening.terminal))


@app.command()
def baseline(
    path: ProjectPath = Path(),
    models: Annotated[
        str | None, typer.Option("--models", help="Rank several bases instead: names or paths, by commas.")
    ] = None,
    set: Sets = None,
    allow: Allows = None,
    because: Because = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure everything cheaper than tuning."""
    from tunewright.cli import show
    from tunewright.cli.ranked import rank_bases

    opening = Opening(json, set, allow, because)
    if models is not None:
        of_base = lambda name: opening.project(path, f"model={name}")  # noqa: E731
        raise typer.Exit(rank_bases(models, of_base, opening.terminal))
    raise typer.Exit(show.baseline(opening.project(path), opening.terminal))


@app.command()
def train(
    path: ProjectPath = Path(),
    resume: Resume = False,
    which: Which = None,
    set: Sets = None,
    allow: Allows = None,
    because: Because = None,
    strict: Strict = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tune; keep the checkpoint best on validation."""
    from tunewright.cli import show

    opening = Opening(json, set, allow, because, strict)
    raise typer.Exit(show.train(opening.begun(path, resume, which), opening.terminal, resume=resume))


@app.command()
def evaluate(
    run: RunName = None,
    project: Where = Path(),
    set: Sets = None,
    allow: Allows = None,
    because: Because = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """All arms on the same cases: verdict and report."""
    from tunewright.cli import show

    opening = Opening(json, set, allow, because)
    raise typer.Exit(show.evaluate(opening.run(project, run), opening.terminal, run))


@app.command()
def export(
    run: RunName = None,
    to: Annotated[
        str, typer.Option("--to", help="adapter, merged, or merged_unquantised (QLoRA, by its score).")
    ] = "adapter",
    project: Where = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write adapter or merged model, with its proof."""
    from tunewright.cli import show

    opening = Opening(json)
    raise typer.Exit(show.export(opening.run(project, run), opening.terminal, run, to))


@app.command()
def run(
    path: ProjectPath = Path(),
    resume: Resume = False,
    which: Which = None,
    set: Sets = None,
    allow: Allows = None,
    because: Because = None,
    strict: Strict = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The gated journey, from check to export."""
    from tunewright.cli import show

    opening = Opening(json, set, allow, because, strict)
    project = opening.begun(path, resume, which)
    raise typer.Exit(show.run_all(project, opening.terminal, resume=resume, name=str(path)))


@app.command()
def runs(name: RunName = None, project: Where = Path(), json: Json = False, debug: Debug = False) -> None:
    """List the runs of a project, or show one."""
    from tunewright.cli import show
    from tunewright.cli.terminal import Terminal

    raise typer.Exit(show.runs(project, Terminal(as_json=json), name))


@app.command()
def chat(
    run: Annotated[str, typer.Argument(help="Run id, project folder, or adapter folder.")] = ".",
    project: Where = Path(),
    say: Annotated[str | None, typer.Option("--say", help="One message instead of a conversation.")] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer.")] = 256,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Talk to a tuned model."""
    from tunewright.cli.talk import talk

    raise typer.Exit(talk(run, project, say, max_new_tokens, as_json=json))


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of stdout.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The recipe's JSON schema, for editors."""
    from tunewright.cli.start import write_schema

    raise typer.Exit(write_schema(out, as_json=json))


app.add_typer(data_app, name="data")
app.add_typer(review_app, name="review")
app.add_typer(exchange_app, name="exchange")
app.command()(trials)
app.command()(curve)
data_app.command("synthesise")(synthesise)
data_app.add_typer(drafts_app, name="review")


def version() -> Any:
    from tunewright import __version__

    return __version__


@app.callback(invoke_without_command=True)
def _top(version_asked: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version_asked:
        typer.echo(version())
        raise typer.Exit(0)
