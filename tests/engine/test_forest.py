"""Written-out attention equals the kernel's: block by block, with causality, and with masks for one token a row."""

import pytest
import torch

from tunewright.engine import forest


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("most", [1, 200, 1 << 28])
def test_plain_attention_is_the_kernels(monkeypatch, causal, most):
    monkeypatch.setattr(forest, "MOST_SCORES", most)
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 9, 8) for _ in range(3))
    scores = query @ key.transpose(-1, -2) * 0.3
    if causal:
        scores = scores.masked_fill(torch.ones(9, 9, dtype=torch.bool).triu(1), float("-inf"))
    for out, lse in (attend(query, key, value, 0.3, causal) for attend in (forest._attend_plainly, forest._attend)):
        assert torch.allclose(out, scores.softmax(-1) @ value, atol=1e-5)
        assert torch.allclose(lse, scores.logsumexp(-1), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("group", [1, 3])
def test_one_token_a_row_is_written_out(masked, group):
    torch.manual_seed(0)
    query, keys, values = torch.randn(5, 2, group, 8), torch.randn(5, 2, 12, 8), torch.randn(5, 2, 12, 8)
    mask = torch.zeros(5, 1, 1, 9).masked_fill_(torch.rand(5, 1, 1, 9) < 0.4, float("-inf")) if masked else None
    if mask is not None:
        mask[..., -1] = 0
    out, lse = forest._attend_step(query, keys, values, 9, 0.3, mask, merged=True)
    scores = query @ keys[:, :, :9].transpose(-1, -2) * 0.3 + (0.0 if mask is None else mask)
    assert torch.allclose(out, scores.softmax(-1) @ values[:, :, :9], atol=1e-5)
    assert torch.allclose(lse, scores.logsumexp(-1), atol=1e-5)


def test_rows_of_like_length_go_together():
    lengths = [3, 100, 80, 20, 12, 74, 1]
    groups = forest._by_length(lengths)
    assert sorted(row for rows in groups for row in rows) == list(range(7))
    assert groups == [[1, 2], [5], [3, 4], [0, 6]]
