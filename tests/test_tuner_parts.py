"""Parts of the tuner without its server: workers, files, folders, forms, the outermost answer."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.types import Message, Receive, Scope, Send

from tests.waiting import find
from tuner.api import multipart
from tuner.api.middleware import ResponseMiddleware
from tuner.api.multipart import MAX_PARTS, UploadForm
from tuner.engine_registry import Engines
from tuner.errors import ApiError, CannotStart, TooLarge
from tuner.job_folder import JobFolder
from tuner.job_runner import WorkerProcess
from tuner.sandbox.engine import SandboxEngine
from tuner.store import tables
from tuner.store.database import Database
from tuner.store.files import Files, StoredFile, UploadedFile
from tuner.store.jobs import Job, JobRequest, Jobs, Status, change_status, create_job
from tuner.store.progress import JobProgress

# Workers

# Its own child holds the pipe open, and ends by itself should a test leave it behind.
WITH_CHILD = (
    "import subprocess, sys\n"
    "child = 'import time; time.sleep(60)'\n"
    "subprocess.run([sys.executable, '-c', child])\n"
)


def test_a_worker_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_CHILD], stdout=subprocess.PIPE, start_new_session=True
    )
    output = process.stdout
    assert output is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    find(children.read_text)

    WorkerProcess(process, JobFolder(tmp_path), is_checking=False).kill()

    try:
        assert select.select([output], [], [], 20)[0]
        assert output.read(1) == b""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output.close()


# What a worker writes


def test_a_line_that_is_not_whole_yet_waits(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    whole = b'{"step": 1}\n{"step": 2}\n'
    folder.events.write_bytes(whole + b'{"st')

    first, offset = folder.new_lines(0)
    with folder.events.open("ab") as events:
        events.write(b'ep": 3}\n')
    second, end = folder.new_lines(offset)

    assert (first, offset) == ([{"step": 1}, {"step": 2}], len(whole))
    assert (second, end) == ([{"step": 3}], folder.events.stat().st_size)


def test_a_line_that_a_killed_worker_left_half_is_gone_when_it_goes_on(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.events.write_bytes(b'{"step": 1}\n{"st')

    with folder.open_events() as events:
        events.write(b'{"step": 2}\n')

    assert folder.new_lines(0)[0] == [{"step": 1}, {"step": 2}]


# Files and jobs


class Shelf:
    """The tuner's store in a folder, without a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "files").mkdir()
        self.database = Database(folder / "tuner.db")
        self.files = Files(self.database, folder / "files")
        self.jobs = Jobs(self.database)
        self.progress = JobProgress(self.jobs, self.files, folder)

    def file(self, *, seconds_to_live: int | None = None) -> StoredFile:
        draft = self.folder / "draft"
        draft.write_bytes(b"{}\n")
        arrival = UploadedFile("rows.jsonl", "fine-tune", seconds_to_live=seconds_to_live)
        return self.files.keep(draft, arrival)

    def job(self, file: StoredFile, status: Status) -> Job:
        request = JobRequest("sandbox", file.id, None, "supervised", {}, None, 1, None)
        with self.database.writing() as connection:
            job = create_job(connection, request, base="sandbox")
            change_status(connection, job, status)
        return self.jobs.get(job.id)

    def expire(self) -> None:
        with self.database.writing() as connection:
            connection.execute(update(tables.files).values(expires_at=int(time.time()) - 1))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.database.close()


@pytest.mark.parametrize("status", [Status.VALIDATING, Status.QUEUED, Status.RUNNING])
def test_an_expired_file_stays_while_a_job_needs_it(shelf: Shelf, status: Status) -> None:
    needed, unused = shelf.file(), shelf.file()
    job = shelf.job(needed, status)
    shelf.expire()

    shelf.files.sweep()

    assert shelf.files.path(needed.id).exists()
    assert not shelf.files.path(unused.id).exists()
    shelf.jobs.cancel(job.id)
    shelf.files.sweep()
    assert not shelf.files.path(needed.id).exists()


def test_a_job_that_was_cancelled_makes_no_model(shelf: Shelf) -> None:
    job = shelf.job(shelf.file(), Status.PAUSED)

    shelf.progress.succeed(job.id, trained_tokens=1)

    assert shelf.jobs.get(job.id).status is Status.PAUSED
    assert shelf.jobs.get(job.id).result_file is None


def test_deaths_count_only_without_progress(shelf: Shelf) -> None:
    job = shelf.job(shelf.file(), Status.VALIDATING)
    shelf.progress.queue_checked(job.id, 1)
    shelf.progress.start(job.id)
    for step in range(1, 8):
        shelf.progress.apply_events(job.id, [{"kind": "saved", "step": step}], step)
        shelf.progress.worker_died(job.id, "signal 9")
        assert shelf.jobs.get(job.id).status is Status.QUEUED
        assert shelf.progress.start(job.id)

    for _ in range(2):
        shelf.progress.worker_died(job.id, "signal 9")
        shelf.progress.start(job.id)

    assert shelf.jobs.get(job.id).status is Status.FAILED


# Upload forms

BOUNDARY = b"edge"


def part(name: str, content: bytes, *, file: str = "") -> bytes:
    filename = f'; filename="{file}"' if file else ""
    head = f'Content-Disposition: form-data; name="{name}"{filename}'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


async def read(*parts: bytes, end: bytes = b"--" + BOUNDARY + b"--\r\n") -> UploadForm:
    async def stream() -> AsyncIterator[bytes]:
        for one in (*parts, end):
            yield one

    form = UploadForm(f"multipart/form-data; boundary={BOUNDARY.decode()}", BytesIO())
    await form.read(stream())
    return form


async def test_a_form_has_so_many_parts_and_no_more() -> None:
    fields = [part(f"field{number}", b"x") for number in range(MAX_PARTS)]

    assert len((await read(*fields)).fields) == MAX_PARTS
    with pytest.raises(ApiError, match="too many parts"):
        await read(*fields, part("one more", b"x"))


async def test_a_form_without_its_end_is_refused() -> None:
    with pytest.raises(ApiError, match="ends before its last boundary"):
        await read(part("purpose", b"fine-tune"), end=b"")


async def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MAX_FILE_BYTES", 100)

    await read(part("file", b"x" * 100, file="rows.jsonl"))
    with pytest.raises(TooLarge):
        await read(part("file", b"x" * 101, file="rows.jsonl"))


async def test_a_field_that_is_too_long_is_refused() -> None:
    with pytest.raises(ApiError, match="too long"):
        await read(part("purpose", b"x" * (multipart.MAX_FIELD_BYTES + 1)))


# The outermost answer


async def test_a_refused_upload_is_taken_in_before_it_is_answered() -> None:
    """Else the connection is reset while a client still sends, and it never sees the answer."""
    coming = [b"x" * 1000] * 5
    order: list[str] = []

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        order.append("received")
        body = coming.pop()
        return {"type": "http.request", "body": body, "more_body": bool(coming)}

    async def send(message: Message) -> None:
        order.append(message["type"])

    headers = [(b"content-length", b"5000")]
    scope = {"type": "http", "method": "POST", "path": "/v1/files", "headers": headers}
    await ResponseMiddleware(refuse)(scope, receive, send)

    assert order == [*["received"] * 5, "http.response.start", "http.response.body"]


def test_two_engines_cannot_have_a_base_of_one_name() -> None:
    with pytest.raises(CannotStart, match="'sandbox'"):
        Engines([SandboxEngine(), SandboxEngine()])
