"""The two sides of the training benchmark. Each function runs alone in its process."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import peak_resident_gb, resident_gb
from _peers import Clock, in_order, timer
from _switches import SWITCHES


def ours(task: dict[str, Any], dtype: str, steps: int, seconds: float, without: str | None = None) -> dict[str, Any]:
    """tunewright's `fit` on the prepared rows until `steps` are done or `seconds` of steady work are over.

    `without` names a switch that is turned off.
    """
    import torch
    from peft import get_peft_model  # noqa: F401  (what is imported when it is needed is no memory of the step)
    from transformers import LlamaForCausalLM  # noqa: F401

    from tunewright.errors import Interrupted
    from tunewright.models import quantised  # noqa: F401
    from tunewright.records import Rendered
    from tunewright.train import Settings, fit

    before = resident_gb()
    model = build(task)
    rows = [Rendered(tuple(r["ids"]), tuple(float(s) for s in r["supervised"]), 0) for r in task["rows"]]
    given = {"precision": dtype, "activation_checkpointing": False, "method": task["method"]}
    if without:
        SWITCHES[without](given)
    settings = Settings(
        effective_batch_size=task["batch"],
        steps=steps,
        learning_rate=2e-4,
        warmup=0.0,
        schedule="constant",
        checkpoints=1,
        **given,
    )
    clock = Clock(seconds)

    def listen(event: Any) -> None:
        if event["type"] == "step":
            clock.tick(event["loss"], event["supervised_tokens"])

    # The clock stops the run as a signal would.
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Interrupted):
        fit(model, rows, [], settings, directory=Path(folder), on_event=listen, should_stop=lambda: clock.over)
    result = clock.result(task["batch"]) | {"peak_gb": round(peak_resident_gb() - before, 3)}
    if seconds < 1e6 and not without:
        result["matmul_share"] = _matmul_share(task, rows, settings, clock, getattr(torch, dtype))
    return result


def trl(task: dict[str, Any], dtype: str, steps: int, seconds: float) -> dict[str, Any]:
    """TRL's SFTTrainer on the same rows in the same order."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from trl import SFTConfig, SFTTrainer

    from tunewright.models import quantised

    before = resident_gb()
    model = build(task)
    if dtype == "bfloat16":
        model = model.to(torch.bfloat16)
    if task["method"] == "qlora":
        # The same bits that BitsAndBytesConfig(nf4, double quantisation) makes, on bitsandbytes' and PEFT's own layers.
        for layer in quantised.layers(quantised.quantise(model)):
            layer.compute_dtype = torch.float32 if dtype == "float32" else torch.bfloat16
    torch.manual_seed(0)
    model = get_peft_model(
        model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    batch, micro = task["batch"], task["micro_batch"]
    data = Dataset.from_list(in_order(task, steps))
    clock = Clock(seconds)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=batch // micro,
            max_steps=steps,
            learning_rate=2e-4,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            bf16=dtype != "float32",
            gradient_checkpointing=False,
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            train_sampling_strategy="sequential",
            disable_tqdm=True,
        )
        trainer = SFTTrainer(
            model=model, args=config, train_dataset=data, processing_class=padder(), callbacks=[timer(clock, task)]
        )
        if dtype == "float32":
            # On a base in 4 bits TRL turns adapters to bfloat16; what is compared is float32.
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.data = parameter.data.float()
        trainer.train()
    return clock.result(batch) | {"peak_gb": round(peak_resident_gb() - before, 3), "micro_batch": micro}


def build(task: dict[str, Any]) -> Any:
    """The work's model, the same on every side."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    # No padding token: its embedding would be all zero, and every norm behind such a state multiplies the gradient by
    # a thousand, which over 30 layers is more than float32 holds.
    return LlamaForCausalLM(LlamaConfig(**task["shape"], use_cache=False))


def save(task: dict[str, Any], folder: Path) -> None:
    """The work's model and a tokenizer, for a peer that begins with a folder."""
    build(task).save_pretrained(folder)
    padder().save_pretrained(folder)


def padder() -> Any:
    """A tokenizer that only knows how to pad: the rows are tokenized already."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<pad>")


def _useful_products(task: dict[str, Any], rows: Any, settings: Any, steps: range) -> float:
    """Floating-point operations of the matrix products that `steps` (from 0) cannot do without, forward and backward.

    By formula: torch's flop counter would also count our spare rows, what lies above attention's diagonal, scores
    computed once more on the way back, and the adapters' rows that stacking multiplies by nothing. In the last layer
    only the tokens that predict something ask, look and go through the MLP; below the first layer nothing is learnt.
    """
    from tunewright.layout import pack
    from tunewright.train.order import step_examples

    shape, rank = task["shape"], settings.rank
    width, layers, middle = shape["hidden_size"], shape["num_hidden_layers"], shape["intermediate_size"]
    narrow = width * shape["num_key_value_heads"] // shape["num_attention_heads"]
    asked = [(width, width), (width, width), (width, middle), (width, middle), (middle, width)]  # q, o, gate, up, down
    kept = [(width, narrow), (width, narrow)]  # k, v
    total = 0
    for step in steps:
        for batch in pack([rows[i] for i in step_examples(step, len(rows), settings)], budget=1_000_000, share=True):
            seen, ends = batch.positions + 1, batch.states.unique()
            tokens, states = len(seen), len(ends)
            for parts, uses in ((kept, layers * tokens), (asked, (layers - 1) * tokens + states)):
                frozen, adapters = sum(i * o for i, o in parts), sum(rank * (i + o) for i, o in parts)
                total += uses * (2 * 2 * frozen + 3 * 2 * adapters)
            total -= 2 * tokens * (width * width + 2 * width * narrow)
            looked = (layers - 1) * int(seen.sum()) + int(seen[ends].sum())
            total += 6 * 2 * width * looked + 2 * 2 * width * shape["vocab_size"] * len(batch.states)
    return float(total)


def _matmul_share(task: dict[str, Any], rows: Any, settings: Any, clock: Any, dtype: Any) -> float:
    """The rate of the timed steps' useful products over that of plain `torch.mm` at the model's own shape."""
    steps = range(clock.warm, len(clock.ends))
    return _useful_products(task, rows, settings, steps) / clock.steady / mm_rate(task, dtype)


def mm_rate(task: dict[str, Any], dtype: Any) -> float:
    """Operations a second of plain `torch.mm` at the model's own shape, over a second (and at least twice)."""
    import torch

    width, middle = task["shape"]["hidden_size"], task["shape"]["intermediate_size"]
    left, right = torch.randn(1024, width).to(dtype), torch.randn(width, middle).to(dtype)
    torch.mm(left, right)
    began, count = time.perf_counter(), 0
    while count < 1 or time.perf_counter() - began < 1.0:
        torch.mm(left, right)
        count += 1
    return 2 * 1024 * width * middle * count / (time.perf_counter() - began)


def products(task: dict[str, Any], *_: Any) -> dict[str, Any]:
    """GFLOP/s of plain products in each number type, here and now."""
    import torch

    return {name: round(mm_rate(task, getattr(torch, name)) / 1e9, 1) for name in ("float32", "bfloat16")}


SIDES = {"ours": ours, "trl": trl}
