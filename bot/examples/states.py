"""Creates examples and changes their state; refuses an approval while a consent is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from bot import access
from bot.consent import CONSENT_WANTED
from bot.domain import (
    NO_EXCLUSION,
    ONLY_EDIT,
    ChannelId,
    Example,
    ExampleId,
    ExampleState,
    Exclusion,
    NewExample,
    Place,
    Role,
    User,
)
from bot.errors import NotFound, NotNow
from bot.events import Event
from bot.examples.example_buttons import is_repeated_decision, is_unchanged_since_shown
from bot.examples.required_approvals import note_verdict
from bot.numerals import whole_number
from bot.ports.store import Records, Store
from bot.replies import Button
from bot.request import Request
from bot.undo_offers import offer_undo

CARD_STANDS = "example.card"
_NAMED_IN_CARD = 25


async def add_example(
    request: Request, example: NewExample, *, store: Store
) -> tuple[Example, bool]:
    async with store.writing() as records:
        kept, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if kept.row is None and example.row is not None:
            # A pointer gives way to the text as soon as that may be kept.
            await records.examples.set_state(
                request.workspace_id, [kept.id], ExampleState.WITHDRAWN, at=request.now
            )
            kept, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if is_new:
            await audit_new_example(request, records, kept)
    return kept, is_new


async def audit_new_example(request: Request, records: Records, kept: Example) -> None:
    await request.audit(records, f"example.{kept.state}", example=kept.id)


async def ask_authors(
    request: Request,
    people: Sequence[User],
    *,
    store: Store,
    link: str | None = None,
) -> None:
    """Each author who has not said yes or no is asked once, in the channel, and called by name."""
    if request.workspace.platform == "local":
        return
    async with store.writing() as records:
        for person in people:
            if await records.consents.get(request.workspace_id, person.id) is not None:
                continue
            await records.outbox.put(
                f"{request.workspace_id}.{person.id}.consent",
                request.place,
                CONSENT_WANTED,
                details={
                    "name": person.name,
                    "user": person.id,
                    "link": link or "",
                    "locale": request.event.locale,
                },
                at=request.now,
            )


async def ask_authors_in(
    request: Request, channel: ChannelId, people: Sequence[User], records: Records
) -> None:
    """One card for all authors who have not said yes or no, where what they wrote stands."""
    asked = sha256(" ".join(sorted(one.id for one in people)).encode()).hexdigest()[:16]
    await records.outbox.put(
        f"{request.workspace_id}.{channel}.{asked}.consent",
        Place(request.workspace_id, channel),
        CONSENT_WANTED,
        details={
            "names": ", ".join(one.name for one in people[:_NAMED_IN_CARD]),
            "more": max(0, len(people) - _NAMED_IN_CARD),
            "locale": request.event.locale,
        },
        at=request.now,
        once=True,
    )


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """What came of a button: the example as it is now where that is not what the button showed.

    A rejection and a withdrawal can be undone. It `is_waiting` until more reviewers agree.
    """

    outdated: Example | None = None
    undo: tuple[Button, ...] = ()
    is_waiting: bool = False


async def decide(request: Request, state: ExampleState, *, store: Store) -> DecisionResult:
    """Set the state of the example that a button names."""
    async with store.writing() as records:
        found = await find_visible(request, records)
        if not is_unchanged_since_shown(request, found):
            is_done = is_repeated_decision(request, found, state)
            return DecisionResult() if is_done else DecisionResult(outdated=found)
        if not await _set_state(request, found, state, records):
            return DecisionResult(is_waiting=True)
        return DecisionResult(undo=await offer_undo_of(request, found, state, records))


async def offer_undo_of(
    request: Request, before: Example, state: ExampleState, records: Records
) -> tuple[Button, ...]:
    if state not in (ExampleState.REJECTED, ExampleState.WITHDRAWN) or before.state is state:
        return ()
    changed = {"example": before.id, "before": before.state, "after": state}
    return (await offer_undo(request, records, "example", changed),)


async def set_state(
    request: Request, example: ExampleId, state: ExampleState, *, store: Store
) -> bool:
    """False where it waits until more reviewers agree."""
    async with store.writing() as records:
        found = await records.examples.get(request.workspace_id, example)
        return await _set_state(request, found, state, records)


async def _set_state(
    request: Request, found: Example, state: ExampleState, records: Records
) -> bool:
    if state is ExampleState.APPROVED:
        await _refuse_unapprovable(request, found, records)
    if found.state is not state:
        assistant = await records.assistants.get(request.workspace_id, found.assistant)
        needed = assistant.reviewers
        if not await note_verdict(request, [found.id], state, records, needed=needed):
            await request.audit(records, f"example.{state}_by_one", example=found.id)
            await redraw_cards(request, [found.id], records)
            return False
    await change_state(request, records, found.id, state)
    return True


async def _refuse_unapprovable(request: Request, found: Example, records: Records) -> None:
    if found.row is None:
        raise NotNow(problem=request.words("example.pointer_only", id=found.id))
    if await records.examples.awaiting_consent(request.workspace_id, [found.id]):
        raise NotNow(problem=request.words("example.awaits_consent", id=found.id))


async def change_state(
    request: Request, records: Records, example: ExampleId, state: ExampleState
) -> None:
    await records.examples.set_state(
        request.workspace_id, [example], state, at=request.now, by=request.user_id
    )
    await request.audit(records, f"example.{state}", example=example)
    await redraw_cards(request, [example], records)


async def redraw_cards(request: Request, examples: Sequence[ExampleId], records: Records) -> None:
    """Every message that shows one of these is to be edited; each stands in one place only."""
    await _redraw(request.event, examples, records, at=request.now)


async def redraw_outdated(
    event: Event, shown: Mapping[ExampleId, str], records: Records, *, at: datetime
) -> None:
    """A decision may have been taken between the drawing of a card and its standing there."""
    workspace = event.place.workspace
    states = await records.examples.current_states(workspace, list(shown))
    current = {one: f"{one}.r{revision}.{state}" for one, (revision, state) in states.items()}
    changed = [one for one, now in current.items() if shown[one] not in (now, str(one))]
    await _redraw(event, changed, records, at=at)


async def _redraw(
    event: Event, examples: Sequence[ExampleId], records: Records, *, at: datetime
) -> None:
    async for card in records.example_cards.cards_showing(event.place.workspace, examples):
        await records.outbox.put(
            f"{card.place.workspace}.card.{card.place.channel}.{card.message}",
            card.place,
            CARD_STANDS,
            details={
                "by": event.user.name,
                "examples": card.examples,
                ONLY_EDIT: True,
                "locale": event.locale,
            },
            at=at,
            message=card.message,
        )


async def find_visible(request: Request, records: Records) -> Example:
    """The example that is named. Raises NotFound.

    A member sees their own, a curator all but what was said in a channel that stays to itself.
    """
    example = await records.examples.get(request.workspace_id, named_example_id(request))
    is_own = request.user_id in example.authors
    if not is_own and (is_hidden(request, example) or request.role < Role.CURATOR):
        raise NotFound(noun="example", name=example.id)
    return example


def is_hidden(request: Request, example: Example) -> bool:
    """Whether it was said in a channel that stays to itself, and not here."""
    source = example.source.channel if example.source else None
    return bool(example.exclusions & hidden_exclusion(request)) and source != request.place.channel


def hidden_exclusion(request: Request) -> Exclusion:
    """What is left out of lists and searches in other channels; the operator sees all."""
    return (
        NO_EXCLUSION
        if request.role is Role.OPERATOR
        else access.exclusions_hidden_elsewhere(request.workspace)
    )


def named_example_id(request: Request) -> ExampleId:
    try:
        return ExampleId(whole_number(request.argument.partition(".")[0]))
    except ValueError:
        raise NotFound(noun="example", name=request.argument) from None
