"""The engine against `transformers`' own generate and forward, on tiny random models of several families."""

import random

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tunewright.engine import Sampling, TorchEngine
from tunewright.errors import ModelError

SMALL = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
WIDE = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "max_position_embeddings": 512}


def _model(family):
    torch.manual_seed(0)
    models = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**WIDE)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**WIDE, head_dim=8)),
        "mistral_window": lambda: MistralForCausalLM(MistralConfig(**WIDE, sliding_window=40)),
        "gemma2_softcap": lambda: Gemma2ForCausalLM(Gemma2Config(**WIDE, head_dim=8)),
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4)),
        "bloom_alibi": lambda: BloomForCausalLM(BloomConfig(**SMALL, n_head=4, n_layer=2)),
    }
    return models[family]().float().eval()


def _engine(model, **more):
    return TorchEngine(model, stop_ids=frozenset({5, 6}), pad_id=0, identity="tiny", **more)


def _prompts(rng):
    """Two families of prompts with common beginnings (one of them nested), and some with nothing in common."""
    tokens = lambda n: [rng.randrange(7, 97) for _ in range(n)]  # noqa: E731
    system, other, deep = tokens(80), tokens(50), tokens(60)
    prompts = [system + tokens(rng.randrange(1, 20)) for _ in range(7)]
    prompts += [system + deep + tokens(rng.randrange(1, 9)) for _ in range(6)]
    prompts += [other + tokens(rng.randrange(1, 12)) for _ in range(6)]
    prompts += [tokens(rng.randrange(1, 30)) for _ in range(5)]
    prompts += [[*system, 8, 9], [*system, 8, 9]]  # twins
    rng.shuffle(prompts)
    return prompts


def _reference(model, prompt, new):
    out = model.generate(
        torch.tensor([prompt]), max_new_tokens=new, do_sample=False, eos_token_id=[5, 6], pad_token_id=0,
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
    )  # fmt: skip
    return tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize(
    ("family", "shares"),
    [("llama", True), ("qwen3", True), ("mistral_window", True), ("gpt2", True), ("gemma2_softcap", False),
     ("bloom_alibi", False)],
)  # fmt: skip
@pytest.mark.parametrize("rows", [3, 64])
def test_greedy_is_generates(family, shares, rows):
    model = _model(family)
    prompts = _prompts(random.Random(1))
    engine = _engine(model, batch_rows=rows)
    assert engine.shares_prefixes is shares
    done = []
    found = engine.generate(prompts, Sampling(max_new_tokens=12), done.append)
    assert sum(done) == len(prompts)
    for prompt, ours in zip(prompts, found, strict=True):
        theirs = _reference(model, prompt, 12)
        assert ours.output_ids == theirs
        assert ours.stopped == (theirs[-1] in (5, 6))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2_softcap", "bloom_alibi"])
def test_logprobs_are_the_forward_passs(family):
    model = _model(family)
    rng = random.Random(2)
    sequences = _prompts(rng)
    starts = [rng.randrange(1, len(s) + 1) for s in sequences]
    found = _engine(model, batch_rows=9).logprobs(sequences, starts)
    for ids, start, ours in zip(sequences, starts, found, strict=True):
        logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        theirs = [logits[p - 1, ids[p]].item() for p in range(start, len(ids))]
        assert ours == pytest.approx(theirs, abs=2e-5)


def test_rows_that_stop_early_leave_and_the_others_are_unmoved():
    model = _model("llama")
    prompts = _prompts(random.Random(3))
    # Every other token stops: rows leave the batch all the time.
    stops = frozenset(range(0, 97, 4))
    engine = TorchEngine(model, stop_ids=stops, pad_id=0, identity="tiny")
    for prompt, ours in zip(prompts, engine.generate(prompts, Sampling(max_new_tokens=30)), strict=True):
        out = model.generate(
            torch.tensor([prompt]), max_new_tokens=30, do_sample=False, eos_token_id=sorted(stops), pad_token_id=0
        )
        assert ours.output_ids == tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize("family", ["llama", "bloom_alibi"])
def test_sampling_is_seeded_per_prompt_and_within_top_k(family):
    model = _model(family)
    prompts = _prompts(random.Random(4))
    warm = Sampling(max_new_tokens=6, temperature=1.5, top_k=3, seed=7)
    one, again = (_engine(model, batch_rows=r).generate(prompts, warm) for r in (64, 4))
    assert [g.output_ids for g in one] == [g.output_ids for g in again]
    other = _engine(model).generate(prompts, Sampling(max_new_tokens=6, temperature=1.5, top_k=3, seed=8))
    assert [g.output_ids for g in one] != [g.output_ids for g in other]
    for prompt, g in zip(prompts, one, strict=True):
        logits = model(torch.tensor([prompt])).logits[0, -1]
        assert g.output_ids[0] in logits.topk(3).indices.tolist()


def test_top_p_next_to_nothing_is_greedy():
    model = _model("llama")
    prompts = _prompts(random.Random(5))
    a = _engine(model).generate(prompts, Sampling(max_new_tokens=5, temperature=1.0, top_p=1e-6))
    b = _engine(model).generate(prompts, Sampling(max_new_tokens=5))
    assert [g.output_ids for g in a] == [g.output_ids for g in b]


def test_the_model_is_left_as_it_was():
    model = _model("llama").train()
    before = model.config._attn_implementation
    _engine(model).generate([[8, 9, 10]], Sampling(max_new_tokens=2))
    assert model.training and model.config._attn_implementation == before


def test_empty_prompts_and_impossible_starts_are_refused():
    engine = _engine(_model("llama"))
    with pytest.raises(ValueError, match="no tokens"):
        engine.generate([[]], Sampling())
    with pytest.raises(ValueError, match="start"):
        engine.logprobs([[1, 2]], [0])
    assert engine.generate([], Sampling()) == []
    assert engine.logprobs([[1, 2]], [2]) == [[]]


def test_the_last_position_ends_a_generation_and_longer_prompts_are_refused():
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=24)).eval()
    engine = TorchEngine(model, stop_ids=frozenset(), pad_id=0, identity="tiny")
    prompts = [list(range(7, 7 + size)) for size in (5, 20, 21, 23)]
    found = engine.generate(prompts, Sampling(max_new_tokens=12))
    assert [len(g.output_ids) for g in found] == [12, 4, 3, 1] and not any(g.stopped for g in found)
    assert found[1].output_ids == _reference(model, prompts[1], 4)
    assert found[0].output_ids == engine.generate(prompts[:1], Sampling(max_new_tokens=12))[0].output_ids
    with pytest.raises(ModelError, match="24 positions"):
        engine.generate([list(range(24))], Sampling())
    with pytest.raises(ModelError, match="25 tokens"):
        engine.logprobs([list(range(25))], [1])


def test_settings_that_mean_nothing_are_refused():
    for bad in ({"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}):
        with pytest.raises(ValueError):
            Sampling(**bad)
