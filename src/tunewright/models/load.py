"""Loading bases: a hub id, a local path, or the embedded seedling. Safetensors only, no remote code."""

from __future__ import annotations

import contextlib
import copy
import difflib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import disable_progress_bars
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tunewright.errors import ModelError
from tunewright.models import quantised, stored
from tunewright.models.template import dated, switched, template_of
from tunewright.recipe import ModelSpec
from tunewright.store import digest, tree_digest

SEEDLING = Path(__file__).parent / "seedling"
# What transformers says, by words in it; what that means for a base, where it is not clear; and the way out.
_SAID = (
    (
        "custom code",
        "it brings code of its own, which is never run.",
        "Name a model of a kind that transformers knows, or convert it to one.",
    ),
    ("does not recognize this architecture", "", "A newer transformers may know it: pip install -U transformers."),
    # It takes any file that it cannot read as SentencePiece's for one of tiktoken's.
    (
        "tiktoken",
        "its tokenizer.model cannot be read as SentencePiece's, and there is no tokenizer.json.",
        "Fetch it anew, or put the tokenizer.json that was published with it beside it (a file of tiktoken's: pip "
        "install tiktoken).",
    ),
    (
        "backend tokenizer",
        "it has no tokenizer that can be read.",
        "Put the tokenizer.json that was published with it beside its weights.",
    ),
)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Base:
    """A base model: what is known of it at once, and its weights when they are first asked for.

    Whoever counts tokens needs no weights, and those of a large base are minutes and most of the memory. `sha256`
    covers its weight and config files; `path` is the local folder, or None for a hub id; `name` is what a person calls
    it; `stops` are the tokens that it was published to stop at. `quantisation` says in which form its weights are held,
    None for as they are in the files.
    """

    read: Callable[[], Any]
    tokenizer: PreTrainedTokenizerBase
    config: Any
    name: str
    path: Path | None
    sha256: str
    stops: tuple[int, ...] = ()
    quantisation: dict[str, Any] | None = None

    @cached_property
    def model(self) -> Any:
        """The model itself, in evaluation mode. Raises `ModelError` when its files do not hold one that is whole."""
        return self.read()

    @property
    def dtype(self) -> torch.dtype:
        """What its weights, but those in 4 bits, are held in."""
        return next(self.model.parameters()).dtype  # type: ignore[no-any-return]

    @property
    def known(self) -> int:
        """How many tokens it has an embedding for."""
        return int(self.config.get_text_config().vocab_size)

    def twin(self) -> Base:
        """Another model over the same weights, which neither may change: an adapter put on one is not on the other."""
        weights: dict[int, Any] = {id(weight): weight for weight in self.model.parameters()}
        other = copy.deepcopy(self.model, weights)
        return replace(self, read=lambda: other)

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
        stored.assert_model(folder)
        return str(folder)
    if spec.id.startswith((".", "/", "~")) or spec.id.count("/") > 1:
        raise ModelError(
            "there is no such folder.",
            where=spec.id if Path(spec.id).is_absolute() else f"{spec.id} (that is {folder.resolve()})",
            remedy="Name a model folder, a hub id, or `seedling`.",
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
    """The base `spec` names; its weights come onto `device` as `dtype` when they are asked for.

    `auto`: as bfloat16 where they are stored so and the device is a GPU that computes in it, else as float32. With
    `in_4_bits` the linear layers but the head are held as `quantised` says. Raises `ModelError` when it is not a
    causal language model with a tokenizer and a chat template, or bitsandbytes is wanted and not there.
    """
    spec = ModelSpec(id=spec, revision=None) if isinstance(spec, str) else spec
    source = locate(spec, root or Path.cwd())
    folder = Path(source) if Path(source).is_dir() else None
    if folder is not None:
        stored.assert_readable(folder)
    if in_4_bits:
        quantised.needed()
    with _in_our_words(spec):
        config, tokenizer, asked = _described(spec, source)
    form = stored.form(config, spec.id)
    template = dated(template_of(spec, tokenizer, root or Path.cwd()))
    tokenizer.chat_template = switched(template, spec.thinking)
    dtype = "float32" if dtype == "auto" and not computes_in_bfloat16(device) else dtype
    kept = _as_stored(config) if dtype == "auto" else DTYPES[dtype]

    def read() -> Any:
        with _in_our_words(spec):
            model = _read(spec, source, copy.deepcopy(config), kept, device, in_4_bits, form)
        model.generation_config = asked
        return (quantised.settled(model) if in_4_bits else model.to(device)).eval()

    stops = asked.eos_token_id
    return Base(
        read=read,
        tokenizer=tokenizer,
        config=config,
        name=spec.id,
        path=folder,
        sha256=_identity(folder, config, spec),
        stops=(stops,) if isinstance(stops, int) else tuple(stops or ()),
        quantisation=_quantisation(form, in_4_bits),
    )


def _plainly(config: Any) -> GenerationConfig:
    """What a model stops at, of how it was published to be asked; not how its words are drawn.

    Everything here is measured greedily. A repetition penalty that an export kept would make it answer otherwise than
    was measured, wherever a server reads it.
    """
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return GenerationConfig(**{name: getattr(config, name, None) for name in names})


def computes_in_bfloat16(device: str) -> bool:
    """Whether `device` is a GPU that has bfloat16. Processors are not asked: what answers there works in float32."""
    return device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)


