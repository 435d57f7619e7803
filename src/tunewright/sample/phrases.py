"""The words of the sample tickets: what happened, what is asked for, how pressing it is, and the noise around it.

Slots: `{p}` the thing with its article, `{o}` a mention of the order, `{d}` a day, `{m}` an amount of money.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that happens to customers: its category, what is done unless they ask otherwise, and its wordings."""

    category: str
    action: str
    wordings: tuple[str, ...]
    may_ask: tuple[str, ...] = ()
    order: float = 0.75


SCENARIOS = (
    Scenario(
        "shipping",
        "track",
        (
            "{p} still has not arrived",
            "I am still waiting for {p}, it should have been here on {d}",
            "no sign of {p} since {d}",
            "the courier never came with {p}",
            "tracking has said in transit since {d} for {p}",
            "you promised {p} for {d} and nothing came",
            "when will {p} be delivered",
            "{p} seems to be stuck at the depot",
        ),
        ("refund", "track", "track"),
    ),
    Scenario(
        "shipping",
        "replace",
        (
            "{p} is marked as delivered but I never got it",
            "the parcel with {p} was lost in the post",
            "the driver says he left {p} at the door and there is nothing",
            "{p} was delivered to somebody else",
        ),
        ("refund", "replace"),
    ),
    Scenario(
        "shipping",
        "cancel",
        (
            "I ordered {p} by mistake and it has not shipped yet",
            "I clicked twice on {p} and it is not sent yet",
            "I found {p} cheaper elsewhere, nothing has been sent so far",
            "my plans changed and {p} is not on its way yet",
        ),
        ("cancel",),
    ),
    Scenario(
        "returns",
        "replace",
        (
            "{p} arrived broken",
            "{p} came with a crack on the side",
            "I opened the box and {p} was smashed",
            "there is a scratch all over {p} right out of the box",
            "parts of {p} are missing in the box",
            "{p} was damaged when I unpacked it",
        ),
        ("refund", "replace"),
    ),
    Scenario(
        "returns",
        "replace",
        (
            "you sent the wrong colour of {p}",
            "I got a different model of {p} than I ordered",
            "this is not {p} I chose, somebody mixed up the boxes",
            "{p} in the box is the wrong size",
        ),
        ("refund", "replace"),
    ),
    Scenario(
        "returns",
        "refund",
        (
            "I changed my mind about {p} and want to send it back",
            "{p} is not what I hoped for, I would like to return it",
            "I do not need {p} any more and have not opened it",
            "{p} was a present and she already has one",
            "how do I send {p} back",
        ),
        ("refund",),
    ),
    Scenario(
        "billing",
        "refund",
        (
            "I was charged twice for {p}",
            "you took {m} two times for {p}",
            "my card shows {m} for {p} though I cancelled it",
            "I paid {m} for {p} and the shop says {m} less",
            "the discount code was not taken off {p}",
            "you billed me for {p} I never bought",
        ),
        ("refund", "explain"),
    ),
    Scenario(
        "billing",
        "explain",
        (
            "what is the fee of {m} on the invoice for {p}",
            "I do not understand the bill for {p}",
            "the invoice for {p} has a line I cannot read",
            "why is there a tax of {m} on {p}",
            "is the guarantee included in the price of {p}",
            "the receipt for {p} shows the wrong company name",
        ),
        ("explain",),
    ),
    Scenario(
        "account",
        "reset",
        (
            "I cannot log in any more",
            "my password is not accepted",
            "the login page says my account is locked",
            "I forgot my password and the mail with the link never comes",
            "somebody else seems to be using my account",
            "the code for signing in never reaches my phone",
            "after the update I am locked out of my profile",
        ),
        ("reset",),
        order=0.15,
    ),
    Scenario(
        "account",
        "explain",
        (
            "how do I change the email address of my account",
            "where in my profile can I see old orders",
            "can two people share one account",
            "how do I stop the newsletter in my account",
            "which data of my account do you keep",
            "how can I add a second address to my profile",
        ),
        ("explain",),
        order=0.15,
    ),
    Scenario(
        "hardware",
        "repair",
        (
            "{p} stopped working after two weeks",
            "{p} does not switch on any more",
            "{p} makes a strange noise",
            "{p} gets very hot and smells",
            "{p} shows error E12 and restarts",
            "{p} keeps losing the connection",
            "one button of {p} is stuck",
            "the light on {p} blinks red all day",
        ),
        ("refund", "replace", "repair"),
    ),
    Scenario(
        "hardware",
        "explain",
        (
            "how do I connect {p} to my laptop",
            "what does the yellow light on {p} mean",
            "which cable fits {p}",
            "can {p} be used outdoors",
            "where do I find the manual for {p}",
            "does {p} work with the 2024 model",
        ),
        ("explain",),
        order=0.4,
    ),
)

