"""Many examples at once: judged, withdrawn or tagged, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from bot.commands import Ask
from bot.errors import BadInput, NotFound
from bot.examples.editing import wanted
from bot.model import ExampleFilter, ExampleId, ExampleState
from bot.ports.store import Records, Store
from bot.replies import Reply, Text

_PAGE = 500
_MOST_TAG = 40


async def bulk(ask: Ask, values: Mapping[str, str], *, store: Store) -> Reply:
    """`examples:<state>` or `examples:tag`, for `ids` or for all that the filters find."""
    async with store.writing() as records:
        ids = _ids(ask, values) or await _found(ask, values, records)
        if ask.argument == "tag":
            changed = await _tag(ask, ids, _tag_of(ask, values), records)
        else:
            changed = await _move(ask, ids, _state(ask), records)
        await records.audit.add(
            ask.id, ask.by, f"examples.{ask.argument}", at=ask.now, examples=changed
        )
    return Text(ask.words("bulk.done", count=changed))


async def _move(ask: Ask, ids: Sequence[ExampleId], state: ExampleState, records: Records) -> int:
    """A pointer without text is never approved."""
    if state is not ExampleState.APPROVED:
        return await records.examples.set_state(ask.id, ids, state, at=ask.now)
    whole = [one for one in ids if (await records.examples.get(ask.id, one)).row is not None]
    return await records.examples.set_state(ask.id, whole, state, at=ask.now)


async def _tag(ask: Ask, ids: Sequence[ExampleId], tag: str, records: Records) -> int:
    for one in ids:
        example = await records.examples.get(ask.id, one)
        await records.examples.set_tags(ask.id, one, [*example.tags, tag])
    return len(ids)


async def _found(ask: Ask, values: Mapping[str, str], records: Records) -> Sequence[ExampleId]:
    if values.get("all") != "yes":
        return ()
    filters = wanted(replace(ask, options=values, argument=""))
    return [one async for one in _every(ask, filters, records)]


async def _every(ask: Ask, filters: ExampleFilter, records: Records) -> AsyncIterator[ExampleId]:
    last = None
    while page := await records.examples.page(ask.id, filters, after=last, limit=_PAGE):
        for example in page:
            yield example.id
        last = page[-1].id


def _ids(ask: Ask, values: Mapping[str, str]) -> Sequence[ExampleId]:
    try:
        return [ExampleId(int(one)) for one in values.get("ids", "").split(",") if one]
    except ValueError:
        raise NotFound(noun="example", name=values["ids"][:40]) from None


def _tag_of(ask: Ask, values: Mapping[str, str]) -> str:
    tag = "-".join(values.get("name", "").lower().lstrip("#").split())
    if not tag or len(tag) > _MOST_TAG:
        raise BadInput(problem=ask.words("bulk.bad_tag", most=_MOST_TAG))
    return tag


def _state(ask: Ask) -> ExampleState:
    try:
        return ExampleState(ask.argument)
    except ValueError:
        raise NotFound(noun="button", name=ask.argument) from None
