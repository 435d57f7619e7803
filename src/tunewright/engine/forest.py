"""Attention over rows that share beginnings, computed once.

A query attends to its row's own keys and to the keys of every shared node above the row. Each part is a softmax of
its own; the parts are merged by their log-sum-exps, which is exact (Milakov & Gimelshein 2018; cascade attention).
So shared keys are stored once and read once for all rows, and no row is padded in the linear layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from tunewright.engine.packed import seconds

NAME = "tunewright_prefixes"
# Scores held at once where no kernel keeps them off memory: a gigabyte of fp32.
MOST_SCORES = 1 << 28
# Attention features that this function does not compute; a model that asks for one runs the plain way.
UNKNOWN_FEATURES = ("softcap", "s_aux", "position_bias", "head_mask")


class UnfitModelError(Exception):
    """The model needs something of attention that is not computed here."""


@dataclass(slots=True)
class Shared:
    """Keys and values of one shared node, per layer (key/value heads, tokens, head size); rows `first:last` use it."""

    first: int
    last: int
    keys: list[torch.Tensor]
    values: list[torch.Tensor]


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention (batch, heads, tokens, size), of keys with as many or fewer heads, with the log-sum-exp of its scores
    (batch, heads, tokens)."""
    if query.device.type == "cpu":
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, scale=scale
        )
        return out, lse
    return _attend_plainly(query, key, value, scale, causal)


