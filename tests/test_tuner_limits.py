"""What a client may cost the tuner: bodies, headers, keys, parts, filters, time, connections."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import pytest

from tests.test_tuner_malformed import check_refused
from tests.tuner_scene import KEY, THINGS, Tuner, lines, many, row
from tests.waiting import find
from tuner.api import middleware
from tuner.api.api_keys import _is_same

MEGABYTES = 200
BLOCK = b"x" * (1 << 20)
BODILESS = (
    ("POST", "/v1/fine_tuning/jobs/ftjob-1/cancel"),
    ("POST", "/v1/fine_tuning/jobs/ftjob-1/pause"),
    ("POST", "/v1/fine_tuning/jobs/ftjob-1/resume"),
    ("GET", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/fine_tuning/jobs/ftjob-1/events"),
    ("GET", "/v1/files"),
    ("DELETE", "/v1/files/file-1"),
    ("GET", "/v1/models"),
    ("DELETE", "/v1/models/ft:x"),
)
JSON = (("POST", "/v1/fine_tuning/jobs"), ("POST", "/v1/chat/completions"))


def huge() -> Iterator[bytes]:
    for _ in range(MEGABYTES):
        yield BLOCK


def memory(tuner: Tuner) -> int:
    """The most that the process has ever held, in megabytes."""
    status = Path(f"/proc/{tuner.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


@pytest.mark.parametrize(("method", "path"), [*JSON, *BODILESS])
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_huge_body_is_refused_in_little_memory(
    sandbox: Tuner, method: str, path: str, is_announced: bool
) -> None:
    before = memory(sandbox)
    headers = {"content-type": "application/json"}
    if is_announced:
        headers["content-length"] = str(MEGABYTES << 20)

    answer = sandbox.web.request(method, path, content=huge(), headers=headers)

    assert answer.status_code == 413
    check_refused(answer)
    assert memory(sandbox) - before < 64


def test_a_large_file_is_taken_in_little_memory(sandbox: Tuner) -> None:
    before = memory(sandbox)
    rows = lines(many(200)) * 2000

    file = sandbox.upload(rows, "large.jsonl")

    assert file.bytes == len(rows) > 50_000_000
    assert memory(sandbox) - before < 128
    sandbox.client.files.delete(file.id)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [' + b"[]," * 300_000 + b"[]]}",
        b"{" + b",".join(b'"k%d":0' % n for n in range(300_000)) + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_json_of_too_many_parts_is_refused(sandbox: Tuner, body: bytes) -> None:
    headers = {"content-type": "application/json"}

    check_refused(sandbox.web.post("/v1/chat/completions", content=body, headers=headers))


@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"metadata[k{n}]=v" for n in range(17)),
        "&".join(f"metadata[k{n}]=v" for n in range(2000)),
        "&".join("limit=1" for _ in range(100)),
        "limit=99999999999999999999",
        "limit=-1",
        "limit=1e3",
        "after=" + "x" * 5000,
        "after=file-%00",
    ],
)
@pytest.mark.parametrize("path", ["/v1/fine_tuning/jobs", "/v1/files"])
def test_filters_have_limits(sandbox: Tuner, path: str, query: str) -> None:
    check_refused(sandbox.web.get(f"{path}?{query}"))


def test_sixteen_filters_are_taken(sandbox: Tuner) -> None:
    query = "&".join(f"metadata[k{n}]=v" for n in range(16))

    assert sandbox.web.get(f"/v1/fine_tuning/jobs?{query}").json()["data"] == []


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        form(*[b'Content-Disposition: form-data; name="a"\r\n\r\nx'] * 5000),
        form(b"X-Long: " + b"y" * 10_000_000 + b"\r\n\r\nx"),
        form(b"X" * 10_000_000 + b": y\r\n\r\nx"),
        form(b"X: y\r\n" * 100_000 + b"\r\nx"),
        form(b'Content-Disposition: form-data; name="purpose"\r\n\r\n' + b"z" * 10_000_000),
    ],
)
def test_forms_have_limits(sandbox: Tuner, body: bytes) -> None:
    before = memory(sandbox)
    headers = {"content-type": "multipart/form-data; boundary=b"}

    check_refused(sandbox.web.post("/v1/files", content=body, headers=headers))

    assert memory(sandbox) - before < 64


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Tuner]:
    """A tuner that waits half a second for what takes its time, and for eight clients."""
    quick = (
        "import tuner.connection_limits as c, tuner.api.middleware as e, sys;"
        "c.MAX_HEAD_SECONDS = e.MAX_BODY_SECONDS = 0.5; c.MAX_CONNECTIONS = 8;"
        "from tuner.__main__ import main; main()"
    )
    scene = Tuner(tmp_path / "data", program=quick)
    yield scene
    if scene.process.poll() is None:
        scene.stop()


def connect(tuner: Tuner) -> socket.socket:
    host, port = tuner.url.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)), timeout=20)
    opened.settimeout(20)
    return opened


def whole(opened: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    while data := opened.recv(65536):
        received += data
    return received


def refusal(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split()[1]), error


BEGUN = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n".encode()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /v1",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-a: ",
        BEGUN + b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        BEGUN + b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_a_request_that_does_not_arrive_is_refused(hasty: Tuner, sent: bytes) -> None:
    with connect(hasty) as opened:
        opened.sendall(sent)

        assert refusal(whole(opened))[0] == 408


def test_a_request_that_drips_is_refused(hasty: Tuner) -> None:
    with connect(hasty) as opened:
        opened.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n")

        assert find(lambda: not drips(opened))


def drips(opened: socket.socket) -> bool:
    """Whether one more header can be sent."""
    try:
        opened.sendall(b"x-a: b\r\n")
    except OSError:
        return False
    return True


def test_a_connection_that_was_answered_may_rest(hasty: Tuner) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with closing(HTTPConnection(hasty.url.removeprefix("http://"), timeout=20)) as opened:
        opened.request("GET", "/v1/models", headers=headers)
        assert opened.getresponse().read()
        used = opened.sock
        time.sleep(1.0)  # longer than an unanswered one may take

        opened.request("GET", "/v1/models", headers=headers)

        assert opened.getresponse().status == 200
        assert opened.sock is used


def test_there_are_no_more_connections_than_can_be_served(hasty: Tuner) -> None:
    resting = [connect(hasty) for _ in range(8)]
    try:
        with connect(hasty) as one_more:
            assert refusal(whole(one_more))[0] == 429
    finally:
        for opened in resting:
            opened.close()

    def is_open() -> bool:
        try:
            return httpx2.get(f"{hasty.url}/healthz", trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    assert find(is_open)


def test_half_open_connections_of_one_address_keep_nobody_out(sandbox: Tuner) -> None:
    """The server sees them all at once: it stands still until they are there."""
    resting = []
    try:
        os.kill(sandbox.process.pid, signal.SIGSTOP)
        for _ in range(600):
            resting.append(connect(sandbox))
            resting[-1].sendall(b"GET /v1")
        resting.append(connect(sandbox))
        resting[-1].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        os.kill(sandbox.process.pid, signal.SIGCONT)

        assert whole(resting[-1]).startswith(b"HTTP/1.1 200 ")
    finally:
        os.kill(sandbox.process.pid, signal.SIGCONT)
        for opened in resting:
            opened.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-a: b\r\n" * 50_000 + b"\r\n",
        b"GET /" + b"z" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_in_the_protocols_words(sandbox: Tuner, sent: bytes) -> None:
    with connect(sandbox) as opened:
        try:
            opened.sendall(sent)
            answer = whole(opened)
        except ConnectionError:
            return

        assert not answer or 400 <= refusal(answer)[0] < 500


def test_nobody_else_can_read_what_is_kept(own_tuner: Tuner) -> None:
    own_tuner.tune()

    kept = [own_tuner.data, *own_tuner.data.rglob("*")]

    assert [path for path in kept if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)

    tuner = Tuner(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert tuner.stop() == 0


def test_no_log_of_the_tuner_holds_a_clients_words(tmp_path: Path) -> None:
    marker = "xylophone-7731"
    tuner = Tuner(tmp_path / "data", "--min-examples", "1")
    rows = [row(f"{marker} {thing}") for thing in THINGS]
    headers = {"content-type": "application/json"}
    for body in (f'{{"{marker}": 1}}', f'{{"model": "{marker}", "messages": 3}}', marker):
        tuner.web.post("/v1/chat/completions", content=body, headers=headers)
    tuner.web.get(f"/v1/{marker}?{marker}")
    with connect(tuner) as opened:
        opened.sendall(f"{marker}\r\n\r\n".encode())
        whole(opened)
    tuner.begin([*rows, {"messages": [{"role": marker, "content": marker}]}])
    tuner.tune(rows)

    assert tuner.stop() == 0

    logs = [tmp_path / "tuner.log", *tuner.data.rglob("*.log")]
    assert [path for path in logs if marker in path.read_text(errors="replace")] == []


def test_an_error_of_our_own_is_logged_without_its_words() -> None:
    with pytest.raises(ValueError) as caught:
        raise ValueError("a client's words")

    place = middleware._location(caught.value)
    assert "words" not in place
    assert "test_tuner_limits" in place


@pytest.mark.parametrize("given", ["", "sk-scen", "sk-scene2", "SK-SCENE", "ключ"])
def test_another_key_is_not_the_same(given: str) -> None:
    assert not _is_same(KEY, given)
    assert _is_same(KEY, KEY)


@pytest.mark.parametrize("row", [b"{}\n", b"\n"], ids=["lines", "blanks"])
def test_a_file_of_too_many_rows_is_refused_with_the_limit(sandbox: Tuner, row: bytes) -> None:
    file = ("rows.jsonl", row * 500_001)

    answer = sandbox.web.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": file})

    check_refused(answer)
    assert answer.status_code == 400
    assert "more than 500,000 lines" in answer.json()["error"]["message"]


NO_ROOM = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
runpy.run_module("tuner", run_name="__main__")
"""


def test_a_full_disk_is_a_sentence_and_not_a_fault(tmp_path: Path) -> None:
    scene = Tuner(tmp_path / "data", program=NO_ROOM)
    rows = lines([row("figs" * 1000)] * 100)

    refused = scene.web.post(
        "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("rows.jsonl", rows)}
    )
    taken = scene.upload([row("figs")])
    scene.stop()

    assert refused.status_code == 507
    assert refused.json()["error"]["code"] == "disk_full"
    assert "disk is full" in refused.json()["error"]["message"]
    assert taken.status == "processed"
