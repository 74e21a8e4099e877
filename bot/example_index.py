"""An index of each assistant's examples, searched by the meaning of their questions."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.domain import (
    MUST_ANSWER_TAG,
    Assistant,
    AssistantId,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Place,
    WorkspaceId,
)
from bot.ports.nearest_examples import TextIndex, TextIndexFactory
from bot.ports.store import Clock, Records, Store
from bot.prompts import last_exchange
from bot.rows import Method

log = logging.getLogger(__name__)

MAX_INDEXED_EXAMPLES = 100_000
"""Examples of all indexes together, and of one: 100 MB."""
_PAGE = 500
_PAGES_BEFORE_ANSWER = 4
"""Pages that are indexed while a user waits for the answer; the rest follows in the background."""
_IDS_AT_ONCE = 10_000
_EDIT_OVERLAP = timedelta(minutes=10)
"""Edits are read again for so long, since an edit may be stored later than its time says."""
_CANDIDATES = 3
"""Nearest examples looked up for each one asked for, before all approved ones are ranked."""
_MAX_LOOKED_UP = 20_000
"""Approved examples looked up in all, where those nearest may not be shown in this channel."""

_Key = tuple[WorkspaceId, AssistantId]


@dataclass
class _AssistantIndex:
    """The index of an assistant's examples, and how far the examples were read."""

    texts: TextIndex
    lock: asyncio.Lock
    last: ExampleId | None = None
    edits_read_at: datetime | None = None
    edited_revisions: dict[ExampleId, int] = field(default_factory=dict)
    is_read_in_background: bool = False


