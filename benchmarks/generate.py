"""Generation: our engine against `transformers`' `generate` (length-sorted) and `generate_batch`.

    python benchmarks/generate.py [--work shared_prompt|own_prompts] [--data DIR] [--json]

Each side runs in a process of its own, turn by turn; a sample is at least `--seconds` of steady work after warm-up, in
the side's better dtype (and, for `generate`, its better batch size), both found by a probe. Rates are medians, in
generated tokens a second. Equality: the greedy outputs of both sides in fp32, row by row.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

import _common
import _works

WORKS = ("shared_prompt", "own_prompts")
SIDES = ("ours", "generate", "generate_batch")
# Seconds a process may take; a probe makes up to six passes.
LIMITS = {"outputs": 300.0, "probe": 600.0, "rate": 170.0}
Outputs = list[list[int]]


def prompts_of(work: str, data: Path) -> tuple[list[list[int]], int]:
    """The work's prompts as ids, and how many new tokens each gets."""
    if work == "shared_prompt":
        with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        tokenizer = _tokenizer([row["text"] for row in rows])
        labels = ", ".join(sorted({row["category"] for row in rows}))
        system = "You route the questions of a bank's customers. Reply with exactly one of these labels and nothing "
        head = _chat(tokenizer, "system", f"{system}else.\nLabels: {labels}")
        texts = [row["text"] for row in rows[:: len(rows) // 32][:32]]
        return [head + _chat(tokenizer, "user", text) + _open(tokenizer) for text in texts], 16
    lines = (data / "gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    tokenizer = _tokenizer(questions)
    return [_chat(tokenizer, "user", text) + _open(tokenizer) for text in questions[:64]], 64


def _tokenizer(texts: list[str]) -> Tokenizer:
    return _works._tokenizer([[("user", text)] for text in texts], _works.SHAPES["25m"]["vocab_size"])


def _chat(tokenizer: Tokenizer, role: str, text: str) -> list[int]:
    return tokenizer.encode(f"{_works.START}{role}\n{text}{_works.END}\n").ids


def _open(tokenizer: Tokenizer) -> list[int]:
    return tokenizer.encode(f"{_works.START}assistant\n").ids


def model_of(dtype: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    # A wide spread of logits: with the usual 0.02 the best two tokens are often equal to the last bit of fp32.
    config = LlamaConfig(**_works.SHAPES["25m"], initializer_range=0.08, bos_token_id=None, eos_token_id=None)
    return LlamaForCausalLM(config).to(getattr(torch, dtype)).eval()


def runner(side: str, model: Any, prompts: list[list[int]], new: int, batch: int) -> Callable[[], Outputs]:
    """One whole pass over the work."""
    if side == "ours":
        return _ours(model, prompts, new)
    if side == "generate":
        return _peer(model, prompts, new, batch)
    return _peer_batch(model, prompts, new)


def _ours(model: Any, prompts: list[list[int]], new: int) -> Callable[[], Outputs]:
    from tunewright.engine import Sampling, TorchEngine

    engine = TorchEngine(model, stop_ids=frozenset(), pad_id=0, identity="benchmark")
    if not engine.shares_prefixes:
        raise SystemExit("the engine does not share prefixes on this model")
    return lambda: [list(g.output_ids) for g in engine.generate(prompts, Sampling(max_new_tokens=new))]


def _peer(model: Any, prompts: list[list[int]], new: int, batch: int) -> Callable[[], Outputs]:
    import torch

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))

    def run() -> Outputs:
        outputs: Outputs = [[] for _ in prompts]
        for at in range(0, len(order), batch):
            rows = order[at : at + batch]
            width = max(len(prompts[i]) for i in rows)
            ids = torch.tensor([[0] * (width - len(prompts[i])) + prompts[i] for i in rows])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in rows])
            out = model.generate(ids, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=0)
            for i, row in zip(rows, out[:, width:].tolist(), strict=True):
                outputs[i] = row
        return outputs

    return run


def _peer_batch(model: Any, prompts: list[list[int]], new: int) -> Callable[[], Outputs]:
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=-1)

    def run() -> Outputs:
        found = model.generate_batch(inputs=prompts, generation_config=config, progress_bar=False)
        if any(len(one.generated_tokens) != new for one in found.values()):
            raise SystemExit("generate_batch answered fewer tokens than were asked for")
        return [
            list(one.generated_tokens) for _, one in sorted(found.items(), key=lambda kv: int(kv[0].split("_")[-1]))
        ]

    return run


