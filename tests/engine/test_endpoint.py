"""An OpenAI-compatible server of our own: what is sent, what is tried again, what is counted."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tunewright.engine import Endpoint, Sampling
from tunewright.errors import EndpointError, RecipeError


@pytest.fixture
def server():
    """A server that plays a script: each entry is a status and a body (or what makes both), the last one stays."""
    state = {"script": [], "asked": [], "headers": [], "busy": 0, "most": 0}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state["asked"].append(body)
                state["headers"].append((self.path, self.headers.get("Authorization")))
                state["busy"] += 1
                state["most"] = max(state["most"], state["busy"])
                script = state["script"]
                status, answer = script.pop(0) if len(script) > 1 else script[0]
            if callable(answer):
                status, answer = answer(body) if status is None else (status, answer(body))
            with lock:
                state["busy"] -= 1
            raw = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *unused):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    state["url"] = f"http://127.0.0.1:{http.server_port}/v1"
    yield state
    http.shutdown()
    http.server_close()


def echo(body):
    return {
        "choices": [{"message": {"content": body["messages"][-1]["content"].upper()}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def ask(texts):
    return [[{"role": "user", "content": t}] for t in texts]


def endpoint(server, **more):
    waits = []
    made = Endpoint(server["url"], "m", key="secret", pause=waits.append, **more)
    return made, waits


def test_answers_come_in_order_with_tokens_and_cost(server):
    server["script"] = [(200, echo)]
    one, _ = endpoint(server, prices=(2.0, 8.0))
    told = []
    replies = one.chat(ask([f"q{i}" for i in range(20)]), Sampling(max_new_tokens=7), told.append)
    assert [r.text for r in replies] == [f"Q{i}" for i in range(20)]
    assert sum(told) == 20
    assert one.cost(replies[0]) == pytest.approx((10 * 2 + 5 * 8) / 1e6)
    assert Endpoint(server["url"], "m").cost(replies[0]) is None
    assert server["asked"][0] | {"messages": 0} == {"model": "m", "messages": 0, "max_tokens": 7, "temperature": 0.0}
    assert server["headers"][0] == ("/v1/chat/completions", "Bearer secret")


def test_passing_trouble_is_tried_again_and_lasting_trouble_is_told(server):
    server["script"] = [(503, {}), (429, {}), (200, echo)]
    one, waits = endpoint(server)
    assert one.chat(ask(["a"]), Sampling())[0].text == "A"
    assert len(waits) == 2 and waits[1] > waits[0]
    server["script"] = [(500, {"error": "broken"})]
    one, waits = endpoint(server, retries=2)
    with pytest.raises(EndpointError, match=r"500.*broken"):
        one.chat(ask(["a"]), Sampling())
    assert len(waits) == 2


def test_a_wrong_key_is_not_tried_again_nor_shown(server):
    server["script"] = [(401, {"error": "no"})]
    one, waits = endpoint(server)
    with pytest.raises(EndpointError) as caught:
        one.chat(ask(["a"]), Sampling())
    assert waits == [] and "secret" not in str(caught.value) and "key" in caught.value.remedy


def test_what_is_no_completion_and_what_does_not_answer(server):
    server["script"] = [(200, {"hello": 1})]
    with pytest.raises(EndpointError, match="no chat completion"):
        endpoint(server)[0].chat(ask(["a"]), Sampling())
    gone = Endpoint("http://127.0.0.1:9/v1", "m", retries=1, pause=lambda s: None)
    with pytest.raises(EndpointError, match="does not answer"):
        gone.chat(ask(["a"]), Sampling())


def test_tool_calls_come_as_suites_write_them(server):
    call = {"function": {"name": "f", "arguments": '{"x": 1}'}}
    server["script"] = [
        (200, {"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "x"}]})
    ]
    tools = [[{"name": "f", "parameters": {}}]]
    reply = endpoint(server)[0].chat(ask(["a"]), Sampling(temperature=1.0, seed=3), tools=tools)[0]
    assert reply.text == '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>'
    assert server["asked"][0]["tools"][0]["type"] == "function" and server["asked"][0]["seed"] == 3


def test_replies_are_handed_over_as_they_come_even_if_another_request_fails(server):
    server["script"] = [(200, echo), (200, echo), (400, {"error": "refused"})]
    one, _ = endpoint(server, concurrency=1)
    kept = {}
    with pytest.raises(EndpointError, match="400"):
        one.chat(ask(["a", "b", "c", "d"]), Sampling(), arrived=lambda place, reply: kept.update({place: reply.text}))
    assert kept == {0: "A", 1: "B"}


def test_what_is_no_json_is_told(server):
    server["script"] = [(200, "<html>busy</html>")]
    one, _ = endpoint(server)
    with pytest.raises(EndpointError, match=r"no chat completion.*busy"):
        one.chat(ask(["a"]), Sampling())


def test_a_redirect_is_not_followed(server):
    server["script"] = [(302, {})]
    with pytest.raises(EndpointError, match="302"):
        endpoint(server)[0].chat(ask(["a"]), Sampling())
    assert len(server["asked"]) == 1


def test_what_a_server_refuses_for_what_it_says_may_be_a_reply(server):
    server["script"] = [(400, "too long"), (200, echo)]
    texts = Endpoint(server["url"], "m", concurrency=1).chat(ask(["a", "b"]), Sampling(), tolerate=True)
    assert [(r.text, r.refused) for r in texts] == [("", "answered 400: too long"), ("B", None)]
    server["script"] = [(400, "too long")]
    with pytest.raises(EndpointError, match="400"):
        Endpoint(server["url"], "m").chat(ask(["a"]), Sampling())
    server["script"] = [(401, "no key")]
    with pytest.raises(EndpointError, match="401"):
        Endpoint(server["url"], "m").chat(ask(["a"]), Sampling(), tolerate=True)


def test_a_broken_tool_call_is_the_models_mistake_and_no_failure(server):
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": '}}
    server["script"] = [(200, {"choices": [{"message": {"content": None, "tool_calls": [call]}}]})]
    (reply,) = Endpoint(server["url"], "m").chat(ask(["a"]), Sampling())
    assert reply.text == '<tool_call>{"name": "f", "arguments": {"x": }</tool_call>'


@pytest.mark.parametrize("ending", ["\n", "\r\nX-Other: 1", "–"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(ending):
    with pytest.raises(EndpointError, match="the key") as caught:
        Endpoint("http://127.0.0.1:9/v1", "m", key=f"sk-abc{ending}")
    assert "sk-abc" not in str(caught.value)


def test_a_key_from_the_environment_may_end_with_a_line(server, monkeypatch):
    from tunewright.joins import remote
    from tunewright.recipe.spec import ServerSpec

    server["script"] = [(200, echo)]
    asked = ServerSpec(url=server["url"], model="m", key_env="KEY_OF_SERVER")
    monkeypatch.setenv("KEY_OF_SERVER", " sk-abc\r\n")
    assert remote.server(asked, privacy="local", where="judge").chat(ask(["a"]), Sampling())[0].text == "A"
    assert server["headers"][0][1] == "Bearer sk-abc"
    for wrong in ("sk-\nabc", "sk-abc\x01", " \n"):
        monkeypatch.setenv("KEY_OF_SERVER", wrong)
        with pytest.raises(RecipeError, match="KEY_OF_SERVER") as caught:
            remote.server(asked, privacy="local", where="judge")
        assert "abc" not in str(caught.value) and caught.value.exit_code == 2


def test_calls_and_their_answers_are_sent_as_openai_wants_them(server):
    server["script"] = [(200, echo)]
    one, _ = endpoint(server)
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    turns = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "clear"},
        {"role": "tool", "content": "clear still"},
    ]
    one.chat([turns], Sampling(max_new_tokens=4))
    sent = server["asked"][0]["messages"]
    ids = [c["id"] for c in sent[1]["tool_calls"]]
    assert len(set(ids)) == 2 and [m["tool_call_id"] for m in sent[2:]] == ids
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Rome"}
    assert call["function"]["arguments"] == {"city": "Rome"}  # what was given is left alone


def test_a_reply_cut_before_its_first_word_is_no_answer(server):
    cut = {"choices": [{"message": {"content": None}, "finish_reason": "length"}], "usage": {"completion_tokens": 4}}
    server["script"] = [(200, cut)]
    one, _ = endpoint(server)
    (reply,) = one.chat(ask(["a"]), Sampling(max_new_tokens=4), tolerate=True)
    assert not reply.stopped and "before it said a word" in reply.refused
    half = {"choices": [{"message": {"content": "bil"}, "finish_reason": "length"}]}
    server["script"] = [(200, half)]
    (reply,) = one.chat(ask(["a"]), Sampling(max_new_tokens=4), tolerate=True)
    assert reply.text == "bil" and reply.refused is None


def test_what_a_server_does_not_count_has_no_cost(server):
    server["script"] = [(200, {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})]
    one, _ = endpoint(server, prices=(2.0, 8.0))
    (reply,) = one.chat(ask(["a"]), Sampling(max_new_tokens=4))
    assert one.cost(reply) is None


def newer(body):
    """A model that thinks first, as its service refuses what it does not take: one thing a time."""
    for name, code in (("max_tokens", "unsupported_parameter"), ("temperature", "unsupported_value")):
        if name in body:
            return 400, {"error": {"message": f"Unsupported: '{name}'.", "param": name, "code": code}}
    return 200, echo(body)


def test_what_a_newer_model_takes_otherwise_is_learnt_once(server):
    server["script"] = [(None, newer)]
    one, waits = endpoint(server, concurrency=1, retries=0)
    assert not one.drawn
    texts = [r.text for r in one.chat(ask(["a", "b", "c"]), Sampling(max_new_tokens=9))]
    assert texts == ["A", "B", "C"] and waits == [] and one.drawn
    assert len(server["asked"]) == 5, "two refusals, and then no more"
    assert all(body.keys() == {"model", "messages", "max_completion_tokens"} for body in server["asked"][2:])
    assert server["asked"][-1]["max_completion_tokens"] == 9


def test_many_at_once_learn_it_together(server):
    server["script"] = [(None, newer)]
    one, _ = endpoint(server, concurrency=8, retries=0)
    replies = one.chat(ask([f"q{i}" for i in range(32)]), Sampling(), tolerate=True)
    assert [r.text for r in replies] == [f"Q{i}" for i in range(32)]


def test_a_value_that_is_refused_is_not_taken_for_a_name_that_is(server):
    said = {"error": {"message": "max_tokens is too large: 9.", "param": "max_tokens", "code": "invalid_value"}}
    server["script"] = [(400, said)]
    with pytest.raises(EndpointError, match="too large"):
        endpoint(server)[0].chat(ask(["a"]), Sampling())
    assert len(server["asked"]) == 1
    # A service that only words it is understood too, and one that goes on refusing is not asked for ever.
    server["script"] = [(400, "Use 'max_completion_tokens' instead of 'max_tokens'.")]
    with pytest.raises(EndpointError, match="instead"):
        endpoint(server)[0].chat(ask(["a"]), Sampling())
    assert len(server["asked"]) == 3 and "max_completion_tokens" in server["asked"][-1]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("<think>\nA lot.\n</think>\n\nbilling", "billing"),
        ("  <thinking>a <think> b</thinking>refund", "refund"),
        ("use <think> tags", "use <think> tags"),
        ("billing", "billing"),
    ],
)
def test_what_a_model_thinks_first_is_no_part_of_its_answer(server, said, text):
    server["script"] = [(200, {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})]
    assert endpoint(server)[0].chat(ask(["a"]), Sampling())[0].text == text


def test_a_thought_that_is_cut_off_is_no_answer(server):
    server["script"] = [(200, {"choices": [{"message": {"content": "<think>hm, "}, "finish_reason": "length"}]})]
    assert "max_tokens" in endpoint(server)[0].chat(ask(["a"]), Sampling())[0].refused
