"""Markup in a reply's texts for people, channels and times, which each surface renders."""

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
from bot.ports.surface import CanFetchUser, CanNameChannel, RendersMentionsAndTimes, Surface
from bot.replies import Comparison, Stream

R = TypeVar("R")

# Noncharacters, which do not occur in exchanged text: Unicode 16.0, section 23.7.
_OPEN, _BAR, _CLOSE = "\ufdd0", "\ufdd1", "\ufdd2"
_REFERENCE = re.compile(f"{_OPEN}([@#t])([^{_BAR}]*){_BAR}([^{_CLOSE}]*){_CLOSE}")
_LOOKUP_SECONDS = 2.0
"""Seconds that a reply waits for the look-up of names."""
_MAX_NAMES = 50


class ReferenceKind(StrEnum):
    """Kind of a reference.

    A person may also be a server role or user group. The id of a moment is its Unix time.
    """

    PERSON = "@"
    CHANNEL = "#"
    MOMENT = "t"


ReferenceKey = tuple[ReferenceKind, str]


def person_reference(user: str, name: str = "") -> str:
    return _reference(ReferenceKind.PERSON, user, name)


def channel_reference(number: str) -> str:
    return _reference(ReferenceKind.CHANNEL, number, "")


def time_reference(at: datetime) -> str:
    """Returns a reference to a time; its text, for surfaces without local times, says UTC."""
    seconds = str(int(at.timestamp()))
    return _reference(ReferenceKind.MOMENT, seconds, f"{at:%Y-%m-%d %H:%M} UTC")


def render_references(text: str, draw: Callable[[ReferenceKind, str, str], str]) -> str:
    """Returns the text with each reference replaced by `draw(kind, id, name)`."""
    return _REFERENCE.sub(lambda match: draw(ReferenceKind(match[1]), match[2], match[3]), text)


def with_names_for_references(text: str) -> str:
    """Returns the text with each reference replaced by its name."""
    return render_references(text, lambda kind, number, name: name)


async def resolve_names(
    reply: R, place: Place, surface: Surface | None, *, is_page: bool = False
) -> R:
    """Returns the reply with a name in every reference, or with names in place of references.

    The latter for pages and surfaces that do not render references. If a name cannot be looked
    up in time, the id is used.
    """
    references = _keys(reply)
    if not references:
        return reply
    unnamed = list(dict.fromkeys(key for key, name in references if not name))
    names = await _names(unnamed[:_MAX_NAMES], place, surface) if surface is not None else {}
    is_native = not is_page and _is_native(surface)

    def draw(kind: ReferenceKind, number: str, name: str) -> str:
        shown = name or names.get((kind, number)) or _id_text(kind, number)
        return _reference(kind, number, shown) if is_native else shown

    return cast(R, _map_texts(reply, lambda text: render_references(text, draw)))


def _is_native(surface: object) -> bool:
    return isinstance(surface, RendersMentionsAndTimes) and surface.renders_mentions_and_times()


async def _names(
    keys: Sequence[ReferenceKey], place: Place, surface: Surface
) -> Mapping[ReferenceKey, str]:
    names: dict[ReferenceKey, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOOKUP_SECONDS):
            await asyncio.gather(*(_look_up(key, place, surface, names) for key in keys))
    return names


async def _look_up(
    key: ReferenceKey, place: Place, surface: Surface, names: dict[ReferenceKey, str]
) -> None:
    kind, number = key
    with suppress(SurfaceError):
        if kind is ReferenceKind.PERSON and isinstance(surface, CanFetchUser):
            names[key] = (await surface.fetch_user(place, UserId(number))).name
        if kind is ReferenceKind.CHANNEL and isinstance(surface, CanNameChannel):
            channel = replace(place, channel=ChannelId(number), thread=None)
            names[key] = await surface.channel_name(channel) or ""


def _id_text(kind: ReferenceKind, number: str) -> str:
    return f"#{number}" if kind is ReferenceKind.CHANNEL else number


def _reference(kind: ReferenceKind, number: str, name: str) -> str:
    clean = re.sub(f"[{_OPEN}{_BAR}{_CLOSE}]", "", name)
    return f"{_OPEN}{kind}{number}{_BAR}{clean}{_CLOSE}"


def _keys(value: object) -> list[tuple[ReferenceKey, str]]:
    keys: list[tuple[ReferenceKey, str]] = []

    def note(text: str) -> str:
        if _OPEN in text:
            keys.extend(
                ((ReferenceKind(match[1]), match[2]), match[3])
                for match in _REFERENCE.finditer(text)
            )
        return text

    _map_texts(value, note)
    return keys


def _map_texts(value: object, change: Callable[[str], str]) -> object:
    """Returns the value with every text in it changed; streams are not read."""
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_map_texts(item, change) for item in value)
    if not is_dataclass(value) or isinstance(value, type | Stream | Comparison):
        return value
    before = {field.name: getattr(value, field.name) for field in fields(value)}
    after: Mapping[str, object] = {name: _map_texts(v, change) for name, v in before.items()}
    new = {name: new_value for name, new_value in after.items() if new_value != before[name]}
    return replace(value, **new) if new else value
