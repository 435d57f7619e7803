"""Counts the memory that a computation holds, by running it on shapes alone.

The very code that trains is run on torch's meta device, where a tensor has a shape, a type and no numbers. What is
held at once is then added up operation by operation, and cannot drift from what the code does. Tensors of a batch
(ids, positions, indices) keep their numbers, since they say which rows are computed.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_AS_IT_IS = F.scaled_dot_product_attention
# Operations that make no tensor, and give the first one back or another view of it. There are thousands of them.
_VIEWS = {
    getattr(_ATEN, name).default for name in ("view", "_unsafe_view", "t", "permute", "expand", "unsqueeze", "detach")
} | {_ATEN.slice.Tensor, _ATEN.transpose.int, _ATEN.select.int, _ATEN.squeeze.dim}
_IN_PLACE = {
    *(_ATEN.add_.Tensor, _ATEN.mul_.Tensor, _ATEN.div_.Tensor, _ATEN.sub_.Tensor, _ATEN.masked_fill_.Scalar),
    *(_ATEN.addcmul_.default, _ATEN.baddbmm_.default, _ATEN.zero_.default, _ATEN.fill_.Scalar),
}
_POINTWISE = {_ATEN.mul.Tensor, _ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.div.Tensor}
# What has more operations than this is not counted: it goes through a row token by token.
_MOST = 60_000


class Alive(TorchDispatchMode):
    """The bytes of all tensors made inside it that are alive `now`, their `peak`, and that outside backward passes.

    Numbers read from tensors that have none are 0, and comparisons hold.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.forward = self.operations = 0
        self.seen: set[int] = set()

    def forget(self) -> None:
        """Let the peaks be what is alive now."""
        self.peak = self.forward = self.now

    def __enter__(self) -> Any:
        # On the meta device torch would write attention out, scores and all; a CPU has a kernel that does not.
        F.scaled_dot_product_attention = _attention
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        F.scaled_dot_product_attention = _AS_IT_IS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.operations += 1
        if func in _VIEWS:
            return func(*args, **kwargs)
        if self.operations > _MOST:
            raise NotImplementedError("too many operations to be counted")
        given = list(_tensors((args, *kwargs.values())))
        made = self._made(func, args, kwargs, given) if any(t.is_meta for t in given) else func(*args, **kwargs)
        for tensor in _tensors((made,)):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.seen and all(t.untyped_storage()._cdata != storage._cdata for t in given):
                self._count(storage)  # else it is a view
        return made

    def _made(self, func: Any, args: Any, kwargs: dict[str, Any], given: list[torch.Tensor]) -> Any:
        """What `func` gives, in shapes. The frequent ones are answered here: torch spells them out in Python."""
        if func in _IN_PLACE:
            return args[0]
        if func._overloadname == "out" and kwargs["out"].numel():
            return kwargs["out"]
        if func is _ATEN._softmax_backward_data.default:
            return torch.empty_like(args[0])
        if func is _ATEN._local_scalar_dense.default:
            return 0.0 if given[0].is_floating_point() else 0
        if func is _ATEN.allclose.default:
            return True
        if func in _POINTWISE and not kwargs:
            shape = torch.broadcast_shapes(*(t.shape for t in given))
            return torch.empty(shape, dtype=torch.result_type(args[0], args[1]), device="meta")
        if not all(t.is_meta for t in given):
            args, kwargs = _shapes(_spelt_out(args)), _shapes(kwargs)
        if func is _ATEN._to_copy.default:
            kwargs = {**kwargs, "device": torch.device("meta")}
        return func(*args, **kwargs)

    def _count(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        self.seen.add(key)
        self.now += size
        if self.now > self.peak:
            self.peak = self.now
        if self.now > self.forward and torch._C._current_graph_task_id() == -1:  # of autograd's backward passes
            self.forward = self.now
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *more: Any, **kwargs: Any) -> Any:
    if not query.is_meta or more or kwargs.get("dropout_p"):
        return _AS_IT_IS(query, key, value, *more, **kwargs)
    groups = query.shape[1] // key.shape[1]
    key, value = (t.repeat_interleave(groups, 1) if groups > 1 else t for t in (key, value))
    causal, mask = kwargs.get("is_causal", False), kwargs.get("attn_mask")
    kernel = _ATEN._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, 0.0, causal, attn_mask=mask, scale=kwargs.get("scale"))[0]


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _spelt_out(args: Any) -> Any:
    """Arguments of an operation, masks that rows are chosen by as the places that they stand for."""
    if len(args) < 2 or not isinstance(args[1], list | tuple):
        return args
    places: list[Any] = []
    for each in args[1]:
        mask = isinstance(each, torch.Tensor) and each.dtype == torch.bool and not each.is_meta
        places += each.nonzero(as_tuple=True) if mask else [each]
    return (args[0], places, *args[2:])


def _shapes(value: Any) -> Any:
    """`value` with every tensor on the meta device."""
    if isinstance(value, torch.Tensor):
        return value.to("meta")
    if isinstance(value, dict):
        return {name: _shapes(each) for name, each in value.items()}
    return [_shapes(each) for each in value] if isinstance(value, list | tuple) else value
