"""Bases as they lie on disk and on the hub: used as what they are, or refused with what they are and a way out."""

import io
import json
import shutil

import pytest
import sentencepiece
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BitsAndBytesConfig,
    GPTNeoXConfig,
    LlamaConfig,
    T5Config,
)

from tests.render.tokenizers import tiny
from tunewright import models
from tunewright.errors import ModelError, RenderError
from tunewright.export import write_merged
from tunewright.models import quantised
from tunewright.recipe import ModelSpec
from tunewright.records import Example, Message
from tunewright.render import Renderer

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IDS = torch.tensor([[5, 9, 20, 33, 7]])


def config(**more):
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    rest = {"vocab_size": 400, "num_key_value_heads": 2, "eos_token_id": 3, "bos_token_id": 1, "pad_token_id": 0}
    return LlamaConfig(**{**sizes, **rest, "initializer_range": 0.2, **more})


@pytest.fixture
def lay(tmp_path):
    """Writes a base as published: its model, its tokenizer, and whatever of its files is otherwise."""

    def lay(model=None, *, template=TEMPLATE, said=None, **options):
        torch.manual_seed(0)
        folder = tmp_path / "base"
        model = model if model is not None else AutoModelForCausalLM.from_config(config())
        model.save_pretrained(folder, **options)
        tiny(template, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]).save_pretrained(folder)
        if said:
            change(folder / "config.json", **said)
        return folder

    return lay


def change(path, **more):
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **more}))


def refused(folder, *words, **options):
    with pytest.raises(ModelError) as caught:
        _ = models.load(str(folder), **options).model
    told = str(caught.value)
    assert caught.value.remedy and str(folder) in told, told
    for word in words:
        assert word in told, told


# -- not all there -----------------------------------------------------------------------------------------------------


def test_a_base_with_weights_missing_is_not_filled_with_random_ones(lay):
    folder = lay()
    kept = {name: w for name, w in load_file(folder / "model.safetensors").items() if ".layers.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "9 of its weights are in none of its files", "random numbers")


def test_a_base_without_a_head_of_its_own_is_not_given_a_random_one(lay):
    refused(lay(AutoModel.from_config(config())), "lm_head.weight", "random numbers")


def test_weights_of_another_shape_than_the_config_says(lay):
    refused(lay(said={"intermediate_size": 96}), "another shape than its config.json says")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: files[0].unlink(), ["model-00001-of-", "is missing"]),
        (lambda files: files[1].write_bytes(files[1].read_bytes()[:-500]), ["cannot be read", "cut off"]),
        (
            lambda files: files[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 9\n"),
            ["pointer of Git LFS", "git lfs pull"],
        ),
        (lambda files: (files[0].parent / "model.safetensors.index.json").unlink(), ["model.safetensors.index.json"]),
    ],
)
def test_files_of_weights_that_are_not_there_or_not_whole(lay, spoil, words):
    folder = lay(max_shard_size="100KB")
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 2 and models.load(str(folder)).parameters
    spoil(files)
    refused(folder, *words)


# -- another thing -----------------------------------------------------------------------------------------------------


def test_an_adapter_beside_the_base_is_not_put_on_it_unasked(lay, tmp_path):
    folder = lay()
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(r=4, target_modules=["q_proj"]))
    tuned.save_pretrained(tmp_path / "adapter")
    refused(tmp_path / "adapter", "this is an adapter for", str(folder), "train.init_from")
    tuned.save_pretrained(folder)
    refused(folder, "an adapter lies among the base's files", "train.init_from")


def test_gguf_pickles_and_files_are_told_as_what_they_are(lay, tmp_path):
    gguf = tmp_path / "gguf" / "m-Q4_K_M.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF")
    refused(gguf, "GGUF", "the model it was made from")
    refused(gguf.parent, "GGUF", "the model it was made from")
    folder = lay()
    refused(folder / "config.json", "it is a file")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "safetensors", "write them anew: python -c")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AutoModelForSequenceClassification.from_config(config(num_labels=1)), "to judge texts"),
        (
            lambda: AutoModelForMaskedLM.from_config(
                BertConfig(
                    vocab_size=400,
                    hidden_size=32,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=32,
                )
            ),
            "to judge texts or fill gaps",
        ),
        (
            lambda: AutoModelForSeq2SeqLM.from_config(
                T5Config(vocab_size=400, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
            ),
            "an encoder",
        ),
    ],
)
def test_models_that_do_not_continue_a_text_are_refused(lay, make, words):
    refused(lay(make()), words, "…ForCausalLM")


