"""What lies where a base should: files that are none, forms that weights are stored in, and what of a base is missing.

A library that is asked to load half a model fills the other half with random weights, and says so in a log. A base that
is not all there, or is no model that continues a text, is refused here before anything is learnt on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

from tunewright.errors import ModelError
from tunewright.models import quantised

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
# What is trained to choose or to fill a gap, by how its class is called.
_OTHER_TASKS = ("Classification", "QuestionAnswering", "MaskedLM", "RewardModel")
# Forms that are read back to numbers as they are loaded.
_READ_BACK = ("fp8", "mxfp4")
_FETCH = "Fetch the model again, all files of it."
CAUSAL = "Name a model that continues a text (its config.json says …ForCausalLM), a hub id, or `seedling`."


def assert_model(folder: Path) -> None:
    """Raise `ModelError` when what lies in `folder` is no model in safetensors form."""
    where = str(folder)
    if folder.is_file() or not (folder / "config.json").is_file():
        raise _no_model(folder)
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            "an adapter lies among the base's files, and would be put on it unasked.",
            where=where,
            remedy="Move adapter_config.json and adapter_model.safetensors into a folder of their own. To go on "
            "training from it, name that folder as train.init_from.",
        )
    if not list(folder.glob("*.safetensors")):
        raise _without_weights(folder)


def assert_readable(folder: Path) -> None:
    """Raise `ModelError` when a file of weights is missing in the model's `folder`, or cut off."""
    for path in _weights(folder):
        if not path.is_file():
            raise ModelError(f"the file of weights {path.name} is missing.", where=str(folder), remedy=_FETCH)
        _assert_whole_file(path)


def _no_model(folder: Path) -> ModelError:
    """What to say of a file, or a folder without `config.json`."""
    where = str(folder)
    if folder.suffix == ".gguf" or list(folder.glob("*.gguf")):
        return ModelError(
            "this is a model in GGUF form, made for llama.cpp to run: it cannot be tuned.",
            where=where,
            remedy="Name the model it was made from (a folder or hub id with safetensors).",
        )
    if (folder / "adapter_config.json").is_file():
        base = _field(folder / "adapter_config.json", "base_model_name_or_path")
        return ModelError(
            f"this is an adapter{f' for {base}' if base else ''}, not a model.",
            where=where,
            remedy=f"Name its base (model: {base or '…'}); to go on training from the adapter, name this folder as "
            "train.init_from.",
        )
    return ModelError(
        f"this is not a model: it {'is a file' if folder.is_file() else 'has no config.json'}.",
        where=where,
        remedy="Name a folder that transformers' from_pretrained takes, a hub id, or `seedling`.",
    )


def _without_weights(folder: Path) -> ModelError:
    remedy = _FETCH
    if list(folder.glob("*.bin")):
        code = "AutoModelForCausalLM as M, AutoTokenizer as T; [X.from_pretrained('FROM').save_pretrained('TO')"
        remedy = (
            "Pickled weights can run code, so they are not loaded. If you trust them, write them anew: python -c "
            f'"from transformers import {code} for X in (M, T)]"'
        )
    return ModelError("no weights in safetensors form are in this folder.", where=str(folder), remedy=remedy)


def _weights(folder: Path) -> Iterator[Path]:
    """The files that the weights are read from. Raises `ModelError` when nothing says which they are."""
    if (folder / _WHOLE).exists():
        yield folder / _WHOLE
        return
    named = _field(folder / _INDEX, "weight_map")
    if not isinstance(named, dict):
        raise ModelError(
            f"there is neither a {_WHOLE} nor a {_INDEX} that says which weights lie in which file.",
            where=str(folder),
            remedy=_FETCH,
        )
    yield from (folder / str(name) for name in sorted(set(named.values())))


def _assert_whole_file(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{path.name} is a pointer of Git LFS, not the weights.",
                where=str(path.parent),
                remedy="Fetch them: git lfs pull",
            )
    try:
        with safe_open(path, framework="pt"):
            pass
    except SafetensorError as error:
        raise ModelError(
            f"{path.name} cannot be read: {error}. It is cut off, or something else.",
            where=str(path.parent),
            remedy=_FETCH,
        ) from error


