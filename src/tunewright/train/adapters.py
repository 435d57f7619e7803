"""What is trained: adapters injected by PEFT, or all weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tunewright.errors import RunError, TrainingError
from tunewright.models import quantised
from tunewright.store import read_json
from tunewright.train.settings import Settings

# Names under which families keep their query, value, key and output projections; fused ones stand for their parts.
_QUERY_VALUE = ("q_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv")
_ATTENTION = (*_QUERY_VALUE, "k_proj", "o_proj", "out_proj")


def targets(model: Any, wanted: str | tuple[str, ...]) -> tuple[str, ...]:
    """Full names of the linear layers that get an adapter.

    `wanted` is a preset (`minimal`: query and value; `standard`: all of attention; `all-linear`: every linear layer
    but the head; each of them only where text goes through), or last parts of layers' names. Raises `TrainingError`
    when a name fits nothing, or a head that is the embeddings too.
    """
    head = model.get_output_embeddings()
    linear = [name for name, m in model.named_modules() if is_linear(m) and m is not head]
    begins = _text_model(model)
    text = [name for name in linear if name.startswith(begins)]
    if wanted == "all-linear":
        chosen = text
    elif wanted in ("minimal", "standard"):
        names = _QUERY_VALUE if wanted == "minimal" else _ATTENTION
        inside = [name for name in text if name.rsplit(".", 1)[-1] in names]
        dense = [name for name in text if name.endswith(("attention.dense", "self_attention.dense"))]
        chosen = inside + (dense if wanted == "standard" else [])
    else:
        asked = (wanted,) if isinstance(wanted, str) else wanted
        every = [name for name, m in model.named_modules() if is_linear(m)]
        chosen = [name for name in every if any(name == a or name.endswith(f".{a}") for a in asked)]
        _assert_apart(model, head, chosen)
        for one in asked:
            if not any(name == one or name.endswith(f".{one}") for name in every):
                known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
                raise TrainingError(
                    f"no linear layer of this model is called `{one}`.",
                    where="train.target_modules",
                    remedy=f"Name some of {known}, or use minimal, standard or all-linear.",
                )
    if not chosen:
        raise TrainingError(
            f"the preset `{wanted}` fits no layer of this model.",
            where="train.target_modules",
            remedy="Use all-linear, or name the layers.",
        )
    return tuple(chosen)


def _text_model(model: Any) -> str:
    """What the names of modules begin with that text goes through: "" where that is the whole model.

    One that sees or hears besides has a text model among its parts. No text gets into the others: an adapter there
    would take memory and learn nothing.
    """
    if model.config.get_text_config() is model.config:
        return ""
    part = model.get_decoder()
    name = next((name for name, module in model.named_modules() if module is part), "")
    return f"{name}." if name and any(map(is_linear, part.modules())) else ""


def _assert_apart(model: Any, head: Any, chosen: list[str]) -> None:
    """Raise `TrainingError` when the head is among the `chosen` layers and shares its weights with the embeddings."""
    for name in chosen:
        if model.get_submodule(name) is head and head.weight is model.get_input_embeddings().weight:
            raise TrainingError(
                f"`{name}` has the weights of the embeddings: merged, an adapter on it would change both.",
                where="train.target_modules",
                remedy=f"Leave `{name}` out, or use a base whose head has weights of its own.",
            )


def is_linear(module: torch.nn.Module) -> bool:
    """Whether it is a layer of one matrix: a linear one, or GPT-2's, which is named a convolution."""
    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"