def _attend_plainly(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Like `_attend`, written out for devices without a kernel that also gives the log-sum-exp; block by block."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = (x.repeat_interleave(group, dim=1) for x in (key, value))
    rows, heads, tokens, _ = query.shape
    block = max(1, MOST_SCORES // (rows * heads * key.shape[2]))
    outs, lses = [], []
    for at in range(0, tokens, block):
        scores = (query[:, :, at : at + block] @ key.transpose(-1, -2)).float() * scale
        if causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1 + at)
            scores = scores.masked_fill(future, float("-inf"))
        lse = scores.logsumexp(dim=-1)
        outs.append((scores - lse[..., None]).exp().to(value.dtype) @ value)
        lses.append(lse)
    return torch.cat(outs, dim=2), torch.cat(lses, dim=2)


def _attend_step(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    seen: int,
    scale: float,
    mask: torch.Tensor | None,
    merged: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Like `_attend` for one token a row: `query` (rows, key heads, group, size), `keys` with room beyond `seen`.

    Written as plain products: a few queries against many keys take the kernel two to four times as long. The
    log-sum-exp is computed where it will be `merged` with others; else it is empty.
    """
    rows, heads, group, size = query.shape
    key, value = (x.view(rows * heads, -1, size)[:, :seen] for x in (keys, values))
    query = query.reshape(rows * heads, group, size)
    if query.device.type == "cpu" and _keys_left(query.dtype, group, size, torch.get_num_threads()):
        scores = torch.bmm(key, query.transpose(1, 2)).transpose(1, 2)
    else:
        scores = torch.bmm(query, key.transpose(1, 2))
    scores = scores.reshape(rows, heads, group, seen).float()
    if scale != 1.0:
        scores *= scale
    if mask is not None:
        scores += mask
    lse = scores.logsumexp(dim=-1) if merged else scores.new_zeros(rows, heads, group)
    shares = scores.softmax(dim=-1).to(values.dtype).view(rows * heads, group, seen)
    return torch.bmm(shares, value).view(rows, heads, group, size), lse


@cache
def _keys_left(dtype: torch.dtype, group: int, size: int, threads: int) -> bool:
    """Whether keys × queries is faster than queries × keys: some processors take twice as long for one, some for the
    other. Timed once per process: engines that are compared must compute alike to the last bit."""
    key, query = torch.ones(64, 96, size, dtype=dtype), torch.ones(64, group, size, dtype=dtype)
    left = seconds(lambda: torch.bmm(key, query.transpose(1, 2)).transpose(1, 2).contiguous())
    return left < seconds(lambda: torch.bmm(query, key.transpose(1, 2)))


@dataclass(frozen=True, slots=True)
class _Alike:
    """`rows` of like length, padded to `width` for their first attention: where their tokens come from in the flat pass
    (`unflat`, with padding), which of those are `real`, and where these go back to (`flat`)."""

    width: int
    rows: torch.Tensor
    unflat: torch.Tensor
    real: torch.Tensor
    flat: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[int], starts: Sequence[int], lengths: Sequence[int], device: torch.device) -> _Alike:
        width = max(lengths[row] for row in rows)
        own = torch.tensor([lengths[row] for row in rows])[:, None]
        columns = torch.arange(width)[None, :]
        real = (columns < own).flatten()
        places = (torch.tensor([starts[row] for row in rows])[:, None] + columns).flatten()
        parts = (torch.tensor(rows), places.where(real, 0), real.nonzero().flatten(), places[real])
        return cls(width, *(part.to(device) for part in parts))


def _by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Rows in groups whose shortest has at least three quarters of the longest's tokens, or is at most 16 shorter."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and lengths[row] >= min(longest * 0.75, longest - 16):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


class Forest:
    """The keys and values of one batch: those of shared nodes, and each row's own in one growing buffer.

    Tokens of a pass lie flat, one row after the other: `lengths[i]` tokens of row i. After the first pass each
    further pass brings one token per row.
    """

    def __init__(self, lengths: Sequence[int], shared: Sequence[Shared], room: int, device: torch.device) -> None:
        self.shared = list(shared)
        self.rows = len(lengths)
        self.width = max(lengths)
        self.capacity = self.width + room
        self.window: int | None = None
        self.first_pass = True
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.mask: torch.Tensor | None = None
        self.place: torch.Tensor | None = None  # where the last pass wrote, once this holds still
        self.starts = [0]
        for length in lengths:
            self.starts.append(self.starts[-1] + length)
        self.alike = [_Alike.of(rows, self.starts, lengths, device) for rows in _by_length(lengths)]
        if room and min(lengths) != self.width:
            padding = torch.arange(self.width, device=device)[None, :] >= torch.tensor(lengths, device=device)[:, None]
            self.mask = torch.zeros(self.rows, 1, 1, self.capacity, device=device)
            self.mask[:, 0, 0, : self.width].masked_fill_(padding, float("-inf"))

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of this pass: (1, heads, tokens, size) in, (1, tokens, heads, size) out."""
        own = self._first if self.first_pass else self._next
        out, lse = own(layer, query[0], key[0], value[0], scale)
        out, _ = self._with_shared(layer, query[0], out, lse, scale)
        return out.transpose(0, 1)[None]

    def _first(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of like length are padded together. Everything is taken token by token, as it came out of the layer
        before: gathering from (heads, tokens, size) would first lay all of it out anew, once per group of rows."""
        heads, tokens, size = query.shape
        each = torch.cat([x.transpose(0, 1) for x in (query, key, value)], dim=1)
        if layer == len(self.keys):
            room = (self.rows, key.shape[0], self.capacity, size)
            # Zeros, as padding is multiplied by a share of 0.
            self.keys.append(key.new_zeros(room))
            self.values.append(value.new_zeros(room))
        out, lse = query.new_empty(tokens, heads, size), query.new_empty(tokens, heads, dtype=torch.float32)
        parts = [heads, key.shape[0], value.shape[0]]
        for alike in self.alike:
            rows = each.index_select(0, alike.unflat).view(-1, alike.width, *each.shape[1:]).transpose(1, 2)
            q, k, v = rows.split(parts, dim=1)
            for buffer, given in ((self.keys[layer], k), (self.values[layer], v)):
                buffer[:, :, : alike.width].index_copy_(0, alike.rows, given)
            for target, given in zip((out, lse), _attend(q, k, v, scale, causal=True), strict=True):
                given = given.transpose(1, 2).flatten(0, 1).index_select(0, alike.real)
                target.index_copy_(0, alike.flat, given.to(target.dtype))
        return out.transpose(0, 1), lse.transpose(0, 1)

    def _next(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heads, rows, size = query.shape
        keys, values = self.keys[layer], self.values[layer]
        if self.place is None:
            keys[:, :, self.width] = key.transpose(0, 1)
            values[:, :, self.width] = value.transpose(0, 1)
            seen = self.width + 1
            mask = None if self.mask is None else self.mask[..., :seen]
        else:
            assert self.mask is not None
            if layer == 0:
                self.place += 1
                self.mask.index_fill_(3, self.place, 0.0)
            keys.index_copy_(2, self.place, key.transpose(0, 1)[:, :, None])
            values.index_copy_(2, self.place, value.transpose(0, 1)[:, :, None])
            seen, mask = self.capacity, self.mask
        grouped = query.transpose(0, 1).reshape(rows, key.shape[0], -1, size)
        out, lse = _attend_step(grouped, keys, values, seen, scale, mask, bool(self.shared))
        lse = lse.reshape(rows, heads).transpose(0, 1)
        return out.reshape(rows, heads, size).transpose(0, 1), lse

    def _with_shared(
        self, layer: int, query: torch.Tensor, out: torch.Tensor, lse: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Merge in what the rows' shared nodes contribute."""
        heads, tokens, size = query.shape
        for node in self.shared:
            keys, values = node.keys[layer], node.values[layer]
            low, high = (
                (self.starts[node.first], self.starts[node.last]) if self.first_pass else (node.first, node.last)
            )
            part = slice(low, high)
            folded = query[:, part].reshape(1, keys.shape[0], -1, size)
            theirs, their_lse = _attend(folded, keys[None], values[None], scale)
            theirs, their_lse = theirs.reshape(heads, high - low, size), their_lse.reshape(heads, high - low)
            if high - low == tokens:
                weight = torch.sigmoid(their_lse - lse)[..., None].to(out.dtype)
                out, lse = torch.lerp(out, theirs, weight), torch.logaddexp(lse, their_lse)
            else:
                if not out.is_contiguous():
                    out, lse = out.contiguous(), lse.contiguous()
                weight = torch.sigmoid(their_lse - lse[:, part])[..., None].to(out.dtype)
                out[:, part] = torch.lerp(out[:, part], theirs, weight)
                lse[:, part] = torch.logaddexp(lse[:, part], their_lse)
        return out, lse

    def hold_still(self) -> None:
        """From now on let every pass be the same computation on the same tensors, so that it can be recorded.

        It reaches over all the room there is, behind a mask that opens by one place a pass.
        """
        mask = torch.full((self.rows, 1, 1, self.capacity), float("-inf"), device=self.keys[0].device)
        mask[..., : self.width] = 0.0 if self.mask is None else self.mask[..., : self.width]
        self.mask, self.place = mask, torch.tensor([self.width - 1], device=mask.device)

    def step(self) -> None:
        """Count the pass that was just made; the next one brings one token per row."""
        if self.first_pass:
            self.first_pass = False
        else:
            self.width += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these (ascending)."""
        index = torch.tensor(rows, device=self.keys[0].device)
        self.keys = [k.index_select(0, index) for k in self.keys]
        self.values = [v.index_select(0, index) for v in self.values]
        if self.mask is not None:
            self.mask = self.mask.index_select(0, index)
        left = []
        for node in self.shared:
            first = sum(r < node.first for r in rows)
            last = sum(r < node.last for r in rows)
            if last > first:
                left.append(Shared(first, last, node.keys, node.values))
        self.shared, self.rows = left, len(rows)

    def row(self, number: int, length: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Keys and values of one row's own tokens, per layer."""
        return [k[number, :, :length].contiguous() for k in self.keys], [
            v[number, :, :length].contiguous() for v in self.values
        ]


def _forest_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    forest: Forest | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """What `transformers` calls in place of its own attention while an engine generates."""
    unknown = [name for name in UNKNOWN_FEATURES if rest.get(name) is not None]
    if forest is None or unknown:
        raise UnfitModelError(f"attention features not known here: {', '.join(unknown) or 'no forest was passed on'}")
    if sliding_window:
        forest.window = min(sliding_window, forest.window or sliding_window)
    layer: int = module.layer_idx  # type: ignore[assignment]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return forest.attend(layer, query, key, value, scale), None


@cache
def register() -> None:
    """Make it known to transformers under `NAME`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _forest_attention)
