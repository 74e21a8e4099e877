"""Consent of people to learning from their messages: asks for it once, stores and lists it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from bot.commands import Handlers, Option
from bot.domain import ChannelId, Consent, Notice, Place, Role, User, UserId
from bot.mentions_and_times import time_reference
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records, Store
from bot.replies import (
    Button,
    Card,
    Drawn,
    Listing,
    ListingRow,
    Refused,
    Reply,
    Text,
    Tone,
)
from bot.request import Request
from bot.words import Words

handlers = Handlers()

CONSENT_VERSION = 1
CONSENT_REQUEST_NOTICE = "consent.wanted"
_MAX_NAMES_IN_CARD = 25


def consent_buttons(words: Words, stored: Consent | None = None) -> tuple[Button, Button]:
    """Returns the buttons to give and to refuse consent.

    A click is refused if the person's consent is no longer the `stored` one.
    """
    token = consent_state_token(stored)
    return (
        Button(words("button.consent_on"), f"consent.on:{token}"),
        Button(words("button.consent_off"), f"consent.off:{token}"),
    )


def consent_state_token(stored: Consent | None) -> str:
    """Returns a token of a stored consent for the action of a button; empty if there is none."""
    if stored is None:
        return ""
    word = "on" if stored.given else "off"
    return f"{word}.v{stored.version}.{int(stored.at.timestamp())}"


@handlers.command("consent", Role.STRANGER, Option.choice("switch", "on", "off", takes_rest=True))
async def set_or_show_consent(request: Request, deps: Dependencies) -> Reply:
    """Sets or shows the consent of the user."""
    switch = request.text_option("switch")
    if switch is not None:
        return await _switch_consent(request, given=switch == "on", store=deps.store)
    async with deps.store.reading() as records:
        stored = await records.consents.get(request.workspace_id, request.user_id)
    return _consent_card(request, stored)


def _consent_card(request: Request, stored: Consent | None) -> Card:
    is_local = request.workspace.platform == "local"
    given = stored.given if stored else is_local
    words = request.words
    return Card(
        title=words("consent.given" if given else "consent.not_given"),
        lines=(words("consent.text"),),
        buttons=consent_buttons(words, stored),
        private=True,
    )


@handlers.button("consent.on", Role.STRANGER)
async def give_consent(request: Request, deps: Dependencies) -> Reply:
    return await _switch_consent(request, given=True, store=deps.store)


@handlers.button("consent.off", Role.STRANGER)
async def revoke_consent(request: Request, deps: Dependencies) -> Reply:
    return await _switch_consent(request, given=False, store=deps.store)


async def _switch_consent(request: Request, *, given: bool, store: Store) -> Reply:
    """Stores the consent; refuses a button if the consent has changed since it was shown."""
    async with store.writing() as records:
        stored = await records.consents.get(request.workspace_id, request.user_id)
        is_new = stored is None or (stored.given, stored.version) != (given, CONSENT_VERSION)
        if is_new and request.is_click and request.argument != consent_state_token(stored):
            text = request.words("consent.changed")
            return Refused(text, replace(_consent_card(request, stored), title=text))
        if is_new:
            new = Consent(request.user_id, CONSENT_VERSION, given, request.now)
            await records.consents.put(request.workspace_id, new)
            what = "consent.given" if given else "consent.revoked"
            await request.audit(records, what, version=CONSENT_VERSION)
    text = request.words("consent.thanks" if given else "consent.revoked")
    # A card in a channel is for several people, so a click of one of them does not replace it.
    is_private = request.event.ephemeral_message_id is not None
    return Card(text, private=True, replaces=True) if is_private else Text(text, private=True)


@handlers.button("consents", Role.ADMIN, is_for_pages=True)
async def list_consents(request: Request, deps: Dependencies) -> Reply:
    """Lists the latest consent of each person."""
    async with deps.store.reading() as records:
        stored = await records.consents.all(request.workspace_id)
    words = request.words
    lines = tuple(
        ListingRow(
            consent.user,
            words("consent.is_given" if consent.given else "consent.is_withheld"),
            words(
                "consent.since",
                at=time_reference(consent.at),
                version=consent.version,
            ),
            tone=Tone.GOOD if consent.given else Tone.BAD,
        )
        for consent in stored
    )
    note = words("sources.now", sources=words(f"learning.{request.workspace.sources.name.lower()}"))
    return Listing(words("consents.title"), lines, empty=words("consents.empty"), note=note)


async def request_consent(
    request: Request,
    people: Sequence[User],
    *,
    store: Store,
    link: str | None = None,
) -> None:
    """Asks each author without a decision for consent, once, in this channel, with a mention."""
    if request.workspace.platform == "local":
        return
    async with store.writing() as records:
        for person in people:
            if await records.consents.get(request.workspace_id, person.id) is not None:
                continue
            await records.outbox.put(
                f"{request.workspace_id}.{person.id}.consent",
                request.place,
                CONSENT_REQUEST_NOTICE,
                details={
                    "name": person.name,
                    "user": person.id,
                    "link": link or "",
                    "locale": request.event.locale,
                },
                at=request.now,
            )


async def request_consent_in_channel(
    request: Request, channel: ChannelId, people: Sequence[User], records: Records
) -> None:
    """Asks several authors for consent with one card in the channel of their messages."""
    ids = " ".join(sorted(person.id for person in people))
    people_hash = sha256(ids.encode()).hexdigest()[:16]
    await records.outbox.put(
        f"{request.workspace_id}.{channel}.{people_hash}.consent",
        Place(request.workspace_id, channel),
        CONSENT_REQUEST_NOTICE,
        details={
            "names": ", ".join(person.name for person in people[:_MAX_NAMES_IN_CARD]),
            "more": max(0, len(people) - _MAX_NAMES_IN_CARD),
            "locale": request.event.locale,
        },
        at=request.now,
        only_if_new=True,
    )


async def render_consent_request_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the question for an author's consent, with a link to the message.

    A click gives the consent of the user who clicks. The message is not quoted, because its author
    may delete it.
    """
    details = notice.details
    text = words("consent.wanted", name=details.get("name"))
    if "names" in details:
        more_count = details.get("more")
        others = f" {words('chats.more_people', count=more_count)}" if more_count else ""
        text = words("consent.wanted_from_export", names=f"{details['names']}{others}")
    link = str(details.get("link") or "")
    link_buttons = (Button(words("button.open_message"), link=link),) if link else ()
    return Card(
        title=words("consent.wanted_title"),
        lines=(text, words("consent.text")),
        buttons=(*consent_buttons(words), *link_buttons),
        pings=(UserId(str(details["user"])),) if details.get("user") else (),
    )
