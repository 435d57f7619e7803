"""The embedded base: loads plainly, speaks ChatML, marks only what the assistant says, ends its turns."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
SEEDLING = ROOT / "src/tunewright/models/seedling"
TOOL = {
    "name": "find_boat",
    "description": "Find a boat",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(SEEDLING)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(SEEDLING, dtype=torch.float32).eval()


def test_it_is_small_and_loads_in_under_a_second(tokenizer, model):
    took = []
    for _ in range(3):  # the best of three: a busy machine is not the model's fault
        began = time.perf_counter()
        loaded = AutoModelForCausalLM.from_pretrained(SEEDLING)
        AutoTokenizer.from_pretrained(SEEDLING)
        took.append(time.perf_counter() - began)
    assert min(took) < 1.0
    assert loaded.dtype == torch.bfloat16
    assert sum(p.numel() for p in loaded.parameters()) <= 8_000_000
    assert sum(file.stat().st_size for file in SEEDLING.iterdir()) <= 16e6
    assert loaded.config.model_type == "llama"
    assert loaded.config.max_position_embeddings == 2048


@pytest.mark.parametrize(
    "text",
    [
        "Hello there",
        "  two  spaces\t\tand tabs \n\n\n",
        "naïve café",
        "日本語 🙂 \x00\x7f",
        "a" * 500,
        "12345.678",
        "ﬁ ½ Å",
    ],
)
def test_every_text_comes_back_as_it_was(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_split_is_one_that_other_engines_know(tokenizer):
    steps = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"]["pretokenizers"]
    assert steps[0]["type"] == "Split"
    assert steps[0]["pattern"]["Regex"].startswith("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|")
    assert steps[1]["type"] == "ByteLevel"


def test_both_stop_tokens_are_set(tokenizer, model):
    assert tokenizer.eos_token == "<|im_end|>"
    stops = model.generation_config.eos_token_id
    assert set(stops) == set(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))


def test_plain_turns_render_as_chatml(tokenizer):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"},
    ]
    expected = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == expected


def test_only_what_the_assistant_says_is_marked(tokenizer):
    messages = [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": "A boat in Lima"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "find_boat", "arguments": {"city": "Lima"}}}],
        },
        {"role": "tool", "content": '{"result": "Ola"}'},
        {"role": "assistant", "content": "It is the Ola."},
    ]
    kept = tokenizer.apply_chat_template(
        messages, tools=[TOOL], tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, mask = kept["input_ids"], kept["assistant_masks"]
    marked = tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m])
    call = '<tool_call>\n{"name": "find_boat", "arguments": {"city": "Lima"}}\n</tool_call><|im_end|>'
    assert marked == call + "It is the Ola.<|im_end|>"
    text = tokenizer.decode(ids)
    assert text.startswith("<|im_start|>system\nUse tools.\n\nTools:\n" + json.dumps(TOOL) + "\n")
    assert '<|im_start|>tool\n{"result": "Ola"}<|im_end|>\n' in text


def test_tool_marks_survive_decoding(tokenizer):
    ids = tokenizer.encode("<tool_call>\n{}\n</tool_call><|im_end|>", add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<tool_call>\n{}\n</tool_call>"


def reply(model, tokenizer, messages, **template) -> tuple[str, bool]:
    """The answer, and whether its turn was ended."""
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True, **template
    )
    with torch.no_grad():
        out = model.generate(**ids, max_new_tokens=80, do_sample=False)[0, ids["input_ids"].shape[1] :]
    return tokenizer.decode(out, skip_special_tokens=True), bool(out[-1] in model.generation_config.eos_token_id)


@pytest.mark.parametrize("asked", ["Hello!", "Thanks"])
def test_it_ends_its_turns(model, tokenizer, asked):
    text, ended = reply(model, tokenizer, [{"role": "user", "content": asked}])
    assert ended
    assert text.strip()


def test_it_fills_the_fields_asked_for_and_stops(model, tokenizer):
    asked = "Return JSON with the fields name, city.\n\nText: Maria Lopez moved to Lisbon in 2019."
    text, ended = reply(model, tokenizer, [{"role": "user", "content": asked}])
    assert ended
    assert json.loads(text) == {"name": "Maria Lopez", "city": "Lisbon"}


# ---- the script that grew it ----


def test_the_training_network_is_the_llama_that_transformers_runs(model, tokenizer):
    from pretraining.network import Seedling, Shape

    config = model.config
    shape = Shape(
        config.vocab_size,
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
    )
    ours = Seedling(shape, torch.float32)
    ours.load_state_dict({k: v for k, v in model.state_dict().items() if k != "lm_head.weight"})
    ids = torch.randint(5, config.vocab_size, (2, 600), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gap = (ours(ids) - model(ids).logits).abs().max()
    assert gap < 1e-3


def test_own_tasks_render_as_the_template_does_and_stay_off_what_is_measured(tokenizer):
    from pretraining.tasks import episodes, tools

    template = (ROOT / "pretraining" / "chat_template.jinja").read_text()
    for seed in range(40):
        messages, offered = tools.conversation(random.Random(seed))
        text = "".join(segment for segment, _ in episodes.render(messages, offered))
        written = tokenizer.apply_chat_template(messages, tools=offered, tokenize=False, chat_template=template)
        assert written == text
    drawn = "".join(text for seed in range(400) for text, _ in episodes.episode(random.Random(seed), seed % 2 == 0))
    for word in ("support", "category", "priority", "order_id", "refund", "playlist", "GetWeather", "card_arrival"):
        assert word not in drawn
    again = "".join(text for seed in range(400) for text, _ in episodes.episode(random.Random(seed), seed % 2 == 0))
    assert again == drawn


def fresh_run():
    from pretraining.grow import Run
    from pretraining.mixture import Mixture, Pool
    from pretraining.network import Shape
    from pretraining.stages import Schedule

    ids = np.random.default_rng(0).integers(5, 64, 5000).astype(np.uint16)
    names = ("books", "docs", "textbooks", "dialogue", "qa", "tasks", "own", "shots")
    mixture = Mixture({name: Pool(ids) for name in names}, 64, 0)
    return Run(Shape(64, 32, 48, 1, 2, 2, 16), mixture, Schedule(8, 1.0), torch.float32)


def grown(run, steps: int, second: bool = False):
    from pretraining.grow import gradients, train_step
    from pretraining.hands import Hands

    hands = Hands(gradients(run), second)
    return [train_step(run, hands) for _ in range(steps)][-1]


@pytest.mark.parametrize("second", [False, True])
def test_growing_resumes_exactly(tmp_path, second):
    pytest.importorskip("zstandard")
    straight = fresh_run()
    last = grown(straight, 4)
    first = fresh_run()
    grown(first, 2, second)
    first.save(tmp_path / "checkpoint.pt")
    resumed = fresh_run()
    resumed.load(tmp_path / "checkpoint.pt")
    assert grown(resumed, 2, second) == last
    for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_second_hand_that_is_held_up_costs_little_and_changes_nothing():
    pytest.importorskip("zstandard")
    import threading

    from pretraining.hands import Hands

    first, held = threading.current_thread(), threading.Event()

    def work(part: int) -> int:
        if threading.current_thread() is not first:
            held.wait(20)
        else:
            time.sleep(0.01)
        return part * part

    try:
        assert Hands(work, second=True)([1, 2, 3, 4]) == [1, 4, 9, 16]  # the last one was begun by the second
        assert not held.is_set()
    finally:
        held.set()

    def fails(part: int) -> int:
        time.sleep(0.05)
        if threading.current_thread() is not first:
            raise ValueError("out of memory")
        return part

    with pytest.raises(ValueError, match="out of memory"):
        Hands(fails, second=True)([1, 2, 3, 4])


def test_the_peer_of_the_benchmark_gives_probabilities():
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    from _kneser_ney import KneserNey

    ids = (np.random.default_rng(0).zipf(1.5, 3000) % 37).astype(np.uint16)
    peer = KneserNey(ids, 37, order=3)
    for before in ([1, 2], [5, 0], [36, 36]):
        total = sum(peer.probabilities(np.array([*before, last], np.uint16))[-1] for last in range(37))
        assert total == pytest.approx(1.0, abs=1e-6)
