"""Privacy: consent, my data, forget me, and what the workspace may learn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_

from bot.domain import (
    LOCAL,
    NO_EXCLUSION,
    Consent,
    Example,
    ExampleFilter,
    ExampleId,
    Exclusion,
    MessageId,
    Notice,
    Sources,
)
from bot.errors import BadInput, NotNow
from bot.examples.keeping import consent_buttons
from bot.ports.store import Records, Store
from bot.ports.surface import CanForgetFiles, Surface
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
    Reply,
    Text,
    Tone,
)
from bot.request import Request
from bot.words import Words

CONSENT_VERSION = 1
_PART = 100
_EVERY = 1_000_000
_SHOWN_CHARACTERS, _OWN_CHARACTERS = 60, 8
CONSENT_WANTED = "consent.wanted"


async def consent(ask: Request, *, store: Store) -> Reply:
    """My own switch: without a word it shows how it stands."""
    wanted = ask.text("switch")
    if wanted is not None:
        return await switch_consent(ask, given=wanted == "on", store=store)
    async with store.reading() as records:
        held = await records.consents.get(ask.id, ask.by)
    is_local = ask.workspace.platform == "local"
    given = held.given if held else is_local
    words = ask.words
    return Card(
        title=words("consent.given" if given else "consent.not_given"),
        lines=(words("consent.text"),),
        buttons=consent_buttons(words),
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


async def switch_consent(ask: Request, *, given: bool, store: Store) -> Reply:
    async with store.writing() as records:
        held = Consent(ask.by, CONSENT_VERSION, given, ask.now)
        await records.consents.put(ask.id, held)
        what = "consent.given" if given else "consent.revoked"
        await records.audit.add(ask.id, ask.by, what, at=ask.now, version=CONSENT_VERSION)
    return Text(ask.words("consent.thanks" if given else "consent.revoked"), private=True)


async def consents(ask: Request, *, store: Store) -> Reply:
    """Everybody's latest word on whether they may be learned from."""
    async with store.reading() as records:
        held = await records.consents.all(ask.id)
    words = ask.words
    lines = tuple(
        ListingRow(
            one.user,
            words("consent.is_given" if one.given else "consent.is_withheld"),
            words("consent.since", at=f"{one.at:%Y-%m-%d %H:%M}", version=one.version),
            tone=Tone.GOOD if one.given else Tone.BAD,
        )
        for one in held
    )
    source = words(f"sources.{ask.workspace.sources.name.lower()}")
    note = words("sources.now", sources=source)
    return Listing(words("consents.title"), lines, empty=words("consents.empty"), note=note)


async def my_data(ask: Request, *, store: Store) -> Reply:
    """All that is kept of the asker, as a file: a line for each thing."""
    lines: list[bytes] = []
    counts: Counter[str] = Counter()
    async with store.reading() as records:
        async for kind, fields in records.people.kept(ask.id, ask.by):
            counts[kind] += 1
            lines.append(_line(kind, **fields))
        async for example, part in _with_words_of(ask, records):
            counts["example"] += 1
            lines.append(_line("example", part=part, **_fields_of(example)))
    text = ask.words("my_data.text", examples=counts["example"], turns=counts["turn"])
    return Document(f"my-data-{ask.by}.jsonl", _in_lines(lines), text)


async def _with_words_of(ask: Request, records: Records) -> AsyncIterator[tuple[Example, str]]:
    """Each example that they wrote, edited or marked, once, and which of these it was."""
    seen: set[ExampleId] = set()
    last: ExampleId | None = None
    own = ExampleFilter(author=ask.by)
    while page := await records.examples.page(ask.id, own, after=last, limit=_PART):
        for example in page:
            seen.add(example.id)
            yield example, "author"
        last = page[-1].id
    others = {
        "editor": await records.people.edited(ask.id, ask.by, limit=_EVERY),
        "marked": await records.example_messages.marked_by(ask.id, ask.by),
    }
    for part, numbers in others.items():
        for number in numbers:
            if number not in seen:
                seen.add(number)
                yield await records.examples.get(ask.id, number), part


async def ask_forget(ask: Request) -> Reply:
    words = ask.words
    sure = Button(words("button.forget"), f"privacy.forget:{ask.by}", is_danger=True)
    return Card(
        words("forget.title"),
        lines=(words("forget.text"),),
        buttons=(sure, Button(words("button.keep"), "privacy.keep")),
        private=True,
    )


async def keep(ask: Request) -> Reply:
    return Card(ask.words("forget.kept"), replaces=True)


