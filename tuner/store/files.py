"""Uploaded files and result files: a row per file, and the bytes beside the database."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, insert, or_, select

from tuner.errors import Conflict, NotFound
from tuner.job_folder import fsync_folder
from tuner.store import tables
from tuner.store.database import Database, next_identifier

UNFINISHED_STATUSES = ("validating_files", "queued", "running", "paused")
_file = tables.files.c


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that has a row; `expires_at` and `created_at` are Unix seconds."""

    number: int
    id: str
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    rows: int | None
    method: str | None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """Attributes of a file whose bytes are completely written to the disk."""

    filename: str
    purpose: str
    rows: int | None = None
    method: str | None = None
    seconds_to_live: int | None = None


class Files:
    """Repository of files and of their bytes."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def path(self, file_id: str) -> Path:
        return self._folder / file_id

    def keep(self, draft: Path, arrival: UploadedFile) -> StoredFile:
        """Moves a finished, synced draft into the folder under a new id."""
        with self._database.writing() as connection:
            return self.add_in(connection, draft, arrival)

    def add_in(self, connection: Connection, draft: Path, arrival: UploadedFile) -> StoredFile:
        """Does `keep` in the caller's transaction; if that fails, the next start sweeps the
        bytes.
        """
        number, file_id = next_identifier(connection, "file-")
        now = int(time.time())
        stored = StoredFile(
            number=number,
            id=file_id,
            bytes=draft.stat().st_size,
            created_at=now,
            expires_at=now + arrival.seconds_to_live if arrival.seconds_to_live else None,
            filename=arrival.filename,
            purpose=arrival.purpose,
            rows=arrival.rows,
            method=arrival.method,
        )
        draft.rename(self.path(file_id))
        fsync_folder(self._folder)
        connection.execute(
            insert(tables.files).values(
                {name: getattr(stored, name) for name in StoredFile.__slots__}
            )
        )
        return stored

    def get(self, file_id: str) -> StoredFile:
        with self._database.reading() as connection:
            return self.get_within(connection, file_id)

    def get_within(
        self, connection: Connection, file_id: str, *, param: str | None = "file_id"
    ) -> StoredFile:
        query = select(tables.files).where(_file.id == file_id, _unexpired())
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"No such File object: {file_id}", param=param)
        return StoredFile(**row._mapping)

    def page(
        self, *, after: int | None, limit: int, newest_first: bool, purpose: str | None
    ) -> list[StoredFile]:
        query = select(tables.files).where(_unexpired())
        if purpose is not None:
            query = query.where(_file.purpose == purpose)
        if after is not None:
            query = query.where(_file.number < after if newest_first else _file.number > after)
        order = _file.number.desc() if newest_first else _file.number
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(order).limit(limit))
            return [StoredFile(**row._mapping) for row in rows]

    def remove(self, file_id: str) -> None:
        """Deletes the row, then the bytes; after a crash, the next start sweeps the bytes."""
        with self._database.writing() as connection:
            self.get_within(connection, file_id)
            if job := connection.execute(_user_of(file_id)).scalar():
                raise Conflict(
                    f"{file_id} is used by {job}, which is not finished. Cancel it first."
                )
            connection.execute(delete(tables.files).where(_file.id == file_id))
        self.path(file_id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Deletes expired files, and bytes without a row."""
        with self._database.writing() as connection:
            in_use = select(tables.jobs.c.id).where(_uses(_file.id))
            expired = and_(_file.expires_at <= int(time.time()), ~in_use.exists())
            connection.execute(delete(tables.files).where(expired))
            ids = set(connection.execute(select(_file.id)).scalars())
            # Within the transaction, so that no upload has its bytes stored but not yet its row.
            _remove(path for path in self._folder.iterdir() if path.name not in ids)


def _unexpired() -> ColumnElement[bool]:
    return or_(_file.expires_at.is_(None), _file.expires_at > int(time.time()))


def _uses(file_id: ColumnElement[str] | str) -> ColumnElement[bool]:
    job = tables.jobs.c
    named = or_(job.training_file == file_id, job.validation_file == file_id)
    return and_(job.status.in_(UNFINISHED_STATUSES), named)


def _user_of(file_id: str) -> Select[tuple[str]]:
    return select(tables.jobs.c.id).where(_uses(file_id)).limit(1)


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)