def _as_stored(config: Any) -> torch.dtype:
    """bfloat16 for weights that are stored in it; others would lose digits."""
    return torch.bfloat16 if config.dtype is torch.bfloat16 else torch.float32


@contextlib.contextmanager
def _in_our_words(spec: ModelSpec) -> Iterator[None]:
    """Reading without bars and warnings: what a person should know, we say. What fails is a `ModelError`."""
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, ImportError, HFValidationError, SafetensorError) as error:
        raise _unloadable(error, spec) from error


def _described(spec: ModelSpec, source: str) -> tuple[Any, PreTrainedTokenizerBase, GenerationConfig]:
    """What is said of a base beside its weights: its config, its tokenizer, and what it stops at."""
    options = {"revision": spec.revision} if spec.revision else {}
    config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
    stored.assert_continues(config, spec.id)
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    stored.assert_speaks(tokenizer, spec.id)
    try:
        asked = GenerationConfig.from_pretrained(source, **options)
    except OSError:  # it is said in the config then
        asked = GenerationConfig.from_model_config(config)
    return config, tokenizer, _plainly(asked)


def _read(
    spec: ModelSpec, source: str, config: Any, dtype: torch.dtype, device: str, in_4_bits: bool, form: str | None
) -> Any:
    """The model with its weights, in the form it is held in."""
    packing = {"quantization_config": quantised.how()} if in_4_bits and form is None else {}
    model, told = AutoModelForCausalLM.from_pretrained(
        source,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # what does not fit is told, as what is missing
        device_map={"": device} if packing or form else None,
        **packing,
        **({"revision": spec.revision} if spec.revision else {}),
    )
    stored.assert_whole(model, told, spec.id)
    stored.assert_foretells(model, spec.id)
    return _in_form(model, form, dtype, in_4_bits, spec.id)


def _unloadable(error: Exception, spec: ModelSpec) -> ModelError:
    """What transformers says of a base that it does not load, in words that are true of a base, and a way out."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    said, remedy = next(
        ((said or first, remedy) for sign, said, remedy in _SAID if sign in first),
        (first, "Name a hub id that this machine can reach, a model folder, or `seedling`."),
    )
    return ModelError(f"cannot be loaded as a causal language model: {said[:300]}", where=spec.id, remedy=remedy)


def _in_form(model: Any, form: str | None, dtype: torch.dtype, in_4_bits: bool, where: str) -> Any:
    """`model` as numbers of `dtype`, or with its linear layers in 4 bits, whatever form its files have."""
    if form == "bitsandbytes":
        found = stored.as_stored(model, dtype, where) if in_4_bits else stored.read_back(model, dtype)
    elif form:
        found = quantised.quantise(model) if in_4_bits else model
    else:
        return model
    return stored.savable(found)


def _quantisation(form: str | None, in_4_bits: bool) -> dict[str, Any] | None:
    if not in_4_bits:
        return None
    return quantised.STORED if form == "bitsandbytes" else quantised.FORM


def _identity(folder: Path | None, config: Any, spec: ModelSpec) -> str:
    """A hash that changes with the weights: of the files when local, of the resolved commit on the hub."""
    if folder is None:
        commit = getattr(config, "_commit_hash", None) or "unknown"
        return f"{spec.id}@{commit}"
    parts = [tree_digest(p) for p in sorted(folder.glob("*.safetensors"))]
    parts.append(tree_digest(folder / "config.json"))
    return digest(*parts)


def adapter_onto(base: Any, adapter: Path) -> Any:
    """`base` with the PEFT adapter at `adapter` put on, in evaluation mode. Raises `ModelError` if it does not fit."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(base, str(adapter)).eval()
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"the adapter does not fit this base: {first[:300]}", where=str(adapter)) from error
