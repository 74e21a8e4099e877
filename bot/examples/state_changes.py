"""Creates examples, changes their state, and finds the example that a request names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot import access
from bot.domain import (
    NO_EXCLUSIONS,
    ONLY_EDITS_MESSAGE,
    Example,
    ExampleId,
    ExampleState,
    Exclusion,
    NewExample,
    Role,
)
from bot.errors import NotFound, NotNow
from bot.events import Event
from bot.examples.example_buttons import is_repeated_decision, is_unchanged_since_shown
from bot.examples.required_approvals import record_verdicts
from bot.number_formats import parse_id
from bot.ports.store import Records, Store
from bot.replies import Button
from bot.request import Request
from bot.undo_buttons import offer_undo

EXAMPLE_CARD_NOTICE = "example.card"


async def add_example(
    request: Request, example: NewExample, *, store: Store
) -> tuple[Example, bool]:
    """Stores an example, in place of a pointer; returns the stored one and whether it is new."""
    async with store.writing() as records:
        kept, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if kept.row is None and example.row is not None:
            # A pointer is replaced as soon as the text may be stored.
            await records.examples.set_state(
                request.workspace_id, [kept.id], ExampleState.WITHDRAWN, at=request.now
            )
            kept, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if is_new:
            await audit_new_example(request, records, kept)
    return kept, is_new


async def audit_new_example(request: Request, records: Records, kept: Example) -> None:
    await request.audit(records, f"example.{kept.state}", example=kept.id)


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """Result of a decision button.

    `outdated` is the current example, if it is not as the button showed it. `undo` has a button
    after a rejection or withdrawal. `is_waiting` if more reviewers must agree.
    """

    outdated: Example | None = None
    undo: tuple[Button, ...] = ()
    is_waiting: bool = False


async def decide(request: Request, state: ExampleState, *, store: Store) -> DecisionResult:
    """Sets the state of the example that a button names."""
    async with store.writing() as records:
        example = await find_visible_example(request, records)
        if not is_unchanged_since_shown(request, example):
            is_done = is_repeated_decision(request, example, state)
            return DecisionResult() if is_done else DecisionResult(outdated=example)
        if not await _set_state(request, example, state, records):
            return DecisionResult(is_waiting=True)
        return DecisionResult(undo=await offer_undo_of(request, example, state, records))


async def offer_undo_of(
    request: Request, before: Example, state: ExampleState, records: Records
) -> tuple[Button, ...]:
    """Returns an undo button for a rejection or withdrawal; nothing for other changes."""
    if state not in (ExampleState.REJECTED, ExampleState.WITHDRAWN) or before.state is state:
        return ()
    changed = {"example": before.id, "before": before.state, "after": state}
    return (await offer_undo(request, records, "example", changed),)


async def set_state(
    request: Request, example: ExampleId, state: ExampleState, *, store: Store
) -> bool:
    """Sets an example's state, or stores a verdict; False if more reviewers must agree."""
    async with store.writing() as records:
        current = await records.examples.get(request.workspace_id, example)
        return await _set_state(request, current, state, records)


async def _set_state(
    request: Request, example: Example, state: ExampleState, records: Records
) -> bool:
    if state is ExampleState.APPROVED:
        await _refuse_unapprovable(request, example, records)
    if example.state is not state:
        assistant = await records.assistants.get(request.workspace_id, example.assistant)
        needed = assistant.reviewers
        if not await record_verdicts(request, [example.id], state, records, needed=needed):
            await request.audit(records, f"example.{state}_by_one", example=example.id)
            await redraw_cards(request, [example.id], records)
            return False
    await change_state(request, records, example.id, state)
    return True


async def _refuse_unapprovable(request: Request, example: Example, records: Records) -> None:
    """Raises NotNow for a pointer and for an example without an author's consent."""
    if example.row is None:
        raise NotNow(problem=request.words("example.pointer_only", id=example.id))
    if await records.examples.awaiting_consent(request.workspace_id, [example.id]):
        raise NotNow(problem=request.words("example.awaits_consent", id=example.id))


async def change_state(
    request: Request, records: Records, example: ExampleId, state: ExampleState
) -> None:
    """Sets an example's state without checks, writes the audit entry and updates cards."""
    await records.examples.set_state(
        request.workspace_id, [example], state, at=request.now, by=request.user_id
    )
    await request.audit(records, f"example.{state}", example=example)
    await redraw_cards(request, [example], records)


async def redraw_cards(request: Request, examples: Sequence[ExampleId], records: Records) -> None:
    """Queues an edit of every message that shows one of the examples."""
    await _redraw(request.event, examples, records, at=request.now)


async def redraw_outdated(
    event: Event, shown: Mapping[ExampleId, str], records: Records, *, at: datetime
) -> None:
    """Queues an edit of messages whose examples changed between rendering and posting.

    `shown` maps each example to the argument of its buttons.
    """
    workspace = event.place.workspace
    states = await records.examples.current_states(workspace, list(shown))
    tokens = {id_: f"{id_}.r{revision}.{state}" for id_, (revision, state) in states.items()}
    changed = [id_ for id_, token in tokens.items() if shown[id_] not in (token, str(id_))]
    await _redraw(event, changed, records, at=at)


async def _redraw(
    event: Event, examples: Sequence[ExampleId], records: Records, *, at: datetime
) -> None:
    async for card in records.example_cards.cards_showing(event.place.workspace, examples):
        await records.outbox.put(
            f"{card.place.workspace}.card.{card.place.channel}.{card.message}",
            card.place,
            EXAMPLE_CARD_NOTICE,
            details={
                "by": event.user.name,
                "examples": card.examples,
                ONLY_EDITS_MESSAGE: True,
                "locale": event.locale,
            },
            at=at,
            message=card.message,
        )


async def find_visible_example(request: Request, records: Records) -> Example:
    """Returns the example that the request names. Raises NotFound.

    A member sees only their own examples; a curator sees all that are not hidden in this channel.
    """
    example = await records.examples.get(request.workspace_id, named_example_id(request))
    is_own = request.user_id in example.authors
    if not is_own and (is_hidden_example(request, example) or request.role < Role.CURATOR):
        raise NotFound(noun="example", name=example.id)
    return example


def is_hidden_example(request: Request, example: Example) -> bool:
    """Whether the example's source is another channel whose messages are shown only there."""
    source = example.source.channel if example.source else None
    return bool(example.exclusions & hidden_exclusion(request)) and source != request.place.channel


def hidden_exclusion(request: Request) -> Exclusion:
    """Returns the exclusions hidden from lists in other channels; none for the operator."""
    return (
        NO_EXCLUSIONS
        if request.role is Role.OPERATOR
        else access.exclusions_shown_only_in_own_channel(request.workspace)
    )


def named_example_id(request: Request) -> ExampleId:
    try:
        return ExampleId(parse_id(request.argument.partition(".")[0]))
    except ValueError:
        raise NotFound(noun="example", name=request.argument) from None