async def forget(ask: Request, *, store: Store, room: Surface) -> Reply:
    """Erases everything of the asker's; models made from it are marked, or go.

    What is counted or was decided stays without a name. A refused consent
    stays, for it is what keeps their words out from now on.
    """
    if ask.argument != ask.by:
        raise BadInput(problem=ask.words("forget.not_yours"))
    quotes = await _quotes(ask, store)
    examples, marked = await _forget_examples(ask, store)
    marked += await _forget_edits(ask, store)
    turns = await _forget_turns(ask, store)
    await _forget_the_rest(ask, store)
    await _forget_in_room(ask, quotes, store)
    if isinstance(room, CanForgetFiles):
        await room.forget_files()
    async with store.writing() as records:
        await records.direct_choices.forget(ask.id, ask.by)
        await records.audit.add(
            ask.id, None, "person.forgotten", at=ask.now, examples=examples, turns=turns
        )
    text = ask.words("forget.done", examples=examples, turns=turns, models=marked)
    return Card(text, replaces=True)


async def _quotes(ask: Request, store: Store) -> set[str]:
    """How the bot's own messages in the room would repeat what is erased; empty elsewhere."""
    if ask.id != LOCAL:
        return set()
    texts: set[str] = set()
    async with store.reading() as records:
        async for example, part in _with_words_of(ask, records):
            if part != "marked":
                for one in await records.examples.revisions(ask.id, example.id):
                    texts.update(_texts_in(one.row))
        for turn in await records.turns.of(ask.id, ask.by, limit=_EVERY):
            texts.update((turn.question, turn.reply))
    return _beginnings(texts)


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts_in(one)


def _beginnings(texts: Iterable[str]) -> set[str]:
    """A line of a list shows no more of a text; what is shorter is nobody's own words."""
    flat = (" ".join(text.split())[:_SHOWN_CHARACTERS].rstrip() for text in texts)
    return {text for text in flat if len(text) >= _OWN_CHARACTERS}


async def _forget_edits(ask: Request, store: Store) -> int:
    marked = 0
    while True:
        async with store.writing() as records:
            edited = await records.people.edited(ask.id, ask.by, limit=_PART)
            snapshots = await records.snapshots.holding(ask.id, edited)
            await records.jobs.forget_files(ask.id, snapshots, at=ask.now)
            marked += await records.models.taint(ask.id, snapshots)
            alone = await records.people.take_back(ask.id, edited, ask.by, at=ask.now)
            await erase_examples(ask, alone, records)
        if len(edited) < _PART:
            return marked


async def _forget_the_rest(ask: Request, store: Store) -> None:
    changed = 1
    while changed:
        async with store.writing() as records:
            changed = await records.people.forget(ask.id, ask.by, limit=_PART)


async def _forget_in_room(ask: Request, quotes: set[str], store: Store) -> None:
    """In the local workspace we are the platform ourselves, and its messages are ours to erase."""
    if ask.id != LOCAL:
        return
    while True:
        async with store.writing() as records:
            gone = await records.people.forget_messages(ask.id, ask.by, limit=_PART)
        quotes |= _beginnings(one.text for one in gone)
        if len(gone) < _PART:
            break
    last: int | None = 0
    while last is not None:
        async with store.writing() as records:
            last = await records.people.forget_quotes(ask.id, quotes, after=last, limit=_PART)


async def _forget_examples(ask: Request, store: Store) -> tuple[int, int]:
    """How many, and how many models are marked; part by part, so that others can write."""
    gone, marked = 0, 0
    while True:
        async with store.writing() as records:
            numbers = await records.examples.by_author(ask.id, ask.by, limit=_PART)
            marked += await erase_examples(ask, numbers, records)
        gone += len(numbers)
        if len(numbers) < _PART:
            return gone, marked


async def _forget_turns(ask: Request, store: Store) -> int:
    gone = 0
    while True:
        async with store.writing() as records:
            votes = await records.turns.erase_votes(ask.id, ask.by, limit=_PART)
            turns = await records.turns.erase(ask.id, ask.by, limit=_PART)
        gone += turns
        if not votes and not turns:
            return gone


async def source_deleted(ask: Request, messages: Sequence[MessageId], *, store: Store) -> Reply:
    """Messages were deleted at their source: what was learned from any of them goes too."""
    channel = ask.place.channel
    async with store.writing() as records:
        found = await records.example_messages.examples(ask.id, channel, messages)
        await records.turns.forget_messages(ask.id, channel, messages)
        await _erase_at_source(ask, found, records)
    return NoReply()


async def place_deleted(ask: Request, *, store: Store) -> Reply:
    """A channel or a thread is gone with everything that was said in it."""
    channel, thread = ask.place.channel, ask.place.thread
    async with store.writing() as records:
        found = await records.example_messages.examples_in(ask.id, channel, thread)
        await records.turns.forget_channel(ask.id, channel, thread)
        await _erase_at_source(ask, found, records)
    return NoReply()


