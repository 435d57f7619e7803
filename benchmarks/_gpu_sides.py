"""The sides of the GPU benchmark. Each runs its works in turn, alone in its process, on the same weights."""

from __future__ import annotations

import contextlib
import gc
import random
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from _common import peak_resident_gb
from _peers import Clock, in_order, timer
from _sides import padder

# Llama 3.1's 8B, Llama 3.2's 1B with a head of its own, and the same in small for a machine without a GPU.
SHAPES: dict[str, dict[str, int]] = {
    "8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "1b": {
        "vocab_size": 128_256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
RANK, PACK = 16, 4096
# Tokens of a row, how many of them all rows begin with, how many at its end are supervised; rows a step, rows at once
# for who does not pack. All rows are of one length: nobody pads.
WORKS: dict[str, dict[str, int]] = {
    "full": {"row": 4096, "shared": 0, "supervised": 4095, "batch": 2, "at_once": 1},
    "long": {"row": 8192, "shared": 0, "supervised": 8191, "batch": 1, "at_once": 1},
    "answers": {"row": 672, "shared": 256, "supervised": 224, "batch": 24, "at_once": 6},
    "qlora": {"row": 4096, "shared": 0, "supervised": 4095, "batch": 2, "at_once": 1},
    "qlora_each_pass": {"row": 4096, "shared": 0, "supervised": 4095, "batch": 2, "at_once": 1},
}


def prepare(work: str, shape: str, steps: int) -> dict[str, Any]:
    """What every side is given: the model's shape, the rows, and the order that our steps take them in.

    In small, all lengths are a sixteenth.
    """
    from tunewright.train import Settings
    from tunewright.train.order import step_examples

    task: dict[str, Any] = dict(WORKS[work])
    if shape == "tiny":
        task |= {key: task[key] // 16 for key in ("row", "shared", "supervised")}
    draw, most = random.Random(0), SHAPES[shape]["vocab_size"] - 1
    shared = [draw.randint(3, most) for _ in range(task["shared"])]
    prompt = task["row"] - task["supervised"]
    rows = []
    for _ in range(steps * task["batch"]):
        ids = shared + [draw.randint(3, most) for _ in range(task["row"] - len(shared))]
        rows.append({"ids": ids, "supervised": [int(at >= prompt) for at in range(task["row"])]})
    pack = PACK // 16 if shape == "tiny" else PACK
    method, back = "qlora" if "qlora" in work else "lora", "each_pass" if work == "qlora_each_pass" else "once"
    more = {"work": work, "shape": SHAPES[shape], "method": method, "dequantise": back, "pack": pack}
    settings = Settings(effective_batch_size=task["batch"])
    order = [index for step in range(steps) for index in step_examples(step, len(rows), settings)]
    return {**task, **more, "rows": rows, "order": order, "steps": steps}


def operations(task: dict[str, Any]) -> float:
    """Floating-point operations that a token of the work cannot do without, each row for itself.

    Frozen matrices twice (forward, and the gradient of their input), adapters three times, the head for supervised
    tokens only, attention's two products below the diagonal forward and four backward. Nothing computed twice counts;
    a prefix that rows share counts in each of them.
    """
    shape = task["shape"]
    width, middle, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    narrow = width * shape["num_key_value_heads"] // shape["num_attention_heads"]
    linear = [(width, width), (width, narrow), (width, narrow), (width, width)]
    linear += [(width, middle), (width, middle), (middle, width)]
    frozen, adapters = sum(i * o for i, o in linear), sum(RANK * (i + o) for i, o in linear)
    attention = 6 * width * task["row"]  # 2 · 6 products · half of the row's keys
    head = 4 * width * shape["vocab_size"] * task["supervised"] / task["row"]
    return layers * (4 * frozen + 6 * adapters + attention) + head


def ours(task: dict[str, Any], model: Any) -> dict[str, Any]:
    """tunewright's `fit`, which chooses by itself how it computes."""
    from tunewright.records import Rendered
    from tunewright.train import Settings, fit

    clock, told = Clock(1e9), {}
    settings = Settings(
        method=task["method"],
        dequantise=task["dequantise"],
        rank=RANK,
        precision="bfloat16" if _cuda() else "float32",
        effective_batch_size=task["batch"],
        micro_batch_tokens=task["pack"],
        steps=task["steps"],
        learning_rate=2e-4,
        warmup=0.0,
        schedule="constant",
        checkpoints=1,
        activation_checkpointing=False,
    )

    def listen(event: Any) -> None:
        if event["type"] == "start":
            told.update(event)
            _reset_peak()
        if event["type"] == "step":
            clock.tick(event["loss"], event["supervised_tokens"])

    rows = [Rendered(tuple(r["ids"]), tuple(map(float, r["supervised"])), 0) for r in task["rows"]]
    with tempfile.TemporaryDirectory() as folder:
        done = fit(model, rows, [], settings, directory=Path(folder), on_event=listen)
    peak = _peak_gb()
    if task["method"] == "lora":
        done.model.unload()
    return _result(task, clock, peak) | {"how": {k: v for k, v in told.items() if k not in ("type", "time")}}


def trl(task: dict[str, Any], model: Any, kernels: bool = False) -> dict[str, Any]:
    """TRL's SFTTrainer: bfloat16, sdpa, nothing computed twice; its only loss, of supervised tokens, in chunks.

    With `kernels` its layers compute by Liger's (Hsu et al. 2024); the loss stays TRL's own.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model = _adapted(task, model)
    clock = Clock(1e9)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=task["at_once"],
            gradient_accumulation_steps=task["batch"] // task["at_once"],
            max_steps=task["steps"],
            learning_rate=2e-4,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            bf16=_cuda(),
            use_liger_kernel=kernels,
            optim="adamw_torch_fused",
            gradient_checkpointing=False,
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to=[],
            save_strategy="no",
            use_cpu=not _cuda(),
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            train_sampling_strategy="sequential",
            disable_tqdm=True,
        )
        callbacks = [timer(clock, task)]
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(in_order(task, task["steps"])),
            processing_class=padder(),
            callbacks=callbacks,
        )
        _reset_peak()
        trainer.train()
    peak = _peak_gb()
    model.unload()
    return _result(task, clock, peak)


def plain(task: dict[str, Any], model: Any) -> dict[str, Any]:
    """The loop that everybody writes first: PEFT, transformers, AdamW; the model's own loss."""
    import torch

    model = _adapted(task, model).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0, fused=True)
    clock, device = Clock(1e9), trained[0].device
    _reset_peak()
    ordered, supervised = in_order(task, task["steps"]), task["batch"] * task["supervised"]
    for step in range(task["steps"]):
        rows, total = ordered[step * task["batch"] : (step + 1) * task["batch"]], 0.0
        for first in range(0, len(rows), task["at_once"]):
            part = rows[first : first + task["at_once"]]
            ids, labels = (torch.tensor([r[of] for r in part], device=device) for of in ("input_ids", "labels"))
            with torch.autocast(device.type, torch.bfloat16, enabled=_cuda()):
                loss = model(input_ids=ids, labels=labels, use_cache=False, num_items_in_batch=supervised).loss
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.tick(total, supervised)
    peak = _peak_gb()
    model.unload()
    return _result(task, clock, peak)


SIDES = {"ours": ours, "trl": trl, "liger": partial(trl, kernels=True), "plain": plain}


def run(side: str, works: list[str], shape: str, steps: int) -> Iterator[dict[str, Any]]:
    """The result of each work, or what it failed of. Works of one method share a model, whose weights never change."""
    model, method = None, None
    for work in works:
        task = prepare(work, shape, steps)
        try:
            if model is None or method != task["method"] or method == "qlora":
                model = None
                _forget()
                model, method = build(task), task["method"]
            yield {"work": work, "side": side, **SIDES[side](task, model)}
        except Exception as error:  # noqa: BLE001 – the other works are still worth having
            model = None
            yield {"work": work, "side": side, "failed": f"{type(error).__name__}: {str(error)[:300]}"}
        with contextlib.suppress(Exception):
            _forget()


def build(task: dict[str, Any]) -> Any:
    """The work's model, the same on every side: in bfloat16 on a GPU, attention by sdpa."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    config = LlamaConfig(
        **task["shape"], max_position_embeddings=8192, rope_parameters=rope, tie_word_embeddings=False, use_cache=False
    )
    with torch.device("cuda" if _cuda() else "cpu"):
        dtype = torch.bfloat16 if _cuda() else torch.float32
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")


def _adapted(task: dict[str, Any], model: Any) -> Any:
    """A peer's model: the adapters are drawn as ours are."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tunewright.models import quantised

    if task["method"] == "qlora":
        # The same bits that BitsAndBytesConfig(nf4, double quantisation) makes, on bitsandbytes' and PEFT's own layers.
        for layer in quantised.layers(quantised.quantise(model)):
            layer.compute_dtype = layer.weight.quant_state.dtype = torch.bfloat16 if _cuda() else torch.float32
    torch.manual_seed(0)
    given = {"lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    return get_peft_model(model, LoraConfig(r=RANK, **given))


def _result(task: dict[str, Any], clock: Clock, peak: float) -> dict[str, Any]:
    tokens = task["batch"] * task["row"] / clock.seconds_per_step
    return {
        "tokens_per_s": round(tokens, 1),
        "supervised_tokens_per_s": round(sum(clock.supervised[clock.warm :]) / clock.steady, 1),
        "tflop_per_s": round(tokens * operations(task) / 1e12, 1),
        "seconds_per_step": round(clock.seconds_per_step, 4),
        "first_step_seconds": round(clock.ends[1] - clock.ends[0], 3),
        "peak_gb": round(peak, 2),
        "losses": clock.losses,
    }


def gpu_name() -> str | None:
    """The GPU's, if one is here."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def assert_gpu() -> None:
    """End the program where there is none."""
    if gpu_name() is None:
        raise SystemExit("no GPU is here; with --shape tiny the same is done in small on a CPU")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _forget() -> None:
    import torch

    gc.collect()
    if _cuda():
        torch.cuda.empty_cache()


def _reset_peak() -> None:
    import torch

    if _cuda():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gb() -> float:
    """Of the GPU since training began; of a process on a CPU, since it began."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e9 if _cuda() else peak_resident_gb()
