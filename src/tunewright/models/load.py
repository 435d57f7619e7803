"""Loading bases: a hub id, a local path, or the embedded seedling. Safetensors only, no remote code."""

from __future__ import annotations

import copy
import datetime
import difflib
import json
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import disable_progress_bars
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tunewright.errors import ModelError
from tunewright.models import quantised
from tunewright.recipe import ModelSpec
from tunewright.store import digest, tree_digest

SEEDLING = Path(__file__).parent / "seedling"
# The day that a template writes which asks for today's.
DAY = datetime.date(2026, 1, 1)
_TODAY = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
# What templates call the switch, and the statement that turns it off.
_SWITCH = "enable_thinking"
_OFF = f"{{% set {_SWITCH} = false %}}"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Base:
    """A loaded base model.

    `sha256` covers its weight and config files; `path` is the local folder, or None for a hub id; `name` is what a
    person calls it. `quantisation` says in which form its weights are held, None for as they are in the files.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    name: str
    path: Path | None
    sha256: str
    quantisation: dict[str, Any] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """What its weights, but those in 4 bits, are held in."""
        return next(self.model.parameters()).dtype  # type: ignore[no-any-return]

    def twin(self) -> Base:
        """Another model over the same weights, which neither may change: an adapter put on one is not on the other."""
        weights: dict[int, Any] = {id(weight): weight for weight in self.model.parameters()}
        return replace(self, model=copy.deepcopy(self.model, weights))

    @property
    def parameters(self) -> int:
        """How many weights it has; tied ones count once."""
        return parameters(self.model)


def parameters(model: Any, *, trainable: bool = False) -> int:
    """Number of (trainable) weights of a torch model; tied ones count once."""
    return sum(quantised.size_of(p) for p in model.parameters() if p.requires_grad or not trainable)


def locate(spec: ModelSpec, root: Path) -> str:
    """What `from_pretrained` takes for `spec`: a folder when one exists (relative to `root`), else the hub id.

    Raises `ModelError` when the name looks like a path and nothing usable lies there.
    """
    if spec.id == "seedling":
        return str(SEEDLING)
    folder = Path(spec.id).expanduser()
    folder = folder if folder.is_absolute() else root / folder
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise ModelError(
                "this is not a model: it has no config.json.",
                where=str(folder),
                remedy="Name a folder that transformers' from_pretrained takes, a hub id, or `seedling`.",
            )
        if not list(folder.glob("*.safetensors")):
            raise ModelError(
                "no weights in safetensors form are in this folder.",
                where=str(folder),
                remedy="Save it again with safe_serialization=True; pickled weights are not loaded.",
            )
        return str(folder)
    if spec.id.startswith((".", "/", "~")) or spec.id.count("/") > 1:
        raise ModelError(
            "there is no such folder.", where=spec.id, remedy="Name a model folder, a hub id, or `seedling`."
        )
    _reachable(spec)
    return spec.id


def _reachable(spec: ModelSpec) -> None:
    """Raise at once, rather than after half a minute of retries, when a hub id can come neither from disk nor net."""
    cached = try_to_load_from_cache(spec.id, "config.json", revision=spec.revision) if spec.id.count("/") < 2 else None
    # Behind a proxy it is the proxy that knows names.
    if isinstance(cached, str) or {"https", "all"} & getproxies().keys():
        return
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError as error:
        meant = " Did you mean `seedling`?" if difflib.get_close_matches(spec.id, ["seedling"]) else ""
        raise ModelError(
            f"no folder of this name exists, and the hub cannot be reached to look for it.{meant}",
            where=spec.id,
            remedy="Name a model folder, `seedling`, or connect to the network.",
        ) from error


def load(
    spec: ModelSpec | str,
    *,
    root: Path | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    in_4_bits: bool = False,
) -> Base:
    """Load the base `spec` names onto `device` with weights as `dtype`, in evaluation mode.

    `auto`: as bfloat16 where they are stored so and the device is a GPU that computes in it, else as float32. With
    `in_4_bits` the linear layers but the head are held as `quantised` says. Raises `ModelError` when it is not a
    causal language model with a tokenizer and a chat template, or bitsandbytes is wanted and not there.
    """
    spec = ModelSpec(id=spec, revision=None) if isinstance(spec, str) else spec
    packing = {"quantization_config": quantised.how(), "device_map": {"": device}} if in_4_bits else {}
    source = locate(spec, root or Path.cwd())
    dtype = "float32" if dtype == "auto" and not computes_in_bfloat16(device) else dtype
    model, tokenizer = _read(spec, source, dtype, packing)
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "the tokenizer has no chat template, so there is no telling how a conversation is written for it.",
            where=spec.id,
            remedy="Use the model's instruct variant, or add a chat_template.jinja to a local copy.",
        )
    tokenizer.chat_template = unthinking(dated(tokenizer.chat_template))
    folder = Path(source) if Path(source).is_dir() else None
    return Base(
        model=(quantised.settled(model) if in_4_bits else model.to(device)).eval(),
        tokenizer=tokenizer,
        name=spec.id,
        path=folder,
        sha256=_identity(folder, model, spec),
        quantisation=quantised.FORM if in_4_bits else None,
    )


def dated(template: Any) -> Any:
    """A chat template, or several by name, that writes `DAY` where it would write the day it is asked on.

    Else a run of two days would have learnt two prompts, and be measured and served with a third.
    """
    if isinstance(template, dict):
        return {name: dated(one) for name, one in template.items()}
    return _TODAY.sub(lambda call: json.dumps(DAY.strftime(call[2])), template)


def unthinking(template: Any) -> Any:
    """A chat template, or several by name, whose thinking switch is off whoever asks.

    The renderer turns it off; a server that reads our export would leave it as it was published, mostly on, and ask
    with another prompt than the one learnt.
    """
    if isinstance(template, dict):
        return {name: unthinking(one) for name, one in template.items()}
    if _SWITCH not in template or template.startswith(_OFF):
        return template
    # A line's end behind a statement is not written: one that is the template's own has to stay.
    return _OFF + ("\n" if template.startswith("\n") else "") + template


def computes_in_bfloat16(device: str) -> bool:
    """Whether `device` is a GPU that has bfloat16. Processors are not asked: what answers there works in float32."""
    return device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)


def _as_stored(config: Any) -> torch.dtype:
    """bfloat16 for weights that are stored in it; others would lose digits."""
    return torch.bfloat16 if config.dtype is torch.bfloat16 else torch.float32


def _read(spec: ModelSpec, source: str, dtype: str, packing: dict[str, Any]) -> tuple[Any, PreTrainedTokenizerBase]:
    """Model and tokenizer at `source`, without bars and warnings: what a person should know, we say."""
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    options = {"revision": spec.revision} if spec.revision else {}
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
        model = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype=_as_stored(config) if dtype == "auto" else DTYPES[dtype],
            use_safetensors=True,
            trust_remote_code=False,
            **packing,
            **options,
        )
    except (OSError, ValueError, KeyError, HFValidationError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot be loaded as a causal language model: {first[:300]}",
            where=spec.id,
            remedy="Name a hub id that this machine can reach, a model folder, or `seedling`.",
        ) from error
    return model, tokenizer


def _identity(folder: Path | None, model: Any, spec: ModelSpec) -> str:
    """A hash that changes with the weights: of the files when local, of the resolved commit on the hub."""
    if folder is None:
        commit = getattr(model.config, "_commit_hash", None) or "unknown"
        return f"{spec.id}@{commit}"
    parts = [tree_digest(p) for p in sorted(folder.glob("*.safetensors"))]
    parts.append(tree_digest(folder / "config.json"))
    return digest(*parts)


def adapter_onto(base: Any, adapter: Path) -> Any:
    """`base` with the PEFT adapter at `adapter` put on, in evaluation mode. Raises `ModelError` if it does not fit."""
    try:
        return PeftModel.from_pretrained(base, str(adapter)).eval()
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"the adapter does not fit this base: {first[:300]}", where=str(adapter)) from error