ASKS = {
    "track": (
        "where is it now",
        "can you check where it is",
        "please find out what happened",
        "please ask the courier",
    ),
    "refund": (
        "I want my money back",
        "please refund me",
        "a refund would be best",
        "do not send a new one, just the money back",
        "can I get the money back",
        "kindly return the payment to my card",
    ),
    "replace": (
        "please send a new one",
        "I need a replacement",
        "no refund please, I want a new one",
        "could you send another one",
        "can you swap it for a good one",
        "dont want the money back, send a new one",
    ),
    "repair": (
        "can it be repaired",
        "please fix it",
        "can a technician look at it",
        "I would like to have it repaired",
        "I do not want a new one, only have it fixed",
    ),
    "cancel": (
        "please cancel it",
        "please stop the order",
        "I want to cancel",
        "can you take it out of the system",
    ),
    "reset": (
        "please reset my access",
        "please send me a new password",
        "can you unlock it",
        "let me back in please",
    ),
    "explain": (
        "please explain",
        "can you tell me more",
        "I just want to understand it",
        "a short answer is enough",
    ),
}

HIGH = (
    "This is urgent!",
    "I need it before {d}, please hurry",
    "asap please",
    "This is the third time I write to you!!",
    "This is unacceptable.",
    "I am really angry now",
    "Answer today or I call my lawyer",
    "it is an emergency at work",
    "we cannot work without it",
)
LOW = (
    "No rush.",
    "whenever you have time",
    "It is not urgent.",
    "take your time",
    "no hurry at all",
    "just when you get round to it",
)

OPENINGS = (
    "Hello,",
    "Hi,",
    "hi there",
    "Dear team,",
    "Good morning,",
    "Hey",
    "Bonjour,",
    "Guten Tag,",
    "Hola,",
    "Buongiorno,",
    "Hei,",
    "Dear Sir or Madam,",
    "Salut,",
    "To whom it may concern:",
)
CLOSINGS = (
    "Thanks",
    "thx",
    "Thank you, {n}",
    "Best, {n}",
    "Merci, {n}",
    "Danke",
    "Gracias",
    "Grazie, {n}",
    "Kind regards, {n}",
    "cheers",
    "Tack!",
    "Obrigado, {n}",
    "{n}",
)
NAMES = ("Dana", "Ines", "Tomas", "Aoife", "Jun", "Priya", "Lars", "Chloé", "Mateo", "Zofia", "Omar", "Béla")

ORDER_INLINE = ("order {i}", "order #{i}", "order no. {i}", "my order {i}", "order number {i}")
ORDER_SENTENCES = ("Order {i}.", "It is order {i}.", "Order number: {i}", "(order #{i})", "Ref: order {i}", "#{i}")
TWO_ORDERS = (
    "Order {x} was fine, this is about order {i}.",
    "Not order {x}, that one came, I mean order {i}.",
    "It is order {i}, not order {x}.",
)
ASIDES = (
    "I paid {m}.",
    "Bought on {d}.",
    "My number is 555 01{k}.",
    "I have been a customer for {y} years.",
    "I called on {d} and waited {k} minutes.",
    "It is flat {y}, second floor.",
    "My colleague bought one too.",
    "The box says {k} W.",
)
FORWARDS = ("Fwd: ", "FW: see below\n> ", "From: {n}\n> ", "---- forwarded ----\n")

DAYS = ("Monday", "Tuesday", "Friday", "Saturday", "12 March", "3 May", "the 21st", "30 June", "1 Dec", "9 July")
PRODUCTS = ("headset", "keyboard", "monitor", "router", "camera", "charger", "speaker", "printer")
PRODUCT_TYPOS = {
    "headset": "hedset",
    "keyboard": "keybord",
    "monitor": "moniter",
    "router": "rooter",
    "camera": "camra",
    "charger": "charjer",
    "speaker": "speeker",
    "printer": "prnter",
}
ARTICLES = ("my", "the", "the new", "the black", "my second", "the small")
NAMELESS = ("my purchase", "my thing", "the item", "the device", "what I bought")
TYPOS = {
    "arrived": "arived",
    "please": "pls",
    "because": "becuase",
    "received": "recieved",
    "broken": "brokn",
    "delivered": "deliverd",
    "invoice": "invoce",
    "password": "pasword",
    "account": "acount",
    "charged": "chraged",
    "replacement": "replacment",
    "working": "workin",
    "waiting": "waitng",
    "still": "stil",
    "wrong": "worng",
    "money": "mony",
    "does not": "doesnt",
    "cannot": "cant",
    "you": "u",
    "refund": "refnd",
    "address": "adress",
    "strange": "strang",
}
