"""Files and lists of a host that goes wrong on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.openai.host_kinds import Dialect
from adapters.openai.openai_host import OpenAIHost
from adapters.openai.paging import MAX_PAGES
from adapters.openai.timeouts import Timeouts
from bot.errors import (
    HostBusy,
    HostError,
    HostNotFound,
    HostRefused,
    HostServerError,
    HostTimeout,
)
from tests.fakes.connected import ROW, SOON, UPLOAD, a_job, connected
from tests.fakes.faults import (
    Fault,
    answers,
    busy,
    cut,
    cut_after,
    half_upload,
    hangs,
    reshaped,
    says,
)
from tests.fakes.faulty_host import FaultyHost, faulty_host


@pytest.fixture
async def fake() -> AsyncIterator[FaultyHost]:
    async with faulty_host() as host:
        yield host


@pytest.fixture
async def host(fake: FaultyHost) -> AsyncIterator[OpenAIHost]:
    async with connected(fake) as client:
        yield client


async def test_an_upload_arrives_row_by_row(fake: FaultyHost, host: OpenAIHost) -> None:
    file = await host.upload("attune-s1-1.jsonl", iter([ROW, ROW + b"\n"]))

    kept = fake.files[file.id]
    assert (kept.name, kept.content) == ("attune-s1-1.jsonl", (ROW + b"\n") * 2)
    assert (file.name, file.bytes) == (kept.name, len(kept.content))
    assert await host.read_file(file.id) == kept.content


@pytest.mark.parametrize(("length", "rows"), [(100_000, 60), (2_600, 2_000)])
async def test_an_upload_larger_than_memory_allows_arrives_whole(
    fake: FaultyHost, host: OpenAIHost, length: int, rows: int
) -> None:
    """Also where its rows are shorter than the buffer of a file."""
    row = b'{"messages": "' + b"x" * length + b'"}'

    file = await host.upload("big.jsonl", (row for _ in range(rows)))

    assert fake.files[file.id].content == (row + b"\n") * rows


async def test_a_profile_may_ask_for_a_byte_order_mark(fake: FaultyHost) -> None:
    async with connected(fake, dialect=Dialect(byte_order_mark=True)) as host:
        file = await host.upload("a.jsonl", [ROW])

    assert fake.files[file.id].content.startswith(b"\xef\xbb\xbf{")


async def test_an_upload_may_take_longer_than_a_poll(fake: FaultyHost) -> None:
    fake.fail(UPLOAD, hangs())
    asyncio.get_running_loop().call_later(0.2, fake.release)

    async with connected(fake, patience=Timeouts(poll=0.05, upload=5)) as host:
        await host.upload("a.jsonl", [ROW])

    assert len(fake.files) == 1


@pytest.mark.parametrize(
    ("fault", "expected", "files"),
    [
        (answers(500), HostServerError, 0),
        (busy(0.001), HostBusy, 0),
        (cut(), HostTimeout, 0),
        (half_upload(), HostTimeout, 0),
        (cut_after(), HostTimeout, 1),
        (hangs(), HostTimeout, 0),
        (says("[]"), HostServerError, 0),
    ],
)
async def test_an_upload_is_never_sent_twice(
    fake: FaultyHost, fault: Fault, expected: type[HostError], files: int
) -> None:
    fake.fail(UPLOAD, fault)

    async with connected(fake, retries=2, patience=SOON) as host:
        with pytest.raises(expected):
            await host.upload("a.jsonl", [ROW])

    assert fake.count(UPLOAD) == 1
    assert len(fake.files) == files


async def test_a_file_the_host_will_not_have_is_refused_in_its_words(host: OpenAIHost) -> None:
    with pytest.raises(HostRefused, match="Line 1 is not a dictionary"):
        await host.upload("a.jsonl", [b"[]"])


async def test_a_deleted_file_is_forgotten(fake: FaultyHost, host: OpenAIHost) -> None:
    file = await host.upload("a.jsonl", [ROW])

    await host.delete_file(file.id)

    assert not fake.files
    with pytest.raises(HostNotFound):
        await host.read_file(file.id)


@pytest.mark.parametrize("page_rows", [100, 20])
@pytest.mark.parametrize("omits_has_more", [False, True])
async def test_a_list_of_many_pages_is_read_whole_and_newest_first(
    fake: FaultyHost, host: OpenAIHost, page_rows: int, omits_has_more: bool
) -> None:
    uploaded = [(await host.upload(f"{n}.jsonl", [ROW])).id for n in range(45)]
    fake.page_rows, fake.omits_has_more = page_rows, omits_has_more

    assert [file.id async for file in host.files()] == uploaded[::-1]
    assert fake.last("GET /files").query["limit"] == "100"


@pytest.mark.parametrize("omits_has_more", [False, True])
async def test_a_list_ends_where_the_host_ignores_after(
    fake: FaultyHost, host: OpenAIHost, omits_has_more: bool
) -> None:
    jobs = [await a_job(host) for _ in range(3)]
    fake.page_rows, fake.ignores_after, fake.omits_has_more = 2, True, omits_has_more

    assert [job.id async for job in host.jobs()] == [jobs[2], jobs[1]]
    assert fake.count("GET /fine_tuning/jobs") == 2


async def test_a_list_without_end_is_left_after_so_many_pages(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    numbers = iter(range(10_000))
    endless = reshaped(lambda body: {"data": [{"id": f"file-{next(numbers)}"}]})
    fake.fail_always("GET /files", endless)

    assert len([file async for file in host.files()]) == MAX_PAGES


@pytest.mark.parametrize("body", ["{}", "[]", '{"data": "none"}', "<html>", "null"])
async def test_nonsense_is_never_taken_for_an_empty_list(
    fake: FaultyHost, host: OpenAIHost, body: str
) -> None:
    fake.fail("GET /files", says(body))

    with pytest.raises(HostServerError):
        [file async for file in host.files()]


async def test_a_new_file_may_be_missing_from_the_list_for_a_while(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.lag_seconds = 60
    file = await host.upload("a.jsonl", [ROW])

    assert not [seen async for seen in host.files()]
    fake.advance(60)
    assert [seen.id async for seen in host.files()] == [file.id]


async def test_a_new_job_may_be_missing_from_the_next_lists(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.lag_listings = 2
    job = await a_job(host)

    seen = [[listed.id async for listed in host.jobs()] for _ in range(3)]

    assert seen == [[], [], [job]]


async def test_a_read_is_tried_again(fake: FaultyHost) -> None:
    fake.fail("GET /files", answers(500, headers={"retry-after-ms": "1"}))

    async with connected(fake, retries=2) as host:
        assert [file async for file in host.files()] == []
