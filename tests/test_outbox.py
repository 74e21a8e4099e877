"""Notices reach their channel: while a platform is off, after a message was deleted, only once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain import ONLY_EDITS_MESSAGE, Notice, WorkspaceId
from bot.errors import PlaceClosed, SurfaceError
from bot.outbox import deliver_notices
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.replies import Drawn, Text
from bot.words import Words
from storage.database import Database
from tests.fakes.platform import FakePlatform
from tests.scene import MovedClock
from tests.stores import HOME, PLACE, furnished


async def word(notice: Notice, records: Records, words: Words) -> Drawn | None:
    return Text("Training 1 succeeded.")


class Outbox:
    """One notice about a training, a platform that may be off, and a clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.platform = FakePlatform()
        self.clock = MovedClock()
        self.is_on = True

    def surface_of(self, workspace: WorkspaceId) -> Surface:
        if not self.is_on:
            raise PlaceClosed
        return self.platform

    async def put(self, **details: object) -> None:
        async with self.store.writing() as records:
            await records.outbox.put("job.1", PLACE, "job", details=details, at=self.clock.now())

    async def deliver(self, *, after: timedelta = timedelta(0)) -> int:
        self.clock.move(after)
        wordings = {"job": word}
        return await deliver_notices(
            store=self.store, surfaces=self, clock=self.clock, wordings=wordings
        )

    async def is_empty(self) -> bool:
        async with self.store.reading() as records:
            return await records.outbox.is_empty(HOME)


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    store = await Database.open(f"sqlite:///{tmp_path}/attune.db")
    await furnished(store)
    yield Outbox(store)
    await store.close()


async def test_a_notice_waits_while_its_platform_is_off(outbox: Outbox) -> None:
    outbox.is_on = False
    await outbox.put()
    for _ in range(30):
        await outbox.deliver(after=timedelta(hours=1))
    outbox.is_on = True

    await outbox.deliver(after=timedelta(hours=1))

    assert list(outbox.platform.posts.values()) == [Text("Training 1 succeeded.")]
    assert await outbox.is_empty()


async def test_a_notice_outlives_a_platform_that_is_down_for_days(outbox: Outbox) -> None:
    outbox.platform.fault = SurfaceError(message="500")
    await outbox.put()
    for _ in range(6 * 24 * 3):
        await outbox.deliver(after=timedelta(minutes=10))
    outbox.platform.fault = None

    await outbox.deliver(after=timedelta(minutes=10))

    assert list(outbox.platform.posts.values()) == [Text("Training 1 succeeded.")]
    assert await outbox.is_empty()


async def test_a_notice_is_not_asked_for_again_at_once(outbox: Outbox) -> None:
    outbox.is_on = False
    await outbox.put()

    assert await outbox.deliver() == 1
    assert await outbox.deliver(after=timedelta(minutes=4)) == 0
    assert await outbox.deliver(after=timedelta(minutes=1)) == 1


async def test_a_notice_whose_message_was_deleted_is_posted_under_another_key(
    outbox: Outbox,
) -> None:
    """Under the first key the platform would take it for the message that it knows."""
    await outbox.put()
    await outbox.deliver()
    (first,) = outbox.platform.posts
    outbox.platform.deleted.add(outbox.platform.own_ids[0])
    await outbox.put()

    await outbox.deliver()

    keys = list(outbox.platform.posts)
    assert len(keys) == 2
    assert keys[1] not in ("", first)


async def test_a_notice_that_may_only_be_edited_is_not_posted_again(outbox: Outbox) -> None:
    await outbox.put()
    await outbox.deliver()
    outbox.platform.deleted.add(outbox.platform.own_ids[0])
    await outbox.put(**{ONLY_EDITS_MESSAGE: True})

    await outbox.deliver()

    assert len(outbox.platform.posts) == 1
    assert await outbox.is_empty()


async def test_a_changed_notice_edits_its_message(outbox: Outbox) -> None:
    await outbox.put()
    await outbox.deliver()
    await outbox.put()

    assert await outbox.deliver() == 1
    assert len(outbox.platform.posts) == 1


async def test_a_closed_workspace_is_told_nothing_until_it_is_open_again(outbox: Outbox) -> None:
    await outbox.put()
    async with outbox.store.writing() as records:
        await records.workspaces.close(HOME, at=outbox.clock.now())
    assert await outbox.deliver() == 0
    async with outbox.store.writing() as records:
        await records.workspaces.reopen(HOME)

    assert await outbox.deliver() == 1
    assert len(outbox.platform.posts) == 1
