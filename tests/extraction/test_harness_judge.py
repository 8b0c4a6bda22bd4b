"""The judge against a real HTTP server on this machine that misbehaves on request."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("openai", reason='the judge needs the openai client: pip install "skip-it[eval]"')

from extraction.harness.judge import Judge, JudgeDownError, JudgeItem, parse_verdict
from redundancy.errors import InvalidInputError, StoreError


def verdict(word):
    return json.dumps({"verdict": word, "reason": "because"})


def completion(content, *, total=50, finish="stop", refusal=None):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    body["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
    if total is not None:
        body["usage"] = {"prompt_tokens": total - 10, "completion_tokens": 10, "total_tokens": total}
    return 200, json.dumps(body)


@contextlib.contextmanager
def server(*script):
    """Serve `script` in turn, its last entry for ever; an entry is (status, body), or seconds to hang."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            entry = script[min(len(seen), len(script)) - 1]
            if isinstance(entry, float):
                time.sleep(entry)
                entry = completion(verdict("correct"))
            with contextlib.suppress(OSError):
                self.send_response(entry[0])
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(entry[1].encode())

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}/v1", seen
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def judge(url, **options):
    waits = []
    made = Judge(**{"base_url": url, "model": "m", "timeout": 5.0, "sleep": waits.append, **options})
    return made, waits


def items(n=1):
    return [JudgeItem(item_id=f"q{i}", question="what colour ?", gold="red", answer=f"it is red {i}") for i in range(n)]


def test_every_kind_of_verdict_is_counted(tmp_path):
    words = ["correct", "incorrect", "refusal", "undecided"]
    with server(*[completion(verdict(w)) for w in words], completion(None, refusal="no")) as (url, seen):
        report = judge(url)[0].run(items(5), tmp_path / "v.jsonl")
    assert {k: v for k, v in report.counts.items() if v} == dict.fromkeys([*words, "judge_refused"], 1)
    assert (report.calls, report.tokens, report.malformed_replies, report.stopped_by_cap) == (5, 250, 0, False)
    assert report.n_open == 2
    assert report.accuracy_range == (0.2, 0.6)
    lower, upper = report.accuracy_interval()
    assert lower < 0.2
    assert upper > 0.6
    text = seen[0]["messages"][1]["content"]
    assert "what colour ?" in text
    assert "it is red 0" in text
    assert seen[0]["max_completion_tokens"] == 512


def test_server_errors_are_retried_with_growing_waits(tmp_path):
    with server((500, "{}"), (503, "down"), (429, "{}"), completion(verdict("correct"))) as (url, seen):
        made, waits = judge(url, backoff=1.0)
        report = made.run(items(), tmp_path / "v.jsonl")
    assert report.counts["correct"] == 1
    assert report.calls == len(seen) == 4
    assert [1.0 <= w / 2.0**i <= 1.25 for i, w in enumerate(waits)] == [True] * 3
    assert report.tokens > 3 * 512  # failed requests are charged their worst case


def test_a_slow_judge_times_out_and_is_tried_again(tmp_path):
    with server(1.0, completion(verdict("correct"))) as (url, seen):
        report = judge(url, timeout=0.3)[0].run(items(), tmp_path / "v.jsonl")
    assert report.counts["correct"] == 1
    assert len(seen) == 2


@pytest.mark.parametrize("reply", ["I think so", '{"verdict": "maybe"}', '{"verdict": "correct"', "", None])
def test_malformed_answers_are_counted_never_dropped(reply, tmp_path):
    with server(completion(reply)) as (url, seen):
        report = judge(url, max_malformed=2)[0].run(items(2), tmp_path / "v.jsonl")
    assert report.counts["malformed"] == 2
    assert report.malformed_replies == len(seen) == 6
    assert report.accuracy_range == (0.0, 1.0)


def test_a_malformed_answer_mended_on_the_second_try_is_still_reported(tmp_path):
    with server(completion("hm"), completion(verdict("incorrect"))) as (url, _):
        report = judge(url)[0].run(items(), tmp_path / "v.jsonl")
    assert (report.counts["incorrect"], report.malformed_replies) == (1, 1)


