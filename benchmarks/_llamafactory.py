"""LLaMA-Factory's side of the training benchmark, run by an environment of its own.

    python -m venv peer && peer/bin/pip install torch==2.13.0 llamafactory==0.9.5
    python benchmarks/train.py --work gsm8k_b8 --peer llamafactory --peer-python peer/bin/python

Where no torchaudio fits a CPU build of torch, take torchvision away and put an empty `torchaudio.py` in its place: only
text is trained. It trains as its user would, by `run_exp`, on rows that are tokenized already. At its best here:
activation checkpointing off, SDPA attention, no evaluation, nothing saved under way, no plots.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from _common import peak_resident_gb, resident_gb
from _peers import Clock, in_order, timer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--side", help="not read: every side is called alike")
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    task = json.loads(given.prepared.read_text())
    model = given.prepared.with_name("model")
    print(json.dumps(llamafactory(task, model, given.dtype, given.steps, given.seconds)))


def llamafactory(task: dict[str, Any], model: Path, dtype: str, steps: int, seconds: float) -> dict[str, Any]:
    """LLaMA-Factory's supervised fine-tuning of the model in folder `model` on the same rows in the same order."""
    import torch
    from datasets import Dataset, DatasetDict
    from llamafactory.model import adapter
    from llamafactory.train.tuner import run_exp

    before, plain = resident_gb(), adapter.get_peft_model

    def seeded(*given: Any, **named: Any) -> Any:
        """The adapter begins as on the other sides."""
        torch.manual_seed(0)
        return plain(*given, **named)

    adapter.get_peft_model = seeded
    clock = Clock(seconds)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row | {"attention_mask": [1] * len(row["input_ids"])} for row in in_order(task, steps)]
        DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(f"{folder}/rows")
        run_exp(_arguments(task, model, dtype, steps, Path(folder)), callbacks=[timer(clock, task)])
    return clock.result(task["batch"]) | {
        "peak_gb": round(peak_resident_gb() - before, 3),
        "micro_batch": task["micro_batch"],
    }


def _arguments(task: dict[str, Any], model: Path, dtype: str, steps: int, folder: Path) -> dict[str, Any]:
    micro = task["micro_batch"]
    adapters = {"finetuning_type": "lora", "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.0, "lora_target": "all"}
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(model),
        "template": "empty",
        "dataset": "none",
        "tokenized_path": f"{folder}/rows",
        "output_dir": f"{folder}/out",
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": task["batch"] // micro,
        "max_steps": steps,
        "learning_rate": 2e-4,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": dtype != "float32",
        "flash_attn": "sdpa",
        "disable_gradient_checkpointing": True,
        "disable_shuffling": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        **adapters,
    }


if __name__ == "__main__":
    main()
