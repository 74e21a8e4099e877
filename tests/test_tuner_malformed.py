"""Hundreds of malformed files and requests: a sentence each, never a 500, never a lost file."""

import socket
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import KEY, THINGS, Tuner, lines, row

ROWS = lines([row(thing) for thing in THINGS])
PLACES = (
    "/v1/fine_tuning/jobs",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
)
DEEP = 3000
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module", autouse=True)
def kept(sandbox: Tuner) -> Iterator[FileObject]:
    """A file from before all this, which must be there after it."""
    file = sandbox.upload(ROWS, "kept.jsonl")
    yield file
    assert sandbox.client.files.content(file.id).read() == ROWS
    assert not list((sandbox.data / "drafts").iterdir())
    on_disk = {path.name for path in (sandbox.data / "files").iterdir()}
    assert on_disk == {listed.id for listed in sandbox.client.files.list()}


def check_refused(answer: httpx2.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.status_code != 422
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) > 10


def check_harmless(answer: httpx2.Response) -> None:
    if answer.status_code != 200:
        check_refused(answer)


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"[]",
        b"null",
        b"true",
        b"0",
        b'""',
        b'"text"',
        b"{'model': 'x'}",
        b'{"model": }',
        b'{"model": "sandbox",}',
        b'{"model": "sandbox"} {}',
        b'{"model": NaN}',
        b'{"seed": Infinity}',
        b'{"seed": -Infinity}',
        b'{"seed": 1e999}',
        b'{"seed": 1' + b"0" * 400 + b"}",
        b'{"seed": 1' + b"0" * 9000 + b"}",
        b"\xff\xfe{}",
        b'{"model": "\xff"}',
        b'{"model": "\xed\xa0\x80"}',
        b'{"model": "\\ud800"}',
        b'{"model": "a\\u0000b"}',
        b'{"a\\u0000": 1}',
        b'{"model": "a\x00b"}',
        b"\x00",
        b"\xef\xbb\xbf{}",
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"a":' * 100_000,
        b'{"model": "' + b"x" * 9_000_000 + b'"}',
        '{"model": "sandbox"}'.encode("utf-16"),
    ],
)
def test_a_malformed_body_is_refused(sandbox: Tuner, path: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}

    check_refused(sandbox.web.post(path, content=body, headers=headers))


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "ø/é"])
def test_another_kind_of_body_is_refused(sandbox: Tuner, path: str, kind: str) -> None:
    headers = {b"content-type": kind.encode()}

    check_refused(sandbox.web.post(path, content=b"{}", headers=headers))


@quick
@given(body=values)
@pytest.mark.parametrize("path", PLACES)
def test_any_json_value_is_refused(sandbox: Tuner, path: str, body: object) -> None:
    check_refused(sandbox.web.post(path, json=body))


@quick
@given(data=st.data())
def test_a_wish_with_one_wrong_value_never_breaks_the_server(
    sandbox: Tuner, kept: FileObject, data: st.DataObject
) -> None:
    names = ["model", "training_file", "validation_file", "method", "hyperparameters"]
    names += ["suffix", "seed", "metadata", "integrations", data.draw(words)]
    requested_action: dict[str, object] = {"model": "sandbox", "training_file": kept.id}
    requested_action[data.draw(st.sampled_from(names))] = data.draw(values)

    answer = sandbox.web.post("/v1/fine_tuning/jobs", json=requested_action)

    if answer.status_code == 200:
        sandbox.web.post(f"/v1/fine_tuning/jobs/{answer.json()['id']}/cancel")
    else:
        check_refused(answer)