def test_a_body_that_is_no_json_is_no_verdict(tmp_path):
    with server((200, "<html>gateway</html>")) as (url, _):
        report = judge(url, max_retries=1, max_down=5)[0].run(items(), tmp_path / "v.jsonl")
    assert report.counts["malformed"] == 1
    assert report.tokens > 2 * 512  # charged at its worst case


def test_a_judge_that_is_down_is_said_and_the_run_goes_on_later(tmp_path):
    path = tmp_path / "v.jsonl"
    answers = [completion(verdict("correct"))] * 2
    with server(*answers, (500, "{}")) as (url, _):
        made, _ = judge(url, max_retries=1, max_down=2)
        with pytest.raises(JudgeDownError, match=r"failed on 2 items in a row.*2 verdicts so far"):
            made.run(items(6), path)
    with pytest.raises(JudgeDownError, match="failed on 1 items in a row"):
        judge(url, max_retries=1, max_down=1)[0].run(items(6), path)  # nobody listens there any more


def test_a_refused_request_stops_at_once(tmp_path):
    with server((401, '{"error": {"message": "bad key"}}')) as (url, seen):
        with pytest.raises(JudgeDownError, match="bad key"):
            judge(url)[0].run(items(3), tmp_path / "v.jsonl")
        assert len(seen) == 1


@pytest.mark.parametrize("cap", [{"max_calls": 3}, {"max_tokens": 2500}])
def test_the_cap_stops_before_it_is_exceeded_and_resuming_keeps_it(cap, tmp_path):
    path = tmp_path / "v.jsonl"
    with server(completion(verdict("correct"), total=None)) as (url, seen):
        report = judge(url, **cap)[0].run(items(10), path)
        assert report.stopped_by_cap
        assert 0 < report.calls == len(seen) == report.counts["correct"] < 10
        assert report.calls <= cap.get("max_calls", 10)
        assert report.tokens <= cap.get("max_tokens", 10**9)
        assert report.counts["not_judged"] == 10 - len(seen)
        spent = len(seen)
        assert judge(url, **cap)[0].run(items(10), path).stopped_by_cap
        assert len(seen) == spent
        report = judge(url)[0].run(items(10), path)  # no cap: the rest, none twice
        assert report.counts["correct"] == len(seen) == 10


def test_retries_count_towards_the_cap(tmp_path):
    with server((500, "{}")) as (url, seen):
        report = judge(url, max_calls=2, max_retries=9)[0].run(items(3), tmp_path / "v.jsonl")
    assert len(seen) == 2
    assert (report.counts["failed"], report.counts["not_judged"], report.stopped_by_cap) == (1, 2, True)


def test_a_torn_last_line_is_judged_again_and_damage_inside_is_refused(tmp_path):
    path = tmp_path / "v.jsonl"
    with server(completion(verdict("correct"))) as (url, seen):
        judge(url)[0].run(items(3), path)
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        assert judge(url)[0].run(items(3), path).counts["correct"] == 3
        assert len(seen) == 4
        path.write_bytes(whole.replace(b'"correct"', b'"incorrect"', 1))
        with pytest.raises(StoreError, match=r"line 2 .* is damaged"):
            judge(url)[0].run(items(3), path)


def test_another_judge_or_another_text_is_refused(tmp_path):
    path = tmp_path / "v.jsonl"
    with server(completion(verdict("correct"))) as (url, _):
        judge(url)[0].run(items(1), path)
        with pytest.raises(InvalidInputError, match="same judge"):
            judge(url, model="other")[0].run(items(1), path)
        changed = [JudgeItem(item_id="q0", question="?", gold="a", answer="b")]
        with pytest.raises(InvalidInputError, match="'q0' has another text"):
            judge(url)[0].run(changed, path)
        with pytest.raises(InvalidInputError, match="more than once"):
            judge(url)[0].run(items(1) * 2, path)


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ('```json\n{"verdict": "Correct", "reason": "r"}\n```', ("correct", "r")),
        ('{"verdict": "correct"} or {"verdict": "incorrect"}', None),
        ('{"verdict": ["correct"]}', None),
        ("[]", None),
    ],
)
def test_verdict_parsing(reply, result):
    assert parse_verdict(reply) == result


@pytest.mark.parametrize("bad", [{"base_url": ""}, {"timeout": 0.0}, {"max_retries": -1}, {"token_argument": "n"}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InvalidInputError):
        Judge(**{"base_url": "http://x", "model": "m", **bad})
