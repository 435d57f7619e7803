"""The trained model written in a form that others take, and the certificate that it still is the trained one."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tunewright import models
from tunewright.engine import TorchEngine
from tunewright.errors import RunError
from tunewright.export import check_manifest, manifest, model_card, scales_exactly, write_adapter, write_merged
from tunewright.joins import hurdles, tuned
from tunewright.joins.answering import answer
from tunewright.joins.workshop import Project
from tunewright.parity import Fingerprint, certify, fingerprint
from tunewright.project import RunFolder
from tunewright.records import Artifact, Certificate, Evaluation, RunRecord
from tunewright.store import read_json, tree_digest, write_json, write_text

# What a run can be exported as. The last one is another model than the one that was tuned: see `_onto_whole`.
FORMS = ("adapter", "merged", "merged_unquantised")
_EXACT = torch.float32


def exported(project: Project, run: RunFolder, to: str) -> Artifact:
    """Write the form `to` and put the trained model's probes to it, loaded afresh from disk."""
    record = read_json(run.record, RunRecord)
    tuned.same_form(record, project.base)
    into = project.folder.artifacts / f"{run.id}-{to}"
    facts = manifest(record, project.renderer.stop_ids)
    if to == "merged_unquantised":
        facts["base"] = {**facts["base"], "quantisation": None}
    said = _said(project, run, project.base.dtype)
    if to == "adapter":
        engine, wanted = _adapter(project, run, into, facts, said)
    else:
        engine, wanted = _merged(project, run, into, facts, said, to)
    check_manifest(into, project.base.sha256, project.renderer.fingerprint, facts["base"]["quantisation"])
    certificate = _certificate(project, run, into, engine, to, (said, wanted))
    judged = read_json(run.outcome, Evaluation) if run.outcome.is_file() else None
    card = model_card(
        record,
        project.audit.dataset,
        judged,
        task=project.recipe.task,
        licence=project.licence.text,
        form=to,
        certificate=certificate,
    )
    write_text(into / "README.md", card)
    artifact = Artifact(
        artifact=into.name,
        path=str(into),
        bytes=sum(f.stat().st_size for f in into.rglob("*") if f.is_file()),
        sha256=tree_digest(into),
        certificate=certificate,
    )
    write_json(project.folder.artifacts / f"{into.name}.json", artifact.model_dump(mode="json"))
    return artifact


def _adapter(
    project: Project, run: RunFolder, into: Path, facts: dict[str, Any], said: Fingerprint
) -> tuple[TorchEngine, Fingerprint]:
    """The adapter written to `into` and loaded again, and what the trained model answers as exactly.

    Raises `RunError` where there is none.
    """
    if not (run.weights / "adapter_config.json").is_file():
        raise RunError("all weights were tuned, so there is no adapter.", where=run.id, remedy="Use --to merged.")
    write_adapter(run.weights, into, facts, project.base.tokenizer)
    dtype = project.base.dtype
    if dtype is not _EXACT and not scales_exactly(run.weights):
        # Each weight of B is rounded once more. In bfloat16 the answers show it, which says nothing of the adapter.
        dtype, said = _EXACT, _said(project, run, _EXACT)
    base = _from_disk(project, dtype)()
    return project.engine(models.adapter_onto(base.model, into), tuned.identity(base, into)), said


def _merged(
    project: Project, run: RunFolder, into: Path, facts: dict[str, Any], said: Fingerprint, to: str
) -> tuple[TorchEngine, Fingerprint]:
    """The merged model written to `into` and loaded again, and what the trained model answers as exactly."""
    project.forget_untuned()
    if to == "merged_unquantised":
        made = _onto_whole(project, run)
    else:
        made = tuned.load(run.weights, project.base, _from_disk(project, _EXACT), project.device, read_back=True)
        said = _said(project, run, _EXACT, made)
    write_merged(made, into, facts, project.base.tokenizer, project.renderer.stop_ids)
    del made
    gc.collect()  # its parts point at each other, and what is loaded now is as large
    model = models.load(str(into), device=project.device).model
    return project.engine(model, tuned.identity(project.base, into)), said


