"""One host that speaks the OpenAI protocol, seen through the port to model hosts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cache
from ssl import SSLContext
from tempfile import SpooledTemporaryFile
from typing import IO

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpx2Client, omit

from adapters.openai import answers, results
from adapters.openai.answers import Json
from adapters.openai.errors import NonsenseError, seconds_to_wait, translated
from bot.errors import EmptyAnswer
from bot.model import Checkpoint, HostName, JobEvent, ModelName, Sampling
from bot.ports.provider import (
    Delta,
    JobRequest,
    Price,
    Profile,
    RemoteFile,
    RemoteJob,
    RemoteModel,
    ResultFile,
)

log = logging.getLogger(__name__)

PAGE_ROWS = 100
MOST_PAGES = 50
LONGEST_SILENT_WAIT = 2.0
IN_MEMORY_BYTES = 4 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Fetch = Callable[[str | None], Awaitable[httpx2.Response]]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: to connect, for a poll, for an upload, for the next piece of an answer."""

    connect: float = 5.0
    poll: float = 30.0
    upload: float = 600.0
    piece: float = 60.0


class OpenAIHost:
    """Chat, files and tuning jobs of one configured server.

    Only reads and chats that have not begun to answer are retried; an act is
    sent once, because after a lost answer the caller has to look first.
    """

    def __init__(
        self,
        name: HostName,
        *,
        profile: Profile,
        base_url: str,
        chat_base_url: str | None = None,
        key: str = "",
        key_variable: str = "",
        bases: Sequence[ModelName] = (),
        prices: Mapping[str, float] | None = None,
        retries: int = 2,
        patience: Patience | None = None,
    ) -> None:
        self._name, self._profile, self._bases = name, profile, tuple(bases)
        self._prices = dict(prices or {})
        self._key, self._key_variable = key, key_variable
        self._patience = patience or Patience()
        self._reading = AsyncOpenAI(
            # The package refuses to start without a key; hosts without one ignore it.
            api_key=key or "none",
            base_url=base_url,
            max_retries=retries,
            timeout=self._timeout(self._patience.poll),
            http_client=DefaultAsyncHttpx2Client(
                verify=_trusted(), event_hooks={"response": [_forbid_long_naps]}
            ),
        )
        self._acting = self._reading.with_options(max_retries=0)
        self._chatting = self._reading.with_options(
            base_url=chat_base_url or base_url, timeout=self._timeout(self._patience.piece)
        )
        self._asks_usage = True

    @property
    def name(self) -> HostName:
        return self._name

    @property
    def profile(self) -> Profile:
        return self._profile

    @property
    def bases(self) -> Sequence[ModelName]:
        return self._bases

    def price(self, base: ModelName) -> Price:
        """A tuned model (`ft:BASE:…`) is trained on at the price of its base."""
        tuned = base.split(":")[1] if base.startswith("ft:") else base
        return Price(training=self._prices.get(base, self._prices.get(tuned)))

    async def close(self) -> None:
        """Let go of the connections; the host cannot be used afterwards."""
        await self._reading.close()

    async def chat(
        self, model: ModelName, messages: Sequence[Mapping[str, str]], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; closing the iterator stops the request."""
        body = {"model": model, "messages": messages, "stream": True, **_asked(sampling)}
        usage, is_empty = None, True
        with self._translated():
            stream = await self._open_stream(body)
            try:
                async for chunk in stream:
                    if text := answers.text_of(chunk):
                        is_empty = False
                        yield Delta(text)
                    usage = answers.usage_of(chunk) or usage
            finally:
                await stream.close()
            if is_empty:
                raise self._emptiness(stream)
        if usage:
            yield Delta(usage=usage)

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Never retries by itself: the caller looks first."""
        with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool, self._translated():
            _write_rows(spool, lines, byte_order_mark=self._profile.byte_order_mark)
            answer = await self._acting.files.with_raw_response.create(
                file=(name, spool, "application/jsonl"),
                purpose="fine-tune",
                timeout=self._timeout(self._patience.upload),
            )
            return answers.remote_file(answers.document(answer.http_response))

    async def files(self) -> AsyncIterator[RemoteFile]:
        """Every tuning file, newest first, page by page; ends even if the host pages badly."""
        with self._translated():
            async for rows in _pages(self._files_page):
                for row in rows:
                    yield answers.remote_file(row)

    async def delete_file(self, file: str) -> None:
        with self._translated():
            await self._acting.files.with_raw_response.delete(file)

    async def read_file(self, file: str) -> bytes:
        with self._translated():
            answer = await self._reading.files.with_raw_response.content(
                file, timeout=self._timeout(self._patience.upload)
            )
            return answer.http_response.content

    async def result_file(self, file: str) -> ResultFile:
        """One of a job's `result_files`; measures are missing where it is no table of steps."""
        content = results.plain(await self.read_file(file))
        return ResultFile(content, results.measures(content))

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Never retries by itself: the caller looks first."""
        with self._translated():
            answer = await self._acting.fine_tuning.jobs.with_raw_response.create(
                model=request.base,
                training_file=request.training_file,
                validation_file=request.validation_file or omit,
                suffix=request.suffix or omit,
                seed=omit if request.seed is None else request.seed,
                metadata={"attune_start": request.start},
                extra_body=_method(request, is_legacy=self._profile.legacy_hyperparameters),
            )
            return answers.remote_job(answers.document(answer.http_response))

    async def jobs(self) -> AsyncIterator[RemoteJob]:
        """Every job, newest first, page by page; ends even if the host pages badly."""
        with self._translated():
            async for rows in _pages(self._jobs_page):
                for row in rows:
                    yield answers.remote_job(row)

    async def job(self, job: str) -> RemoteJob:
        with self._translated():
            answer = await self._reading.fine_tuning.jobs.with_raw_response.retrieve(job)
            return answers.remote_job(answers.document(answer.http_response))

    async def cancel_job(self, job: str) -> RemoteJob:
        with self._translated():
            answer = await self._acting.fine_tuning.jobs.with_raw_response.cancel(job)
            return answers.remote_job(answers.document(answer.http_response))

    async def pause_job(self, job: str) -> RemoteJob:
        with self._translated():
            answer = await self._acting.fine_tuning.jobs.with_raw_response.pause(job)
            return answers.remote_job(answers.document(answer.http_response))

    async def resume_job(self, job: str) -> RemoteJob:
        with self._translated():
            answer = await self._acting.fine_tuning.jobs.with_raw_response.resume(job)
            return answers.remote_job(answers.document(answer.http_response))

    async def job_events(self, job: str, seen: frozenset[str]) -> Sequence[JobEvent]:
        """Events not yet seen, oldest first, de-duplicated."""

        async def fetch(after: str | None) -> httpx2.Response:
            listed = self._reading.fine_tuning.jobs.with_raw_response.list_events
            return (await listed(job, after=after or omit, limit=PAGE_ROWS)).http_response

        fresh: list[JobEvent] = []
        with self._translated():
            async for rows in _pages(fetch, content=answers.event_content):
                unseen = [e for e in map(answers.job_event, rows) if e.id not in seen]
                if not unseen:
                    break
                fresh += unseen
        return answers.oldest_first(fresh)

    async def checkpoints(self, job: str) -> Sequence[Checkpoint]:
        async def fetch(after: str | None) -> httpx2.Response:
            listed = self._reading.fine_tuning.jobs.checkpoints.with_raw_response.list
            return (await listed(job, after=after or omit, limit=PAGE_ROWS)).http_response

        with self._translated():
            found = [answers.checkpoint(row) async for rows in _pages(fetch) for row in rows]
        return sorted((c for c in found if c), key=lambda checkpoint: checkpoint.step)

    async def models(self) -> Sequence[RemoteModel]:
        with self._translated():
            answer = await self._chatting.models.with_raw_response.list()
            rows, _ = answers.page(answers.document(answer.http_response))
            return [answers.remote_model(row) for row in rows if answers.identity(row)]

    async def delete_model(self, model: ModelName) -> None:
        with self._translated():
            await self._acting.models.with_raw_response.delete(model)

    async def _open_stream(self, body: Json) -> AsyncStream[object]:
        """Some hosts refuse to be asked for usage; they are asked without from then on."""
        if not self._asks_usage:
            return await self._post_stream(body)
        try:
            return await self._post_stream({**body, "stream_options": {"include_usage": True}})
        except (openai.BadRequestError, openai.UnprocessableEntityError) as refusal:
            if "stream_options" not in str(refusal):
                raise
        self._asks_usage = False
        return await self._post_stream(body)

    async def _post_stream(self, body: Json) -> AsyncStream[object]:
        # As plain objects: building the package's models costs 115 µs a chunk, this 14.
        async with asyncio.timeout(self._patience.piece):
            return await self._chatting.post(
                "/chat/completions",
                cast_to=object,
                body=body,
                stream=True,
                stream_cls=AsyncStream[object],
            )

    def _emptiness(self, stream: AsyncStream[object]) -> Exception:
        """An answer without text, or one that is no stream at all."""
        kind = stream.response.headers.get("content-type", "text/event-stream")
        if not kind.startswith("text/event-stream"):
            return NonsenseError(f"The answer is {kind} instead of a stream.")
        return EmptyAnswer(host=self._name, message="", code=None, param=None)

    async def _files_page(self, after: str | None) -> httpx2.Response:
        answer = await self._reading.files.with_raw_response.list(
            purpose="fine-tune", order="desc", after=after or omit, limit=PAGE_ROWS
        )
        return answer.http_response

    async def _jobs_page(self, after: str | None) -> httpx2.Response:
        answer = await self._reading.fine_tuning.jobs.with_raw_response.list(
            after=after or omit, limit=PAGE_ROWS
        )
        return answer.http_response

    def _timeout(self, seconds: float) -> httpx2.Timeout:
        return httpx2.Timeout(seconds, connect=self._patience.connect)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(host=self._name, key_variable=self._key_variable, secret=self._key)


async def _pages(
    fetch: Fetch, *, content: Callable[[Json], tuple[str, ...]] | None = None
) -> AsyncIterator[Sequence[Json]]:
    """The rows of each page that no earlier page had; ends when a page brings none.

    Neither `has_more` nor `after` can be relied on: some hosts leave the one
    out and ignore the other. `content` tells rows apart that come without an
    id, or with a new one at every call.
    """
    seen: set[object] = set()
    after: str | None = None
    for _ in range(MOST_PAGES):
        rows, has_more = answers.page(answers.document(await fetch(after)))
        fresh = [row for row in rows if _is_new(row, seen, content)]
        if fresh:
            yield fresh
        after = answers.identity(rows[-1]) if rows else None
        if not fresh or has_more is False or after is None:
            return
    log.warning("a host's list did not end", extra={"pages": MOST_PAGES})


def _is_new(
    row: Json, seen: set[object], content: Callable[[Json], tuple[str, ...]] | None
) -> bool:
    keys: set[object] = {content(row)} if content else set()
    if identity := answers.identity(row):
        keys.add(identity)
    is_new = bool(keys) and not keys & seen
    seen |= keys
    return is_new


def _asked(sampling: Sampling) -> dict[str, object]:
    """The options that were chosen; the others are the host's to decide."""
    return {name: value for name, value in asdict(sampling).items() if value not in (None, ())}


def _method(request: JobRequest, *, is_legacy: bool) -> dict[str, object]:
    """Hyperparameters where this host wants them; one left out means "auto"."""
    chosen = {n: v for n, v in asdict(request.hyperparameters).items() if v is not None}
    if is_legacy:
        return {"hyperparameters": chosen} if chosen else {}
    kind = request.method.value
    return {"method": {"type": kind, kind: {"hyperparameters": chosen}}}


def _write_rows(spool: IO[bytes], lines: Iterable[bytes], *, byte_order_mark: bool) -> None:
    if byte_order_mark:
        spool.write(BYTE_ORDER_MARK)
    for line in lines:
        spool.write(line.rstrip(b"\r\n") + b"\n")


@cache
def _trusted() -> SSLContext:
    """The system's certificates, read once for all hosts: it takes 25 ms."""
    return httpx2.create_ssl_context()


async def _forbid_long_naps(response: httpx2.Response) -> None:
    """The package would sleep for up to two minutes on Retry-After while a person waits."""
    if (seconds_to_wait(response.headers) or 0.0) > LONGEST_SILENT_WAIT:
        response.headers["x-should-retry"] = "false"
