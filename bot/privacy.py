"""Privacy: consent, my data, forget me, and what the workspace may learn from."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TypeVar

from bot.commands import Handlers, Option
from bot.domain import (
    LOCAL,
    NO_EXCLUSION,
    Consent,
    Example,
    ExampleId,
    Exclusion,
    Notice,
    Role,
    Sources,
    Workspace,
)
from bot.errors import BadInput, NotNow
from bot.events import MessageEdited, MessagesDeleted
from bot.examples.following import follow_edit
from bot.examples.keeping import consent_buttons, consent_stamp
from bot.examples.shown import is_button
from bot.own_words import examples_of, forget_quotes
from bot.parts import in_parts
from bot.ports.dependencies import Dependencies
from bot.ports.people import KEPT_FROM_THE_START, KeptCursor
from bot.ports.store import Records, Store
from bot.ports.surface import CanForgetFiles
from bot.replies import (
    Button,
    Card,
    Document,
    Drawn,
    Field,
    FieldKind,
    Form,
    Listing,
    ListingRow,
    NoReply,
    Refused,
    Reply,
    Text,
    Tone,
)
from bot.request import Request
from bot.words import Words

handlers = Handlers()


T = TypeVar("T")

CONSENT_VERSION = 1
_PART, _FEWEST_EDITED = 100, 5
CONSENT_WANTED = "consent.wanted"
_FORGETTING = "person.forgetting"


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


async def word_consent_wanted(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Asks an author where the message was marked; the clicker's own word counts."""
    text = words("consent.wanted", name=notice.details.get("name"))
    return Card(
        title=words("consent.wanted_title"),
        lines=(text, words("consent.text")),
        buttons=consent_buttons(words),
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
        if is_new and is_button(request) and request.argument != consent_stamp(held):
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
            words("consent.since", at=f"{one.at:%Y-%m-%d %H:%M}", version=one.version),
            tone=Tone.GOOD if one.given else Tone.BAD,
        )
        for one in held
    )
    note = words("sources.now", sources=_learning(request.workspace.sources, words))
    return Listing(words("consents.title"), lines, empty=words("consents.empty"), note=note)


@handlers.command("my-data", Role.STRANGER)
@handlers.button("privacy.my_data", Role.STRANGER)
async def my_data(request: Request, deps: Dependencies) -> Reply:
    """All that is kept of the asker, as a file: a line for each thing, read while it is sent."""
    async with deps.store.reading() as records:
        examples = await records.people.example_count(request.id, request.by)
        turns = await records.turns.count_by(request.id, request.by)
    text = request.words("my_data.text", examples=examples, turns=turns)
    return Document(f"my-data-{request.by}.jsonl", _all_of(request, deps.store), text)


async def _all_of(request: Request, store: Store) -> AsyncIterator[bytes]:
    cursor: KeptCursor | None = KEPT_FROM_THE_START
    while cursor is not None:
        async with store.reading() as records:
            page, cursor = await records.people.kept(
                request.id, request.by, after=cursor, limit=_PART
            )
        for kind, fields in page:
            yield _line(kind, **fields)
    async for example, part in examples_of(request, store):
        yield _line("example", part=part, **_fields_of(example))


@handlers.command("forget-me", Role.STRANGER)
@handlers.button("privacy.ask_forget", Role.STRANGER)
async def ask_forget(request: Request, deps: Dependencies) -> Card:
    async with deps.store.reading() as records:
        newest = await records.people.newest(request.id, request.by)
    words = request.words
    sure = Button(words("button.forget"), f"privacy.forget:{newest}:{request.by}", is_danger=True)
    return Card(
        words("forget.title"),
        lines=(words("forget.text"),),
        buttons=(sure, Button(words("button.keep"), "privacy.keep")),
        private=True,
    )


@handlers.button("privacy.keep", Role.STRANGER)
async def keep(request: Request, deps: Dependencies) -> Reply:
    return Card(request.words("forget.kept"), replaces=True)


@handlers.button("privacy.forget", Role.STRANGER)
async def forget(request: Request, deps: Dependencies) -> Reply:
    """Erases everything of the asker's; models made from it are marked, or go.

    What is counted or was decided stays without a name. A refused consent
    stays, for it is what keeps their words out from now on.
    """
    shown, _, person = request.argument.partition(":")
    if person != request.by:
        raise BadInput(problem=request.words("forget.not_yours"))
    if not await _begin_forgetting(request, shown, deps.store):
        fresh = replace(await ask_forget(request, deps), title=request.words("forget.changed"))
        return Refused(fresh.title, fresh)
    await forget_quotes(request, deps.store)
    examples, marked = await _forget_examples(request, deps.store)
    marked += await _forget_edits(request, deps.store)
    turns = await _forget_turns(request, deps.store)
    await _forget_the_rest(request, deps.store)
    await _forget_in_room(request, deps.store)
    room = deps.surfaces.of(LOCAL)
    if isinstance(room, CanForgetFiles):
        await room.forget_files()
    async with deps.store.writing() as records:
        await records.direct_choices.forget(request.id, request.by)
        await records.audit.add(
            request.id, None, "person.forgotten", at=request.now, examples=examples, turns=turns
        )
    deps.wake()
    text = request.words("forget.done", examples=examples, turns=turns, models=marked)
    return Card(text, replaces=True)


