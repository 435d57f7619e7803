"""The seedling's network: a Llama written for speed on one CPU thread, with the parameter names `transformers` uses.

The weights it trains load into `LlamaForCausalLM` unchanged (a test compares the logits). What is its own is the
computation: bf16 products over fp32 weights, attention as two batched products around one fused softmax,
and the loss taken inside the compiled graph.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 4096
    hidden: int = 256
    mlp: int = 704
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


def rotary(length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, laid out as `transformers` does (halves, not pairs)."""
    frequency = 1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angle = torch.arange(length).float()[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


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


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, block: int = 256) -> Tensor:
    """Causal attention in blocks of queries, each against the keys up to its end: what lies ahead is never computed."""
    mixed = []
    for start in range(0, q.shape[1], block):
        end = min(start + block, q.shape[1])
        scores = torch.bmm(q[:, start:end], k[:, :end].mT).float().masked_fill(mask[start:end, :end], -1e9)
        mixed.append(torch.bmm(F.softmax(scores, dim=-1).to(q.dtype), v[:, :end]))
    return torch.cat(mixed, dim=1)


class Attention(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.q_proj = Linear(s.hidden, s.heads * s.head_dim)
        self.k_proj = Linear(s.hidden, s.kv_heads * s.head_dim)
        self.v_proj = Linear(s.hidden, s.kv_heads * s.head_dim)
        self.o_proj = Linear(s.heads * s.head_dim, s.hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
        batch, length, _ = x.shape
        heads = lambda y: y.view(batch, length, -1, self.s.head_dim).transpose(1, 2)  # noqa: E731
        q = rotate(heads(self.q_proj(x, dtype)).float(), cos, sin) * self.s.head_dim**-0.5
        k = rotate(heads(self.k_proj(x, dtype)).float(), cos, sin)
        v = heads(self.v_proj(x, dtype))
        if self.s.kv_heads != self.s.heads:
            k, v = (y.repeat_interleave(self.s.heads // self.s.kv_heads, dim=1) for y in (k, v))
        q, k, v = (y.to(dtype).reshape(-1, length, self.s.head_dim) for y in (q, k, v))
        mixed = attend(q, k, v, mask)
        return self.o_proj(
            mixed.view(batch, -1, length, self.s.head_dim).transpose(1, 2).reshape(batch, length, -1), dtype
        )


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

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, dtype)
        return x + self.mlp(self.post_attention_layernorm(x), dtype)


class Trunk(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocabulary, s.hidden)
        self.layers = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.norm = Norm(s.hidden, s.epsilon)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)


class Seedling(nn.Module):
    def __init__(self, shape: Shape, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        self.shape, self.dtype = shape, dtype
        self.model = Trunk(shape)
        for block in self.model.layers:  # every block starts as the identity
            nn.init.zeros_(block.self_attn.o_proj.weight)
            nn.init.zeros_(block.mlp.down_proj.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of `(batch, length)` ids, in the products' dtype."""
        length = ids.shape[1]
        cos, sin = rotary(length, self.shape.head_dim, self.shape.rope_theta)
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        x = self.model.embed_tokens(ids)
        for block in self.model.layers:
            x = block(x, cos, sin, mask, self.dtype)
        return F.linear(self.model.norm(x).to(self.dtype), self.model.embed_tokens.weight.to(self.dtype))

    def loss(self, windows: Tensor, weights: Tensor) -> Tensor:
        """Sum of weighted next-token losses of `(batch, length + 1)` windows."""
        logits = self(windows[:, :-1]).float()
        nats = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction="none")
        return (nats * weights.flatten()).sum()


def read(model: Seedling, folder: Path) -> None:
    """Sets `model`'s weights from a folder that `transformers` loads."""
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
