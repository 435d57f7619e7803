"""K15: predictions are keyed by weights, adapter, template, prompt and sampling; a change of any is a new key."""

from hypothesis import given
from hypothesis import strategies as st

from tunewright.engine import Sampling
from tunewright.evaluate.arms import prediction_key


class Named:
    def __init__(self, identity):
        self.identity = identity


part = st.text("ab,:0123456789", max_size=6)
sampling = st.builds(
    Sampling,
    max_new_tokens=st.integers(1, 20),
    temperature=st.sampled_from([0.0, 0.5, 1.0]),
    top_p=st.sampled_from([0.5, 1.0]),
    top_k=st.integers(0, 3),
    seed=st.integers(0, 3),
)
made_of = st.tuples(part, part, sampling, st.lists(st.integers(0, 12), min_size=1, max_size=5))


def meaning(identity, template, s, ids):
    """What distinguishes two answers: greedy draws do not depend on what only sampling reads."""
    draw = (s.max_new_tokens,) if s.greedy else (s.max_new_tokens, s.temperature, s.top_p, s.top_k, s.seed)
    return identity, template, draw, tuple(ids)


@given(made_of, made_of)
def test_keys_are_equal_exactly_when_everything_is(a, b):
    same = meaning(*a) == meaning(*b)
    keys = [prediction_key(Named(i), t, s, ids) for i, t, s, ids in (a, b)]
    assert (keys[0] == keys[1]) is same