def test_families_that_can_do_both_are_taken_where_they_foretell(lay):
    sizes = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    neox = lay(AutoModelForCausalLM.from_config(GPTNeoXConfig(**sizes, intermediate_size=32)))
    assert models.load(str(neox)).model.config.is_decoder is False
    shutil.rmtree(neox)
    bert = BertConfig(**sizes, intermediate_size=32, architectures=["BertLMHeadModel"], initializer_range=0.5)
    refused(lay(AutoModelForCausalLM.from_config(bert)), "from both sides", "…ForCausalLM")


def test_a_path_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path / "base")):
        models.locate(ModelSpec(id="../base"), tmp_path / "project")


def test_a_tokenizer_without_its_vocabulary_is_told_and_not_made_empty(lay):
    folder = lay()
    (folder / "tokenizer.json").unlink()
    refused(folder, "no tokenizer that can be read", "tokenizer.json")
    change(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    refused(folder, "knows no words", "tokenizer.json")
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    refused(folder, "tokenizer.model", "tokenizer.json")
    # SentencePiece's own file is enough: older bases have nothing else.
    words = io.BytesIO()
    sentences = iter(["a word of the weather in Rome", "what is it like there?", "say why, and how"] * 20)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences, model_writer=words, vocab_size=60, model_type="bpe", hard_vocab_limit=False
    )
    (folder / "tokenizer.model").write_bytes(words.getvalue())
    read = models.load(str(folder)).tokenizer
    assert "a word" in read.decode(read("a word")["input_ids"])


def test_a_kind_that_is_not_known_is_told_with_a_way_out(lay):
    folder = lay(said={"model_type": "llama99"})
    refused(folder, "llama99", "pip install -U transformers")
    change(folder / "config.json", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"})
    refused(folder, "code of its own, which is never run")


# -- stored in few bits ------------------------------------------------------------------------------------------------


def packed(lay, tmp_path, **how):
    """A base as repositories called …-bnb-4bit hold it."""
    whole = lay()
    how = BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.bfloat16, **how)
    model = AutoModelForCausalLM.from_pretrained(whole, quantization_config=how, dtype=torch.bfloat16)
    shutil.copytree(whole, tmp_path / "packed")
    model.save_pretrained(tmp_path / "packed")
    return tmp_path / "packed"


def test_a_base_published_in_4_bits_is_the_same_model_held_so_and_read_back(lay, tmp_path):
    folder = packed(lay, tmp_path, load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    whole, held = models.load(str(folder)), models.load(str(folder), in_4_bits=True)
    assert {p.dtype for p in whole.model.parameters()} == {torch.float32} and whole.quantisation is None
    assert held.quantisation == quantised.STORED and len(quantised.layers(held.model)) == 14
    for name, layer in held.model.named_modules():
        if quantised.is_quantised(layer):
            assert torch.equal(quantised.weight_of(layer), whole.model.get_submodule(name).weight)
    with torch.no_grad():
        said = whole.model(IDS).logits
        torch.testing.assert_close(held.model(IDS).logits, said, rtol=0, atol=1e-5)
        # What is exported holds no bits any more, for whoever reads it.
        write_merged(whole.model, tmp_path / "merged", {}, whole.tokenizer, frozenset({3}))
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
        assert torch.equal(again(IDS).logits, said)
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())


def test_other_bits_of_bitsandbytes_are_read_back_and_not_held(lay, tmp_path):
    folder = packed(lay, tmp_path, load_in_8bit=True)
    wanted = AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict()
    found = models.load(str(folder)).model.state_dict()
    assert all((found[name] - wanted[name].bfloat16()).abs().max() < 0.02 for name in wanted)
    refused(folder, "otherwise than in NF4", "train.method: lora", in_4_bits=True)


