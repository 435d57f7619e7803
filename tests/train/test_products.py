"""Products in pieces: wide ones by columns, head and loss in chunks."""

import pytest
import torch
import torch.nn.functional as F

from tunewright.train.head import loss_and_grad
from tunewright.train.products import times


@pytest.mark.parametrize("columns", [96, 2_560, 2_561, 5_000])
def test_a_wide_product_by_columns_is_the_product(columns: int) -> None:
    left, right = torch.randn(33, 40)[:, :32], torch.randn(columns, 48)[:, :32]
    assert torch.allclose(times(left, right), left @ right.t(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("vocabulary", [96, 5_000])
def test_head_and_loss_in_chunks_are_those_of_float64(vocabulary: int, dtype: torch.dtype, most: float) -> None:
    torch.manual_seed(0)
    states, head = (torch.randn(n, 64).mul(0.5).to(dtype) for n in (700, vocabulary))
    labels, weights = torch.randint(vocabulary, (700,)), torch.rand(700)
    # Half of the labels are what the model is surest of.
    labels[::2] = (states @ head.t()).argmax(1)[::2]
    loss, grad = loss_and_grad(states, head, labels, weights, backward=True)
    exact = states.double().requires_grad_()
    each = F.cross_entropy(exact @ head.double().t(), labels, reduction="none") * weights
    each.sum().backward()
    assert loss == pytest.approx(float(each.sum().detach()), rel=most)
    assert grad is not None and exact.grad is not None
    assert float((grad - exact.grad).norm() / exact.grad.norm()) <= most
    assert loss_and_grad(states, head, labels, weights, backward=False) == (loss, None)