@quick
@given(data=st.data())
def test_a_question_with_one_wrong_value_never_breaks_the_server(
    sandbox: Tuner, picked: FineTuningJob, data: st.DataObject
) -> None:
    names = ["model", "messages", "stop", "n", "temperature", "seed", "max_tokens", "stream"]
    names += ["stream_options", "user", "metadata", "top_p", "tools", "logit_bias"]
    message: dict[str, object] = {"role": "user", "content": data.draw(words)}
    message[data.draw(st.sampled_from(["role", "content", "name", "odd"]))] = data.draw(values)
    messages: list[object] = [data.draw(values), message]
    body: dict[str, object] = {"model": picked.fine_tuned_model}
    body["messages"] = [data.draw(st.sampled_from(messages))]
    body[data.draw(st.sampled_from(names))] = data.draw(values)

    answer = sandbox.web.post("/v1/chat/completions", json=body)

    check_harmless(answer)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"}",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"{'a': 1}",
        b"{} x",
        b"{}, {}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1' + b"0" * 9000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\x00"}',
        b"\x00",
        b"\x80",
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * 100_000,
        b'{"a": "' + b"x" * 9_000_000 + b'"}',
        b"role,content",
        b"<html></html>",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"--b--",
    ],
)
@pytest.mark.parametrize("place", [0, 5, 10])
def test_a_malformed_line_is_refused_by_number(sandbox: Tuner, line: bytes, place: int) -> None:
    content = ROWS.splitlines()
    content.insert(place, line)

    answer = upload(sandbox, b"\n".join(content))

    check_refused(answer)
    assert f"Line {place + 1}" in answer.json()["error"]["message"]


@quick
@given(content=st.binary(max_size=400) | words.map(str.encode))
def test_any_bytes_are_taken_as_rows_or_refused(sandbox: Tuner, content: bytes) -> None:
    answer = upload(sandbox, content)

    check_harmless(answer)


BAD_ROWS: list[object] = [
    {},
    {"messages": None},
    {"messages": {}},
    {"messages": []},
    {"messages": [None]},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": "x"}]},
    {"messages": [{"role": "assistant", "content": ""}]},
    {"messages": [{"role": "wizard", "content": "x"}]},
    {"messages": [{"role": "assistant", "content": "x", "weight": 2}]},
    {"messages": [{"role": "assistant", "content": {"a": 1}}]},
    {"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []},
    {"messages": [{"role": "user", "content": "<|endoftext|>"}]},
    {"a": [[[[[[[[[[{}]]]]]]]]]]},
]


def test_no_bad_row_breaks_a_job(sandbox: Tuner) -> None:
    jobs = [sandbox.begin([*([row(thing) for thing in THINGS]), bad]) for bad in BAD_ROWS]

    for job in jobs:
        error = sandbox.await_end(job).error
        assert error is not None
        assert error.message.startswith("Line 11: ")


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


PURPOSE = part("purpose", b"fine-tune")
FILE = part("file", ROWS, "rows.jsonl")
END = b"--b--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--\r\n",
        END + END,
        b"no form at all",
        b"\r\n" * 50,
        b"--wrong\r\n\r\n",
        PURPOSE + FILE,
        PURPOSE + FILE[:-20],
        PURPOSE + END,
        FILE + END,
        FILE + FILE + PURPOSE + END,
        PURPOSE + PURPOSE + FILE + END,
        part("purpose", b"magic") + FILE + END,
        part("purpose", b"") + FILE + END,
        part("purpose", b"fine-tune\x00") + FILE + END,
        part("purpose", b"\xff") + FILE + END,
        part("purpose", b"x" * 10_000) + FILE + END,
        PURPOSE + part("file", ROWS) + END,
        PURPOSE + part("file", b"", "rows.jsonl") + END,
        PURPOSE + part("file", ROWS, "") + END,
        PURPOSE + part("file", ROWS, "x" * 300 + ".jsonl") + END,
        PURPOSE + part("file", ROWS, "a\x00.jsonl") + END,
        PURPOSE + part("other", ROWS, "rows.jsonl") + END,
        PURPOSE + FILE + part("odd", b"1") + END,
        PURPOSE + FILE + part("expires_after", b"3600") + END,
        PURPOSE + FILE + part("expires_after[anchor]", b"created_at") + END,
        PURPOSE + FILE + part("expires_after[seconds]", b"3600") + END,
        PURPOSE + FILE + part("expires_after[odd]", b"3600") + END,
        b"".join(part(f"p{n}", b"") for n in range(100)) + END,
        b"--b\r\n\r\n\r\n" + END,
        b"--b\r\nContent-Disposition\r\n\r\nx\r\n" + END,
        b"--b\r\n" + b"A: b\r\n" * 10_000 + b"\r\nx\r\n" + END,
        b"--b\r\nA: " + b"b" * 100_000 + b"\r\n\r\nx\r\n" + END,
    ],
)
def test_a_malformed_form_is_refused(sandbox: Tuner, body: bytes) -> None:
    check_refused(post_form(sandbox, body))


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=é",
        "application/json",
        "",
    ],
)
def test_a_form_without_its_boundary_is_refused(sandbox: Tuner, kind: str) -> None:
    check_refused(post_form(sandbox, PURPOSE + FILE + END, kind))


