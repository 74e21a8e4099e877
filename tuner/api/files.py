"""The routes of `/v1/files`: upload, list, read, delete."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from tuner.api.dependencies import dependencies_of
from tuner.api.list_paging import list_object, page_of, with_first_and_last_id
from tuner.api.multipart import FORM_OVERHEAD_BYTES, MAX_FILE_BYTES, UploadForm
from tuner.api.request_body import REFUSES_LARGE_BODY, ClientDisconnected
from tuner.api.upload_checks import check_upload, chunks_of
from tuner.errors import ApiError, NotFound, TooLarge
from tuner.store.files import StoredFile

router = APIRouter()


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
        arrival = await asyncio.to_thread(check_upload, form, draft, file, deps.max_rows)
        stored = await asyncio.to_thread(deps.files.keep, draft, arrival)
    return file_object(stored)


@router.get("/files", dependencies=[REFUSES_LARGE_BODY])
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
    return with_first_and_last_id(list_object([file_object(row) for row in rows], page), empty="")


@router.get("/files/{file_id}", dependencies=[REFUSES_LARGE_BODY])
def retrieve_file(request: Request, file_id: str) -> dict[str, object]:
    return file_object(dependencies_of(request).files.get(file_id))


@router.delete("/files/{file_id}", dependencies=[REFUSES_LARGE_BODY])
def delete_file(request: Request, file_id: str) -> dict[str, object]:
    dependencies_of(request).files.remove(file_id)
    return {"id": file_id, "object": "file", "deleted": True}


@router.get("/files/{file_id}/content", dependencies=[REFUSES_LARGE_BODY])
def file_content(request: Request, file_id: str) -> StreamingResponse:
    deps = dependencies_of(request)
    stored = deps.files.get(file_id)
    try:
        # Opened before the answer starts, so that a file deleted meanwhile is still sent whole.
        file = deps.files.path(stored.id).open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"No such File object: {file_id}", param="file_id") from error
    headers = {"content-length": str(stored.bytes)}
    return StreamingResponse(
        chunks_of(file), media_type="application/octet-stream", headers=headers
    )


def _refuse_too_large(request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAX_FILE_BYTES + FORM_OVERHEAD_BYTES:
        raise TooLarge(f"The file is larger than {MAX_FILE_BYTES // 1_000_000} MB.", param="file")


@contextmanager
def _draft(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is a descriptor, not a path
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)


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
