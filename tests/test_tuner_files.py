"""Files: kept whole or not at all, and given back byte for byte."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError, ConflictError, NotFoundError
from openai._types import FileTypes

from tests.tuner_scene import KEY, THINGS, Tuner, lines, row
from tests.waiting import find

ROWS = lines([row(thing) for thing in THINGS])


def test_a_file_comes_back_byte_for_byte(tuner: Tuner) -> None:
    content = ROWS.replace(b"\n", b"\r\n\r\n") + '{"messages": "é中🎓"}'.encode()

    uploaded = tuner.upload(content, "häfen.jsonl")

    assert uploaded.bytes == len(content)
    assert uploaded.filename == "häfen.jsonl"
    assert tuner.client.files.content(uploaded.id).read() == content


def test_an_uploaded_file_can_be_looked_up_and_deleted(tuner: Tuner) -> None:
    uploaded = tuner.upload(ROWS)

    assert tuner.client.files.retrieve(uploaded.id) == uploaded
    assert tuner.client.files.delete(uploaded.id).deleted
    with pytest.raises(NotFoundError, match=f"No such File object: {uploaded.id}"):
        tuner.client.files.retrieve(uploaded.id)
    assert not (tuner.data / "files" / uploaded.id).exists()


def test_files_are_listed_in_pages_newest_first(own_tuner: Tuner) -> None:
    ids = [own_tuner.upload(ROWS).id for _ in range(5)]

    listed = [file.id for file in own_tuner.client.files.list(limit=2)]
    oldest_first = [file.id for file in own_tuner.client.files.list(limit=2, order="asc")]

    assert listed == ids[::-1]
    assert oldest_first == ids


def test_a_listing_goes_on_after_its_last_file_was_deleted(own_tuner: Tuner) -> None:
    for _ in range(5):
        own_tuner.upload(ROWS)

    for file in own_tuner.client.files.list(limit=2):
        own_tuner.client.files.delete(file.id)

    assert not own_tuner.client.files.list().data


def test_files_are_listed_by_purpose(tuner: Tuner) -> None:
    tuner.upload(ROWS)

    assert {f.purpose for f in tuner.client.files.list(purpose="fine-tune")} == {"fine-tune"}
    assert not tuner.client.files.list(purpose="batch").data


def test_an_expiry_is_kept(tuner: Tuner) -> None:
    uploaded = tuner.client.files.create(
        file=("rows.jsonl", ROWS),
        purpose="fine-tune",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )

    assert uploaded.expires_at == uploaded.created_at + 3600


def test_an_expiry_out_of_range_is_refused(tuner: Tuner) -> None:
    with pytest.raises(BadRequestError, match=r"expires_after\.seconds"):
        tuner.client.files.create(
            file=("rows.jsonl", ROWS),
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 60},
        )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"messages": []}\n{oops}\n', "Line 2"),
        (b'{"messages": []}\n\n[1]\n', "Line 3: each line must be a JSON object"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b'{"a": NaN}', "Line 1"),
        (b"\xff\xfe\xfd", "Line 1"),
    ],
)
def test_a_bad_line_is_named(tuner: Tuner, content: bytes, sentence: str) -> None:
    with pytest.raises(BadRequestError, match=sentence) as refused:
        tuner.upload(content)

    assert refused.value.code == "invalid_file_format"
    assert refused.value.param == "file"


@pytest.mark.parametrize("file", [("data.json", ROWS), ("rows", ROWS), ("rows.txt", ROWS), ROWS])
def test_the_content_decides_and_not_the_name(tuner: Tuner, file: FileTypes) -> None:
    uploaded = tuner.client.files.create(file=file, purpose="fine-tune")

    assert uploaded.status == "processed"
    assert tuner.client.files.content(uploaded.id).content == ROWS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (json.dumps([row("figs")], indent=1).encode(), "not one list"),
        (json.dumps([row("figs")]).encode(), "not one list"),
        (b'{"prompt": "Figs? ->", "completion": " Aye."}', "Line 1: this is the old prompt/comp"),
        (ROWS + b'\n{"prompt": "Figs?", "completion": " Aye."}', "the old prompt/completion form"),
    ],
)
def test_rows_of_another_form_are_named(tuner: Tuner, content: bytes, sentence: str) -> None:
    with pytest.raises(BadRequestError, match=sentence) as refused:
        tuner.upload(content, "data.json")

    assert refused.value.code == "invalid_file_format"


@pytest.mark.parametrize("purpose", ["assistants", "batch", "vision", "user_data", "evals"])
def test_other_purposes_are_refused_in_a_sentence(tuner: Tuner, purpose: str) -> None:
    answer = tuner.web.post(
        "/v1/files", data={"purpose": purpose}, files={"file": ("rows.jsonl", ROWS)}
    )

    assert answer.status_code == 400
    assert "only tunes" in answer.json()["error"]["message"]


def test_a_file_in_use_is_not_deleted(tuner: Tuner) -> None:
    job = tuner.begin_long()

    with pytest.raises(ConflictError, match=job.id):
        tuner.client.files.delete(job.training_file)

    tuner.client.fine_tuning.jobs.cancel(job.id)
    assert tuner.client.files.delete(job.training_file).deleted


def test_an_upload_that_breaks_off_leaves_nothing(own_tuner: Tuner) -> None:
    address = own_tuner.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    )
    drafts = own_tuner.data / "drafts"

    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(head.encode() + ROWS)
        find(lambda: list(drafts.iterdir()))

    find(lambda: not list(drafts.iterdir()))
    assert not own_tuner.client.files.list().data
    assert not list((own_tuner.data / "files").iterdir())


def test_a_file_above_the_limit_is_refused_before_it_is_kept(own_tuner: Tuner) -> None:
    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        for _ in range(520):
            yield b" " * 1_000_000

    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = own_tuner.web.post("/v1/files", content=body(), headers=kind)

    assert answer.status_code == 413
    assert "512 MB" in answer.json()["error"]["message"]
    assert not list((own_tuner.data / "drafts").iterdir())
    assert _peak_megabytes(own_tuner) < 120


def test_a_large_file_is_taken_in_bounded_memory(own_tuner: Tuner) -> None:
    content = lines([{"messages": [{"role": "user", "content": "a" * 10_000}]}] * 4000)

    uploaded = own_tuner.upload(content)

    assert uploaded.bytes == len(content)
    assert _peak_megabytes(own_tuner) < 120


def test_a_name_never_leaves_the_folder(tuner: Tuner) -> None:
    uploaded = tuner.upload(ROWS, "../../../etc/rows.jsonl")

    assert uploaded.filename == "rows.jsonl"
    assert json.loads(tuner.client.files.content(uploaded.id).text.splitlines()[0])


def _peak_megabytes(tuner: Tuner) -> float:
    status = Path(f"/proc/{tuner.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
