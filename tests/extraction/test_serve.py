"""The server with the real openai client: answers, streams, many at once, limits, keys, departures, audits, the end."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
import torch
import uvicorn

from extraction import default_model
from extraction.serve import Auditor, Batcher, Limits, build_app
from extraction.serve.batcher import Job, QueueFullError
from extraction.serve.protocol import read_request
from extraction.skip import apply, parse_plan
from redundancy.errors import InvalidInputError
from redundancy.risk import DriftAlarm

PLAN = "late_entry(1) + vision_exit(9)"


def picture_url(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, format=kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def turn(sample):
    return [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": picture_url(sample.image)}},
                {"type": "text", "text": sample.question},
            ],
        }
    ]


@contextlib.contextmanager
def running(model, *, plan=PLAN, limits=None, api_key=None, auditor=None):
    batcher = Batcher(model, default_model.load_processor(), parse_plan(plan), limits or Limits(new_tokens=16))
    if auditor is not None:
        batcher.on_answer = lambda job: auditor.consider(job, batcher)
    app = build_app(batcher, name="embedded", api_key=api_key, auditor=auditor)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def model():
    return default_model.load_model()


@pytest.fixture(scope="module")
def samples():
    return default_model.load_samples(24)


@pytest.fixture(scope="module")
def url(model):
    with running(model) as address:
        yield address


def client(url, key="none"):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def expected(model, samples):
    """Greedy answers of `apply`, one by one, through transformers' own generate."""
    processor, texts = default_model.load_processor(), []
    for sample in samples:
        content = [{"type": "image"}, {"type": "text", "text": sample.question}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        bos = processor.tokenizer.bos_token
        inputs = processor(
            images=sample.image,
            text=prompt,
            return_tensors="pt",
            add_special_tokens=not (bos and prompt.startswith(bos)),
        )
        with torch.no_grad(), apply(model, parse_plan(PLAN)):
            out = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        texts.append(processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


def test_sixteen_clients_at_once_get_the_answers_of_apply(url, samples, expected):
    def ask(i):
        done = client(url).chat.completions.create(model="embedded", messages=turn(samples[i]), max_tokens=16)
        return done.choices[0].message.content

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, [*range(24), *range(24)])) == expected * 2
    text = httpx.get(f"{url}/metrics").text
    batches = next(line for line in text.splitlines() if line.startswith("skip_it_batches "))
    assert float(batches.split()[1]) < 48  # requests shared batches
    assert 'skip_it_requests_total{status="200"} 48.0' in text


def test_a_stream_brings_the_same_text_in_pieces_and_the_usage(url, samples, expected):
    stream = client(url).chat.completions.create(
        model="embedded", messages=turn(samples[0]), max_tokens=16, stream=True, stream_options={"include_usage": True}
    )
    pieces = list(stream)
    text = [chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices]
    assert "".join(text) == expected[0]
    assert len([t for t in text if t]) > 1
    assert pieces[-1].usage.completion_tokens <= 16
    assert pieces[-1].usage.prompt_tokens > 144
    assert pieces[-2].choices[0].finish_reason in ("stop", "length")


def test_a_stop_text_ends_the_answer_before_it_also_in_a_stream(url, samples, expected):
    stop = expected[1].split()[1]
    wanted = expected[1].split(stop)[0]
    for stream in (False, True):
        done = client(url).chat.completions.create(
            model="embedded", messages=turn(samples[1]), max_tokens=16, stop=[stop], stream=stream
        )
        text = "".join(c.choices[0].delta.content or "" for c in done) if stream else done.choices[0].message.content
        assert text == wanted


