"""The model a run goes on from: a point between two models of one shape, its MLPs widened.

python -m pretraining.first ONE OTHER --share 0.75 --mlp 1024 --out FOLDER   # a quarter of ONE, three of OTHER
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from .network import Shape
from .package import write


def blend(one: dict[str, Tensor], other: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the other, the rest of the one, in fp32."""
    return {name: tensor.float().lerp(other[name].float(), share) for name, tensor in one.items()}


def widen(weights: dict[str, Tensor], mlp: int) -> dict[str, Tensor]:
    """The same function with `mlp` neurons in each MLP: the new ones look at random, and nothing hears them yet."""
    wide = dict(weights)
    for name, old in weights.items():
        if name.endswith((".gate_proj.weight", ".up_proj.weight")):
            wide[name] = torch.cat([old, torch.randn(mlp - old.shape[0], old.shape[1]) * old.shape[1] ** -0.5])
        elif name.endswith(".down_proj.weight"):
            wide[name] = torch.cat([old, torch.zeros(old.shape[0], mlp - old.shape[1])], dim=1)
    return wide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--share", type=float, required=True, help="of the other")
    parser.add_argument("--mlp", type=int, help="neurons of each MLP (default: as many as there are)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    shape = Shape.of(options.one)
    if Shape.of(options.other) != shape:
        raise SystemExit(f"{options.one} and {options.other} have different shapes: no line lies between them")
    torch.manual_seed(0)
    mlp = options.mlp or shape.mlp
    if mlp < shape.mlp:
        raise SystemExit(f"--mlp {mlp}: {options.one} has {shape.mlp} neurons already; give at least as many")
    one, other = (load_file(folder / "model.safetensors") for folder in (options.one, options.other))
    wide = widen(blend(one, other, options.share), mlp)
    write(options.out, replace(shape, mlp=mlp), wide, options.other / "tokenizer.json")


if __name__ == "__main__":
    main()
