"""Changes the state or tags of many examples, a batch in each transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bot.commands import Handlers
from bot.domain import ExampleId, ExampleState, Role
from bot.errors import BadInput, NotFound
from bot.examples.required_approvals import record_verdicts
from bot.examples.search_command import example_filter_of
from bot.examples.state_changes import redraw_cards
from bot.number_formats import parse_id
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Reply, Text
from bot.request import Request
from bot.undo_buttons import offer_undo

handlers = Handlers()


Change = Callable[[Sequence[ExampleId], Records], Awaitable[int]]

_BATCH = 200
_MAX_TAG = 40
_UNDOABLE = (ExampleState.REJECTED, ExampleState.WITHDRAWN)


@handlers.form("examples", Role.CURATOR, is_for_pages=True)
async def bulk(request: Request, deps: Dependencies) -> Reply:
    """Handles `examples:<state>` and `examples:tag`, for `ids` or for all that the filters find.

    Others can write between two batches. Only examples created before the request are changed.
    """
    change = _change_for(request, request.options)
    tokens = _selected_tokens(request.options)
    before: dict[str, list[int]] = defaultdict(list)
    changed, outdated, waiting, judged, last = 0, 0, 0, 0, ExampleId(0)
    while True:
        async with deps.store.writing() as records:
            batch = await _next_batch(request, request.options, records, after=last)
            if not batch:
                undo = await _offer_undo(request, before, records)
                break
            ids = await _unchanged(request, tokens, batch, records)
            outdated += len(batch) - len(ids)
            if request.argument == ExampleState.APPROVED:
                without_consent = await records.examples.awaiting_consent(request.workspace_id, ids)
                ids = [example for example in ids if example not in without_consent]
                waiting += len(without_consent)
            decided, ids = ids, await _with_enough_verdicts(request, ids, records)
            judged += len(decided) - len(ids)
            if request.argument in _UNDOABLE:
                states = await records.examples.current_states(request.workspace_id, ids)
                for example, (_, state) in states.items():
                    before[state].append(example)
            count = await change(ids, records)
            if request.argument != "tag":
                await redraw_cards(request, ids, records)
            entry = f"examples.{request.argument}"
            await request.audit(records, entry, examples=count)
        changed, last = changed + count, batch[-1]
    counts = {"bulk.outdated": outdated, "bulk.waiting": waiting, "bulk.judged": judged}
    sentences = [request.words("bulk.done", count=changed)]
    sentences += [request.words(key, count=count) for key, count in counts.items() if count]
    return Text(" ".join(sentences), buttons=undo)


async def _with_enough_verdicts(
    request: Request, batch: Sequence[ExampleId], records: Records
) -> Sequence[ExampleId]:
    """Stores the user's verdicts; returns the examples with enough of them."""
    if request.argument not in (ExampleState.APPROVED, ExampleState.REJECTED):
        return batch
    assistant = await records.assistants.get(request.workspace_id, request.assistant.id)
    state, needed = _requested_state(request), assistant.reviewers
    return await record_verdicts(request, batch, state, records, needed=needed)


async def _offer_undo(
    request: Request, before: Mapping[str, Sequence[int]], records: Records
) -> tuple[Button, ...]:
    states = {state: ids for state, ids in before.items() if state != request.argument}
    if not states:
        return ()
    changed = {"before": states, "after": request.argument}
    return (await offer_undo(request, records, "examples", changed),)


async def _unchanged(
    request: Request, tokens: Mapping[ExampleId, str], batch: Sequence[ExampleId], records: Records
) -> Sequence[ExampleId]:
    """Returns the examples with the revision and state that the user saw.

    Tags, and examples selected by a filter, are not compared.
    """
    if request.argument == "tag" or not tokens:
        return batch
    states = await records.examples.current_states(request.workspace_id, batch)
    return [
        example
        for example in batch
        if example in states
        and tokens[example] == f"{example}.r{states[example][0]}.{states[example][1]}"
    ]


def _change_for(request: Request, values: Mapping[str, str]) -> Change:
    if request.argument == "tag":
        return partial(_add_tag, request, _tag_of(request, values))
    return partial(_set_states, request, _requested_state(request))


async def _set_states(
    request: Request, state: ExampleState, batch: Sequence[ExampleId], records: Records
) -> int:
    return await records.examples.set_state(
        request.workspace_id, batch, state, at=request.now, by=request.user_id
    )


async def _add_tag(request: Request, tag: str, batch: Sequence[ExampleId], records: Records) -> int:
    await records.examples.add_tag(request.workspace_id, batch, tag)
    return len(batch)


async def _next_batch(
    request: Request, values: Mapping[str, str], records: Records, *, after: ExampleId
) -> Sequence[ExampleId]:
    """Returns the next selected examples, by id; for an approval without pointers."""
    named = sorted({example for example in _selected_tokens(values) if example > after})[:_BATCH]
    if not named and (values.get("ids") or values.get("all") != "yes"):
        return ()
    filters = example_filter_of(replace(request, options={} if named else values, argument=""))
    return await records.examples.list_ids(
        request.workspace_id,
        replace(filters, assistant=None) if named else filters,
        among=named or None,
        has_text=request.argument == ExampleState.APPROVED,
        until=request.now,
        after=after,
        limit=_BATCH,
    )


def _selected_tokens(values: Mapping[str, str]) -> Mapping[ExampleId, str]:
    """Returns the examples in `ids`, each with its token when it was selected: `12.r3.proposed`."""
    tokens = [token for token in values.get("ids", "").split(",") if token]
    try:
        return {ExampleId(parse_id(token.partition(".")[0])): token for token in tokens}
    except ValueError:
        raise NotFound(noun="example", name=values["ids"][:40]) from None


def _tag_of(request: Request, values: Mapping[str, str]) -> str:
    tag = "-".join(values.get("name", "").lower().lstrip("#").split())
    if not tag or len(tag) > _MAX_TAG:
        raise BadInput(problem=request.words("bulk.bad_tag", most=_MAX_TAG))
    return tag


def _requested_state(request: Request) -> ExampleState:
    try:
        return ExampleState(request.argument)
    except ValueError:
        raise NotFound(noun="button", name=request.argument) from None
