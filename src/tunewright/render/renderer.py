"""One way to write a conversation as tokens, used in training, evaluation, serving and export alike (K4)."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from tunewright.errors import RenderError
from tunewright.records import Example, Message, Rendered, TokenFacts, sequences
from tunewright.render.habits import MARK, begins_thoughts, found, places_a_system, takes, takes_fields
from tunewright.render.turns import Form, Passage, Turn, as_dicts, as_tools, passages, with_system_in_user
from tunewright.thoughts import Said, apart

_VERSION = "render-1"


class Renderer:
    """Conversations to token ids with loss weights, under one tokenizer and its chat template.

    `fingerprint` changes whenever the same conversation could be written differently; it is saved with every run and
    adapter, and compared before anything is served.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        stop_ids: Sequence[int] = (),
        known: int | None = None,
        *,
        thinking: bool = False,
    ) -> None:
        """`stop_ids` are what the model's generation config stops at; the template's own terminator is added.

        `known` is how many tokens the model has an embedding for: some tokenizers have more. `thinking`: thoughts are
        written before answers, and read off them again.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise RenderError(
                "this tokenizer cannot say which characters a token covers.",
                remedy="Use a base with a fast tokenizer (tokenizer.json).",
            )
        self.tokenizer = tokenizer
        self._known = known
        self._folds = self._numbers = self._opens = False
        self._form: Form = None
        self._folds = self._folds_a_system()
        self._numbers = self._wants_numbered_calls()
        if thinking:
            self._form = "fields"
            self._form = "fields" if takes_fields(self._write) else "words"
            self._opens = begins_thoughts(self._write)
        stops = [str(token) for token in tokenizer.convert_ids_to_tokens([int(i) for i in stop_ids])]
        self._habits = found(tokenizer, self._write, stops, self._opens)
        self.terminator = self._habits.ends[0]
        self.prompt((Message("user", "x"),))  # a template's own tokens are in every row
        own, *others = (int(tokenizer.convert_tokens_to_ids(end)) for end in self._habits.ends)
        self.stop_ids = frozenset({own, *others, *(int(i) for i in stop_ids)})
        self.stop_id = own
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else own)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over template, tokenizer, terminators and our own way of rendering."""
        backend = self.tokenizer.backend_tokenizer.to_str()
        parts = [_VERSION, str(self.tokenizer.chat_template), backend, str(sorted(self.stop_ids))]
        parts += ["system in user"] if self._folds else []
        parts += ["numbered calls"] if self._numbers else []
        parts += ["answers behind prompts"] if self._habits.unwritten else []
        parts += ["ended by the next turn"] if any(self._habits.added) else []
        parts += [f"thoughts in {self._form}"] if self._form else []
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def text(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = (), prompt: bool = False) -> str:
        """The conversation as the template writes it; `prompt` adds the start of the assistant's turn.

        Where the template has no place for a system's turn (Gemma's, Mistral's), its words stand before the user's
        first; where it refuses tool calls without ids (Mistral's do), they are numbered.
        """
        if self._folds:
            messages = with_system_in_user(messages)
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    as_dicts(messages, numbered=self._numbers, form=self._form, opens=self._opens),
                    tools=as_tools(tools),
                    tokenize=False,
                    add_generation_prompt=prompt,
                )
            )
        except Exception as error:
            raise RenderError(f"the chat template refuses this conversation: {error}") from error

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """Token ids of the conversation up to where the assistant should speak."""
        return self._ids(self.text(messages, tools, prompt=True))

    def render(self, example: Example, max_length: int | None = None) -> Rendered:
        """`example` as token ids with a loss weight for each; cut at `max_length` tokens.

        Supervised is exactly what the assistant says in each turn, with its terminator, and nothing else: proved by
        decoding. Raises `RenderError` naming the row when the template does not allow that.
        """
        last, *earlier = self._passages(example)
        cut = (self._rendered(passage, example, max_length) for passage in reversed(earlier))
        return self._rendered(last, example, max_length).with_earlier(each for each in cut if each.supervised)

    def facts(self, example: Example, max_length: int) -> TokenFacts:
        """How many tokens of `example` are supervised, and lost at `max_length`. Raises `RenderError` like `render`."""
        whole = list(sequences([self.render(example)]))
        lost = sum(1 for each in whole for w in each.weights[max_length:] if w > 0)
        return TokenFacts(sum(each.supervised for each in whole), lost)

    def decode(self, ids: Sequence[int]) -> str:
        """What the assistant said: the text of `ids` without stop tokens and what the template writes around it, and
        without its thought where these are written."""
        return self.said(ids).answer

    def said(self, ids: Sequence[int]) -> Said:
        """Like `decode`, with the thought apart; none is where these are not written."""
        kept = [i for i in ids if i not in self.stop_ids]
        text = str(self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        whole = apart(text, opened=self._opens) if self._form else Said("", text)
        return whole._replace(answer=whole.answer.removeprefix(self._habits.before).removesuffix(self._habits.behind))

    @functools.cached_property
    def writes_thoughts(self) -> bool:
        """Whether an answer is learned with the thought before it."""
        row = Example((Message("user", "x"), Message("assistant", "z", thought=MARK)))
        try:
            return bool(self._form and self._passages(row))
        except RenderError:
            return False

    # -- inside -------------------------------------------------------------------------------------------------

    def _ids(self, text: str) -> list[int]:
        # The template has written BOS if there is to be one (K3): add nothing.
        return self._known_to_the_model(self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)

    def _known_to_the_model(self, ids: Sequence[int]) -> list[int]:
        """`ids`. Raises `RenderError` where the model has no embedding for one: some tokenizers were given more."""
        over = max(ids, default=0)
        if self._known is not None and over >= self._known:
            token = self.tokenizer.convert_ids_to_tokens(over)
            raise RenderError(
                f"the model knows {self._known:,} tokens, and {token!r} is number {over:,} of its tokenizer.",
                remedy="Take the tokenizer that was published with the model, or a base that was resized for this one.",
            )
        return list(ids)

    def _write(self, messages: Sequence[Message], prompt: bool) -> str:
        return self.text(messages, (), prompt)

    def _rendered(self, passage: Passage, example: Example, max_length: int | None) -> Rendered:
        ids, flags, last_start = self._tokens(passage.text, passage.turns)
        self._prove(ids, flags, passage, example.row)
        # Nothing stands before a first token that could predict it.
        weights = tuple(example.weight if f and place else 0.0 for place, f in enumerate(flags))
        limit = len(ids) if max_length is None else max_length
        return Rendered(tuple(ids[:limit]), weights[:limit], last_start, example.row)

    def _passages(self, example: Example) -> list[Passage]:
        """The texts to learn from, and where the assistant's words lie in them; the whole conversation comes first."""

        def write(messages: Sequence[Message], prompt: bool) -> str:
            if messages and prompt:
                return self.text(messages, example.tools, prompt)
            return self._answered(messages, example.tools) if messages else self._empty()

        try:
            found = passages(example.messages, write, self._habits, example.row)
        except RenderError as error:
            raise (
                error if error.where else RenderError(error.message, where=example.row, remedy=error.remedy)
            ) from error
        wanted = [Passage(p.text, [t for t in p.turns if example.messages[t.index].learned]) for p in found]
        learned = [passage for passage in wanted if passage.turns]
        if not learned:
            raise RenderError("there is no assistant turn to learn from.", where=example.row)
        self._leaves_nothing_out(example, found[0].text)
        return learned

    def _answered(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> str:
        """The conversation up to an answer and its end, which stands behind the prompt that asks for it.

        Some templates (Gemma 4's larger ones) end the prompt with an empty thought and leave it out before the answer.
        """
        whole = self.text(messages, tools) + self._habits.added[bool(messages[-1].tool_calls)]
        if not self._habits.unwritten:
            return whole
        head = self.text(messages[:-1], tools, prompt=True)
        begin = head.removesuffix(self._habits.unwritten)
        return head + whole.removeprefix(begin) if head != begin and whole.startswith(begin) else whole

    def _empty(self) -> str:
        """What the template writes before an assistant turn that comes first."""
        whole = self._write((Message("assistant", MARK),), False)
        return whole[: whole.index(MARK)].removesuffix(self._habits.before)

    def _leaves_nothing_out(self, example: Example, text: str) -> None:
        """Raise where the template does not write the tools that are offered, or what they gave back."""
        names = [str(tool.get("function", tool).get("name", "")) for tool in example.tools]
        if names and not any(name in text for name in names):
            what = (
                "the tools that the row offers",
                f"The row offers: {', '.join(names)}. Write them into the system turn",
            )
        elif self._drops_results(example):
            what = "what a tool gave back", "Write it into a user's turn"
        else:
            return
        raise RenderError(
            f"the chat template leaves out {what[0]}: the answer would be learned without it.",
            where=example.row,
            remedy=f"{what[1]}, or use a base whose template has a place for it.",
        )

    def _drops_results(self, example: Example) -> bool:
        """Whether what a tool gave back is nowhere in the conversation; templates quote it in many ways."""
        marked = [Message("tool", MARK) if m.role == "tool" else m for m in example.messages]
        results = sum(m.role == "tool" for m in marked)
        return bool(results) and self.text(marked, example.tools).count(MARK) < results

    def _tokens(self, text: str, turns: list[Turn]) -> tuple[list[int], list[bool], int]:
        """Ids, whether each is supervised, and how many precede the last turn's first supervised one.

        The text is encoded in one go. Where a token would straddle the start of an answer, what stands before it is
        encoded by itself, as it will be when the model is asked: the answer's tokens then follow the prompt's.
        """
        ids: list[int] = []
        begins: list[int] = []
        for begin, stop in self._pieces(text, turns):
            encoded = self.tokenizer.backend_tokenizer.encode(text[begin:stop], add_special_tokens=False)
            ids += encoded.ids
            begins += [begin + start for start, _ in encoded.offsets]
        flags = [any(t.start <= b < t.end for t in turns) for b in begins]
        self._known_to_the_model(ids)
        return ids, flags, next(i for i, b in enumerate(begins) if b >= turns[-1].start)

    def _pieces(self, text: str, turns: list[Turn]) -> list[tuple[int, int]]:
        """Character ranges to encode by themselves: one, unless a token straddles the start of an answer."""
        offsets = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).offsets
        begins = {begin for begin, _ in offsets}
        cuts = [0, *(t.start for t in turns if t.start not in begins), len(text)]
        return list(itertools.pairwise(cuts))

    def _prove(self, ids: list[int], flags: list[bool], passage: Passage, row: str) -> None:
        """Decode what is supervised and compare with what the assistant said (K2)."""
        supervised = self.tokenizer.decode(
            [i for i, f in zip(ids, flags, strict=True) if f],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        parts = [passage.text[t.start : t.end] for t in passage.turns]
        wanted = "".join(parts)
        # A tokenizer with a normal form (NFC, say) can only say normal text: composed é for e and an accent. Decoders
        # of the SentencePiece kind drop the space before the first word; that is theirs, not the mask's.
        normal = self.tokenizer.backend_tokenizer.normalizer
        sayable = {wanted, wanted.removeprefix(" ")}
        if normal:
            sayable.add("".join(normal.normalize_str(part) for part in parts))
        if supervised not in sayable:
            raise RenderError(
                f"the loss mask does not cover the assistant's words.\n"
                f"    supervised:  {supervised!r}\n    wanted:      {wanted!r}",
                where=row,
            )

    def _wants_numbered_calls(self) -> bool:
        """Whether the template refuses tool calls as they are, and takes them with ids in Mistral's form."""
        call = {"name": "f", "arguments": {}}
        turns = (
            Message("user", "x"),
            Message("assistant", "", (call,)),
            Message("tool", "y"),
            Message("assistant", "z"),
        )
        if takes(self._write, turns):
            return False
        self._numbers = True
        return takes(self._write, turns)

    def _folds_a_system(self) -> bool:
        """Whether the template has no steady place for a system's turn in a conversation that it takes without."""
        # A template that refuses both is told when it is needed.
        return takes(self._write, (Message("user", "x"), Message("assistant", "z"))) and not places_a_system(
            self._write
        )
