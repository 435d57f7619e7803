"""Our answers as an evaluation log of Inspect (inspect_ai, log format version 2, JSON)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.records import ArmScore, Case, Prediction, Suite

_ROLES = frozenset({"system", "user", "assistant", "tool"})


def inspect_log(
    suite: Suite,
    predictions: Sequence[Prediction],
    score: ArmScore,
    *,
    task: str,
    model: str,
    run: str,
    created: str,
    versions: Mapping[str, str] = {},
) -> dict[str, Any]:
    """One arm's answers as a log that `inspect view` and `inspect_ai.log.read_eval_log` open.

    Scores stay under the names of our scorers; a case whose scorer failed has no value for it and the reason in the
    score's explanation. `score` gives the headline mean with its interval.
    """
    cases = {case.id: case for case in suite.cases}
    samples = [_sample(cases[p.case], p, suite, model) for p in predictions if p.case in cases]
    scored = {name: [v for p in predictions if (v := p.scores.get(name)) is not None] for name in suite.scorers}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": f"{run}-{score.name}",
            "run_id": run,
            "created": created,
            "task": task,
            "task_id": f"{suite.id}-{score.name}",
            "dataset": {"name": suite.source or suite.id, "samples": len(samples), "sample_ids": [*cases]},
            "model": model,
            "config": {"epochs": 1},
            "packages": dict(versions),
            "metadata": {"arm": score.name, "primary": suite.primary, "low": score.low, "high": score.high},
        },
        # Inspect reads a log's head in this order, and not without a plan.
        "plan": {"name": "tunewright", "steps": [{"solver": "generate", "params": {"temperature": 0.0}}]},
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": [_metric(name, values) for name, values in scored.items() if values],
        },
        "stats": {"started_at": created, "completed_at": created},
        "samples": samples,
    }


def _metric(name: str, values: Sequence[float]) -> dict[str, Any]:
    mean = {"name": "mean", "value": sum(values) / len(values)}
    return {"name": name, "scorer": name, "scored_samples": len(values), "metrics": {"mean": mean}}


def _sample(case: Case, prediction: Prediction, suite: Suite, model: str) -> dict[str, Any]:
    turns = [_turn(message) for message in case.messages]
    said = {"role": "assistant", "content": prediction.text, "source": "generate", "model": model}
    scores = {}
    for name in suite.scorers:
        value = prediction.scores.get(name)
        if value is not None:
            scores[name] = {"value": value, "answer": prediction.text}
        elif prediction.error:
            scores[name] = {"value": "N", "answer": prediction.text, "explanation": prediction.error}
    return {
        "id": case.id,
        "epoch": 1,
        "input": turns,
        "target": case.expected,
        "messages": [*turns, said],
        "output": {
            "model": model,
            "choices": [{"message": said, "stop_reason": "stop"}],
            "completion": prediction.text,
            "time": prediction.seconds,
        },
        "scores": scores,
        "metadata": {"slices": dict(case.slices), "row": case.row},
        "total_time": prediction.seconds,
    }


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    """A turn in Inspect's words: a role it knows, and text."""
    role = message.get("role")
    return {"role": role if role in _ROLES else "user", "content": str(message.get("content") or "")}
