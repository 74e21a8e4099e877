"""Many examples at once: judged, withdrawn or tagged, so many in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bot.domain import ExampleId, ExampleState
from bot.errors import BadInput, NotFound
from bot.examples.editing import wanted
from bot.examples.keeping import redraw_cards
from bot.numerals import whole_number
from bot.ports.store import Records, Store
from bot.replies import Button, Reply, Text
from bot.request import Request
from bot.undo_offers import offer_undo

Change = Callable[[Sequence[ExampleId], Records], Awaitable[int]]

_BATCH = 200
_MOST_TAG = 40
_UNDONE = (ExampleState.REJECTED, ExampleState.WITHDRAWN)


async def bulk(ask: Request, values: Mapping[str, str], *, store: Store) -> Reply:
    """`examples:<state>` or `examples:tag`, for `ids` or for all that the filters find.

    Between two batches others can write. Only what stood when it was asked for is changed.
    """
    change = _change(ask, values)
    shown = _shown(values)
    before: dict[str, list[int]] = defaultdict(list)
    changed, left, last = 0, 0, ExampleId(0)
    while True:
        async with store.writing() as records:
            batch = await _next(ask, values, records, after=last)
            if not batch:
                undo = await _offer_undo(ask, before, records)
                break
            meant = await _as_shown(ask, shown, batch, records)
            if ask.argument in _UNDONE:
                for one, (_, state) in (await records.examples.standing(ask.id, meant)).items():
                    before[state].append(one)
            count = await change(meant, records)
            if ask.argument != "tag":
                await redraw_cards(ask, meant, records)
            await records.audit.add(
                ask.id, ask.by, f"examples.{ask.argument}", at=ask.now, examples=count
            )
        changed, left, last = changed + count, left + len(batch) - len(meant), batch[-1]
    done = ask.words("bulk.done", count=changed)
    text = f"{done} {ask.words('bulk.outdated', count=left)}" if left else done
    return Text(text, buttons=undo)


async def _offer_undo(
    ask: Request, before: Mapping[str, Sequence[int]], records: Records
) -> tuple[Button, ...]:
    was = {state: ids for state, ids in before.items() if state != ask.argument}
    if not was:
        return ()
    changed = {"before": was, "after": ask.argument}
    return (await offer_undo(ask, records, "examples", changed),)


async def _as_shown(
    ask: Request, shown: Mapping[ExampleId, str], batch: Sequence[ExampleId], records: Records
) -> Sequence[ExampleId]:
    """Those that are still what the person saw; a tag decides nothing, and a filter says enough."""
    if ask.argument == "tag" or not shown:
        return batch
    states = await records.examples.standing(ask.id, batch)
    return [
        one
        for one in batch
        if one in states and shown[one] == f"{one}.r{states[one][0]}.{states[one][1]}"
    ]


def _change(ask: Request, values: Mapping[str, str]) -> Change:
    if ask.argument == "tag":
        return partial(_tag, ask, _tag_of(ask, values))
    return partial(_move, ask, _state(ask))


async def _move(
    ask: Request, state: ExampleState, batch: Sequence[ExampleId], records: Records
) -> int:
    return await records.examples.set_state(ask.id, batch, state, at=ask.now, by=ask.by)


async def _tag(ask: Request, tag: str, batch: Sequence[ExampleId], records: Records) -> int:
    await records.examples.add_tag(ask.id, batch, tag)
    return len(batch)


async def _next(
    ask: Request, values: Mapping[str, str], records: Records, *, after: ExampleId
) -> Sequence[ExampleId]:
    """The next that are meant, by id; a pointer without text is never approved."""
    named = sorted({one for one in _shown(values) if one > after})[:_BATCH]
    if not named and (values.get("ids") or values.get("all") != "yes"):
        return ()
    filters = wanted(replace(ask, options={} if named else values, argument=""))
    return await records.examples.ids(
        ask.id,
        replace(filters, assistant=None) if named else filters,
        among=named or None,
        has_text=ask.argument == ExampleState.APPROVED,
        until=ask.now,
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


def _tag_of(ask: Request, values: Mapping[str, str]) -> str:
    tag = "-".join(values.get("name", "").lower().lstrip("#").split())
    if not tag or len(tag) > _MOST_TAG:
        raise BadInput(problem=ask.words("bulk.bad_tag", most=_MOST_TAG))
    return tag


def _state(ask: Request) -> ExampleState:
    try:
        return ExampleState(ask.argument)
    except ValueError:
        raise NotFound(noun="button", name=ask.argument) from None