@quick
@given(place=st.integers(0, len(PURPOSE + FILE + END)), junk=st.binary(max_size=8))
def test_a_damaged_form_never_breaks_the_server(sandbox: Tuner, place: int, junk: bytes) -> None:
    whole = PURPOSE + FILE + END

    answer = post_form(sandbox, whole[:place] + junk + whole[place + len(junk) :])

    check_harmless(answer)


LISTS = ("/v1/files", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/{job}/events")


@pytest.mark.parametrize("path", [*LISTS, "/v1/fine_tuning/jobs/{job}/checkpoints"])
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=10001",
        "limit=99999999999999999999",
        "limit=%00",
        "limit=%D9%A3",
        "after=x",
        "after=%00",
        "after=file-",
        "after=file-zz",
        "after=%FF%FE",
        "after=" + "9" * 5000,
        "odd=1",
        "%00=1",
    ],
)
def test_a_malformed_query_is_refused(
    sandbox: Tuner, picked: FineTuningJob, path: str, query: str
) -> None:
    check_refused(sandbox.web.get(f"{path.format(job=picked.id)}?{query}"))


@pytest.mark.parametrize("query", ["order=up", "order=%00", "purpose=%00", "order="])
def test_a_malformed_file_query_is_refused(sandbox: Tuner, query: str) -> None:
    check_refused(sandbox.web.get(f"/v1/files?{query}"))


@pytest.mark.parametrize("query", ["metadata[k]=%00", "metadata[=x", "metadata]k[=x"])
def test_a_malformed_job_query_is_refused(sandbox: Tuner, query: str) -> None:
    check_refused(sandbox.web.get(f"/v1/fine_tuning/jobs?{query}"))


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/%00",
        "/v1/files/..%2F..%2Ftuner.db",
        "/v1/files/%FF",
        "/v1/files/" + "x" * 5000,
        "/v1/files/'%20OR%201=1",
        "/v1/files/lock",
        "/v1/models/%00",
        "/v1/models/..%2F..%2Flock",
        "/v1/models/%F0%9F%8E%93",
        "/v1/models/",
        "/v1",
        "/v2/files",
        "//v1/files",
    ],
)
def test_an_odd_address_is_refused(sandbox: Tuner, verb: str, path: str) -> None:
    check_refused(sandbox.web.request(verb, path))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /v1/files HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n",
        b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_odd_bytes_on_the_wire_do_no_harm(sandbox: Tuner, request_bytes: bytes) -> None:
    host, port = sandbox.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)

    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert sandbox.web.get("/v1/files?limit=1").status_code == 200


def upload(sandbox: Tuner, content: bytes) -> httpx2.Response:
    form = {"purpose": "fine-tune"}
    return sandbox.web.post("/v1/files", data=form, files={"file": ("rows.jsonl", content)})


def post_form(
    sandbox: Tuner, body: bytes, kind: str = "multipart/form-data; boundary=b"
) -> httpx2.Response:
    headers = {b"content-type": kind.encode(), b"authorization": f"Bearer {KEY}".encode()}
    return sandbox.web.post("/v1/files", content=body, headers=headers)
