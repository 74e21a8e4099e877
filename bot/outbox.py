"""Delivers notices to their channels at least once; a repeated delivery edits the message."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bot.domain import LOCAL, ONLY_EDITS_MESSAGE, MessageId, Notice, UserId, WorkspaceId
from bot.domain.ids import platform_of
from bot.errors import MessageGone, PlaceClosed, SurfaceError
from bot.mentions_and_times import resolve_names
from bot.ports.dependencies import Surfaces
from bot.ports.store import Clock, Records, Store
from bot.ports.surface import CanDirectMessage, Surface
from bot.replies import Drawn
from bot.words import Words

log = logging.getLogger(__name__)

NoticeRenderer = Callable[[Notice, Records, Words], Awaitable[Drawn | None]]

LOCALE_DETAIL = "locale"
"""The detail that names the language of a notice, where the channel's assistant has none."""
ASKER_DETAIL = "asker"
"""Detail of a notice with the id of the person who caused it."""
_MAX_ATTEMPTS = 1000
_MAX_PAUSE = 600
"""Limit of the seconds between two attempts; with 1000 attempts a platform may be down a week."""
_MAX_WAIT = 60.0
"""Seconds for one message; with its key a second attempt edits the message of the first."""


async def deliver_notices(
    *, store: Store, surfaces: Surfaces, clock: Clock, wordings: Mapping[str, NoticeRenderer]
) -> int:
    """Posts or edits the messages of all due notices; returns how many were due.

    In order within a workspace, concurrently for different workspaces.
    """
    async with store.reading() as records:
        due = await records.outbox.list_due(now=clock.now())
    by_workspace: dict[WorkspaceId, list[Notice]] = defaultdict(list)
    for notice in due:
        by_workspace[notice.place.workspace].append(notice)

    async def deliver_in_order(notices: Sequence[Notice]) -> None:
        for notice in notices:
            try:
                async with asyncio.timeout(_MAX_WAIT):
                    await _deliver(
                        notice, store=store, surfaces=surfaces, clock=clock, wordings=wordings
                    )
            except Exception:
                log.exception("A notice could not be delivered", extra={"kind": notice.kind})
                await _postpone(notice, store=store, clock=clock)

    await asyncio.gather(*map(deliver_in_order, by_workspace.values()))
    return len(due)


async def _deliver(
    notice: Notice,
    *,
    store: Store,
    surfaces: Surfaces,
    clock: Clock,
    wordings: Mapping[str, NoticeRenderer],
) -> None:
    drawn = await _render(notice, store=store, wordings=wordings)
    if drawn is None:
        return await _drop(notice, store=store)
    try:
        surface = surfaces.surface_of(notice.place.workspace)
    except PlaceClosed:
        # The platform is off; the notice is delivered once it is on again.
        return await _delay(notice, timedelta(minutes=5), store=store, clock=clock)
    try:
        drawn = await resolve_names(drawn, notice.place, surface)
        message = await _post_or_edit(notice, drawn, surface)
    except (MessageGone, PlaceClosed) as error:
        log.warning(
            "A notice cannot be posted in its channel",
            extra={"kind": notice.kind, "why": error.key},
        )
        return await _move_to_direct_message(notice, surface, store=store)
    except SurfaceError as error:
        log.warning(
            "A notice could not be posted and is retried",
            extra={"kind": notice.kind, "why": error.key},
        )
        return await _postpone(notice, store=store, clock=clock)
    async with store.writing() as records:
        await records.outbox.mark_delivered(notice.id, version=notice.version, message=message)
    return None


def locale_detail(locale: str | None) -> dict[str, object]:
    """Returns the detail that names the language of a notice."""
    return {LOCALE_DETAIL: locale} if locale else {}


async def _render(
    notice: Notice, *, store: Store, wordings: Mapping[str, NoticeRenderer]
) -> Drawn | None:
    """Renders a notice in the language of the channel's assistant."""
    async with store.reading() as records:
        answering = await records.assistants.answering_in(
            notice.place.workspace, notice.place.channel
        )
        locale = str(notice.details.get(LOCALE_DETAIL, "en"))
        language = (answering[0].language if answering else None) or locale
        wording = wordings.get(notice.kind)
        words = Words(language, platform_of(notice.place.workspace))
        drawn = await wording(notice, records, words) if wording else None
    if drawn is None or notice.place.workspace != LOCAL:
        return drawn
    return replace(drawn, other_words=words.translations())


async def _post_or_edit(notice: Notice, drawn: Drawn, surface: Surface) -> MessageId:
    # The key includes the channel, so that a moved notice is posted anew in the other channel.
    key = f"{notice.key}.{notice.place.channel}"
    if notice.message is None:
        return await surface.post(notice.place, drawn, key=key)
    try:
        await surface.edit(notice.place, notice.message, drawn)
    except MessageGone:
        if notice.details.get(ONLY_EDITS_MESSAGE):
            raise
        return await surface.post(notice.place, drawn, key=f"{key}.again")
    return notice.message


async def _move_to_direct_message(notice: Notice, surface: Surface, *, store: Store) -> None:
    """Moves a notice to a direct message to its `ASKER`, if the channel is closed to the bot."""
    asker = notice.details.get(ASKER_DETAIL)
    if not isinstance(asker, str) or not isinstance(surface, CanDirectMessage):
        return await _drop(notice, store=store)
    try:
        direct_place = await surface.find_direct_message_place(notice.place, UserId(asker))
    except SurfaceError:
        return await _drop(notice, store=store)
    if direct_place.channel == notice.place.channel:
        return await _drop(notice, store=store)
    async with store.writing() as records:
        await records.outbox.move_to_place(notice.id, direct_place)
    return None


async def _postpone(notice: Notice, *, store: Store, clock: Clock) -> None:
    if notice.attempts >= _MAX_ATTEMPTS:
        return await _drop(notice, store=store)
    wait = timedelta(seconds=min(_MAX_PAUSE, 2 ** min(notice.attempts, 10)))
    return await _delay(notice, wait, store=store, clock=clock)


async def _delay(notice: Notice, wait: timedelta, *, store: Store, clock: Clock) -> None:
    async with store.writing() as records:
        await records.outbox.postpone(notice.id, until=clock.now() + wait)


async def _drop(notice: Notice, *, store: Store) -> None:
    async with store.writing() as records:
        await records.outbox.delete(notice.id)
