"""People, channels and moments inside the texts of a reply: by id, shown as each surface can."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar, cast

from bot.domain import ChannelId, Place, UserId
from bot.errors import SurfaceError
from bot.ports.surface import CanDescribe, CanNameChannel, ShowsReferences, Surface
from bot.replies import Comparison, Stream

R = TypeVar("R")

# Noncharacters, which no text that people exchange may hold: Unicode 16.0, section 23.7.
_OPEN, _BAR, _CLOSE = "\ufdd0", "\ufdd1", "\ufdd2"
_REFERENCE = re.compile(f"{_OPEN}([@#t])([^{_BAR}]*){_BAR}([^{_CLOSE}]*){_CLOSE}")
_SECONDS = 2.0
"""How long a reply waits for names."""
_MOST = 50


class ReferenceKind(StrEnum):
    """A person is also a server role or user group; a moment has seconds since 1970 for an id."""

    PERSON = "@"
    CHANNEL = "#"
    MOMENT = "t"


Key = tuple[ReferenceKind, str]


def person_reference(user: str, name: str = "") -> str:
    return _reference(ReferenceKind.PERSON, user, name)


def channel_reference(number: str) -> str:
    return _reference(ReferenceKind.CHANNEL, number, "")


def time_reference(at: datetime) -> str:
    """In UTC where a surface cannot show it in its reader's own time."""
    seconds = str(int(at.timestamp()))
    return _reference(ReferenceKind.MOMENT, seconds, f"{at:%Y-%m-%d %H:%M}")


def render(text: str, draw: Callable[[ReferenceKind, str, str], str]) -> str:
    """The text with each reference drawn from its kind, its id and its name."""
    return _REFERENCE.sub(lambda found: draw(ReferenceKind(found[1]), found[2], found[3]), text)


def plain_text(text: str) -> str:
    """The text with names alone."""
    return render(text, lambda kind, number, name: name)


async def resolve_names(
    reply: R, place: Place, surface: Surface | None, *, is_page: bool = False
) -> R:
    """A reply in which everything has its name, and nothing else where the surface draws no more.

    What cannot be asked in time is called by its id.
    """
    found = _keys(reply)
    if not found:
        return reply
    unnamed = list(dict.fromkeys(key for key, name in found if not name))
    names = await _names(unnamed[:_MOST], place, surface) if surface is not None else {}
    is_native = not is_page and _is_native(surface)

    def draw(kind: ReferenceKind, number: str, name: str) -> str:
        called = name or names.get((kind, number)) or _bare(kind, number)
        return _reference(kind, number, called) if is_native else called

    return cast(R, _changed(reply, lambda text: render(text, draw)))


def _is_native(surface: object) -> bool:
    return isinstance(surface, ShowsReferences) and surface.draws_references()


async def _names(keys: Sequence[Key], place: Place, surface: Surface) -> Mapping[Key, str]:
    names: dict[Key, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*(_look_up(key, place, surface, names) for key in keys))
    return names


async def _look_up(key: Key, place: Place, surface: Surface, names: dict[Key, str]) -> None:
    kind, number = key
    with suppress(SurfaceError):
        if kind is ReferenceKind.PERSON and isinstance(surface, CanDescribe):
            names[key] = (await surface.describe(place, UserId(number))).name
        if kind is ReferenceKind.CHANNEL and isinstance(surface, CanNameChannel):
            there = replace(place, channel=ChannelId(number), thread=None)
            names[key] = await surface.channel_name(there) or ""


def _bare(kind: ReferenceKind, number: str) -> str:
    return f"#{number}" if kind is ReferenceKind.CHANNEL else number


def _reference(kind: ReferenceKind, number: str, name: str) -> str:
    clean = re.sub(f"[{_OPEN}{_BAR}{_CLOSE}]", "", name)
    return f"{_OPEN}{kind}{number}{_BAR}{clean}{_CLOSE}"


def _keys(value: object) -> list[tuple[Key, str]]:
    found: list[tuple[Key, str]] = []

    def note(text: str) -> str:
        if _OPEN in text:
            found.extend(
                ((ReferenceKind(one[1]), one[2]), one[3]) for one in _REFERENCE.finditer(text)
            )
        return text

    _changed(value, note)
    return found


def _changed(value: object, change: Callable[[str], str]) -> object:
    """The value with every text in it changed; what is read but once stays as it is."""
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_changed(one, change) for one in value)
    if not is_dataclass(value) or isinstance(value, type | Stream | Comparison):
        return value
    before = {one.name: getattr(value, one.name) for one in fields(value)}
    after: Mapping[str, object] = {n: _changed(one, change) for n, one in before.items()}
    new = {name: one for name, one in after.items() if one != before[name]}
    return replace(value, **new) if new else value
