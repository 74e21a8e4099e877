"""Cost of operations of the store: `python -m bench.storage [rows]`, on a temporary file.

Most times are CPU times, since other load affects wall-clock time.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from bot.domain import (
    AssistantId,
    ExampleFilter,
    ExampleState,
    MessageId,
    NewExample,
    Origin,
    Row,
    SnapshotRow,
    Split,
    TurnId,
    TurnState,
)
from bot.rows import Method, fingerprint
from storage.database import Database
from tests.stores import GENERAL, HOME, NOW, a_source, a_turn, an_example, freeze, furnished

BATCH = 1000
WORDS = [f"word{number}" for number in range(3000)]


def rows(count: int) -> Iterator[Row]:
    generator = random.Random(1)
    for number in range(count):
        question, answer = (" ".join(generator.choices(WORDS, k=k)) for k in (15, 40))
        yield {
            "messages": [
                {"role": "system", "content": "You are Ada, kind and short."},
                {"role": "user", "content": f"{number} {question}"},
                {"role": "assistant", "content": answer},
            ]
        }


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def batches(assistant: AssistantId, count: int) -> Iterator[list[NewExample]]:
    batch = []
    for row in rows(count):
        batch.append(replace(an_example(assistant), row=row, origin=Origin.IMPORT, authors=()))
        if len(batch) == BATCH:
            yield batch
            batch = []


async def bring_in(store: Database, assistant: AssistantId, count: int) -> None:
    before, cpu_seconds, fingerprint_seconds, wall_seconds = megabytes(), 0.0, 0.0, 0.0
    for batch in batches(assistant, count):
        started = time.process_time()
        for example in batch:
            fingerprint(example.row or {})
        fingerprint_seconds += time.process_time() - started
        started, wall_started = time.process_time(), time.perf_counter()
        async with store.writing() as records:
            await records.examples.add_many(HOME, batch, at=NOW)
        cpu_seconds += time.process_time() - started
        wall_seconds += time.perf_counter() - wall_started
    micros = [
        f"{seconds / count * 1e6:.1f}"
        for seconds in (cpu_seconds, fingerprint_seconds, wall_seconds)
    ]
    print(
        f"import          {micros[0]} µs a row, {micros[1]} of them fingerprints "
        f"({micros[2]} waited)"
    )
    print(f"memory          {before:.0f} → {megabytes():.0f} MB")


async def timed(name: str, count: int, work: Callable[[int], Awaitable[object]]) -> None:
    await work(0)
    started, wall_started = time.process_time(), time.perf_counter()
    for number in range(1, count + 1):
        await work(number)
    cpu_ms = (time.process_time() - started) / count * 1e3
    wall_ms = (time.perf_counter() - wall_started) / count * 1e3
    print(f"{name:15} {cpu_ms:.2f} ms ({wall_ms:.2f} waited)")


async def answer(store: Database, assistant: AssistantId) -> None:
    """Measures what every message costs."""
    turn = replace(a_turn(assistant), question="How are you? " * 8)

    async def receive(number: int) -> None:
        async with store.writing() as records:
            key = f"event-{number}"
            await records.inbox.add(HOME, key, message_key=key, payload="{}" * 200, at=NOW)

    async def answering(_: int) -> None:
        async with store.reading() as records:
            await records.assistants.answering_in(HOME, GENERAL)

    async def add_turn(number: int) -> None:
        async with store.writing() as records:
            await records.turns.add(HOME, replace(turn, event_key=f"event-{number}"))

    async def complete(number: int) -> None:
        async with store.writing() as records:
            done = {"reply": "Fine.", "reply_message": MessageId(str(number))}
            await records.turns.update_fields(
                HOME, TurnId(number + 1), state=TurnState.DONE, **done
            )

    await timed("inbox.receive", 500, receive)
    await timed("answering", 500, answering)
    await timed("turns.add", 500, add_turn)
    await timed("turns.change", 500, complete)


async def review(store: Database, assistant: AssistantId) -> None:
    """Measures what curators do, beside all imported examples."""

    async def propose(number: int) -> None:
        new = replace(an_example(assistant, f"new {number}"), source=a_source(str(number)))
        async with store.writing() as records:
            proposed = replace(new, state=ExampleState.PROPOSED)
            await records.examples.add(HOME, proposed, at=NOW)

    async def page(_: int) -> None:
        async with store.reading() as records:
            await records.examples.page(HOME, ExampleFilter(state=ExampleState.PROPOSED))

    async def count(_: int) -> None:
        filters = ExampleFilter(assistant=assistant, state=ExampleState.APPROVED)
        async with store.reading() as records:
            await records.examples.count(HOME, filters)

    async def search(number: int) -> None:
        async with store.reading() as records:
            await records.examples.count(HOME, ExampleFilter(search=f"word{number} word7"))

    await timed("examples.add", 200, propose)
    await timed("review queue", 100, page)
    await timed("count", 20, count)
    await timed("search", 3, search)


async def train(store: Database, assistant: AssistantId) -> None:
    frozen = []
    async with store.reading() as records:
        started = time.process_time()
        trainable = records.examples.iterate_trainable(HOME, assistant, Method.SUPERVISED)
        async for example in trainable:
            row = SnapshotRow(example.id, example.revision, Split.TRAIN, "0" * 64, None)
            frozen.append(row)
    micros_per_row = 1e6 / len(frozen)
    print(f"trainable       {(time.process_time() - started) * micros_per_row:.1f} µs a row")
    started = time.process_time()
    async with store.writing() as records:
        snapshot = await freeze(records, HOME, assistant, frozen)
    print(f"freeze          {(time.process_time() - started) * micros_per_row:.1f} µs a row")
    started = time.process_time()
    async with store.reading() as records:
        await records.snapshots.count_untrainable_rows(HOME, snapshot.id)
    print(f"forbidden       {(time.process_time() - started) * 1e3:.0f} ms")
    started = time.perf_counter()
    async with store.writing() as records:
        await records.examples.erase(HOME, [frozen[0].example])
    print(f"erase           {(time.perf_counter() - started) * 1e3:.0f} ms waited")


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        store = await Database.open(f"sqlite:///{folder}/attune.db")
        print(f"open            {(time.perf_counter() - started) * 1e3:.0f} ms waited")
        assistant = await furnished(store)
        await bring_in(store, assistant, count)
        await answer(store, assistant)
        await review(store, assistant)
        await train(store, assistant)
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
