"""Tasks of our own, by seeded generators: each gives a `Task`, a rule that any number of (input, output) pairs follow.

None of them draws help-desk tickets, music, weather, restaurant or banking requests: what the demonstration and the
usual test sets measure must stay unseen, or few-shot and base scores would not be honest.
"""