async def nothing_left(ask: Request, examples: Sequence[ExampleId], *, store: Store) -> Reply:
    """After an edit these teach nothing any more."""
    async with store.writing() as records:
        await _erase_at_source(ask, examples, records)
    return NoReply()


async def _erase_at_source(ask: Request, examples: Sequence[ExampleId], records: Records) -> None:
    if examples:
        await erase_examples(ask, examples, records)
        await records.audit.add(
            ask.id, None, "examples.deleted_at_source", at=ask.now, examples=list(examples)
        )


async def erase_examples(ask: Request, examples: Sequence[ExampleId], records: Records) -> int:
    """Text goes; the host's training files go; models made from them are marked. How many."""
    if not examples:
        return 0
    snapshots = await records.snapshots.holding(ask.id, examples)
    await records.examples.erase(ask.id, examples)
    await records.jobs.forget_files(ask.id, snapshots, at=ask.now)
    return await records.models.taint(ask.id, snapshots)


async def sources(ask: Request, *, store: Store) -> Reply:
    """What the workspace may learn from; an admin raises it with one form."""
    words = ask.words
    choices = tuple((s.name.lower(), words(f"sources.{s.name.lower()}")) for s in Sources)
    platform = ask.workspace.platform
    return Form(
        id=f"sources:{_stamp(ask)}",
        title=words("sources.title"),
        fields=(
            Field(
                "sources",
                words("sources.field"),
                FieldKind.CHOICE,
                ask.workspace.sources.name.lower(),
                choices=choices,
            ),
            _allowed_field(ask),
            Field("permission", words("sources.permission"), FieldKind.TEXT, required=False),
        ),
        submit=words("sources.submit"),
        note=words(f"sources.rule.{platform}"),
    )


def _stamp(ask: Request) -> str:
    """What is allowed when the form opens: it overwrites nothing else."""
    return f"{int(ask.workspace.sources)}.{int(ask.workspace.allowed)}"


async def sources_submitted(ask: Request, values: Mapping[str, str], *, store: Store) -> Reply:
    """Stores who attested to what permission, when."""
    if ask.argument and ask.argument != _stamp(ask):
        raise NotNow(problem=ask.words("sources.changed"))
    try:
        wanted = Sources[values.get("sources", "").upper()]
    except KeyError:
        raise BadInput(problem=ask.words("sources.unknown")) from None
    allowed = _allowed(ask, values)
    permission = values.get("permission", "").strip()
    if wanted > Sources.OUTSIDE and not permission and ask.workspace.platform != "local":
        raise BadInput(problem=ask.words("sources.permission_needed"))
    async with store.writing() as records:
        await records.workspaces.set_sources(ask.id, wanted, allowed=allowed)
        await records.audit.add(
            ask.id,
            ask.by,
            "sources.set",
            at=ask.now,
            sources=wanted.name.lower(),
            allowed=_names(allowed),
            permission=permission,
        )
    return Text(_set(wanted, allowed, ask.words))


def _allowed_field(ask: Request) -> Field:
    words = ask.words
    choices = tuple((name, words(f"exclusion.{name}")) for name in map(_name, Exclusion))
    return Field(
        "allowed",
        words("sources.allowed"),
        FieldKind.CHOICES,
        _names(ask.workspace.allowed),
        hint=words("sources.allowed_hint"),
        choices=choices,
        required=False,
    )


def _allowed(ask: Request, values: Mapping[str, str]) -> Exclusion:
    """What the form does not name stays excluded; a form without the question changes nothing."""
    if "allowed" not in values:
        return ask.workspace.allowed
    named = [name for name in values["allowed"].replace(" ", "").split(",") if name]
    try:
        return reduce(or_, (Exclusion[name.upper()] for name in named), NO_EXCLUSION)
    except KeyError:
        choices = ", ".join(map(_name, Exclusion))
        raise BadInput(problem=ask.words("sources.allowed_unknown", choices=choices)) from None


def _set(sources: Sources, allowed: Exclusion, words: Words) -> str:
    said = words("sources.set", sources=words(f"sources.{sources.name.lower()}"))
    if not allowed:
        return said
    names = ", ".join(words(f"exclusion.{_name(one)}") for one in allowed)
    return f"{said} {words('sources.allowed_set', names=names)}"


def _names(allowed: Exclusion) -> str:
    return ",".join(map(_name, allowed))


def _name(exclusion: Exclusion) -> str:
    return str(exclusion.name).lower()


async def _in_lines(lines: Iterable[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


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