class ExampleIndex:
    """Implements `bot.ports.nearest_examples.NearestExamples`.

    The index of an assistant is built at its first question and kept in memory. Whether an example
    may be shown is asked of the store at each search.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        create_index: TextIndexFactory,
        start_task: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._store = store
        self._clock = clock
        self._create_index = create_index
        self._start_task = start_task
        self._indexes: OrderedDict[_Key, _AssistantIndex] = OrderedDict()
        self._creation = asyncio.Lock()

    async def find(
        self,
        records: Records,
        place: Place,
        assistant: Assistant,
        question: str,
        *,
        count: int,
        for_evaluation: bool = False,
        min_similarity: float = -1.0,
    ) -> Sequence[Example]:
        if count <= 0:
            return ()
        workspace, limit = place.workspace, count * _CANDIDATES
        ranked = await self.rank(records, workspace, assistant.id, question, limit=limit)
        near = [example for example, similarity in ranked if similarity >= min_similarity]
        usable = await _usable(records, place, assistant, near, for_evaluation=for_evaluation)
        if len(usable) >= count or len(near) < limit:
            return usable[:count]
        # The nearest are proposed, withdrawn, or of another channel.
        approved = await self._approved(records, workspace, assistant.id)
        texts = self._indexes[workspace, assistant.id].texts
        all_ranked = await texts.rank(question, limit=_MAX_LOOKED_UP, among=approved)
        near = [ExampleId(i) for i, similarity in all_ranked if similarity >= min_similarity]
        usable = []
        for start in range(0, len(near), _PAGE):
            page = near[start : start + _PAGE]
            usable += await _usable(records, place, assistant, page, for_evaluation=for_evaluation)
            if len(usable) >= count:
                break
        return usable[:count]

    async def _approved(
        self, records: Records, workspace: WorkspaceId, assistant: AssistantId
    ) -> Collection[int]:
        filters = ExampleFilter(
            assistant=assistant, method=Method.SUPERVISED, state=ExampleState.APPROVED
        )
        until = self._clock.now() + timedelta(days=1)
        ids: list[ExampleId] = []
        while page := await records.examples.list_ids(
            workspace, filters, until=until, after=ids[-1] if ids else None, limit=_IDS_AT_ONCE
        ):
            ids += page
        return ids

    async def rank(
        self,
        records: Records,
        workspace: WorkspaceId,
        assistant: AssistantId,
        question: str,
        *,
        limit: int,
    ) -> Sequence[tuple[ExampleId, float]]:
        index = await self._refresh(records, workspace, assistant)
        ranked = await index.texts.rank(question, limit=limit)
        return [(ExampleId(number), similarity) for number, similarity in ranked]

    async def warm_up(self) -> None:
        index = await self._create_index()
        await index.rank("How much is it?", limit=1)

    async def _refresh(
        self, records: Records, workspace: WorkspaceId, assistant: AssistantId
    ) -> _AssistantIndex:
        """Indexes the examples that are new or edited; leaves many to a background task."""
        key = workspace, assistant
        async with self._creation:
            index = self._indexes.get(key)
            if index is None:
                index = _AssistantIndex(await self._create_index(), asyncio.Lock())
                self._indexes[key] = index
        self._indexes.move_to_end(key)
        async with index.lock:
            await self._read_edits(records, key, index)
            is_behind = not index.is_read_in_background
            for _ in range(_PAGES_BEFORE_ANSWER):
                is_behind = is_behind and await self._read_page(records, key, index)
        if is_behind:
            index.is_read_in_background = True
            self._start_task(self._read_rest(key, index))
        self._evict()
        return index

    async def _read_page(self, records: Records, key: _Key, index: _AssistantIndex) -> bool:
        """Indexes the next examples in the order of their ids; returns whether more may follow."""
        if len(index.texts) >= MAX_INDEXED_EXAMPLES:
            return False
        filters = ExampleFilter(assistant=key[1], method=Method.SUPERVISED)
        page = await records.examples.page(key[0], filters, after=index.last, limit=_PAGE)
        await _put(index, page)
        index.last = page[-1].id if page else index.last
        return len(page) == _PAGE

    async def _read_edits(self, records: Records, key: _Key, index: _AssistantIndex) -> None:
        """Indexes the examples again whose text was edited since the last time."""
        now = self._clock.now()
        since = (index.edits_read_at or now) - _EDIT_OVERLAP
        filters = ExampleFilter(assistant=key[1], method=Method.SUPERVISED, edited_since=since)
        after = None
        while page := await records.examples.page(key[0], filters, after=after, limit=_PAGE):
            after = page[-1].id
            edited = [
                example
                for example in page
                if example.id <= (index.last or 0)
                and index.edited_revisions.get(example.id) != example.revision
            ]
            await _put(index, edited)
            index.edited_revisions |= {example.id: example.revision for example in edited}
        # Only now, as the question may have been stopped meanwhile.
        index.edits_read_at = now

    async def _read_rest(self, key: _Key, index: _AssistantIndex) -> None:
        """Indexes the remaining examples; after an error the next question goes on with it."""
        is_behind = True
        try:
            while is_behind and self._indexes.get(key) is index:
                async with index.lock, self._store.reading() as records:
                    is_behind = await self._read_page(records, key, index)
        except Exception:
            log.exception("The examples could not be indexed")
        finally:
            index.is_read_in_background = False

    def _evict(self) -> None:
        """Drops the indexes that were not used for longest, when there are too many examples."""
        while (
            len(self._indexes) > 1
            and sum(len(index.texts) for index in self._indexes.values()) > MAX_INDEXED_EXAMPLES
        ):
            self._indexes.popitem(last=False)


async def _put(index: _AssistantIndex, examples: Sequence[Example]) -> None:
    exchanges = {example.id: last_exchange(example) for example in examples}
    await index.texts.put({i: pair[0] for i, pair in exchanges.items() if pair is not None})


async def _usable(
    records: Records,
    place: Place,
    assistant: Assistant,
    ids: Sequence[ExampleId],
    *,
    for_evaluation: bool,
) -> list[Example]:
    """Returns those of the examples that may be sent with a question, in the order of the ids."""
    usable: dict[ExampleId, Example] = {}
    async for example in records.examples.iterate_trainable(
        place.workspace,
        assistant.id,
        Method.SUPERVISED,
        shown_in=place.channel,
        filters=ExampleFilter(held_out=False if for_evaluation else None),
        among=ids,
    ):
        is_test = MUST_ANSWER_TAG in example.tags or example.synthetic is not None
        if last_exchange(example) is not None and not (for_evaluation and is_test):
            usable[example.id] = example
    return [usable[i] for i in ids if i in usable]