def prepare(model: Any, settings: Settings) -> Any:
    """`model` with what is to be trained made trainable, in float32: a PEFT model, or the model itself.

    For `qlora` the adapted layers' weights are held in 4 bits; they become so here if they are not yet. An adapter
    starts at zero, or as the one in `settings.init_from`.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    if settings.method == "full":
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return model.float()
    if settings.method == "qlora" and not quantised.layers(model):
        quantised.quantise(model)
    chosen = targets(model, settings.target_modules)
    if settings.method == "qlora":
        _assert_quantised(model, chosen)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(chosen),
        task_type=TaskType.CAUSAL_LM,
        bias="none",
    )
    tuned = get_peft_model(model, config)
    if settings.init_from is not None:
        _start(tuned, Path(settings.init_from), settings)
    return tuned


def _start(tuned: Any, folder: Path, settings: Settings) -> None:
    """Put the weights of an earlier adapter in: the same function, whatever alpha was, for B takes up the difference.

    Raises `RunError` when they do not fit.
    """
    from peft import set_peft_model_state_dict

    try:
        config = read_json(folder / "adapter_config.json")
        scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
        ratio = scale * settings.rank / settings.alpha
        tensors = load_file(folder / "adapter_model.safetensors")
        fitted = {name: tensor * ratio if "lora_B" in name else tensor for name, tensor in tensors.items()}
        outcome = set_peft_model_state_dict(tuned, fitted)
    except (OSError, RuntimeError, KeyError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise RunError(f"the adapter to start from does not fit: {first[:300]}", where=str(folder)) from error
    missing = [name for name in outcome.missing_keys if ".lora_" in name]
    if outcome.unexpected_keys or missing:
        raise RunError("the adapter to start from lies on other layers.", where=str(folder))


def _assert_quantised(model: Any, chosen: tuple[str, ...]) -> None:
    """Raise `TrainingError` when a layer that gets an adapter is not held in 4 bits."""
    whole = [name for name in chosen if not quantised.is_quantised(model.get_submodule(name))]
    if whole:
        raise TrainingError(
            f"{len(whole)} of {len(chosen)} adapted layers are not held in 4 bits, `{whole[0]}` among them.",
            where="train.method: qlora",
            remedy="Leave them out of train.target_modules, or use train.method: lora.",
        )


def trained_weights(model: Any, settings: Settings) -> int:
    """How many weights of the base `model` and of its adapters will be trained. Raises as `targets`."""
    if settings.method == "full":
        return sum(map(quantised.size_of, model.parameters()))
    chosen = map(model.get_submodule, targets(model, settings.target_modules))
    return sum(settings.rank * _width(layer) for layer in chosen)


def _width(layer: Any) -> int:
    """Inputs and outputs of a linear layer, whose weight may be held in 4 bits, or be GPT-2's."""
    return layer.in_features + layer.out_features if hasattr(layer, "in_features") else sum(layer.weight.shape)


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The trained parameters by name. Raises `TrainingError` when there are none or one is not float32."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise TrainingError("nothing in this model is trainable.", remedy="Check train.method and target_modules.")
    wrong = [name for name, p in found.items() if p.dtype != torch.float32]
    if wrong:
        raise TrainingError(f"trained weights must be float32, but {wrong[0]} is {found[wrong[0]].dtype}.")
    return found


def not_adapted(model: Any) -> dict[str, int]:
    """Frozen matrices that are no linear layer, so that no preset reaches them, by name, with their number of weights.

    Mixture-of-experts models keep their experts so. Left out is where nobody expects an adapter: embeddings, and what
    text does not go through.
    """
    found: dict[str, int] = {}
    inside = model.get_base_model() if hasattr(model, "get_base_model") else model
    begins = _text_model(inside)
    for path, module in inside.named_modules():
        if not path.startswith(begins) or isinstance(module, torch.nn.Embedding) or is_linear(module):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2 and not parameter.requires_grad:
                key = f"{path.rsplit('.', 1)[-1]}.{name}"
                found[key] = found.get(key, 0) + parameter.numel()
    return found


def assert_alive(model: Any) -> None:
    """Raise `TrainingError` when every adapter still multiplies by zero: such a run trained nothing."""
    outer = [p for name, p in model.named_parameters() if "lora_B" in name]
    if outer and not any(bool(p.detach().any()) for p in outer):
        raise TrainingError(
            "the adapter is still zero after training: it would change nothing.",
            remedy="Raise the learning rate, and check that the examples have supervised tokens.",
        )