def choose(side: str, prompts: list[list[int]], new: int) -> tuple[str, int]:
    """The dtype, and for `generate` then the batch size, in which this side is fastest: one pass each, warmed up."""

    def seconds(dtype: str, size: int) -> float:
        model = model_of(dtype)
        runner(side, model, prompts[:4], 2, size)()
        run = runner(side, model, prompts, min(new, 16), size)
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    import torch

    from _sides import mm_rate

    task = {"shape": _works.SHAPES["25m"]}
    names = ["float32"]
    # On processors without bfloat16 products a pass takes many minutes: then it is not tried.
    if mm_rate(task, torch.bfloat16) >= 0.5 * mm_rate(task, torch.float32):
        names.append("bfloat16")
    dtypes = {dtype: seconds(dtype, 16) for dtype in names}
    dtype = min(dtypes, key=dtypes.__getitem__)
    if side != "generate":
        return dtype, 16
    sizes = {16: dtypes[dtype], **{size: seconds(dtype, size) for size in (8, 32, 64) if size <= len(prompts)}}
    return dtype, min(sizes, key=sizes.__getitem__)


def one_sample(arguments: argparse.Namespace) -> dict[str, Any]:
    """What one process measures: a probe, or the greedy outputs in fp32, or a rate with its memory."""
    import torch

    import tunewright.engine  # noqa: F401  (both sides start from the same imports)

    start = _common.resident_gb()
    prompts, new = json.loads(arguments.prompts.read_text())
    # generate_batch works in a thread of its own, which inference mode does not reach.
    with torch.no_grad() if arguments.side == "generate_batch" else torch.inference_mode():
        if arguments.task == "probe":
            dtype, size = choose(arguments.side, prompts, new)
            return {"dtype": dtype, "batch": size}
        run = runner(arguments.side, model_of(arguments.dtype), prompts, new, arguments.batch)
        if arguments.task == "outputs":
            return {"outputs": run()}
        run()
        passes, began = 0, time.perf_counter()
        while time.perf_counter() - began < arguments.seconds:
            run()
            passes += 1
        seconds = time.perf_counter() - began
    rate = passes * len(prompts) * new / seconds
    return {"rate": rate, "gb": _common.peak_resident_gb() - start, "passes": passes, "seconds": seconds}


def measure(work: str, data: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """One work, all sides."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompts.json"
        prompts, new = prompts_of(work, data)
        file.write_text(json.dumps([prompts, new]))

        def ask(side: str, task: str, dtype: str = "float32", batch: int = 16) -> dict[str, Any]:
            more = ["--side", side, "--task", task, "--dtype", dtype, "--batch", str(batch)]
            return _common.sample(
                Path(__file__), [*more, "--prompts", str(file), "--seconds", str(seconds)], LIMITS[task]
            )

        outputs = {side: ask(side, "outputs")["outputs"] for side in ("ours", "generate")}
        reason = None
        try:
            ask("generate_batch", "outputs")
        except (SystemExit, OSError, subprocess.SubprocessError) as error:
            reason = str(error).strip().splitlines()[-1][:300]
        sides = [side for side in SIDES if side != "generate_batch" or reason is None]
        choices = {side: ask(side, "probe") for side in sides}
        samples: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                samples[side].append(ask(side, "rate", choices[side]["dtype"], choices[side]["batch"]))
    return _result(work, prompts, new, outputs, choices, samples, reason)


def _result(
    work: str,
    prompts: list[list[int]],
    new: int,
    outputs: dict[str, Outputs],
    choices: dict[str, dict[str, Any]],
    samples: dict[str, list[dict[str, Any]]],
    reason: str | None,
) -> dict[str, Any]:
    found = {
        side: {
            **choices[side],
            "tokens_per_s": round(_common.median(taken, "rate"), 1),
            "gb": round(_common.median(taken, "gb"), 3),
            "samples": [round(one["rate"], 1) for one in taken],
        }
        for side, taken in samples.items()
    }
    ours, peer, batch = found["ours"], found["generate"], found.get("generate_batch")
    same = sum(a == b for a, b in zip(outputs["ours"], outputs["generate"], strict=True))
    return {
        "work": work,
        "prompts": len(prompts),
        "prompt_tokens": sum(map(len, prompts)),
        "shared_tokens": _works._shared(prompts),
        "new_tokens": new,
        "ours": ours,
        "peer": {"name": "transformers generate", **peer},
        "peer_batch": {"name": "transformers generate_batch", **(batch or {"reason": reason})},
        "ratio": {
            "speed": round(ours["tokens_per_s"] / peer["tokens_per_s"], 2),
            "memory": round(ours["gb"] / peer["gb"], 2),
            "speed_batch": round(ours["tokens_per_s"] / batch["tokens_per_s"], 2) if batch else None,
        },
        "equal": {
            "what": "greedy outputs in fp32, rows alike",
            "max_gap": len(prompts) - same,
            "ok": same == len(prompts),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=WORKS)
    parser.add_argument("--data", type=Path, default=_common.DATA)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("--side", "--task", "--dtype"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--prompts", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(one_sample(arguments)))
        return
    chosen = [arguments.work] if arguments.work else list(WORKS)
    results = [measure(work, arguments.data, arguments.seconds, arguments.rounds) for work in chosen]
    _common.report("generate", results, arguments.json)


if __name__ == "__main__":
    main()