def _said(project: Project, run: RunFolder, dtype: torch.dtype, model: Any = None) -> Fingerprint:
    """What the trained `model` answers to its probes with a base in `dtype`: as written down, if it was trained so.

    Otherwise it is asked again (and loaded, if not given). bfloat16 rounds what one model says in two ways; that would
    say nothing of what is exported. A run comes to this on another machine than it was trained on, by a merge, which is
    done in float32, and by an adapter whose scale cannot be moved without a rounding.
    """
    written = read_json(run.probes, Fingerprint)
    name = str(dtype).removeprefix("torch.")
    if written.dtype == name:
        return written
    if model is None:
        model = tuned.load(run.weights, project.base, _from_disk(project, dtype), project.device)
    longest = max((len(output) for output in written.outputs), default=1)
    answers = fingerprint(project.engine(model, f"trained, in {name}"), written.prompts, longest)
    del model
    gc.collect()  # what was loaded here has parts that point at each other, and as large a model may come next
    return answers


def _from_disk(project: Project, dtype: torch.dtype) -> Callable[[], models.Base]:
    return partial(project.loaded, str(dtype).removeprefix("torch."))


def _onto_whole(project: Project, run: RunFolder) -> Any:
    """The adapter of a base in 4 bits on the base as published: another model, for which only its score can vouch.

    Raises `RunError` where there are no 4 bits, or no score yet to hold it against.
    """
    if project.base.quantisation is None:
        raise RunError("this run's base was not in 4 bits.", where=run.id, remedy="Use --to merged.")
    if not run.outcome.is_file() or not hurdles.on_this_basis(project, read_json(run.outcome, Evaluation)):
        raise RunError(
            "the adapter on the unquantised base is another model than the tuned one, and is offered by its held-out "
            "score alone; this run has none on the cases of now to compare with.",
            where=run.id,
            remedy="tunewright evaluate – or use --to merged, which is the tuned model.",
        )
    whole = models.load(project.recipe.model, root=project.folder.root, device=project.device)
    return models.adapter_onto(whole.model, run.weights)


def _certificate(
    project: Project, run: RunFolder, into: Path, engine: TorchEngine, to: str, said: tuple[Fingerprint, Fingerprint]
) -> Certificate:
    """Probes, and the suite's score where the trained model has one to compare with.

    `said` is what the trained model answers to the probes with its base as it is held, and as exactly as `engine`.
    """
    certificate = certify(said[0], engine, project.base_engine, wanted=said[1])
    # In folds the suite was answered by other models, and this one was trained on its cases.
    if project.folds or not run.outcome.is_file():
        return certificate
    judged = read_json(run.outcome, Evaluation)
    trained = next((arm.score for arm in judged.arms if arm.name == "tuned"), None)
    if trained is None:
        return certificate
    if not hurdles.on_this_basis(project, judged):
        why = "no score of the suite is compared: data, base, task, scorers or release are others since it was scored"
        return certificate.model_copy(update={"unscored": why})
    # An adapter that gives every probe the very numbers of the trained one is the run's own with its scale moved: its
    # answers are the stored ones. Any other form answers anew, beside.
    same = to == "adapter" and said[0] is said[1] and certificate.tokens_equal and certificate.logprob_gap == 0
    if same:
        engine = project.engine(engine.model, tuned.identity(project.base, run.weights))
    kept = run if same else RunFolder(into.parent / f"{into.name}.check")
    kept.path.mkdir(exist_ok=True)
    made = answer(project, kept, "tuned", engine, "export")
    scored = [p.score for p in made if p.score is not None]
    own = sum(scored) / len(scored) if scored else None
    found = {"suite_score": own, "suite_score_trained": trained}
    if to == "merged_unquantised":  # its probes differ, being another model's: it has to do as well on the suite
        found["ok"] = own is not None and own >= trained and certificate.differs_from_base
    return certificate.model_copy(update=found)
