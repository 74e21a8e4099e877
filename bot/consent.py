"""Asks people whether their words may be learned from, records and lists it; see `states`."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import Handlers, Option
from bot.domain import (
    Consent,
    Role,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Store
from bot.references import moment
from bot.replies import (
    Button,
    Card,
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
CONSENT_WANTED = "consent.wanted"


def consent_buttons(words: Words, held: Consent | None = None) -> tuple[Button, Button]:
    """Yes and no; each is refused once the person's word is no longer the one `held` here."""
    shown = consent_stamp(held)
    return (
        Button(words("button.consent_on"), f"consent.on:{shown}"),
        Button(words("button.consent_off"), f"consent.off:{shown}"),
    )


def consent_stamp(held: Consent | None) -> str:
    """Which word of a person a card shows; empty where they have given none."""
    if held is None:
        return ""
    word = "on" if held.given else "off"
    return f"{word}.v{held.version}.{int(held.at.timestamp())}"


@handlers.command("consent", Role.STRANGER, Option.choice("switch", "on", "off", rest=True))
async def consent(request: Request, deps: Dependencies) -> Reply:
    """My own switch: without a word it shows how it stands."""
    wanted = request.text("switch")
    if wanted is not None:
        return await _switch_consent(request, given=wanted == "on", store=deps.store)
    async with deps.store.reading() as records:
        held = await records.consents.get(request.id, request.by)
    return _consent_card(request, held)


def _consent_card(request: Request, held: Consent | None) -> Card:
    is_local = request.workspace.platform == "local"
    given = held.given if held else is_local
    words = request.words
    return Card(
        title=words("consent.given" if given else "consent.not_given"),
        lines=(words("consent.text"),),
        buttons=consent_buttons(words, held),
        private=True,
    )


@handlers.button("consent.on", Role.STRANGER)
async def give_consent(request: Request, deps: Dependencies) -> Reply:
    return await _switch_consent(request, given=True, store=deps.store)


@handlers.button("consent.off", Role.STRANGER)
async def revoke_consent(request: Request, deps: Dependencies) -> Reply:
    return await _switch_consent(request, given=False, store=deps.store)


async def _switch_consent(request: Request, *, given: bool, store: Store) -> Reply:
    """A button is refused where the person has said otherwise since it was shown."""
    async with store.writing() as records:
        held = await records.consents.get(request.id, request.by)
        is_new = held is None or (held.given, held.version) != (given, CONSENT_VERSION)
        if is_new and request.is_click and request.argument != consent_stamp(held):
            text = request.words("consent.changed")
            return Refused(text, replace(_consent_card(request, held), title=text))
        if is_new:
            new = Consent(request.by, CONSENT_VERSION, given, request.now)
            await records.consents.put(request.id, new)
            what = "consent.given" if given else "consent.revoked"
            await records.audit.add(
                request.id, request.by, what, at=request.now, version=CONSENT_VERSION
            )
    done = request.words("consent.thanks" if given else "consent.revoked")
    # A card in a channel stands there for others too.
    is_alone = request.event.private_card is not None
    return Card(done, private=True, replaces=True) if is_alone else Text(done, private=True)


@handlers.button("consents", Role.ADMIN, is_for_pages=True)
async def consents(request: Request, deps: Dependencies) -> Reply:
    """Everybody's latest word on whether they may be learned from."""
    async with deps.store.reading() as records:
        held = await records.consents.all(request.id)
    words = request.words
    lines = tuple(
        ListingRow(
            one.user,
            words("consent.is_given" if one.given else "consent.is_withheld"),
            words("consent.since", at=moment(one.at), version=one.version),
            tone=Tone.GOOD if one.given else Tone.BAD,
        )
        for one in held
    )
    note = words("sources.now", sources=words(f"learning.{request.workspace.sources.name.lower()}"))
    return Listing(words("consents.title"), lines, empty=words("consents.empty"), note=note)