async def _begin_forgetting(request: Request, shown: str, store: Store) -> bool:
    """False where more is kept of them than when the card was shown, unless this had begun."""
    async with store.writing() as records:
        begun = await records.audit.of_kind(request.id, _FORGETTING, limit=_PART)
        if any(entry.details.get("event") == request.event.key for entry in begun):
            return True
        is_as_shown = shown == await records.people.newest(request.id, request.by)
        if is_as_shown:
            await records.audit.add(
                request.id, None, _FORGETTING, at=request.now, event=request.event.key
            )
    return is_as_shown


async def _forget_edits(request: Request, store: Store) -> int:
    marked = 0

    async def part(records: Records, most: int) -> int:
        nonlocal marked
        edited = await records.people.edited(request.id, request.by, limit=most)
        snapshots = await records.snapshots.holding(request.id, edited)
        await records.jobs.forget_files(request.id, snapshots, at=request.now)
        marked += await records.models.taint(request.id, snapshots)
        alone = await records.people.take_back(request.id, edited, request.by, at=request.now)
        await erase_examples(request, alone, records)
        return len(edited)

    await in_parts(part, store, fewest=_FEWEST_EDITED)
    return marked


async def _forget_the_rest(request: Request, store: Store) -> None:
    async def part(records: Records, most: int) -> int:
        return await records.people.forget(request.id, request.by, limit=most)

    await in_parts(part, store)


async def _forget_in_room(request: Request, store: Store) -> None:
    async def part(records: Records, most: int) -> int:
        return await records.people.forget_messages(request.id, request.by, limit=most)

    if request.id == LOCAL:
        await in_parts(part, store)


async def _forget_examples(request: Request, store: Store) -> tuple[int, int]:
    """How many, and how many models are marked."""
    marked = 0

    async def part(records: Records, most: int) -> int:
        nonlocal marked
        numbers = await records.examples.by_author(request.id, request.by, limit=most)
        marked += await erase_examples(request, numbers, records)
        return len(numbers)

    return await in_parts(part, store), marked


async def _forget_turns(request: Request, store: Store) -> int:
    async def vote_part(records: Records, most: int) -> int:
        return await records.turns.erase_votes(request.id, request.by, limit=most)

    async def part(records: Records, most: int) -> int:
        return await records.turns.erase(request.id, request.by, limit=most)

    await in_parts(vote_part, store)
    return await in_parts(part, store)


@handlers.event("deleted", Role.STRANGER)
async def source_deleted(request: Request, deps: Dependencies) -> Reply:
    """Messages were deleted at their source: what was learned from any of them goes too."""
    what, channel = request.event.what, request.place.channel
    if not isinstance(what, MessagesDeleted):
        return NoReply()
    for some in _in_parts(what.messages):
        async with deps.store.writing() as records:
            found = await records.example_messages.examples(request.id, channel, some)
            await records.turns.forget_messages(request.id, channel, some)
        await _erase_in_parts(request, found, deps.store)
    return NoReply()


@handlers.event("place_deleted", Role.STRANGER)
async def place_deleted(request: Request, deps: Dependencies) -> Reply:
    """A channel or a thread is gone with everything that was said in it."""
    at = request.id, request.place.channel, request.place.thread

    async def turn_part(records: Records, most: int) -> int:
        return await records.turns.forget_channel(*at, limit=most)

    async def example_part(records: Records, most: int) -> int:
        examples = await records.example_messages.examples_in(*at, limit=most)
        await _erase_at_source(request, examples, records)
        return len(examples)

    await in_parts(turn_part, deps.store)
    await in_parts(example_part, deps.store)
    deps.wake()
    return NoReply()


@handlers.event("edited", Role.STRANGER)
async def source_edited(request: Request, deps: Dependencies) -> Reply:
    """A message was edited: examples with it get its new text, or go where nothing is left."""
    what = request.event.what
    if isinstance(what, MessageEdited):
        surface = deps.surfaces.of(request.id)
        gone = await follow_edit(
            request, what.message, what.text, store=deps.store, surface=surface
        )
        await _erase_in_parts(request, gone, deps.store)
        deps.wake()
    return NoReply()


def _in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), _PART):
        yield items[first : first + _PART]


async def _erase_in_parts(request: Request, examples: Sequence[ExampleId], store: Store) -> None:
    """Each part in a short transaction of its own; after a crash the event does the rest."""
    for some in _in_parts(examples):
        async with store.writing() as records:
            await _erase_at_source(request, some, records)


