"""Generation and scoring in this process, with a `transformers` model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import torch

from tunewright.engine import packed, plain, recorded
from tunewright.engine.forest import NAME, Forest, Shared, UnfitModelError, register
from tunewright.engine.grammar import Grammar
from tunewright.engine.prefixes import Batch, Node, plan_batches
from tunewright.engine.sampling import Chooser, Sampling
from tunewright.engine.written import Written, fits
from tunewright.errors import ModelError
from tunewright.records import Generation

Progress = Callable[[int], None]
Arrived = Callable[[int, Generation], None]


class Engine(Protocol):
    """Anything that continues token ids. `identity` names weights and adapter, for caches.

    A prompt and its answer have `positions` tokens at most.
    """

    @property
    def identity(self) -> str: ...

    @property
    def positions(self) -> int: ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        progress: Progress | None = None,
        arrived: Arrived | None = None,
    ) -> list[Generation]: ...

    def logprobs(
        self, sequences: Sequence[Sequence[int]], starts: Sequence[int], progress: Progress | None = None
    ) -> list[list[float]]: ...


class TorchEngine:
    """A causal language model of `transformers` (with or without a PEFT adapter), in eval mode while it works.

    `stop_ids` end a generation (the stop token is part of its output); `pad_id` fills short rows of plain batches.
    `tokenizer` is needed only where answers are held to a JSON schema. `identity` must name the weights and the
    adapter: caches are keyed by it. Families whose attention we can stand in for (proved by a probe at first use) share
    prefixes; others run as left-padded batches through their own cache.
    """

    def __init__(
        self,
        model: Any,
        *,
        stop_ids: frozenset[int],
        pad_id: int,
        identity: str,
        tokenizer: Any = None,
        batch_rows: int = 64,
        batch_tokens: int = 16_384,
    ) -> None:
        register()
        self.model = model
        self.stop_ids = stop_ids
        self.pad_id = pad_id
        self.identity = identity
        self._grammar = Grammar(tokenizer, stop_ids) if tokenizer is not None and stop_ids else None
        self._rows = batch_rows
        self._tokens = batch_tokens
        self._shares: bool | None = None
        self._packs: bool | None = None
        self._writes = True
        self._records = True
        self._written: Written | None = None
        self._window: int | None = None

    @property
    def shares_prefixes(self) -> bool:
        """Whether shared beginnings are computed once for this model; False: plain batches."""
        if self._shares is None:
            with self._working():
                self._shares = self._probe()
        return self._shares

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        progress: Progress | None = None,
        arrived: Arrived | None = None,
    ) -> list[Generation]:
        """Continue each prompt. `progress` is told how many more prompts are done, as they finish.

        `arrived` is given each generation with its place before that: what was made can be kept whatever comes next.

        A generation's `seconds` is its share of the wall time of its batch. One that reaches the model's last position
        ends there, not `stopped`. Raises `ValueError` on an empty prompt, `ModelError` on one with no position left.
        """
        lists = [list(p) for p in prompts]
        if any(not p for p in lists):
            raise ValueError("a prompt has no tokens")
        self._refuse_longer(lists, self.positions - 1)
        done: list[Generation | None] = [None] * len(lists)
        shares = self.shares_prefixes and self._fits(lists, sampling.max_new_tokens)
        limits = [len(p) - 1 for p in lists] if shares else [0] * len(lists)
        known: dict[tuple[int, ...], Shared] = {}
        with self._working(forest=shares):
            for batch in plan_batches(lists, limits, rows=self._rows, tokens=self._tokens):
                began = time.perf_counter()
                chooser = Chooser(sampling, batch.rows, self._grammar)
                if shares:
                    outputs = self._run(batch, lists, sampling.max_new_tokens, chooser, known)
                else:
                    rows = [lists[i] for i in batch.rows]
                    outputs = plain.generate(self.model, rows, sampling, self.stop_ids, self.pad_id, chooser)
                seconds = (time.perf_counter() - began) / len(batch.rows)
                for i, ids in zip(batch.rows, outputs, strict=True):
                    del ids[self.positions - len(lists[i]) :]
                    made = Generation(tuple(ids), seconds, bool(ids) and ids[-1] in self.stop_ids)
                    done[i] = made
                    if arrived is not None:
                        arrived(i, made)
                if progress is not None:
                    progress(len(batch.rows))
        return [g for g in done if g is not None]

    def logprobs(
        self, sequences: Sequence[Sequence[int]], starts: Sequence[int], progress: Progress | None = None
    ) -> list[list[float]]:
        """Natural log-probability of each token of sequence i from `starts[i]` on, given all before it.

        `starts[i]` is at least 1: a first token has nothing before it to be predicted from. `progress` is told how many
        more sequences are scored, batch by batch; what it raises stops the work there.
        """
        lists = [list(s) for s in sequences]
        if any(not 1 <= start <= len(ids) for ids, start in zip(lists, starts, strict=True)):
            raise ValueError("a start must lie between 1 and the length of its sequence")
        self._refuse_longer(lists, self.positions)
        scored: list[list[float]] = [[] for _ in lists]
        work = [i for i, ids in enumerate(lists) if starts[i] < len(ids)]
        shares = self.shares_prefixes and self._fits(lists, 0)
        # The last token of a sequence predicts nothing: it need not be run.
        bodies = [lists[i][:-1] for i in work]
        limits = [starts[i] - 1 if shares else 0 for i in work]
        known: dict[tuple[int, ...], Shared] = {}
        with self._working(forest=shares):
            # Logits of all scored states are whole at once: keep them to a quarter of a gigabyte.
            tokens = max(256, min(self._tokens, 64_000_000 // self._embeddings().shape[0]))
            for batch in plan_batches(bodies, limits, rows=self._rows, tokens=tokens):
                wanted = [(lists[work[r]], starts[work[r]]) for r in batch.rows]
                if shares:
                    found = self._score(batch, bodies, wanted, known)
                else:
                    found = plain.logprobs(self.model, wanted, self.pad_id)
                for r, values in zip(batch.rows, found, strict=True):
                    scored[work[r]] = values
                if progress is not None:
                    progress(len(batch.rows))
        return scored

    @property
    def positions(self) -> int:
        """How many tokens the model can tell apart by place; without bound where its configuration names none."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 1 << 40)

    def _refuse_longer(self, lists: Sequence[Sequence[int]], most: int) -> None:
        longest = max(map(len, lists), default=0)
        if longest > most:
            raise ModelError(
                f"a text of {longest} tokens is too long for the model's {self.positions} positions.",
                where="generation",
                remedy="Shorten the prompts (fewer examples or documents in them), or take a model with more context.",
            )

    def _fits(self, prompts: Sequence[Sequence[int]], more: int) -> bool:
        """Sliding windows are not computed here: fine as long as nothing is longer than the window."""
        return self._window is None or max(map(len, prompts), default=0) + more <= self._window

    @contextlib.contextmanager
    def _working(self, forest: bool = True) -> Iterator[None]:
        """Eval mode, no gradients, our attention in place – and everything as it was afterwards."""
        model = self.model
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        before = base.config._attn_implementation
        training = model.training
        model.eval()
        try:
            if forest and getattr(base, "_supports_attention_backend", False):
                base.set_attn_implementation(NAME)
            with torch.inference_mode(), self._laid_out(forest):
                yield
        finally:
            self._written = None
            if base.config._attn_implementation != before:
                base.set_attn_implementation(before)
            model.train(training)

    def _laid_out(self, forest: bool) -> contextlib.AbstractContextManager[None]:
        """Copies of the weights as they compute fastest: written out where the family is known, else reordered."""
        if forest and self._writes and fits(self.model):
            self._written = Written(self.model)
            return contextlib.nullcontext()
        if self._packs is None:
            self._packs = packed.faster(self.model)
        return packed.packed(self.model) if self._packs else contextlib.nullcontext()

    def _probe(self) -> bool:
        """Do two short prompts with a common beginning give the plain way's log-probabilities?"""
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        if not getattr(base, "_supports_attention_backend", False):
            return False
        size = int(self._embeddings().shape[0])
        rows = [[(7 * i + 3) % size for i in range(n)] for n in (12, 9)]
        rows[1][7:] = [(11 * i + 5) % size for i in range(2)]
        batch = Batch((0, 1), (Node(0, 5, 0, 2, 0),))
        wanted = [(r, 6) for r in rows]
        base.set_attn_implementation("sdpa" if getattr(base, "_supports_sdpa", False) else "eager")
        theirs = plain.logprobs(self.model, wanted, self.pad_id)
        base.set_attn_implementation(NAME)
        exact = next(base.parameters()).dtype == torch.float32
        while True:
            try:
                ours = self._score(batch, [r[:-1] for r in rows], wanted, {})
                gap = max(abs(a - b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))
            except (UnfitModelError, TypeError, AttributeError, RuntimeError, ValueError):
                gap = float("inf")
            if gap <= (1e-3 if exact else 0.1) or self._written is None:
                return gap <= (1e-3 if exact else 0.1)
            # The model's own modules may still do.
            self._writes, self._written = False, None

    def _embeddings(self) -> torch.Tensor:
        return self.model.get_input_embeddings().weight  # type: ignore[no-any-return]

    def _device(self) -> torch.device:
        return self._embeddings().device

    def _grow(
        self, batch: Batch, prompts: Sequence[list[int]], room: int, known: dict[tuple[int, ...], Shared]
    ) -> tuple[Forest, list[int]]:
        """Compute the batch's shared nodes level by level; give a forest for the rows and where their own begin."""
        above: list[Shared] = []
        begins = [0] * len(batch.rows)
        for level in range(1 + max((n.level for n in batch.nodes), default=-1)):
            nodes = [n for n in batch.nodes if n.level == level]
            paths = [tuple(prompts[batch.rows[n.first]][: n.stop]) for n in nodes]
            self._compute_nodes([(n, p) for n, p in zip(nodes, paths, strict=True) if p not in known], above, known)
            for node, path in zip(nodes, paths, strict=True):
                found = known[path]
                above.append(Shared(node.first, node.last, found.keys, found.values))
                begins[node.first : node.last] = [node.stop] * (node.last - node.first)
        lengths = [len(prompts[i]) - at for i, at in zip(batch.rows, begins, strict=True)]
        return Forest(lengths, above, room, self._device()), begins

    def _compute_nodes(
        self, new: Sequence[tuple[Node, tuple[int, ...]]], above: Sequence[Shared], known: dict[tuple[int, ...], Shared]
    ) -> None:
        if not new:
            return
        ancestors = []
        for shared in above:
            under = [i for i, (n, _) in enumerate(new) if shared.first <= n.first and n.last <= shared.last]
            if under:
                ancestors.append(Shared(under[0], under[-1] + 1, shared.keys, shared.values))
        forest = Forest([n.stop - n.start for n, _ in new], ancestors, 0, self._device())
        flat = [t for n, path in new for t in path[n.start :]]
        places = [p for n, _ in new for p in range(n.start, n.stop)]
        self._forward(flat, places, forest, [len(flat) - 1])
        for i, (node, path) in enumerate(new):
            keys, values = forest.row(i, node.stop - node.start)
            known[path] = Shared(0, 0, keys, values)

    def _forward(self, flat: Sequence[int], places: Sequence[int], forest: Forest, keep: Sequence[int]) -> torch.Tensor:
        """Logits (states kept, vocabulary) of one pass over flat tokens at their `places` in their rows."""
        device = self._device()
        if self._written is not None:
            logits = self._written(torch.tensor(flat), torch.tensor(places), forest, keep)
            forest.step()
            self._window = forest.window
            return logits
        wanted = torch.tensor(keep, device=device) if len(keep) < len(flat) else 0
        ids, at = (torch.tensor([each], device=device) for each in (flat, places))
        logits = self._by_modules(forest, ids, at, wanted)
        forest.step()
        if forest.window is not None:
            self._window = forest.window
        return logits

    def _by_modules(
        self, forest: Forest, ids: torch.Tensor, places: torch.Tensor, keep: torch.Tensor | int = 0
    ) -> torch.Tensor:
        made = self.model(input_ids=ids, position_ids=places, use_cache=False, logits_to_keep=keep, forest=forest)
        return made.logits[0]  # type: ignore[no-any-return]

    def _recorded(self, forest: Forest, left: int) -> recorded.Recorded | None:
        """The next steps of `forest` as one recording, where `left` of them are enough and its model allows it."""
        device = self._device()
        if self._written is not None or not self._records or left < recorded.WORTH or not recorded.possible(device):
            return None
        if forest.place is None:
            forest.hold_still()
        try:
            return recorded.Recorded(partial(self._by_modules, forest), forest.rows, device)
        except RuntimeError:
            self._records = False  # something in it waits for the GPU; step by step it computes as well
            return None

    def _run(
        self,
        batch: Batch,
        prompts: Sequence[list[int]],
        longest: int,
        chooser: Chooser,
        known: dict[tuple[int, ...], Shared],
    ) -> list[list[int]]:
        forest, begins = self._grow(batch, prompts, longest, known)
        flat = [t for i, at in zip(batch.rows, begins, strict=True) for t in prompts[i][at:]]
        places = [p for i, at in zip(batch.rows, begins, strict=True) for p in range(at, len(prompts[i]))]
        logits = self._forward(flat, places, forest, [s - 1 for s in forest.starts[1:]])
        outputs: list[list[int]] = [[] for _ in batch.rows]
        live = list(range(len(batch.rows)))  # rows of the forest, as places in the batch
        finished: set[int] = set()
        positions = self.positions
        recording: recorded.Recorded | None = None
        for step in range(longest):
            tokens = chooser(logits, live)
            for row, token in zip(live, tokens, strict=True):
                if row not in finished:
                    outputs[row].append(token)
                    number = batch.rows[row]
                    if token in self.stop_ids or len(prompts[number]) + len(outputs[row]) >= positions:
                        finished.add(row)
            if len(finished) == len(batch.rows) or step + 1 == longest:
                break
            left = [place for place, row in enumerate(live) if row not in finished]
            # Dropping rows copies the others' keys, and a recording has to be made anew.
            if len(left) <= (len(live) // 2 if recording else len(live) * 7 // 8):
                forest.keep(left)
                live, tokens = [live[p] for p in left], [tokens[p] for p in left]
                recording = None
            # A finished row that has not left yet may be past the last position: what it computes is not looked at.
            places = [min(len(prompts[batch.rows[r]]) + step, positions - 1) for r in live]
            # The first step makes kernels ready, which a recording must find so.
            recording = recording or self._recorded(forest, longest - step if step else 0)
            logits = self._step(forest, tokens, places, recording)
        return outputs

    def _step(
        self, forest: Forest, tokens: Sequence[int], places: Sequence[int], recording: recorded.Recorded | None
    ) -> torch.Tensor:
        if recording is None:
            return self._forward(tokens, places, forest, range(len(tokens)))
        logits = recording(tokens, places)
        forest.step()
        return logits

    def _score(
        self,
        batch: Batch,
        bodies: Sequence[list[int]],
        wanted: Sequence[tuple[Sequence[int], int]],
        known: dict[tuple[int, ...], Shared],
    ) -> list[list[float]]:
        """Log-probabilities of the wanted tokens, row by row of the batch."""
        forest, begins = self._grow(batch, bodies, 0, known)
        flat = [t for i, at in zip(batch.rows, begins, strict=True) for t in bodies[i][at:]]
        places = [p for i, at in zip(batch.rows, begins, strict=True) for p in range(at, len(bodies[i]))]
        keep: list[int] = []
        labels: list[int] = []
        for row, (ids, start) in enumerate(wanted):
            keep += [forest.starts[row] + p - begins[row] for p in range(start - 1, len(ids) - 1)]
            labels += ids[start:]
        logits = self._forward(flat, places, forest, keep).float()
        label = torch.tensor(labels, device=logits.device)
        values = (logits.gather(-1, label[:, None])[:, 0] - logits.logsumexp(dim=-1)).tolist()
        found, at = [], 0
        for ids, start in wanted:
            found.append(values[at : at + len(ids) - start])
            at += len(ids) - start
        return found
