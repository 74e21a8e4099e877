"""Many examples at once: judged, withdrawn or tagged, so many in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bot.commands import Handlers
from bot.domain import ExampleId, ExampleState, Role
from bot.errors import BadInput, NotFound
from bot.examples.required_approvals import note_verdict
from bot.examples.searching import filter_of
from bot.examples.states import redraw_cards
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Reply, Text
from bot.request import Request
from bot.undo_offers import offer_undo

handlers = Handlers()


Change = Callable[[Sequence[ExampleId], Records], Awaitable[int]]

_BATCH = 200
_MOST_TAG = 40
_UNDONE = (ExampleState.REJECTED, ExampleState.WITHDRAWN)


@handlers.form("examples", Role.CURATOR, is_for_pages=True)
async def bulk(request: Request, deps: Dependencies) -> Reply:
    """`examples:<state>` or `examples:tag`, for `ids` or for all that the filters find.

    Between two batches others can write. Only what stood when it was asked for is changed.
    """
    change = _change(request, request.options)
    shown = _shown(request.options)
    before: dict[str, list[int]] = defaultdict(list)
    changed, left, waiting, judged, last = 0, 0, 0, 0, ExampleId(0)
    while True:
        async with deps.store.writing() as records:
            batch = await _next(request, request.options, records, after=last)
            if not batch:
                undo = await _offer_undo(request, before, records)
                break
            meant = await _as_shown(request, shown, batch, records)
            left += len(batch) - len(meant)
            if request.argument == ExampleState.APPROVED:
                held = await records.examples.awaiting_consent(request.workspace_id, meant)
                meant, waiting = [one for one in meant if one not in held], waiting + len(held)
            asked, meant = meant, await _agreed(request, meant, records)
            judged += len(asked) - len(meant)
            if request.argument in _UNDONE:
                states = await records.examples.current_states(request.workspace_id, meant)
                for one, (_, state) in states.items():
                    before[state].append(one)
            count = await change(meant, records)
            if request.argument != "tag":
                await redraw_cards(request, meant, records)
            entry = f"examples.{request.argument}"
            await request.audit(records, entry, examples=count)
        changed, last = changed + count, batch[-1]
    counts = {"bulk.outdated": left, "bulk.waiting": waiting, "bulk.judged": judged}
    said = [request.words("bulk.done", count=changed)]
    said += [request.words(key, count=count) for key, count in counts.items() if count]
    return Text(" ".join(said), buttons=undo)


async def _agreed(
    request: Request, batch: Sequence[ExampleId], records: Records
) -> Sequence[ExampleId]:
    """Without those that wait until more reviewers agree."""
    if request.argument not in (ExampleState.APPROVED, ExampleState.REJECTED):
        return batch
    assistant = await records.assistants.get(request.workspace_id, request.assistant.id)
    state, needed = _state(request), assistant.reviewers
    return await note_verdict(request, batch, state, records, needed=needed)


async def _offer_undo(
    request: Request, before: Mapping[str, Sequence[int]], records: Records
) -> tuple[Button, ...]:
    was = {state: ids for state, ids in before.items() if state != request.argument}
    if not was:
        return ()
    changed = {"before": was, "after": request.argument}
    return (await offer_undo(request, records, "examples", changed),)


async def _as_shown(
    request: Request, shown: Mapping[ExampleId, str], batch: Sequence[ExampleId], records: Records
) -> Sequence[ExampleId]:
    """Those that are still what the person saw; a tag decides nothing, and a filter says enough."""
    if request.argument == "tag" or not shown:
        return batch
    states = await records.examples.current_states(request.workspace_id, batch)
    return [
        one
        for one in batch
        if one in states and shown[one] == f"{one}.r{states[one][0]}.{states[one][1]}"
    ]


def _change(request: Request, values: Mapping[str, str]) -> Change:
    if request.argument == "tag":
        return partial(_tag, request, _tag_of(request, values))
    return partial(_move, request, _state(request))


async def _move(
    request: Request, state: ExampleState, batch: Sequence[ExampleId], records: Records
) -> int:
    return await records.examples.set_state(
        request.workspace_id, batch, state, at=request.now, by=request.user_id
    )


async def _tag(request: Request, tag: str, batch: Sequence[ExampleId], records: Records) -> int:
    await records.examples.add_tag(request.workspace_id, batch, tag)
    return len(batch)


async def _next(
    request: Request, values: Mapping[str, str], records: Records, *, after: ExampleId
) -> Sequence[ExampleId]:
    """The next that are meant, by id; a pointer without text is never approved."""
    named = sorted({one for one in _shown(values) if one > after})[:_BATCH]
    if not named and (values.get("ids") or values.get("all") != "yes"):
        return ()
    filters = filter_of(replace(request, options={} if named else values, argument=""))
    return await records.examples.ids(
        request.workspace_id,
        replace(filters, assistant=None) if named else filters,
        among=named or None,
        has_text=request.argument == ExampleState.APPROVED,
        until=request.now,
        after=after,
        limit=_BATCH,
    )


def _shown(values: Mapping[str, str]) -> Mapping[ExampleId, str]:
    """The examples that `ids` names, each as it stood when it was chosen: `12.r3.proposed`."""
    named = [one for one in values.get("ids", "").split(",") if one]
    try:
        return {ExampleId(whole_number(one.partition(".")[0])): one for one in named}
    except ValueError:
        raise NotFound(noun="example", name=values["ids"][:40]) from None


def _tag_of(request: Request, values: Mapping[str, str]) -> str:
    tag = "-".join(values.get("name", "").lower().lstrip("#").split())
    if not tag or len(tag) > _MOST_TAG:
        raise BadInput(problem=request.words("bulk.bad_tag", most=_MOST_TAG))
    return tag


def _state(request: Request) -> ExampleState:
    try:
        return ExampleState(request.argument)
    except ValueError:
        raise NotFound(noun="button", name=request.argument) from None