def test_texts_and_several_pictures_go_into_batches_of_their_own_kind(url, samples):
    def ask(content):
        messages = [{"role": "user", "content": content}]
        return client(url).chat.completions.create(model="embedded", messages=messages, max_tokens=2).choices[0]

    two = [*turn(samples[0])[0]["content"][:1], *turn(samples[1])[0]["content"]]
    with ThreadPoolExecutor(3) as pool:
        for choice in pool.map(ask, ["what color ?", two, turn(samples[2])[0]["content"]]):
            assert choice.finish_reason in ("stop", "length")


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "the body does not parse"),
        (b"[" * 50_000, 400, "the body does not parse"),
        (b"[]", 400, "a JSON object, got a list"),
        (b'{"messages": []}', 400, "need messages as a list with at least one turn"),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', 400, "need turns with a role among"),
        (b'{"messages": [{"role": "user", "content": []}]}', 400, "need content as text or as a list of parts"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 2}', 400, "need n = 1, got 2"),
        (b'{"messages": [{"role": "user", "content": "x"}], "tools": [{}]}', 400, "without tools"),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}', 400, r"need max_tokens in 1..16, got 0"),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": true}', 400, "need max_tokens"),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}', 400, "need temperature in 0..2"),
        (b'{"messages": [{"role": "user", "content": "x"}], "stop": [""]}', 400, "need stop as up to four texts"),
        (b'{"model": "gpt-4", "messages": [{"role": "user", "content": "x"}]}', 404, "need the model 'embedded'"),
    ],
)
def test_malformed_requests_get_a_status_and_one_sentence(url, body, status, sentence):
    answer = httpx.post(f"{url}/v1/chat/completions", content=body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]["message"]
    assert httpx.get(f"{url}/health").json()["ok"]


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        ("https://example.org/a.png", "nothing is fetched"),
        ("data:image/png;base64,AAAA", "need a PNG, JPEG, WebP, GIF, TIFF or BMP picture"),
        ("data:image/png;base64,%%%", "need a PNG, JPEG, WebP, GIF, TIFF or BMP picture"),
        ("data:application/postscript;base64," + base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n").decode(), "need a PNG"),
        (None, "need pictures as data URLs"),
    ],
)
def test_what_is_no_picture_is_the_fault_of_its_request_alone(url, picture, sentence):
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "what ?"}]
    with pytest.raises(openai.BadRequestError, match=sentence):
        client(url).chat.completions.create(model="embedded", messages=[{"role": "user", "content": content}])


def test_limits_of_size_pixels_pictures_and_queue(model, samples):
    small = Limits(body_bytes=30_000, pixels=5_000, images=1, new_tokens=4, queue=2)
    with running(model, limits=small) as url:
        assert httpx.post(f"{url}/v1/chat/completions", content=b"x" * 40_000).status_code == 413
        with pytest.raises(openai.BadRequestError, match="at most 5000 pixels, got 96 x 96"):
            client(url).chat.completions.create(model="embedded", messages=turn(samples[0]))
    image = turn(samples[0])[0]["content"][:1]
    body = {"messages": [{"role": "user", "content": image * 2}]}
    with pytest.raises(InvalidInputError, match="at most 1 pictures"):
        read_request(json.dumps(body).encode(), Limits(images=1))
    batcher = Batcher(model, default_model.load_processor(), parse_plan("identity"), Limits(queue=2, batch=1))
    gate, entered = threading.Event(), threading.Event()
    batcher.when_idle(lambda: (entered.set(), gate.wait()))
    assert entered.wait(10)  # the thread of the model is busy, so that requests wait
    request = read_request(b'{"messages": [{"role": "user", "content": "what ?"}], "max_tokens": 1}', Limits())
    jobs = [Job(request, lambda piece, reason: None) for _ in range(3)]
    batcher.submit(jobs[0])
    batcher.submit(jobs[1])
    with pytest.raises(QueueFullError, match="2 requests wait already"):
        batcher.submit(jobs[2])
    gate.set()
    batcher.close()
    assert [job.reason for job in jobs] == ["length", "length", None]
    with pytest.raises(QueueFullError, match="shutting down"):
        batcher.submit(jobs[2])


def test_a_key_is_asked_for_where_there_is_one(model):
    with running(model, api_key="secret") as url:
        messages = [{"role": "user", "content": "what ?"}]
        with pytest.raises(openai.AuthenticationError):
            client(url, "wrong").chat.completions.create(model="embedded", messages=messages, max_tokens=1)
        client(url, "secret").chat.completions.create(model="embedded", messages=messages, max_tokens=1)
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert [m.id for m in client(url, "secret").models.list()] == ["embedded"]


