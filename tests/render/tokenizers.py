"""Small tokenizers made on the spot: byte-level BPE with any template and any special tokens."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = ["hello there, why because of this and that", "say what is the weather in Rome?", "a\n\nb c d"] * 5


def tiny(template: str, special: list[str], *, pad_is_eos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer whose first special token begins texts and whose turn terminator is also its end token."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXT, trainer)
    end = next((t for t in special if t in ("<|eot_id|>", "<end_of_turn>", "</s>", "<|im_end|>")), special[-1])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=special[0], eos_token=end, pad_token=end if pad_is_eos else "<pad>"
    )
    fast.chat_template = template
    return fast
