"""Byte-level BPE with Qwen2's split (llama.cpp knows it), digits apart, no normaliser: text comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CALL, CALL_END = "<tool_call>", "</tool_call>"
END_ID, START_ID, STOP_ID = 0, 1, 2
VOCABULARY = 4096
CALL_ID, CALL_END_ID = VOCABULARY - 2, VOCABULARY - 1
FIRST_PLAIN_ID = 3
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Learns the pieces, then gives the two rarest ones' places to the marks of a tool call."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()  # while learning only
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, START, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(tokenizer.to_str())
    state["normalizer"] = None
    pieces = state["model"]["vocab"]
    last = {piece for piece, number in pieces.items() if number >= vocabulary - 2}
    state["model"]["vocab"] = {piece: number for piece, number in pieces.items() if piece not in last}
    state["model"]["merges"] = [pair for pair in state["model"]["merges"] if "".join(pair) not in last]
    trimmed = Tokenizer.from_str(json.dumps(state))
    # ordinary text that happens to be one piece: decoding must not drop it
    trimmed.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in (CALL, CALL_END)])
    return trimmed


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))
