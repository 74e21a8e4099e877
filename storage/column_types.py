"""Column types that store values and read them back unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import DateTime, Dialect, Enum, MetaData, Row, Text, TypeDecorator

from bot.domain import Canary, Evaluation, Job, Judging, Place, SyntheticRun, Turn

StoredEntity = Job | Turn | Evaluation | Canary | Judging | SyntheticRun


T = TypeVar("T")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping | MappingProxyType):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


encode_json = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


class Utc(TypeDecorator[datetime]):
    """A datetime that is timezone-aware in Python and is stored in UTC without a time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be kept")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """Mappings and lists as JSON text with unescaped non-ASCII characters; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else encode_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class FrozenJson(TypeDecorator[T]):
    """A small frozen dataclass as JSON; lists are read back as tuples."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[T]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: T | None, dialect: Dialect) -> str | None:
        return None if value is None else encode_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> T | None:
        if value is None:
            return None
        fields = json.loads(value).items()
        return self.kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields})


def enum_type(values: type[StrEnum]) -> Enum:
    """Returns a column type that allows only the values of an enum."""
    return Enum(
        values,
        native_enum=False,
        length=32,
        values_callable=lambda kind: [member.value for member in kind],
    )


def changed_columns(kind: type[StoredEntity], changes: Mapping[str, object]) -> dict[str, object]:
    """Translates field names into column names. Raises TypeError for a field that cannot be set."""
    settable = {field.name for field in fields(kind)} - {"id", "workspace"}
    if unknown := changes.keys() - settable:
        raise TypeError(f"{kind.__name__} lets nobody set {', '.join(sorted(unknown))}")
    values = dict(changes)
    if "place" in values:
        place = values.pop("place")
        if not isinstance(place, Place):
            raise TypeError("place must be a Place")
        values |= {"channel": place.channel, "thread": place.thread}
    return values


def column_values(thing: StoredEntity) -> dict[str, object]:
    """Returns every field except `id` and `workspace`, by column name."""
    names = (field.name for field in fields(thing) if field.name not in ("id", "workspace"))
    return changed_columns(type(thing), {name: getattr(thing, name) for name in names})


def row_fields(row: Row[Any]) -> dict[str, Any]:
    """Translates the column names of a row into field names."""
    values = row._asdict()
    values["place"] = Place(values["workspace"], values.pop("channel"), values.pop("thread"))
    return values