def test_a_client_that_leaves_frees_its_row(model, samples):
    with running(model, limits=Limits(new_tokens=2000)) as url:
        body = {"model": "embedded", "messages": turn(samples[0]), "max_tokens": 2000, "stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as stream:
            next(stream.iter_lines())
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/chat/completions", json={**body, "stream": False}, timeout=0.5)
        began = time.monotonic()
        messages = [{"role": "user", "content": "what ?"}]
        client(url).chat.completions.create(model="embedded", messages=messages, max_tokens=1)
        text = httpx.get(f"{url}/metrics").text
    assert "skip_it_queue 0.0" in text
    assert 'skip_it_tokens_total{kind="completion"} 1.0' in text  # neither of the two was answered to its end
    assert time.monotonic() > began


def test_audits_find_a_plan_that_changes_answers_and_are_kept(model, samples, tmp_path):
    path = tmp_path / "audit.json"
    auditor = Auditor(0.05, share=1.0, path=path)
    with running(model, plan="vision_exit(0)", auditor=auditor, limits=Limits(new_tokens=2)) as url:
        for i in range(48):
            client(url).chat.completions.create(model="embedded", messages=turn(samples[i % 24]))
        for _ in range(600):
            if auditor.alarm.n_audited == 48:
                break
            time.sleep(0.05)
        assert "skip_it_drift_alarm 1.0" in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/health").json()["drift_alarm"] is True
    assert DriftAlarm.from_json(path.read_text()).n_audited == 48
    assert Auditor(0.05, path=path).alarm.is_raised
    with pytest.raises(InvalidInputError, match=r"need the audits of risk 0\.1"):
        Auditor(0.1, path=path)


def test_audits_of_the_unmodified_model_never_differ(model, samples):
    auditor = Auditor(0.05, share=1.0)
    with (
        running(model, plan="identity", auditor=auditor, limits=Limits(new_tokens=4)) as url,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda s: client(url).chat.completions.create(model="embedded", messages=turn(s)), samples))
    assert auditor.alarm.total_loss == 0.0


def test_the_command_drains_on_sigterm_and_watch_reads_its_log(samples, tmp_path, skip_it):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["serve", "embedded", "--plan", "vision_exit(0)", "--port", str(port), "--max-tokens", "400"]
    arguments += ["--audit", "1", "--audit-risk", "0.05", "--audit-log", str(tmp_path / "audit.json")]
    code = "import sys; from redundancy.commands.cli import main; sys.argv = ['skip-it', *sys.argv[1:]]; main()"
    server = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            time.sleep(0.1)
        for i in range(2):
            client(url).chat.completions.create(model="embedded", messages=turn(samples[i]), max_tokens=2)
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(
                client(url).chat.completions.create, model="embedded", messages=turn(samples[2]), max_tokens=400
            )
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            assert late.result(timeout=60).choices[0].finish_reason in ("stop", "length")
        assert server.wait(timeout=60) in (0, -signal.SIGTERM)
    finally:
        server.kill()
    done = skip_it("watch", tmp_path / "audit.json")
    assert done.code in (0, 1)
    assert "audited input" in done.out
    (tmp_path / "audit.json").write_text("{}")
    assert skip_it("watch", tmp_path / "audit.json").code == 2
    assert skip_it("serve", "embedded", "--audit", "0.5").code == 2
    assert skip_it("serve", "embedded", "--audit-risk", "0.5").code == 2


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the resident size is read from /proc")
def test_memory_stays_flat_over_many_requests(url):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def ask(n):
        body = {"model": "embedded", "messages": [{"role": "user", "content": "what color ?"}], "max_tokens": 1}
        with httpx.Client() as http:
            for _ in range(n):
                assert http.post(f"{url}/v1/chat/completions", json=body).status_code == 200

    ask(100)
    before = resident()
    ask(400)
    assert resident() - before < 30_000_000
