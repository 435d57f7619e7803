"""The works of the training benchmark: real rows, tokenized once, the same for both sides."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tunewright.train import Settings
from tunewright.train.order import step_examples

START, END = "<|im_start|>", "<|im_end|>"
Turns = list[tuple[str, str]]
BATCH = {"banking77_b8": 8, "banking77_b32": 32, "gsm8k_b8": 8, "gsm8k_b8_qlora": 8, "snips_b16": 16, "tools_b4": 4}
SHAPES: dict[str, dict[str, Any]] = {
    "25m": {
        "vocab_size": 16_384,
        "hidden_size": 384,
        "intermediate_size": 1_024,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4_096,
    },
    "135m": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1_536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4_096,
    },
}


def works() -> list[str]:
    return [*BATCH, *(f"{name}_135m" for name in BATCH)]


def shape_of(work: str) -> str:
    return "135m" if work.endswith("_135m") else "25m"


def batch_of(work: str) -> int:
    return BATCH[work.removesuffix("_135m")]


def method_of(work: str) -> str:
    return "qlora" if "qlora" in work else "lora"


def prepare(work: str, data: Path, steps: int) -> dict[str, Any]:
    """`steps` batches of rows as ids with a supervised flag per token, the order of two passes over them, the facts."""
    conversations = _CONVERSATIONS[work.split("_")[0]](data)
    tokenizer = _tokenizer(conversations, SHAPES[shape_of(work)]["vocab_size"])
    random.Random(0).shuffle(conversations)
    wanted = steps * batch_of(work)
    rows = []
    for index in range(wanted):
        ids, supervised = _encode(tokenizer, conversations[index % len(conversations)])
        rows.append({"ids": ids, "supervised": supervised})
    shared = _shared([row["ids"] for row in rows])
    mean = sum(len(row["ids"]) for row in rows) / len(rows)
    return {
        "work": work,
        "batch": batch_of(work),
        "method": method_of(work),
        "shape": SHAPES[shape_of(work)],
        "rows": rows,
        "order": _order(len(rows), batch_of(work)),
        "facts": {"shared_tokens": shared, "mean_tokens": round(mean, 1)},
    }


def _order(rows: int, batch: int) -> list[int]:
    """The rows of every step over two passes, as ours sees them: peers see them so too."""
    steps = 2 * rows // batch
    settings = Settings(effective_batch_size=batch, steps=steps)
    return [index for step in range(steps) for index in step_examples(step, rows, settings)]


def _shared(rows: list[list[int]]) -> int:
    least = min(len(row) for row in rows)
    return next((i for i in range(least) if len({row[i] for row in rows}) > 1), least)


def _encode(tokenizer: Tokenizer, turns: Turns) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    supervised: list[int] = []
    for role, text in turns:
        opening = tokenizer.encode(f"{START}{role}\n").ids
        content = tokenizer.encode(f"{text}{END}").ids
        closing = tokenizer.encode("\n").ids
        ids += opening + content + closing
        supervised += [0] * len(opening) + [int(role == "assistant")] * len(content) + [0] * len(closing)
    # What follows the last stop token teaches nothing.
    last = max(i for i, flag in enumerate(supervised) if flag)
    return ids[: last + 1], supervised[: last + 1]


def _tokenizer(conversations: list[Turns], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # The system prompt is left out: repeated in every row, it would become a handful of tokens.
    texts = [text for turns in conversations for role, text in turns if role == "user"]
    texts += [text for turns in conversations for role, text in turns if role == "assistant" and " " in text]
    trainer = trainers.BpeTrainer(
        vocab_size=min(size, 16_384),
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _banking(data: Path) -> list[Turns]:
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["category"] for row in rows})
    prompt = "You route the questions of a bank's customers. Reply with exactly one of these labels and nothing else.\n"
    prompt += "Labels: " + ", ".join(labels)
    return [[("system", prompt), ("user", row["text"]), ("assistant", row["category"])] for row in rows]


def _gsm8k(data: Path) -> list[Turns]:
    rows = [json.loads(line) for line in (data / "gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()]
    return [[("user", row["question"]), ("assistant", row["answer"])] for row in rows]


def _snips(data: Path) -> list[Turns]:
    rows = [json.loads(line) for line in (data / "snips/train.jsonl").read_text(encoding="utf-8").splitlines()]
    return [[(turn["role"], turn["content"]) for turn in row["messages"]] for row in rows]


def _tools(data: Path) -> list[Turns]:
    rows = json.loads((data / "glaive_toolcall/glaive_toolcall_en_demo.json").read_text(encoding="utf-8"))
    roles = {"human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"}
    found = []
    for row in rows:
        turns: Turns = [("system", f"You may call these tools.\n{row['tools']}")] if row["tools"] else []
        turns += [(roles[turn["from"]], turn["value"]) for turn in row["conversations"]]
        found.append(turns)
    return found


_CONVERSATIONS = {"banking77": _banking, "gsm8k": _gsm8k, "snips": _snips, "tools": _tools}
