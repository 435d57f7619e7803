"""Vectors of texts: pooled states equal plain transformers', whatever stands beside them in a batch."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tunewright import models
from tunewright.engine import Embedder
from tunewright.errors import ModelError


@pytest.fixture(scope="module")
def seedling():
    base = models.load("seedling")
    return base, Embedder(base.model, base.tokenizer, identity="seedling")


def test_the_mean_of_the_last_states_is_plain_transformers(seedling):
    base, embed = seedling
    texts = ["Where is my parcel?", "I would like to have my money back, and soon, please.", ""]
    found = embed(texts)
    assert found.shape == (3, base.model.config.hidden_size)
    for text, vector in zip(texts[:2], found, strict=False):
        ids = torch.tensor([base.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            state = base.model(ids, output_hidden_states=True).hidden_states[-1][0].mean(0)
        assert np.allclose(vector, (state / state.norm()).numpy(), atol=1e-5)
    assert not found[2].any() or np.isclose(np.linalg.norm(found[2]), 1)
    alone = np.stack([embed([text])[0] for text in texts])
    assert np.allclose(alone, found, atol=1e-5)


@pytest.fixture
def encoder(tmp_path):
    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "a", "b", "c", "d"])}
    inner = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=6, max_position_embeddings=32, **shape)).save_pretrained(tmp_path / "enc")
    tokenizer.save_pretrained(tmp_path / "enc")
    return tmp_path / "enc"


def test_an_embedding_model_by_path_pools_as_its_settings_ask(encoder):
    model, tokenizer, first = models.load_encoder("enc", root=encoder.parent)
    assert first is False
    mean = Embedder(model, tokenizer, identity="enc")(["a b c"])[0]
    (encoder / "1_Pooling").mkdir()
    (encoder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    model, tokenizer, first = models.load_encoder("enc", root=encoder.parent)
    assert first is True
    with torch.no_grad():
        states = model(torch.tensor([[2, 3, 4]])).last_hidden_state[0]
    head = Embedder(model, tokenizer, identity="enc", first=True)(["a b c"])[0]
    assert np.allclose(head, (states[0] / states[0].norm()).numpy(), atol=1e-5)
    assert np.allclose(mean, (states.mean(0) / states.mean(0).norm()).numpy(), atol=1e-5)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError):
        models.load_encoder("empty", root=tmp_path)
