"""The seedling's network: a Llama written for speed, on one CPU thread or a GPU, with the names `transformers` uses.

The weights it trains load into `LlamaForCausalLM` unchanged (a test compares the logits). What is its own is the
computation: products in bf16 or fp32 over fp32 weights, on a CPU attention as two batched products around one fused
softmax, and all that lies between two attentions compiled into one function for every layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 4096
    hidden: int = 256
    mlp: int = 640
    layers: int = 6
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 64
    positions: int = 2048
    rope_theta: float = 10000.0
    epsilon: float = 1e-6

    @classmethod
    def of(cls, folder: Path) -> Shape:
        """The shape of the model in `folder`."""
        c = json.loads((folder / "config.json").read_text())
        theta = c.get("rope_parameters", c)["rope_theta"]
        sizes = (c["vocab_size"], c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"])
        heads = (c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"])
        return cls(*sizes, *heads, c["max_position_embeddings"], theta, c["rms_norm_eps"])


@lru_cache(16)
def rotary(length: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, laid out as `transformers` does (halves, not pairs)."""
    frequency = 1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angle = torch.arange(length).float()[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos().to(device), angle.sin().to(device)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class Norm(nn.Module):
    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class Linear(nn.Module):
    """A matrix kept in fp32 and multiplied in `dtype`."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.normal_(self.weight, std=inputs**-0.5)

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return F.linear(x.to(dtype), self.weight.to(dtype))


@dataclass(frozen=True)
class Row:
    """Windows one after the other in one row, so that one product serves them all, whatever their lengths."""

    inputs: Tensor  # ids [tokens]
    targets: Tensor  # likewise: each token's next one
    weights: Tensor  # [tokens]
    shapes: tuple[tuple[int, int], ...]  # of the micro-batches in it: windows, length

    @classmethod
    def of(cls, batches: Sequence[tuple[Tensor, Tensor]]) -> Row:
        """From micro-batches: windows [count, length + 1] and their targets' weights [count, length]."""
        inputs, targets, weights = zip(
            *((w[:, :-1].flatten(), w[:, 1:].flatten(), x.flatten()) for w, x in batches), strict=True
        )
        shapes = tuple((w.shape[0], w.shape[1] - 1) for w, _ in batches)
        return cls(torch.cat(inputs), torch.cat(targets), torch.cat(weights), shapes)


def attend(q: Tensor, k: Tensor, v: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Causal attention within each window of a row; `q`, `k`, `v` are [tokens, heads, head_dim]."""
    sizes = [count * length for count, length in shapes]
    mixed = []
    for (count, length), *pieces in zip(shapes, q.split(sizes), k.split(sizes), v.split(sizes), strict=True):
        windows = [y.view(count, length, *y.shape[1:]).transpose(1, 2) for y in pieces]
        if q.is_cuda:
            out = F.scaled_dot_product_attention(*windows, is_causal=True)
        else:
            out = _in_blocks(*(y.reshape(-1, *y.shape[2:]) for y in windows)).view(windows[0].shape)
        mixed.append(out.transpose(1, 2).reshape(count * length, -1))
    return torch.cat(mixed) if len(mixed) > 1 else mixed[0]


def _in_blocks(q: Tensor, k: Tensor, v: Tensor, block: int = 256) -> Tensor:
    """In blocks of queries, each against the keys up to its end: what lies ahead is never computed."""
    mask = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).triu(1)
    mixed = []
    for start in range(0, q.shape[1], block):
        end = min(start + block, q.shape[1])
        scores = torch.bmm(q[:, start:end], k[:, :end].mT).float() * q.shape[-1] ** -0.5
        weights = F.softmax(scores.masked_fill(mask[start:end, :end], -1e9), dim=-1)
        mixed.append(torch.bmm(weights.to(q.dtype), v[:, :end]))
    return torch.cat(mixed, dim=1)


class Attention(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.q_proj = Linear(s.hidden, s.heads * s.head_dim)
        self.k_proj = Linear(s.hidden, s.kv_heads * s.head_dim)
        self.v_proj = Linear(s.hidden, s.kv_heads * s.head_dim)
        self.o_proj = Linear(s.heads * s.head_dim, s.hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [tokens, heads, head_dim]."""
        heads = lambda y: y.view(len(x), -1, self.s.head_dim)  # noqa: E731
        q = rotate(heads(self.q_proj(x, dtype)).float(), cos, sin)
        k = rotate(heads(self.k_proj(x, dtype)).float(), cos, sin)
        v = heads(self.v_proj(x, dtype))
        if self.s.kv_heads != self.s.heads:
            k, v = (y.repeat_interleave(self.s.heads // self.s.kv_heads, dim=1) for y in (k, v))
        return q.to(dtype), k.to(dtype), v.to(dtype)


class Mlp(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = (
            Linear(s.hidden, s.mlp),
            Linear(s.hidden, s.mlp),
            Linear(s.mlp, s.hidden),
        )

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x, dtype).float()) * self.up_proj(x, dtype).float(), dtype)


class Block(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(s.hidden, s.epsilon), Norm(s.hidden, s.epsilon)
        self.self_attn, self.mlp = Attention(s), Mlp(s)

    def before(self, x: Tensor, cos: Tensor, sin: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        return self.self_attn(self.input_layernorm(x), cos, sin, dtype)

    def after(self, x: Tensor, mixed: Tensor, dtype: torch.dtype) -> Tensor:
        x = x + self.self_attn.o_proj(mixed, dtype)
        return x + self.mlp(self.post_attention_layernorm(x), dtype)


class Trunk(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocabulary, s.hidden)
        self.layers = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.norm = Norm(s.hidden, s.epsilon)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)


class Seedling(nn.Module):
    """What is compiled lies between two attentions and sees a row's tokens alone: one function for every layer."""

    def __init__(self, shape: Shape, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        self.shape, self.dtype = shape, dtype
        self.model = Trunk(shape)
        self.parts: tuple[Callable, Callable, Callable] = (Block.before, Block.after, _nats)
        for block in self.model.layers:  # every block starts as the identity
            nn.init.zeros_(block.self_attn.o_proj.weight)
            nn.init.zeros_(block.mlp.down_proj.weight)

    def states(self, ids: Tensor, shapes: Sequence[tuple[int, int]], before: Callable, after: Callable) -> Tensor:
        """[tokens, hidden] of a row's ids, before the last norm."""
        tables = [
            (count, rotary(length, self.shape.head_dim, self.shape.rope_theta, ids.device)) for count, length in shapes
        ]
        cos, sin = (torch.cat([pair[i].repeat(count, 1) for count, pair in tables])[:, None] for i in (0, 1))
        x = self.model.embed_tokens(ids)
        for block in self.model.layers:
            x = after(block, x, attend(*before(block, x, cos, sin, self.dtype), shapes), self.dtype)
        return x

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of `(batch, length)` ids, in the products' dtype."""
        x = self.states(ids.flatten(), [tuple(ids.shape)], Block.before, Block.after)
        x = self.model.norm(x).view(*ids.shape, -1)
        return F.linear(x.to(self.dtype), self.model.embed_tokens.weight.to(self.dtype))

    def compile(self) -> None:  # type: ignore[override]
        """From here on `loss` takes its parts compiled."""
        self.parts = tuple(torch.compile(part, dynamic=False) for part in self.parts)  # type: ignore[assignment]

    def loss(self, row: Row) -> Tensor:
        """Sum of a row's weighted next-token losses."""
        before, after, nats = self.parts
        x = self.states(row.inputs, row.shapes, before, after)
        return nats(self.model, x, row.targets, row.weights, self.dtype)


def _nats(trunk: Trunk, x: Tensor, targets: Tensor, weights: Tensor, dtype: torch.dtype) -> Tensor:
    logits = F.linear(trunk.norm(x).to(dtype), trunk.embed_tokens.weight.to(dtype)).float()
    return (F.cross_entropy(logits, targets, reduction="none") * weights).sum()


def read(model: Seedling, folder: Path) -> None:
    """Sets `model`'s weights from a folder that `transformers` loads."""
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
