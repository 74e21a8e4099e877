"""Implements the port to model hosts for a host with an OpenAI-compatible API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from functools import cached_property
from tempfile import SpooledTemporaryFile

import httpx2
import openai
from openai import AsyncOpenAI, omit

from adapters.openai import request_fields, response_parsing, result_file
from adapters.openai.answer_stream import AnswerEvents, AnswerReader
from adapters.openai.errors import ProtocolViolation, one_line, translate_errors
from adapters.openai.host_kinds import Dialect, discontinued_host
from adapters.openai.http_transport import http_client
from adapters.openai.image_support import ImageModels
from adapters.openai.learned_parameters import LearnedParameters
from adapters.openai.nebius_deployments import NebiusDeployments
from adapters.openai.paging import ROWS_PER_PAGE, read_pages
from adapters.openai.price_table import HostPrices
from adapters.openai.response_parsing import Json
from adapters.openai.timeouts import RequestAdditions, Timeouts
from bot.domain import Checkpoint, HostName, IncompleteReason, JobEvent, ModelName, Sampling
from bot.errors import (
    AnswerFiltered,
    EmptyAnswer,
    FileUnchecked,
    HostError,
    HostRefused,
    HostUnreachable,
    KeyRefused,
    OnlyThoughts,
    TrainingClosed,
    TrainsNothing,
    TuningGone,
    WrongAddress,
)
from bot.ports.model_hosts import (
    Delta,
    HostCheck,
    HostProfile,
    JobRequest,
    Price,
    RemoteDeployment,
    RemoteFile,
    RemoteJob,
    RemoteModel,
    ResultFile,
    Serving,
)
from bot.rows import TokenCounter

MAX_IN_MEMORY_BYTES = 4 * 1024 * 1024
_NO_FILE = "file-none"
_CHECK_SECONDS = 10.0
# Messages with status 503 while a model is loaded: llama.cpp sends "Loading model".
_LOADING = re.compile(r"loading|warming|starting|not ready|cold|scal(?:e|ing)", re.IGNORECASE)
_LOADING_PAUSE = 1.0
_MAX_FILE_CHECKS = 8
_FILE_IN_CHECK = (
    *("pending", "queued", "running", "notrunning", "not_running"),
    *("processing", "uploading", "validating", "importing"),
)
_FILE_UPLOADED = ("uploaded", "created")
_MAX_CHECKS_WHEN_UPLOADED = 4
_FILE_FAILED = ("error", "failed", "invalid", "invalid_format")


class OpenAIHost:
    """Chat, files and fine-tuning jobs of one configured host.

    Reads, and chats that have not begun to answer, are retried. Other requests are sent once,
    because after a lost response the caller must first look what the request has done.
    """

    def __init__(
        self,
        name: HostName,
        *,
        profile: HostProfile,
        base_url: str,
        dialect: Dialect | None = None,
        chat_base_url: str | None = None,
        key: str = "",
        chat_key: str | None = None,
        key_variable: str = "",
        bases: Sequence[ModelName] = (),
        prices: HostPrices | None = None,
        tokenizer: TokenCounter | None = None,
        shutdown_dates: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
        additions: RequestAdditions | None = None,
        retries: int = 2,
        patience: Timeouts | None = None,
    ) -> None:
        self._name, self._profile, self._bases = name, profile, tuple(bases)
        self._dialect = dialect = dialect or Dialect()
        self._prices, self._tokenizer = prices or HostPrices(), tokenizer
        self._shutdown_dates, self._extra = dict(shutdown_dates or {}), dict(extra or {})
        added = additions or RequestAdditions()
        self._extra_body, self._served_as = added.extra_body, added.served_as
        self._key_variable, self._http = key_variable, http_client()
        self._timeouts = added.adjust_timeouts(patience or Timeouts())
        self._read_client = read = self._client(key, base_url, added, retries)
        self._write_client = write = read.with_options(max_retries=0)
        self._chat_client = read.with_options(
            api_key=(key if chat_key is None else chat_key) or "none",
            base_url=chat_base_url or base_url,
            timeout=self._timeout(self._timeouts.first_piece),
        )
        self._secrets, self._discontinued = (key, chat_key or ""), _discontinued(name, base_url)
        self._deployments = NebiusDeployments(name, read, write, dialect.deployments)
        self._learned = LearnedParameters()
        self._processed_files, self._models_with_lone_ends = set[str](), set[ModelName]()
        self._gives_finish_reasons = False

    def _client(
        self, key: str, base_url: str, added: RequestAdditions, retries: int
    ) -> AsyncOpenAI:
        return AsyncOpenAI(
            # The package requires a key, which hosts without keys ignore.
            api_key=key or "none",
            base_url=base_url,
            max_retries=retries,
            timeout=self._timeout(self._timeouts.poll),
            default_headers=added.headers_with(key),
            default_query=added.query,
            http_client=self._http,
        )

    @property
    def name(self) -> HostName:
        return self._name

    @property
    def profile(self) -> HostProfile:
        return self._profile

    @property
    def bases(self) -> Sequence[ModelName]:
        return self._bases

    def set_bases(self, bases: Sequence[ModelName]) -> None:
        """Sets the base models of the host."""
        self._bases = tuple(bases)

    @property
    def tokenizer(self) -> TokenCounter | None:
        return self._tokenizer

    def price(self, base: ModelName) -> Price:
        return self._prices.of(base)

    async def check_access(self) -> HostCheck:
        """Lists the models and the jobs, which is free, to check the chat and the training API."""
        models = len(await self.models())
        if self._discontinued is not None:
            return HostCheck(models, self._discontinued)
        try:
            async with self._request_scope():
                await self._check_jobs()
        except HostError as error:
            return HostCheck(models, error)
        return HostCheck(models)

    async def _check_jobs(self) -> None:
        """Requests a page of the jobs list and checks only that it is a list."""
        answer = await self._read_client.fine_tuning.jobs.with_raw_response.list(limit=1)
        response_parsing.read_page(response_parsing.parse_json_object(answer.http_response))

    async def check_training_access(self, base: ModelName) -> None:
        """Requests the jobs list and, at some hosts, a job with a file that cannot exist.

        No host has a call for this check. A host that is closed to an account refuses any job with
        TrainingClosed, also one with a missing file.
        """
        if self._discontinued is not None:
            raise self._discontinued
        try:
            async with self._request_scope(_CHECK_SECONDS):
                await self._check_jobs()
        except (KeyRefused, WrongAddress, TrainsNothing, HostUnreachable):
            raise
        except HostError:
            return  # may be temporary; if it is not, the start of the training will fail
        if self._profile.checks_eligibility:
            await self._refuse_closed(base)

    async def _refuse_closed(self, base: ModelName) -> None:
        """Raises TrainingClosed or KeyRefused as the host does for a job with a missing file."""
        try:
            async with self._request_scope():
                answer = await self._write_client.fine_tuning.jobs.with_raw_response.create(
                    model=base, training_file=_NO_FILE
                )
                job = self._job(answer.http_response)
        except (TrainingClosed, KeyRefused):
            raise
        except HostError:
            return
        await self.cancel_job(job.id)

    async def close(self) -> None:
        """Closes the connections; the host cannot be used afterwards."""
        await self._read_client.close()

    async def chat(
        self,
        model: ModelName,
        messages: Sequence[Mapping[str, object]],
        sampling: Sampling,
        *,
        is_sent_once: bool = False,
        tools: Sequence[Mapping[str, object]] = (),
    ) -> AsyncGenerator[Delta, None]:
        """Streams a chat completion; closing the iterator stops the request."""
        client = (
            self._chat_client.with_options(max_retries=0) if is_sent_once else self._chat_client
        )
        body = {
            "model": self._served_as.get(model, model),
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **request_fields.sampling_options(sampling),
            **({"tools": tools} if tools else {}),
            **self._extra_body,
        }
        reader = AnswerReader(begins_in_thoughts=model in self._models_with_lone_ends)
        deadline = asyncio.get_running_loop().time() + self._timeouts.first_piece
        with self._translate_errors():
            stream = await self._open_stream(client, body, deadline)
            try:
                async for chunk in self._chunks(stream, reader, deadline):
                    for delta in reader.read(chunk):
                        yield delta
                for delta in reader.rest():
                    yield delta
            finally:
                await stream.close()
            if reader.has_lone_end:
                self._models_with_lone_ends.add(model)
            if not (reader.has_text or reader.has_calls):
                raise self._empty_answer_error(stream, reader)
            self._require_end(stream, reader)

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Uploads a file without retries: the caller first looks whether it exists."""
        with SpooledTemporaryFile(max_size=MAX_IN_MEMORY_BYTES) as spool:
            request_fields.write_training_rows(
                spool, lines, byte_order_mark=self._dialect.byte_order_mark
            )
            async with self._request_scope(self._timeouts.whole_upload):
                answer = await self._write_client.files.with_raw_response.create(
                    file=(name, spool, "application/jsonl"),
                    purpose="fine-tune",
                    timeout=self._timeout(self._timeouts.upload),
                )
                row = response_parsing.parse_json_object(answer.http_response)
                uploaded = response_parsing.to_remote_file(row)
                if row.get("status") == "processed":
                    self._processed_files.add(uploaded.id)
                return uploaded

    async def files(self) -> AsyncIterator[RemoteFile]:
        """Yields every fine-tuning file, newest first; ends even if the host repeats pages."""
        with self._translate_errors():
            async for rows in read_pages(self._files_page):
                for row in rows:
                    yield response_parsing.to_remote_file(row)

    async def delete_file(self, file: str) -> None:
        async with self._request_scope():
            await self._write_client.files.with_raw_response.delete(file)

    async def read_file(self, file: str) -> bytes:
        async with self._request_scope(self._timeouts.whole_upload):
            answer = await self._read_client.files.with_raw_response.content(
                file, timeout=self._timeout(self._timeouts.upload)
            )
            return answer.http_response.content

    async def result_file(self, file: str) -> ResultFile:
        """Returns one of a job's `result_files`; no measures if it is not a table of steps."""
        content = result_file.unwrap_base64(await self.read_file(file))
        return ResultFile(content, result_file.read_step_metrics(content))

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Creates a job without retries: the caller first looks whether it exists.

        Raises FileUnchecked while the host checks a file, after which the caller can try again.
        """
        optional = {
            "validation_file": request.validation_file,
            "suffix": request.suffix,
            "seed": request.seed,
        }
        fields = {
            "model": request.base,
            "training_file": request.training_file,
            **{name: value for name, value in optional.items() if value not in (None, "")},
            "metadata": {"attune_start": request.idempotency_key},
            **request_fields.method_fields(request, self._dialect),
            **self._extra,
        }
        async with self._request_scope():
            await self._wait_for_files(request)
            return self._job(await self._post_job("/fine_tuning/jobs", fields))

    async def _post_job(self, path: str, fields: Json, **query: str) -> httpx2.Response:
        """Posts a job; after a refusal of an optional field, posts it again without the field.

        A refused request has created no job, so it is safe to send it again.
        """
        while True:
            fitted = self._learned.adapt_request(fields)
            try:
                return await self._write_client.post(
                    path, cast_to=httpx2.Response, body=fitted, options={"params": query}
                )
            except openai.APIStatusError as refusal:
                if not self._learned.learn(fitted, refusal):
                    raise

    async def _wait_for_files(self, request: JobRequest) -> None:
        for file in filter(None, (request.training_file, request.validation_file)):
            if file not in self._processed_files:
                await self._wait_until_processed(file)
                self._processed_files.add(file)

    async def _wait_until_processed(self, file: str) -> None:
        """Waits until the host has checked a file; Azure and others refuse a job before that.

        Raises HostRefused for a file that the host cannot use, and FileUnchecked if the host does
        not finish. The status "uploaded" is waited for only a few seconds, as it is the last one
        at some hosts.
        """
        status = ""
        for look in range(_MAX_FILE_CHECKS):
            try:
                row = await self._file_row(file)
            except (openai.APIStatusError, ProtocolViolation):
                return  # not every host can return a single file
            status = str(row.get("status") or "").lower()
            if status in _FILE_FAILED:
                why = str(row.get("status_details") or f"The file is in the state {status}.")
                raise HostRefused(host=self._name, message=one_line(why), code="invalid_file")
            if status not in _FILE_IN_CHECK and not (
                status in _FILE_UPLOADED and look < _MAX_CHECKS_WHEN_UPLOADED
            ):
                return
            await asyncio.sleep(_LOADING_PAUSE * (1 + look))
        raise FileUnchecked(host=self._name)

    async def _file_row(self, file: str) -> Json:
        """Returns the host's row of a file, with `status` and `status_details`."""
        answer = await self._read_client.files.with_raw_response.retrieve(file)
        return response_parsing.parse_json_object(answer.http_response)

    async def jobs(self) -> AsyncGenerator[RemoteJob, None]:
        """Yields every job, newest first; ends even if the host repeats pages."""
        with self._translate_errors():
            async for rows in read_pages(self._jobs_page):
                for row in rows:
                    yield response_parsing.to_remote_job(row)

    async def job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            answer = await self._read_client.fine_tuning.jobs.with_raw_response.retrieve(job)
            return self._job(answer.http_response)

    async def cancel_job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            answer = await self._write_client.fine_tuning.jobs.with_raw_response.cancel(job)
            return self._job(answer.http_response)

    async def pause_job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            answer = await self._write_client.fine_tuning.jobs.with_raw_response.pause(job)
            return self._job(answer.http_response)

    async def resume_job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            answer = await self._write_client.fine_tuning.jobs.with_raw_response.resume(job)
            return self._job(answer.http_response)

    async def job_events(self, job: str, seen_ids: frozenset[str]) -> Sequence[JobEvent]:
        """Returns the events whose ids are not in `seen`, oldest first, without duplicates."""

        async def fetch(after: str | None) -> httpx2.Response:
            list_events = self._read_client.fine_tuning.jobs.with_raw_response.list_events
            return (await list_events(job, after=after or omit, limit=ROWS_PER_PAGE)).http_response

        new: list[JobEvent] = []
        async with self._request_scope():
            async for rows in read_pages(fetch, content=response_parsing.event_content):
                unseen = [
                    e for e in map(response_parsing.to_job_event, rows) if e.id not in seen_ids
                ]
                if not unseen:
                    break
                new += unseen
        return response_parsing.oldest_first(new)

    async def checkpoints(self, job: str) -> Sequence[Checkpoint]:
        """Returns the checkpoints of a job that have a model name, by step."""

        async def fetch(after: str | None) -> httpx2.Response:
            list_page = self._read_client.fine_tuning.jobs.checkpoints.with_raw_response.list
            return (await list_page(job, after=after or omit, limit=ROWS_PER_PAGE)).http_response

        async with self._request_scope():
            names = self._dialect.model_fields
            parsed = [
                response_parsing.to_checkpoint(row, names)
                async for rows in read_pages(fetch)
                for row in rows
            ]
        return sorted((c for c in parsed if c), key=lambda checkpoint: checkpoint.step)

    async def models(self) -> Sequence[RemoteModel]:
        async with self._request_scope():
            answer = await self._chat_client.models.with_raw_response.list()
            rows = response_parsing.list_rows(answer.http_response)
            models = [
                response_parsing.to_remote_model(row)
                for row in rows
                if response_parsing.id_of_row(row)
            ]
        return [self._with_expiry(model) for model in models]

    @cached_property
    def _seeing(self) -> ImageModels:
        return ImageModels(self._profile.sees, self.models)

    async def accepts_images(self, model: ModelName) -> bool:
        served_name = self._served_as.get(model, model)
        return await self._seeing.has(model, served_name, request_fields.base_of_model_name(model))

    async def delete_model(self, model: ModelName) -> None:
        async with self._request_scope():
            await self._write_client.models.with_raw_response.delete(model)

    async def deploy(
        self, job: str, model: ModelName, *, base: ModelName, name: str
    ) -> ModelName | None:
        """Returns the model name for requests to a job's model; None while it is not ready."""
        if self._profile.serving is not Serving.DEPLOYED_BY_API:
            return model
        async with self._request_scope():
            served = ModelName(self._served_as.get(base, base))
            return await self._deployments.serve(job, served, name)

    async def deployments(self) -> Sequence[RemoteDeployment]:
        """Returns the deployments; empty if models need none or people make them by hand."""
        async with self._request_scope():
            return await self._deployments.all()

    async def undeploy(self, name: ModelName) -> None:
        async with self._request_scope():
            await self._deployments.delete(name)

    async def _open_stream(self, client: AsyncOpenAI, body: Json, deadline: float) -> AnswerEvents:
        """Opens a stream; retries without refused parameters, and while the host loads a model."""
        while True:
            fitted = self._learned.adapt_request(body)
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._post_stream(client, fitted)
            except openai.APIStatusError as refusal:
                has_learned = self._learned.learn(fitted, refusal)
                if not has_learned and not await _has_waited(refusal, deadline):
                    raise

    async def _post_stream(self, client: AsyncOpenAI, body: Json) -> AnswerEvents:
        # Chunks stay plain objects: parsing them into the package's models takes 115 µs a chunk
        # instead of 14 µs.
        return await client.post(
            "/chat/completions",
            cast_to=object,
            body=body,
            stream=True,
            stream_cls=AnswerEvents,
        )

    async def _chunks(
        self, stream: AnswerEvents, reader: AnswerReader, deadline: float
    ) -> AsyncGenerator[object]:
        """Yields the chunks, each within its time limit; a response that is no stream is one chunk.

        The limit of the first chunk is `deadline`.
        """
        if _content_type(stream).startswith("application/json"):
            async with asyncio.timeout_at(deadline):
                await stream.response.aread()
            yield response_parsing.parse_json_object(stream.response)
            return
        loop, chunks = asyncio.get_running_loop(), aiter(stream)
        while True:
            limit = loop.time() + self._timeouts.piece if reader.has_begun else deadline
            try:
                async with asyncio.timeout_at(limit):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            yield chunk

    def _require_end(self, stream: AnswerEvents, reader: AnswerReader) -> None:
        """Raises ProtocolViolation for a stream without an end, as of a proxy whose server died.

        Some hosts send no `finish_reason`; for those `[DONE]` is an end.
        """
        is_over = reader.has_finish_reason or (stream.is_done and not self._gives_finish_reasons)
        if not (is_over or _content_type(stream).startswith("application/json")):
            raise ProtocolViolation("The answer broke off before its end.")
        self._gives_finish_reasons |= reader.has_finish_reason

    def _empty_answer_error(self, stream: AnswerEvents, reader: AnswerReader) -> Exception:
        """Returns the error for an answer without text and tool calls."""
        content_type = _content_type(stream)
        if not content_type.startswith(("text/event-stream", "application/json")):
            return ProtocolViolation(f"The answer is {content_type} instead of a stream.")
        if reader.end is IncompleteReason.FILTER:
            return AnswerFiltered(host=self._name)
        if reader.has_thoughts:
            return OnlyThoughts(host=self._name)
        return EmptyAnswer(host=self._name, message="", code=None, param=None)

    async def _files_page(self, after: str | None) -> httpx2.Response:
        async with asyncio.timeout(self._timeouts.whole_poll):
            answer = await self._read_client.files.with_raw_response.list(
                purpose="fine-tune", order="desc", after=after or omit, limit=ROWS_PER_PAGE
            )
        return answer.http_response

    async def _jobs_page(self, after: str | None) -> httpx2.Response:
        async with asyncio.timeout(self._timeouts.whole_poll):
            answer = await self._read_client.fine_tuning.jobs.with_raw_response.list(
                after=after or omit, limit=ROWS_PER_PAGE
            )
        return answer.http_response

    def _job(self, response: httpx2.Response) -> RemoteJob:
        return response_parsing.to_remote_job(response_parsing.parse_json_object(response))

    def _with_expiry(self, model: RemoteModel) -> RemoteModel:
        """Returns the model with its expiry from the host, else the published one of its base."""
        published = self._shutdown_dates.get(request_fields.base_of_model_name(model.name))
        return replace(model, expires_on=model.expires_on or published)

    def _timeout(self, seconds: float) -> httpx2.Timeout:
        return httpx2.Timeout(seconds, connect=self._timeouts.connect)

    @asynccontextmanager
    async def _request_scope(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Limits the time of the requests in its block and translates their errors."""
        with self._translate_errors():
            async with asyncio.timeout(self._timeouts.whole_poll if seconds is None else seconds):
                yield

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(
            host=self._name, key_variable=self._key_variable, secrets=self._secrets
        )


def _discontinued(host: HostName, address: str) -> TuningGone | None:
    company = discontinued_host(address)
    return TuningGone(host=host, who=company[0], since=company[1]) if company else None


def _content_type(stream: AnswerEvents) -> str:
    return stream.response.headers.get("content-type", "text/event-stream")


async def _has_waited(refusal: openai.APIStatusError, deadline: float) -> bool:
    """Waits a second if the host is loading its model; False if it is not, or at the deadline."""
    is_loading = refusal.status_code == 503 and _LOADING.search(refusal.response.text)
    if not is_loading or asyncio.get_running_loop().time() + _LOADING_PAUSE >= deadline:
        return False
    await asyncio.sleep(_LOADING_PAUSE)
    return True
