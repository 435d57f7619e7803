"""The trained model written in a form that others take, and the certificate that it still is the trained one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tunewright import models
from tunewright.errors import RunError
from tunewright.export import check_manifest, manifest, model_card, write_adapter, write_merged
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
    renderer = project.renderer
    into = project.folder.artifacts / f"{run.id}-{to}"
    facts = manifest(record, renderer.stop_ids)
    said = wanted = _said(project, run, project.base.dtype)
    if to == "adapter":
        if not (run.weights / "adapter_config.json").is_file():
            raise RunError("all weights were tuned, so there is no adapter.", where=run.id, remedy="Use --to merged.")
        write_adapter(run.weights, into, facts, project.base.tokenizer)
        model = models.adapter_onto(project.loaded().model, into)
    else:
        if to == "merged_unquantised":
            made = _onto_whole(project, run, record)
        else:
            made = tuned.load(run.weights, project.base, _from_disk(project, _EXACT), project.device, read_back=True)
            wanted = _said(project, run, _EXACT, made)
        write_merged(made, into, facts, project.base.tokenizer, renderer.stop_ids)
        del made
        model = models.load(str(into), device=project.device).model
    judged = read_json(run.outcome, Evaluation) if run.outcome.is_file() else None
    card = model_card(record, project.audit.dataset, judged, task=project.recipe.task, licence=project.licence.text)
    write_text(into / "README.md", card)
    check_manifest(into, project.base.sha256, renderer.fingerprint, project.base.quantisation)
    certificate = _certificate(project, run, into, model, to, (said, wanted))
    artifact = Artifact(
        artifact=into.name,
        path=str(into),
        bytes=sum(f.stat().st_size for f in into.rglob("*") if f.is_file()),
        sha256=tree_digest(into),
        certificate=certificate,
    )
    write_json(project.folder.artifacts / f"{into.name}.json", artifact.model_dump(mode="json"))
    return artifact


def _said(project: Project, run: RunFolder, dtype: torch.dtype, model: Any = None) -> Fingerprint:
    """What the trained `model` answers to its probes with a base in `dtype`: as written down, if it was trained so.

    Otherwise it is asked again (and loaded, if not given). bfloat16 rounds what one model says in two ways; that would
    say nothing of what is exported. A run comes to this on another machine than it was trained on, and by a merge,
    which is done in float32.
    """
    written = read_json(run.probes, Fingerprint)
    name = str(dtype).removeprefix("torch.")
    if written.dtype == name:
        return written
    if model is None:
        model = tuned.load(run.weights, project.base, _from_disk(project, dtype), project.device)
    longest = max((len(output) for output in written.outputs), default=1)
    return fingerprint(project.engine(model, f"trained, in {name}"), written.prompts, longest)


def _from_disk(project: Project, dtype: torch.dtype) -> Callable[[], models.Base]:
    return partial(project.loaded, str(dtype).removeprefix("torch."))


def _onto_whole(project: Project, run: RunFolder, record: RunRecord) -> Any:
    """The adapter of a base in 4 bits on the base as published: another model, for which only its score can vouch.

    Raises `RunError` where there are no 4 bits, or no score yet to hold it against.
    """
    if record.quantisation is None:
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
    project: Project, run: RunFolder, into: Path, model: Any, to: str, said: tuple[Fingerprint, Fingerprint]
) -> Certificate:
    """Probes, and the suite's score where the trained model has one to compare with.

    `said` is what the trained model answers to the probes with its base as it is held, and as exactly as `model`.
    """
    engine = project.engine(model, tuned.identity(project.base, into))
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
    same = to == "adapter" and certificate.tokens_equal and certificate.logprob_gap == 0
    if same:
        engine = project.engine(model, tuned.identity(project.base, run.weights))
    kept = run if same else RunFolder(into.parent / f"{into.name}.check")
    kept.path.mkdir(exist_ok=True)
    made = answer(project, kept, "tuned", engine, "export")
    scored = [p.score for p in made if p.score is not None]
    own = sum(scored) / len(scored) if scored else None
    found = {"suite_score": own, "suite_score_trained": trained}
    if to == "merged_unquantised":  # its probes differ, being another model's: it has to do as well on the suite
        found["ok"] = own is not None and own >= trained and certificate.differs_from_base
    return certificate.model_copy(update=found)
