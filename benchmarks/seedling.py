"""The seedling against a Kneser–Ney 5-gram of the same tokens: bits per byte on a held-out part of each source.

    python benchmarks/seedling.py --corpus ../shared/corpus --json
    python benchmarks/seedling.py --against OTHER_MODEL     # and another model beside it, with its own tokenizer
    python benchmarks/seedling.py --samples                 # what it answers to ten fixed requests, as a table

Works named `unseen_…` are text from outside the corpus (where `--data` has it); they show whether a gain travels.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from _common import DATA, report
from _kneser_ney import KneserNey

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pretraining import corpus as corpora  # noqa: E402
from pretraining.measure import bits_per_byte  # noqa: E402

SEEDLING = ROOT / "src/tunewright/models/seedling"


ASKED = (
    "Hello!",
    "Return JSON with the fields name, city.\n\nText: Maria Lopez moved to Lisbon in 2019.",
    "Return JSON with the fields item, price.\n\nText: The blue lamp costs 24 euros.",
    "Which of these is a fruit: chair, apple, stone?",
    "What is 17 + 25?",
    "What is photosynthesis?",
    "What is the capital of France?",
    "Rewrite politely: Send me the report now.",
    "Summarise: The ferry to the island was late because of fog, and many people missed their trains.",
    "Write one sentence about the sea.",
)


def samples(folder: Path) -> str:
    """What the model at `folder` answers, greedily and uncut by us, as a table in Markdown."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    lines = ["| asked | answered |", "|---|---|"]
    for asked in ASKED:
        turn = [{"role": "user", "content": asked}]
        ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        out = model.generate(**ids, max_new_tokens=60, do_sample=False)[0, ids["input_ids"].shape[1] :]
        answer = tokenizer.decode(out, skip_special_tokens=True) + ("" if tokenizer.eos_token_id in out else " …")
        lines.append("| " + " | ".join(text.replace("\n", " ").replace("|", "\\|") for text in (asked, answer)) + " |")
    return "\n".join(lines)


def unseen_texts(data: Path) -> dict[str, list[str]]:
    """Plain prose that is in nobody's training part."""
    found: dict[str, list[str]] = {}
    questions = sorted((data / "gsm8k").glob("test*.jsonl"))
    if questions:
        lines = questions[0].read_text(encoding="utf-8").splitlines()[:400]
        found["unseen_gsm8k"] = [json.loads(line)["question"] for line in lines]
    notes = sorted((data / "mts_dialog").glob("*.csv"))
    if notes:
        with notes[-1].open(encoding="utf-8", newline="") as file:
            found["unseen_mts_dialog"] = [row["section_text"] for row in csv.DictReader(file)][:200]
    return found


def held_out(corpus: Path, data: Path) -> dict[str, list[corpora.Row]]:
    rows = {source: corpora.split(corpus, source)[1] for source in corpora.SOURCES}
    rows |= {name: [{"text": text} for text in texts] for name, texts in unseen_texts(data).items()}
    return rows


def model_bits(folder: Path, rows: dict[str, list[corpora.Row]]) -> dict[str, float]:
    """Bits per byte by `transformers` in fp32, with the model's own tokenizer: windows of 512, nothing carried over."""
    tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    streams = {name: corpora.encode(tokenizer, documents) for name, documents in rows.items()}
    logits: Callable = lambda ids: model(ids).logits  # noqa: E731
    return {name: bits_per_byte(logits, stream) for name, stream in streams.items()}


def ngram_bits(corpus: Path, rows: dict[str, list[corpora.Row]], work: Path | None) -> tuple[dict[str, float], dict]:
    """The peer: trained on all training documents as the seedling's script tokenises them."""
    began = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(SEEDLING).backend_tokenizer
    if work is not None and (work / "tasks.train.npy").exists():
        ids = np.concatenate([np.load(work / f"{source}.train.npy") for source in corpora.SOURCES])
    else:
        parts = (corpora.thin(corpora.split(corpus, source)[0]) for source in corpora.SOURCES)
        ids = np.concatenate([corpora.encode(tokenizer, part).ids for part in parts])
    peer = KneserNey(ids, tokenizer.get_vocab_size())
    bits = {}
    for name, documents in rows.items():
        stream = corpora.encode(tokenizer, documents)
        probabilities = peer.probabilities(stream.ids)
        bits[name] = float(-np.log2(probabilities).sum() / stream.size * len(stream.ids) / len(probabilities))
    grams = sum(len(order.grams) for order in peer.orders)
    return bits, {"training_tokens": len(ids), "grams": grams, "seconds": round(time.perf_counter() - began, 1)}


def result(name: str, ours: float, peer: float, facts: dict, against: dict[str, float]) -> dict:
    one = {
        "work": name,
        "ours": {"bits_per_byte": round(ours, 4)},
        "peer": {"name": "interpolated Kneser–Ney 5-gram", "bits_per_byte": round(peer, 4), **facts},
        "ratio": {"bits_per_byte": round(ours / peer, 4), "speed": None, "memory": None},
        "equal": {"what": "held-out documents, tokenizer, probabilities that sum to one", "max_gap": 0.0, "ok": True},
    }
    if against:
        one["other"] = {"bits_per_byte": round(against[name], 4), "ratio": round(ours / against[name], 4)}
    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", default=None, help="one source's name; all without it")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--corpus", type=Path, default=DATA.with_name("corpus"))
    parser.add_argument("--model", type=Path, default=SEEDLING)
    parser.add_argument("--against", type=Path, default=None, help="another model's folder")
    parser.add_argument(
        "--tokens", type=Path, default=None, help="the pre-training's work folder: its token files are used"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--samples", action="store_true", help="only show what it answers to ten fixed requests")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.samples:
        sys.stdout.write(samples(options.model) + "\n")
        return
    rows = held_out(options.corpus, options.data)
    if options.work:
        rows = {options.work: rows[options.work]}
    ours = model_bits(options.model, rows)
    against = model_bits(options.against, rows) if options.against else {}
    peer, facts = ngram_bits(options.corpus, rows, options.tokens)
    assert all(math.isfinite(bits) for bits in (*ours.values(), *peer.values()))
    report("seedling", [result(name, ours[name], peer[name], facts, against) for name in rows], options.json)


if __name__ == "__main__":
    main()
