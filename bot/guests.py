"""Where guests and people of another organisation may ask; an admin decides."""

from __future__ import annotations

from bot.domain import ChannelId
from bot.ports.store import EVERYWHERE, Records, Store
from bot.replies import Button, Listing, ListingRow, Reply
from bot.request import Request

_HERE, _NOWHERE = "here", "nowhere"


async def guests(ask: Request, *, store: Store) -> Reply:
    """`where:here`, `where:everywhere` or `where:nowhere`; without it, how things stand."""
    where = ask.text("where")
    async with store.writing() as records:
        if where is not None:
            await _open(ask, where, records)
        return await _listing(ask, records)


async def close(ask: Request, *, store: Store) -> Reply:
    """The button beside a channel: guests may not ask there any more."""
    async with store.writing() as records:
        await _set(ask, ChannelId(ask.argument), records, may_ask=False)
        return await _listing(ask, records, is_changed=True)


async def _open(ask: Request, where: str, records: Records) -> None:
    if where == _NOWHERE:
        for channel in await records.guest_channels.all(ask.id):
            await _set(ask, channel, records, may_ask=False)
        return
    channel = ask.place.channel if where == _HERE else EVERYWHERE
    await _set(ask, channel, records, may_ask=True)


async def _set(ask: Request, channel: ChannelId, records: Records, *, may_ask: bool) -> None:
    await records.guest_channels.put(ask.id, channel, may_ask=may_ask)
    what = "guests.allowed" if may_ask else "guests.refused"
    await records.audit.add(ask.id, ask.by, what, at=ask.now, channel=channel)


async def _listing(ask: Request, records: Records, *, is_changed: bool = False) -> Listing:
    words = ask.words
    lines = tuple(
        ListingRow(
            channel,
            words("guests.everywhere") if channel == EVERYWHERE else channel,
            buttons=(Button(words("button.take_back"), f"guests.close:{channel}"),),
        )
        for channel in await records.guest_channels.all(ask.id)
    )
    return Listing(
        words("guests.title"),
        lines,
        empty=words("guests.empty"),
        note=words("guests.note"),
        private=True,
        replaces=is_changed,
    )
