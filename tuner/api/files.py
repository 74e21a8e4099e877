"""The routes of `/v1/files`: upload (refused above `--max-rows` lines), list, read, delete."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from bot.rows import Problem, method_of, read_lines
from tuner.api.dependencies import dependencies_of
from tuner.api.list_paging import envelope, page_of, with_first_and_last_id
from tuner.api.multipart import FORM_ALLOWANCE, MAX_FILE_BYTES, UploadForm
from tuner.api.request_body import BODILESS, ClientDisconnected, read_as
from tuner.errors import ApiError, NotFound, TooLarge
from tuner.store.files import StoredFile, UploadedFile

router = APIRouter()

CHUNK = 1 << 18
FINE_TUNE = "fine-tune"
OTHER_PURPOSES = ("assistants", "batch", "vision", "user_data", "evals")
MAX_NAME_LENGTH = 255
_LEGACY_KEYS = frozenset({"prompt", "completion"})
_LEGACY = (
    "this is the old prompt/completion form, which chat models do not learn from. Write"
    ' {"messages": [{"role": "user", "content": PROMPT}, {"role": "assistant", "content":'
    " COMPLETION}]} instead."
)
_JSON_NOT_LINES = (
    " The name of the file does not matter, but its content must be JSONL: one object a line, not"
    " one list or one object over several lines."
)


class Expiry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class Fields(BaseModel):
    expires_after: Expiry | None = None


@router.post("/files")
async def create_file(request: Request) -> dict[str, object]:
    """Stores an upload once all its bytes are on the disk and checked.

    Nothing is left of an upload that fails.
    """
    deps = dependencies_of(request)
    _refuse_too_large(request)
    with _draft(deps.drafts) as (draft, file):
        form = UploadForm(request.headers.get("content-type", ""), file)
        try:
            await form.read(request.stream())
        except ClientDisconnect as error:
            raise ClientDisconnected from error
        arrival = await asyncio.to_thread(_check_upload, form, draft, file, deps.max_rows)
        stored = await asyncio.to_thread(deps.files.keep, draft, arrival)
    return file_object(stored)


@router.get("/files", dependencies=[BODILESS])
def list_files(request: Request) -> dict[str, object]:
    page = page_of(request, default_limit=10_000, others=("order", "purpose"))
    order = request.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise ApiError("'order' must be 'asc' or 'desc'.", param="order")
    rows = dependencies_of(request).files.page(
        after=page.after,
        limit=page.limit_plus_one,
        newest_first=order == "desc",
        purpose=request.query_params.get("purpose"),
    )
    return with_first_and_last_id(envelope([file_object(row) for row in rows], page), empty="")


@router.get("/files/{file_id}", dependencies=[BODILESS])
def retrieve_file(request: Request, file_id: str) -> dict[str, object]:
    return file_object(dependencies_of(request).files.get(file_id))


@router.delete("/files/{file_id}", dependencies=[BODILESS])
def delete_file(request: Request, file_id: str) -> dict[str, object]:
    dependencies_of(request).files.remove(file_id)
    return {"id": file_id, "object": "file", "deleted": True}


@router.get("/files/{file_id}/content", dependencies=[BODILESS])
def file_content(request: Request, file_id: str) -> StreamingResponse:
    deps = dependencies_of(request)
    stored = deps.files.get(file_id)
    try:
        # Opened before the answer starts, so that a file deleted meanwhile is still sent whole.
        file = deps.files.path(stored.id).open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"No such File object: {file_id}", param="file_id") from error
    headers = {"content-length": str(stored.bytes)}
    return StreamingResponse(_chunks(file), media_type="application/octet-stream", headers=headers)


def _refuse_too_large(request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAX_FILE_BYTES + FORM_ALLOWANCE:
        raise TooLarge(f"The file is larger than {MAX_FILE_BYTES // 1_000_000} MB.", param="file")


@contextmanager
def _draft(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is a descriptor, not a path
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)


def _check_upload(form: UploadForm, draft: Path, file: IO[bytes], max_rows: int) -> UploadedFile:
    """Syncs the complete file to the disk and checks its name, fields and rows. Raises ApiError."""
    seconds_to_live = _read_fields(form.fields)
    filename = _read_name(form.filename)
    file.flush()
    os.fsync(file.fileno())
    rows, method = _read_rows(draft, max_rows)
    return UploadedFile(
        filename=filename,
        purpose=FINE_TUNE,
        rows=rows,
        method=method,
        seconds_to_live=seconds_to_live,
    )


def _read_fields(fields: Mapping[str, str]) -> int | None:
    """Returns the seconds to live if they are given. Raises ApiError."""
    expiry: dict[str, object] = {}
    for name, text in fields.items():
        if name.startswith("expires_after[") and name.endswith("]"):
            expiry[name[len("expires_after[") : -1]] = text
        elif name != "purpose":
            raise ApiError(
                f"Unrecognized request argument supplied: {name}",
                param=name,
                code="unknown_parameter",
            )
    _read_purpose(fields.get("purpose"))
    if not expiry:
        return None
    expires_after = read_as(Fields, {"expires_after": expiry}).expires_after
    return expires_after.seconds if expires_after else None


def _read_purpose(purpose: str | None) -> None:
    if purpose is None:
        raise ApiError(
            "Missing required parameter: 'purpose'.",
            param="purpose",
            code="missing_required_parameter",
        )
    if purpose in OTHER_PURPOSES:
        raise ApiError(
            f"This server only tunes: upload with the purpose '{FINE_TUNE}', not '{purpose}'.",
            param="purpose",
            code="unsupported_purpose",
        )
    if purpose != FINE_TUNE:
        raise ApiError(f"'{purpose[:64]}' is not a purpose; use '{FINE_TUNE}'.", param="purpose")


def _read_name(filename: str | None) -> str:
    if filename is None:
        raise ApiError(
            "Missing required parameter: 'file'.", param="file", code="missing_required_parameter"
        )
    name = filename.replace("\\", "/").rpartition("/")[2]
    if not name or len(name) > MAX_NAME_LENGTH:
        raise ApiError(
            f"A file needs a name of 1 to {MAX_NAME_LENGTH} characters.",
            param="file",
            code="invalid_file_format",
        )
    return name


def _read_rows(path: Path, max_rows: int) -> tuple[int, str | None]:
    """Returns the number of rows, and the method of the first row that has one.

    Counts lines first, which is a hundred times faster than parsing them. Raises ApiError.
    """
    with path.open("rb") as file:
        if sum(chunk.count(b"\n") for chunk in _chunks(file)) > max_rows:
            raise _too_many(max_rows)
    count, method = 0, None
    with path.open("rb") as file:
        for line, row in read_lines(_chunks(file)):
            if isinstance(row, Problem):
                raise _bad_file(row.sentence + (_JSON_NOT_LINES if line == 1 else ""))
            if not isinstance(row, dict):
                raise _bad_file(f"Line {line}: each line must be a JSON object.{_JSON_NOT_LINES}")
            if not row.keys() - _LEGACY_KEYS and "prompt" in row:
                raise _bad_file(f"Line {line}: {_LEGACY}")
            count += 1
            if count > max_rows:
                raise _too_many(max_rows)
            method = method or method_of(row)
    if not count:
        raise _bad_file("The file is empty.")
    return count, method


def _too_many(max_rows: int) -> ApiError:
    return _bad_file(f"The file has more than {max_rows:,} lines; send fewer, or raise --max-rows.")


def _bad_file(sentence: str) -> ApiError:
    return ApiError(
        f"Invalid file format for Fine-Tuning API. {sentence}",
        param="file",
        code="invalid_file_format",
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def file_object(stored: StoredFile) -> dict[str, object]:
    body: dict[str, object] = {
        "id": stored.id,
        "object": "file",
        "bytes": stored.bytes,
        "created_at": stored.created_at,
        "filename": stored.filename,
        "purpose": stored.purpose,
        "status": "processed",
    }
    return body if stored.expires_at is None else {**body, "expires_at": stored.expires_at}