async def _erase_at_source(
    request: Request, examples: Sequence[ExampleId], records: Records
) -> None:
    if examples:
        await erase_examples(request, examples, records)
        await records.audit.add(
            request.id, None, "examples.deleted_at_source", at=request.now, examples=list(examples)
        )


async def erase_examples(request: Request, examples: Sequence[ExampleId], records: Records) -> int:
    """Text goes; the host's training files go; models made from them are marked. How many."""
    if not examples:
        return 0
    snapshots = await records.snapshots.holding(request.id, examples)
    await records.examples.erase(request.id, examples)
    await records.jobs.forget_files(request.id, snapshots, at=request.now)
    return await records.models.taint(request.id, snapshots)


@handlers.command("admin sources", Role.ADMIN, opens_form=True)
@handlers.button("welcome.sources", Role.MEMBER, opens_form=True)
async def sources(request: Request, deps: Dependencies) -> Reply:
    """What the workspace may learn from; an admin raises it with one form, others read it."""
    words = request.words
    if request.role < Role.ADMIN:
        held = _learning(request.workspace.sources, words)
        return Text(words("sources.here", sources=held), private=True)
    choices = tuple((s.name.lower(), words(f"sources.{s.name.lower()}")) for s in Sources)
    platform = request.workspace.platform
    return Form(
        id=f"sources:{_stamp(request.workspace)}",
        title=words("sources.title"),
        fields=(
            Field(
                "sources",
                words("sources.field"),
                FieldKind.CHOICE,
                request.workspace.sources.name.lower(),
                choices=choices,
            ),
            _allowed_field(request),
            Field("permission", words("sources.permission"), FieldKind.TEXT, required=False),
        ),
        submit=words("sources.submit"),
        note=words(f"sources.rule.{platform}"),
    )


def _stamp(workspace: Workspace) -> str:
    """What is allowed when the form opens: it overwrites nothing else."""
    return f"{int(workspace.sources)}.{int(workspace.allowed)}"


@handlers.form("sources", Role.ADMIN)
async def sources_submitted(request: Request, deps: Dependencies) -> Reply:
    """Stores who attested to what permission, when."""
    try:
        wanted = Sources[request.options.get("sources", "").upper()]
    except KeyError:
        raise BadInput(problem=request.words("sources.unknown")) from None
    allowed = _allowed(request, request.options)
    permission = request.options.get("permission", "").strip()
    if wanted > Sources.OUTSIDE and not permission and request.workspace.platform != "local":
        raise BadInput(problem=request.words("sources.permission_needed"))
    async with deps.store.writing() as records:
        held = await records.workspaces.find(request.id) or request.workspace
        if request.argument and request.argument != _stamp(held):
            raise NotNow(problem=request.words("sources.changed"))
        await records.workspaces.set_sources(request.id, wanted, allowed=allowed)
        await records.audit.add(
            request.id,
            request.by,
            "sources.set",
            at=request.now,
            sources=wanted.name.lower(),
            allowed=_names(allowed),
            permission=permission,
        )
    return Text(_set(wanted, allowed, request.words))


def _allowed_field(request: Request) -> Field:
    words = request.words
    choices = tuple((name, words(f"exclusion.{name}")) for name in map(_name, Exclusion))
    return Field(
        "allowed",
        words("sources.allowed"),
        FieldKind.CHOICES,
        _names(request.workspace.allowed),
        hint=words("sources.allowed_hint"),
        choices=choices,
        required=False,
    )


def _allowed(request: Request, values: Mapping[str, str]) -> Exclusion:
    """What the form does not name stays excluded; a form without the question changes nothing."""
    if "allowed" not in values:
        return request.workspace.allowed
    named = [name for name in values["allowed"].replace(" ", "").split(",") if name]
    try:
        return reduce(or_, (Exclusion[name.upper()] for name in named), NO_EXCLUSION)
    except KeyError:
        choices = ", ".join(map(_name, Exclusion))
        raise BadInput(problem=request.words("sources.allowed_unknown", choices=choices)) from None


def _learning(sources: Sources, words: Words) -> str:
    return words(f"learning.{sources.name.lower()}")


def _set(sources: Sources, allowed: Exclusion, words: Words) -> str:
    said = words("sources.set", sources=_learning(sources, words))
    if not allowed:
        return said
    names = ", ".join(words(f"exclusion.{_name(one)}") for one in allowed)
    return f"{said} {words('sources.allowed_set', names=names)}"


def _names(allowed: Exclusion) -> str:
    return ",".join(map(_name, allowed))


def _name(exclusion: Exclusion) -> str:
    return str(exclusion.name).lower()


def _fields_of(example: Example) -> dict[str, object]:
    return {
        "id": example.id,
        "state": example.state,
        "row": example.row,
        "authors": example.authors,
        "at": example.created_at,
    }


def _line(kind: str, /, **values: object) -> bytes:
    said = {"kind": kind, **values}
    return json.dumps(said, ensure_ascii=False, default=str).encode() + b"\n"
