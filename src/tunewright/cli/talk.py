"""`tunewright chat`: a conversation with a tuned model, as it was trained: same template, same system prompt."""

from __future__ import annotations

import sys
from pathlib import Path

from tunewright.cli.state import stop
from tunewright.cli.terminal import Terminal


def talk(name: str, project: Path, say: str | None, max_new_tokens: int, *, as_json: bool) -> int:
    """Answer one message (`say`), or every line typed until an empty one or the end of input."""
    from tunewright import journey
    from tunewright.records import Message

    folder, run = _which(name, project)
    speaker = journey.speaker(folder, run)
    terminal = Terminal(as_json=as_json)
    history: list[Message] = list(speaker.opening)

    def answer(text: str) -> Message:
        history.append(Message("user", text))
        history.append(speaker.answer(history, max_new_tokens))
        reply = history[-1]
        if reply.thought and not reply.content:
            terminal.say(
                f"Its thought did not end within {max_new_tokens} tokens: --max-new-tokens gives more.", style="dim"
            )
        return reply

    if say is not None:
        reply = answer(say)
        if as_json:
            thought = {"thought": reply.thought} if reply.thought else {}
            terminal.document({"model": speaker.name, "answer": reply.content, **thought})
        else:
            sys.stdout.write(reply.content + "\n")
        return 0
    terminal.say(f"{speaker.name}. An empty line ends the conversation.", style="dim")
    stop.patient = False
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            break
        if not text:
            break
        reply = answer(text)
        if reply.thought:
            terminal.say(f"thought: {reply.thought}", style="dim")
        terminal.say(reply.content)
    terminal.document({"model": speaker.name, "messages": [m.as_dict() for m in history]})
    return 0


def _which(name: str, project: Path) -> tuple[Path, str | None]:
    """A folder and a run: `chat demo` talks to the newest run of the project there, an adapter's folder to itself."""
    from tunewright.joins.speaking import is_adapter
    from tunewright.project import RECIPE

    if (Path(name) / RECIPE).is_file() or is_adapter(Path(name)):
        return Path(name), None
    return project, None if name == "." else name
