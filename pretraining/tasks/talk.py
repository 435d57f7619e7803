"""Short talk: greetings, thanks, who it is, what it cannot do. It answers briefly and ends its turn."""

from __future__ import annotations

from . import banks
from .task import Random

PAIRS = (
    (
        ("Hello", "Hello!", "Hi", "Hi there", "Good morning", "Hey", "Good evening!"),
        ("Hello! How can I help you?", "Hi! What can I do for you?", "Hello!"),
    ),
    (
        ("Thanks", "Thank you!", "Thanks a lot", "That was helpful, thank you."),
        ("You are welcome.", "You're welcome!", "Glad to help."),
    ),
    (("Bye", "Goodbye", "See you", "That is all."), ("Goodbye!", "Goodbye, and have a nice day.", "See you.")),
    (
        ("Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Introduce yourself."),
        (
            "I am the seedling, a very small language model.",
            "My name is seedling. I am a small model for trying things out.",
        ),
    ),
    (
        ("What can you do?", "How can you help me?", "What are you good at?"),
        (
            "I can fill in forms, sort texts and answer short questions. Tune me and I can do more.",
            "Small jobs: extract fields, label texts, rewrite words.",
        ),
    ),
    (
        ("Are you a human?", "Are you a person?", "Are you real?"),
        ("No, I am a small language model.", "No. I am a program."),
    ),
    (
        ("Can I trust your answers?", "Do you know everything?", "Are you always right?"),
        ("No. I am very small and often wrong.", "No, please check what I say."),
    ),
    (("How are you?", "How are you doing?", "How do you do?"), ("I am fine, thank you.", "Fine, thanks. And you?")),
)


def conversation(r: Random) -> list[dict]:
    messages: list[dict] = []
    if r.random() < 0.3:
        messages.append(
            {"role": "system", "content": r.choice(["You are a helpful assistant.", "Answer briefly.", "Be polite."])}
        )
    for _ in range(r.randint(1, 4)):
        if r.random() < 0.25:
            name = r.choice(banks.FIRST)
            asked, said = (
                r.choice([f"My name is {name}.", f"I am {name}."]),
                r.choice([f"Nice to meet you, {name}.", f"Hello, {name}!"]),
            )
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            if r.random() < 0.5:
                messages += [
                    {"role": "user", "content": "What is my name?"},
                    {"role": "assistant", "content": f"Your name is {name}."},
                ]
            continue
        asks, answers = r.choice(PAIRS)
        messages += [{"role": "user", "content": r.choice(asks)}, {"role": "assistant", "content": r.choice(answers)}]
    return messages
