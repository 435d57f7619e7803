"""Any OpenAI-compatible server as something that answers: concurrent, retried, its tokens and cost counted."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tunewright.engine.sampling import Sampling
from tunewright.errors import EndpointError
from tunewright.thoughts import FIELDS, apart
from tunewright.turns import with_call_ids

# Answers worth another try: too many requests, and the troubles of the server or of who stands before it.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
# Answers that speak of one request (too long, filtered) and not of all.
OF_ONE = frozenset({400, 413, 422})
# What some models take under another name, or (None) not at all; they say so in a 400 that names it.
OTHERWISE = {"max_tokens": "max_completion_tokens", "temperature": None, "top_p": None, "seed": None}
_UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its wall seconds (retries included) and the tokens the server counted; `stopped`: it was done.

    `text` is without what the model thought first. `refused` is what the server said where it would not answer this one
    request.
    """

    text: str
    seconds: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    stopped: bool = True
    refused: str | None = None


class _Refusal(Exception):
    """An answer of the server that is no reply: its status, what it said, and how long it asks to wait."""

    def __init__(self, error: urllib.error.HTTPError) -> None:
        self.code, self.after = error.code, error.headers.get("Retry-After")
        self.said = error.read(2000).decode("utf-8", "replace")


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other refusal: rows and key go where the recipe says and nowhere else."""

    def redirect_request(self, *unused: Any) -> None:
        return None


class Endpoint:
    """A chat model behind `url` (up to and including `/v1`).

    `prices` are per million prompt and completion tokens, in any one currency; `key` is sent as a bearer token and
    kept out of every message. `pause` waits between tries (tests hand in one that does not). Raises `EndpointError`
    for a key that no request can carry.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        prices: tuple[float, float] | None = None,
        concurrency: int = 8,
        retries: int = 4,
        timeout: float = 120.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.model = model
        self.prices = prices
        if key and not (key.isascii() and key.isprintable()):
            # Else the library that sends it would refuse it later, and print it.
            raise EndpointError(
                "the key holds a line break or another sign that cannot be sent.",
                where=self.url,
                remedy="Set it again as one line of plain letters, digits and signs.",
            )
        self._key = key
        self._concurrency = concurrency
        self._retries = retries
        self._timeout = timeout
        self._pause = pause
        self._unsupported: set[str] = set()
        local = urllib.parse.urlsplit(self.url).hostname in LOOPBACK
        # What is meant for this machine goes through no proxy, and nobody is followed to another address.
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_Stay, *proxies)

    @property
    def identity(self) -> str:
        """What a cache of answers is keyed by: the server and the model's name there."""
        return f"endpoint:{self.url}:{self.model}"

    @property
    def drawn(self) -> bool:
        """Whether the server has refused a temperature: its answers are drawn then, though greedy ones are asked."""
        return "temperature" in self._unsupported

    def chat(
        self,
        conversations: Sequence[Messages],
        sampling: Sampling,
        progress: Callable[[int], None] | None = None,
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        arrived: Callable[[int, Reply], None] | None = None,
        tolerate: bool = False,
    ) -> list[Reply]:
        """Answer each conversation, in order. `progress` is told of each that is done.

        `arrived` is given every reply, with its place, the moment it is there and in the thread that asked: what was
        paid for can be kept even when another request fails. With `tolerate` a request that the server refuses for what
        it says is a reply that tells so, and no error.

        Raises `EndpointError` when the server refuses a request or does not answer after all tries.
        """
        bodies = [self._body(messages, sampling, tools[i] if tools else ()) for i, messages in enumerate(conversations)]
        replies: list[Reply] = []

        def ask(place: int) -> Reply:
            reply = self._ask(bodies[place], tolerate)
            if arrived is not None:
                arrived(place, reply)
            return reply

        with ThreadPoolExecutor(self._concurrency) as pool:
            try:
                for reply in pool.map(ask, range(len(bodies))):
                    replies.append(reply)
                    if progress is not None:
                        progress(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return replies

    def cost(self, reply: Reply) -> float | None:
        """What the reply cost, in the prices' currency; None without prices, or where the server counts nothing."""
        uncounted = not (reply.refused or reply.prompt_tokens or reply.completion_tokens)
        if self.prices is None or uncounted:
            return None
        prompt, completion = self.prices
        return (reply.prompt_tokens * prompt + reply.completion_tokens * completion) / 1e6

    def _body(self, messages: Messages, sampling: Sampling, tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            # Most services take no thoughts back.
            "messages": [
                {name: said for name, said in turn.items() if name not in FIELDS} for turn in with_call_ids(messages)
            ],
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
        }
        if not sampling.greedy:
            body |= {"top_p": sampling.top_p, "seed": sampling.seed}
        if sampling.schema is not None:
            held = {"name": "answer", "strict": True, "schema": json.loads(sampling.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": held}
        if tools:
            body["tools"] = [t if "function" in t else {"type": "function", "function": dict(t)} for t in tools]
        return body

    def _ask(self, body: Mapping[str, Any], tolerate: bool) -> Reply:
        began = time.perf_counter()
        for attempt in range(self._retries + 1):
            try:
                answer = self._understood(body)
            except _Refusal as refusal:
                if refusal.code not in PASSING or attempt == self._retries:
                    told = self._told(refusal)
                    if tolerate and refusal.code in OF_ONE:
                        return Reply("", time.perf_counter() - began, refused=told.message)
                    raise told from None
                self._pause(_wait(attempt, refusal.after))
            except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
                if attempt == self._retries:
                    reason = getattr(error, "reason", error)
                    remedy = "Is the server running, and the URL right?"
                    raise EndpointError(f"does not answer: {reason}", where=self.url, remedy=remedy) from None
                self._pause(_wait(attempt, None))
            else:
                return self._reply(answer, time.perf_counter() - began)
        raise AssertionError("every try returns or raises")

    def _understood(self, body: Mapping[str, Any]) -> Any:
        """The answer to a body said as this server takes it; what it takes otherwise is learnt once."""
        while True:
            said = {OTHERWISE[k] if k in self._unsupported else k: value for k, value in body.items()}
            said.pop(None, None)
            try:
                return self._post(json.dumps(said).encode())
            except _Refusal as refusal:
                name = _unsupported(refusal)
                if name is None or name not in said:
                    raise
                self._unsupported.add(name)

    def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(f"{self.url}/chat/completions", body, headers)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                said = response.read()
        except urllib.error.HTTPError as error:
            raise _Refusal(error) from None
        try:
            return json.loads(said)
        except ValueError:
            return said[:200].decode("utf-8", "replace")

    def _told(self, refusal: _Refusal) -> EndpointError:
        remedy = "Check the key." if refusal.code in (401, 403) else "Check the model's name and the URL."
        return EndpointError(f"answered {refusal.code}: {refusal.said[:300]}", where=self.url, remedy=remedy)

    def _reply(self, answer: Any, seconds: float) -> Reply:
        try:
            choice = answer["choices"][0]
            message, usage = choice["message"], answer.get("usage") or {}
            # What a model thinks first, where its server does not keep that apart from the answer.
            text = apart(message.get("content") or "").answer
            calls = [_call_text(c["function"]) for c in message.get("tool_calls") or ()]
        except (KeyError, IndexError, TypeError, AttributeError):
            raise EndpointError(
                f"the answer is no chat completion: {str(answer)[:200]}",
                where=self.url,
                remedy="The URL must be that of an OpenAI-compatible server, ending in /v1.",
            ) from None
        said, stopped = "\n".join([*([text] if text else []), *calls]), choice.get("finish_reason") != "length"
        return Reply(
            said,
            seconds,
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
            stopped,
            # Whoever thinks first may have no token left for a word: that is no answer, and no wrong one either.
            None if said or stopped else "had spent all its tokens before it said a word: give it more `max_tokens`",
        )


def _unsupported(refusal: _Refusal) -> str | None:
    """Which of `OTHERWISE` a server says that it does not take, if it says so: in OpenAI's form, or by its new name."""
    try:
        error = json.loads(refusal.said)["error"]
        name, code = error.get("param"), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        name = code = None
    if name in OTHERWISE and code in _UNSUPPORTED:
        return str(name)
    renamed = refusal.code in OF_ONE and "max_completion_tokens" in refusal.said
    return "max_tokens" if renamed else None


def _call_text(function: Mapping[str, Any]) -> str:
    """A tool call as our suites write it."""
    name, arguments = json.dumps(function.get("name"), ensure_ascii=False), function.get("arguments")
    try:
        parsed = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
        written = json.dumps(parsed, ensure_ascii=False)
    except ValueError:  # the model's mistake, and for the scorer to find
        written = str(arguments)
    return f'<tool_call>{{"name": {name}, "arguments": {written}}}</tool_call>'


def _wait(attempt: int, asked: str | None) -> float:
    """Seconds to wait: what the server asks for, else twice as long each time with a little chance in it."""
    try:
        return min(60.0, float(asked)) if asked else min(30.0, 0.5 * 2**attempt) * random.uniform(0.8, 1.2)
    except ValueError:
        return 5.0