def _field(path: Path, name: str) -> Any:
    """A field of a JSON file; None where there is none to be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get(name) if isinstance(found, dict) else None


def assert_continues(config: Any, where: str) -> None:
    """Raise `ModelError` when what `config` describes was not made to continue a text."""
    trained_as = [str(name) for name in getattr(config, "architectures", None) or ()]
    other = next((name for name in trained_as if name.endswith(_OTHER_TASKS)), None)
    if getattr(config, "is_encoder_decoder", False):
        what = "reads with an encoder and writes with a decoder"
    elif other:
        what = f"was trained as {other}, to judge texts or fill gaps in them"
    elif type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        what = "is of a kind of which transformers knows none that continues a text alone"
    else:
        return
    raise ModelError(f"a {config.model_type} model like this {what}.", where=where, remedy=CAUSAL)


def assert_foretells(model: Any, where: str) -> None:
    """Raise `ModelError` when `model` sees the words that it should foretell, as BERT does.

    Only families that can do both are asked: their configs say `is_decoder: false`, and GPT-NeoX's too.
    """
    if getattr(model.config, "is_decoder", None) is not False:
        return
    device = model.get_input_embeddings().weight.device
    with torch.inference_mode():
        logits = model.eval()(input_ids=torch.tensor([[1, 2, 3], [1, 2, 4]], device=device)).logits[:, 0]
    if not torch.allclose(logits[0], logits[1], rtol=1e-3, atol=1e-3):
        what = f"a {model.config.model_type} model like this reads a text from both sides and writes none."
        raise ModelError(what, where=where, remedy=CAUSAL)


def assert_speaks(tokenizer: Any, where: str) -> None:
    """Raise `ModelError` when `tokenizer` knows no words: without its files some are made empty, and lose all text."""
    if not tokenizer.encode("a word", add_special_tokens=False):
        raise ModelError(
            "its tokenizer knows no words: the files of its vocabulary are missing.",
            where=where,
            remedy="Put the tokenizer.json that was published with it beside its weights.",
        )


def form(config: Any, where: str) -> str | None:
    """The form that the weights are stored in, None for numbers as they are: `bitsandbytes`, `fp8` or `mxfp4`.

    The latter two are told in `config` to be read back when they are loaded. Raises `ModelError` for any other.
    """
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return None
    said = dict(stored if isinstance(stored, dict) else stored.to_dict())
    packed = said.get("load_in_4bit") or said.get("load_in_8bit")
    name = "bitsandbytes" if packed else str(said.get("quant_method", "unknown"))
    if name in _READ_BACK:
        config.quantization_config = {**said, "dequantize": True}
    elif name != "bitsandbytes":
        raise ModelError(
            f"its weights are stored in a form ({name}) that can be run and not tuned here.",
            where=where,
            remedy="Name the model that it was made from (its card says which); train.method: qlora holds that in "
            "4 bits while it is tuned.",
        )
    elif not quantised.installed():
        raise ModelError(
            "its weights are stored by bitsandbytes, which is not installed.",
            where=where,
            remedy="pip install 'tunewright[qlora]' – or name the model that it was made from.",
        )
    return name


def as_stored(model: Any, dtype: torch.dtype, where: str) -> Any:
    """`model`, read from files of bitsandbytes, with its 4 bits as they are and all else as `dtype`.

    Raises `ModelError` unless the bits are those that `quantised` makes: others are another form of a base.
    """
    stored = model.config.quantization_config
    if not (stored.load_in_4bit and stored.bnb_4bit_quant_type == "nf4" and stored.bnb_4bit_use_double_quant):
        raise ModelError(
            "its weights are stored by bitsandbytes otherwise than in NF4 with double quantisation.",
            where=where,
            remedy="Use train.method: lora, which reads them back, or name the model that it was made from.",
        )
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model


def read_back(model: Any, dtype: torch.dtype) -> Any:
    """`model`, read from files of bitsandbytes, changed in place: plain layers that hold what its bits stand for."""
    plain = quantised.settled(model).dequantize(torch.float32).to(dtype)
    plain.is_loaded_in_4bit = plain.is_loaded_in_8bit = False
    return plain


def savable(model: Any) -> Any:
    """`model`, which forgets how the bits were read that it no longer holds: it would write its weights as such."""
    model._weight_conversions = None  # then transformers takes what its family is written with
    return model


def assert_whole(model: Any, told: dict[str, Any], where: str) -> None:
    """Raise `ModelError` when `told`, what `from_pretrained` says of its work, is not of one whole base."""
    missing = sorted(told.get("missing_keys", ()))
    other = sorted(str(key[0]) for key in told.get("mismatched_keys", ()))
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError("an adapter lies among its files, and was put on it unasked.", where=where, remedy=CAUSAL)
    if other:
        raise ModelError(
            f"{len(other):,} of its weights have another shape than its config.json says, `{other[0]}` among them.",
            where=where,
            remedy=_FETCH,
        )
    if missing:
        raise ModelError(
            f"{len(missing):,} of its weights are in none of its files, `{missing[0]}` among them: they would be "
            "random numbers.",
            where=where,
            remedy=f"{_FETCH} If they are all there, it was trained as another kind of model. {CAUSAL}",
        )