def test_a_base_published_in_fp8_is_read_back_and_written_as_numbers(lay, tmp_path):
    folder = lay(
        said={
            "quantization_config": {
                "quant_method": "fp8",
                "activation_scheme": "dynamic",
                "weight_block_size": [32, 32],
            }
        }
    )
    wanted, kept = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        kept[name] = wanted[name] = weight
        if "_proj" in name:
            blocks = weight.view(weight.shape[0] // 32, 32, weight.shape[1] // 32, 32)
            scale = blocks.abs().amax((1, 3)) / 448
            small = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
            kept[name], kept[f"{name}_scale_inv"] = small.view(weight.shape), scale
            wanted[name] = (small.float() * scale[:, None, :, None]).view(weight.shape)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    base = models.load(str(folder))
    write_merged(base.model, tmp_path / "merged", {}, base.tokenizer, frozenset({3}))
    for found in (base.model.state_dict(), load_file(tmp_path / "merged" / "model.safetensors")):
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert models.load(str(folder), in_4_bits=True).quantisation == quantised.FORM


@pytest.mark.parametrize("method", ["gptq", "awq", "compressed-tensors", "hqq", "something"])
def test_forms_that_are_only_run_are_refused_with_what_to_name_instead(lay, method):
    folder = lay(said={"quantization_config": {"quant_method": method, "bits": 4}})
    refused(folder, f"({method})", "the model that it was made from", "qlora")


# -- how it is asked ---------------------------------------------------------------------------------------------------


def test_settings_that_draw_words_otherwise_than_was_measured_are_not_exported(lay, tmp_path):
    folder = lay()
    drawn = {"do_sample": False, "temperature": 0.6, "repetition_penalty": 1.3, "max_length": 20}
    change(folder / "generation_config.json", eos_token_id=[3, 1], pad_token_id=0, **drawn)
    base = models.load(str(folder))
    assert base.stops == (3, 1)
    write_merged(base.model, tmp_path / "merged", {}, base.tokenizer, frozenset({3, 1}))
    written = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert written["eos_token_id"] == [1, 3] and not drawn.keys() & written.keys(), written


def test_a_token_that_the_model_has_no_row_for_is_told_by_the_row_that_has_it(lay):
    folder = lay(AutoModelForCausalLM.from_config(config(vocab_size=290)))
    base = models.load(str(folder))
    over = base.tokenizer.convert_ids_to_tokens(295)
    renderer = Renderer(base.tokenizer, base.stops, base.known)
    row = Example((Message("user", "x"), Message("assistant", base.tokenizer.decode([295]))), row="a:1")
    with pytest.raises(RenderError, match="290 tokens") as caught:
        renderer.render(row)
    assert repr(over) in str(caught.value)


def test_a_base_without_a_chat_template_is_asked_with_ours_or_a_file(lay, tmp_path):
    folder = lay(template=None)
    refused(folder, "no chat template", "model.template: plain")
    base = models.load(ModelSpec(id=str(folder), template="plain"))
    renderer = Renderer(base.tokenizer, base.stops, base.known)
    turns = (Message("system", "Be brief."), Message("user", "Why?"), Message("assistant", "So."))
    asked = "### System:\nBe brief.\n\n### User:\nWhy?\n\n### Assistant:\n"
    row = renderer.render(Example(turns, row="a:1"))
    # Nothing but the base's own end of text ends an answer, and it is learned.
    assert base.tokenizer.decode(row.ids[: row.prompt_length]) == asked == renderer.text(turns[:2], prompt=True)
    assert row.ids[-1] == base.tokenizer.eos_token_id == renderer.stop_id and row.weights[-1] == 1
    assert list(row.ids[: row.prompt_length]) == renderer.prompt(turns[:2])
    (tmp_path / "own.jinja").write_text(TEMPLATE)
    own = models.load(ModelSpec(id="base", template="own.jinja"), root=tmp_path)
    assert own.tokenizer.chat_template == TEMPLATE
    with pytest.raises(ModelError, match="cannot be read"):
        models.load(ModelSpec(id="base", template="no.jinja"), root=tmp_path)


def test_a_text_begins_with_a_token_where_the_tokenizer_begins_it_so(lay):
    folder = lay(template=None)
    told = json.loads((folder / "tokenizer.json").read_text())
    begin = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    told["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [1], "tokens": ["<|endoftext|>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(told))
    base = models.load(ModelSpec(id=str(folder), template="plain"))
    ids = Renderer(base.tokenizer, base.stops).prompt((Message("user", "x"),))
    assert ids[0] == 1 and ids.count(1) == 1


def test_templates_by_name_without_a_default_are_told(lay):
    folder = lay()
    (folder / "chat_template.jinja").unlink()
    named = [{"name": name, "template": TEMPLATE} for name in ("rag", "tool_use")]
    change(folder / "tokenizer_config.json", chat_template=named)
    refused(folder, "rag, tool_use", "model.template")
