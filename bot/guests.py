"""Channels in which guests and people of another organisation may ask questions."""

from __future__ import annotations

from collections.abc import Sequence

from bot import mentions_and_times
from bot.commands import Handlers, Option
from bot.domain import ChannelId, Role
from bot.outdated_clicks import outdated_refusal, state_token
from bot.ports.dependencies import Dependencies
from bot.ports.store import ALL_CHANNELS, Records
from bot.replies import Button, Listing, ListingRow, Reply
from bot.request import Request

handlers = Handlers()


_HERE, _NOWHERE = "here", "nowhere"


@handlers.command(
    "admin guests",
    Role.ADMIN,
    Option.choice("where", _HERE, "everywhere", _NOWHERE, takes_rest=True),
)
async def set_or_list_guest_channels(request: Request, deps: Dependencies) -> Reply:
    """Sets where guests may ask: `here`, `everywhere` or `nowhere`; lists these channels."""
    where = request.text_option("where")
    async with deps.store.writing() as records:
        if where is not None:
            await _apply(request, where, records)
        return await _listing(request, records)


@handlers.button("guests.close", Role.ADMIN)
async def disallow_guests(request: Request, deps: Dependencies) -> Reply:
    """Forbids guests to ask in a channel, unless the list has changed since it was shown."""
    shown_token, _, channel = request.argument.partition(":")
    async with deps.store.writing() as records:
        if shown_token != _token(await records.guest_channels.all(request.workspace_id)):
            listing = await _listing(request, records, is_changed=True)
            return outdated_refusal(request, listing)
        await _allow_or_refuse(request, ChannelId(channel), records, may_ask=False)
        return await _listing(request, records, is_changed=True)


async def _apply(request: Request, where: str, records: Records) -> None:
    if where == _NOWHERE:
        for channel in await records.guest_channels.all(request.workspace_id):
            await _allow_or_refuse(request, channel, records, may_ask=False)
        return
    channel = request.place.channel if where == _HERE else ALL_CHANNELS
    await _allow_or_refuse(request, channel, records, may_ask=True)


async def _allow_or_refuse(
    request: Request, channel: ChannelId, records: Records, *, may_ask: bool
) -> None:
    await records.guest_channels.set_may_ask(request.workspace_id, channel, may_ask=may_ask)
    what = "guests.allowed" if may_ask else "guests.refused"
    await request.audit(records, what, channel=channel)


async def _listing(request: Request, records: Records, *, is_changed: bool = False) -> Listing:
    words = request.words
    open_channels = await records.guest_channels.all(request.workspace_id)
    token = _token(open_channels)
    lines = tuple(
        ListingRow(
            "",
            words("guests.everywhere")
            if channel == ALL_CHANNELS
            else mentions_and_times.channel_reference(channel),
            buttons=(Button(words("button.take_back"), f"guests.close:{token}:{channel}"),),
        )
        for channel in open_channels
    )
    return Listing(
        words("guests.title"),
        lines,
        empty=words("guests.empty"),
        note=words("guests.note"),
        private=True,
        replaces=is_changed,
    )


def _token(channels: Sequence[ChannelId]) -> str:
    """Returns a token of the listed channels, by which an outdated list is recognised."""
    return state_token(*sorted(channels))
