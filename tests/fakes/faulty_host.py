"""A fake host with OpenAI's protocol on loopback, strict about requests, with planned faults.

async with faulty_host() as host:
    host.fail("POST /files", cut_after())
    ...
    assert len(host.files) == 1
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import uvicorn
from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tests.fakes import openai_rules
from tests.fakes.faults import Call, Fault, refusal
from tests.fakes.fireworks import Fireworks
from tests.fakes.openai_rules import Body, RejectedError
from tests.fakes.openai_shapes import (
    DAWN,
    OVER,
    FakeFile,
    FakeJob,
    Json,
    checkpoint_json,
    chunk,
    event_json,
    file_json,
    job_json,
    model_json,
    piece_chunk,
    usage_json,
)
from tests.fakes.together import Together

_RESULTS = "fine-tune-results"

Listed = TypeVar("Listed", FakeFile, FakeJob)


@dataclass(frozen=True, slots=True)
class Asked:
    """A received request; `body` is its JSON object, or empty."""

    route: str
    path: str
    query: dict[str, str]
    body: Body


class FaultyHost:
    """State of the fake host, which tests change, inspect and plan faults in.

    `life` is the sequence of statuses of every new job. A new file or job is missing from lists
    for `lag_seconds` of the fake clock and for `lag_listings` calls of the list.
    """

    def __init__(self) -> None:
        self.url = ""
        self.key = "sk-fake"
        self.now = DAWN
        self.files: dict[str, FakeFile] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.asked: list[Asked] = []
        self.bases = ["base"]
        self.tuned: list[str] = []
        self.life: Sequence[str] = ("queued", "running", "running", "succeeded")
        self.job_prefix = "ftjob-"
        self.lag_seconds = 0
        self.lag_listings = 0
        self.page_rows = 1000
        self.ignores_after = False
        self.omits_has_more = False
        self.invents_event_ids = False
        self.is_legacy = False
        self.refuses_stream_options = False
        self.loading_calls = 0
        self.loading_status = 404
        self.pieces: Sequence[str] = ("Hello", " from", " the model")
        self.answers: Callable[[Body], str] | None = None
        """Function from a request to the answer, in place of `pieces`."""
        self.refuses_by: Sequence[str] = ()
        self.is_filtered = False
        self.finish_reason = "stop"
        self.deltas: Sequence[Json] | Callable[[Body], Sequence[Json]] = ()
        """Deltas of a stream, in place of pieces of text."""
        self.piece_seconds = 0.0
        self.stops_after_first = False
        """Whether a stream sends one piece and then nothing until its client disconnects."""
        self.stopped_streams = 0
        self.results: bytes | None = None
        self.needs_deployment = False
        self.settings: Json = {}
        self.takes_any_file = False
        self.deploying_looks = 0
        self.deployments: list[Json] = []
        self.shutdown_dates: dict[str, str] = {}
        self.listed: dict[str, Json] = {}
        """Further fields of a model in the list, by name."""
        self.ages_when_listed = False
        self.together, self.fireworks = Together(self), Fireworks(self)
        self._listings: dict[str, int] = defaultdict(int)
        self._planned_faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._permanent_faults: dict[str, Fault] = {}
        self._released = asyncio.Event()
        self._id_count = 0

    def fail(self, route: str, *faults: Fault) -> None:
        """Plans faults for the next calls of a route, such as `GET /fine_tuning/jobs/{id}`."""
        self._planned_faults[route].extend(faults)

    def fail_always(self, route: str, fault: Fault) -> None:
        self._permanent_faults[route] = fault

    def recover(self) -> None:
        """Cancels all planned faults."""
        self._planned_faults.clear()
        self._permanent_faults.clear()

    def release(self) -> None:
        """Releases all calls that wait for it."""
        self._released.set()
        self._released = asyncio.Event()

    def advance(self, seconds: int) -> None:
        self.now += seconds

    def count(self, route: str) -> int:
        return sum(asked.route == route for asked in self.asked)

    @property
    def sent(self) -> list[Asked]:
        """All requests except GET."""
        return [asked for asked in self.asked if not asked.route.startswith("GET ")]

    def last(self, route: str) -> Asked:
        return next(asked for asked in reversed(self.asked) if asked.route == route)

    def forget(self, job: str) -> None:
        """Removes a job, which is a 404 from then on."""
        del self.jobs[job]

    def app(self) -> ASGIApp:
        routes: list[BaseRoute] = [
            self.route("POST /files", self._upload),
            self.route("GET /files", self._list_files),
            self.route("GET /files/{id}", self._retrieve_file),
            self.route("GET /files/{id}/content", self._read_file),
            self.route("DELETE /files/{id}", self.delete_file),
            self.route("POST /fine_tuning/jobs", self._create_job),
            self.route("GET /fine_tuning/jobs", self._list_jobs),
            self.route("GET /fine_tuning/jobs/{id}", self._retrieve_job),
            self.route("POST /fine_tuning/jobs/{id}/cancel", self.turn("cancelled")),
            self.route("POST /fine_tuning/jobs/{id}/pause", self.turn("paused")),
            self.route("POST /fine_tuning/jobs/{id}/resume", self.turn("queued")),
            self.route("GET /fine_tuning/jobs/{id}/events", self._list_events),
            self.route("GET /fine_tuning/jobs/{id}/checkpoints", self._list_checkpoints),
            self.route("POST /chat/completions", self.chat),
            self.route("GET /models", self.list_models),
            self.route("DELETE /models/{id:path}", self._delete_model),
            self.route("GET /v0/models", self._list_deployments),
            self.route("POST /v0/models", self._deploy),
            self.route("DELETE /v0/models/{id:path}", self._undeploy),
            Mount("/together", routes=self.together.routes()),
            Mount("/fireworks", routes=self.fireworks.routes()),
        ]
        return _with_transport(Starlette(routes=routes))

    def route(
        self, name: str, act: Callable[[Request], Awaitable[Response]], at: str = ""
    ) -> Route:
        verb, path = name.split(" ")

        async def endpoint(request: Request) -> Response:
            self.asked.append(await self._recorded(name, request))
            fault = self._next_fault(name)
            call = Call(request, lambda: self._do(act, request), self._released.wait)
            return await (fault(call) if fault else call.act())

        address = at or (path if path.startswith("/v0") else f"/v1{path}")
        return Route(address, endpoint, methods=[verb])

    async def _recorded(self, name: str, request: Request) -> Asked:
        query = dict(request.query_params)
        return Asked(name, request.url.path, query, await _body(request))

    def _next_fault(self, name: str) -> Fault | None:
        planned = self._planned_faults[name]
        return planned.popleft() if planned else self._permanent_faults.get(name)

    async def _do(
        self, act: Callable[[Request], Awaitable[Response]], request: Request
    ) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        try:
            return await act(request)
        except RejectedError as error:
            return refusal(400, error.message, param=error.param)
        except KeyError as error:
            return refusal(404, f"No such object: {error.args[0]}")

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            part = form.get("file")
            if not isinstance(part, UploadFile) or set(form) != {"file", "purpose"}:
                raise RejectedError("Missing required parameter: 'file'.", "file")
            name, content = part.filename or "", await part.read()
            openai_rules.check_upload(form["purpose"], name, content)
        return JSONResponse(file_json(self.new_file(name, content)))

    def new_file(self, name: str, content: bytes, *, identity: str = "") -> FakeFile:
        before = self._listings["files"]
        new = FakeFile(identity or self._id("file-"), name, content, self.now, before)
        self.files[new.id] = new
        return new

    def listed_files(self) -> list[FakeFile]:
        files = {f.id: f for f in self.files.values() if f.purpose == "fine-tune"}
        return self._visible_in_list("files", files)

    def listed_jobs(self) -> list[FakeJob]:
        if self.ages_when_listed:
            for job in self.jobs.values():
                self.age(job)
        return self._visible_in_list("jobs", self.jobs)

    def seen_job(self, request: Request) -> FakeJob:
        job = self.jobs[request.path_params["id"]]
        self.age(job)
        return job

    async def _list_files(self, request: Request) -> Response:
        purpose = request.query_params.get("purpose")
        files = {f.id: f for f in self.files.values() if purpose in (None, f.purpose)}
        rows = [file_json(file) for file in self._visible_in_list("files", files)]
        return self._page(request, rows)

    async def _retrieve_file(self, request: Request) -> Response:
        return JSONResponse(file_json(self.files[request.path_params["id"]]))

    async def _read_file(self, request: Request) -> Response:
        return Response(self.files[request.path_params["id"]].content)

    async def delete_file(self, request: Request) -> Response:
        deleted = self.files.pop(request.path_params["id"])
        return JSONResponse({"id": deleted.id, "object": "file", "deleted": True})

    async def _create_job(self, request: Request) -> Response:
        body = await _body(request)
        openai_rules.check_job(body, is_legacy=self.is_legacy, settings=tuple(self.settings))
        for name in ("training_file", "validation_file"):
            if name in body and body[name] not in self.files and not self.takes_any_file:
                raise RejectedError(f"No such file: {body[name]}", name)
        if body["model"] not in (*self.bases, *self.tuned):
            raise RejectedError(f"Model {body['model']} is not available for fine-tuning.", "model")
        return JSONResponse(self._job_json(self.new_job(body)))

    def new_job(self, body: Body) -> FakeJob:
        job = FakeJob(
            id=self._id(self.job_prefix),
            body=body,
            created_at=self.now,
            listings_before=self._listings["jobs"],
            life=deque(self.life),
            status="validating_files",
        )
        self.jobs[job.id] = job
        self._add_event(job, "Created fine-tuning job")
        return job

    async def _list_jobs(self, request: Request) -> Response:
        if self.ages_when_listed and "after" not in request.query_params:
            for job in self.jobs.values():
                self.age(job)
        return self._page(
            request, [self._job_json(j) for j in self._visible_in_list("jobs", self.jobs)]
        )

    async def _retrieve_job(self, request: Request) -> Response:
        return JSONResponse(self._job_json(self.seen_job(request)))

    def age(self, job: FakeJob) -> None:
        if job.life and job.status not in (*OVER, "paused"):
            self._set_status(job, job.life.popleft())

    def turn(self, status: str) -> Callable[[Request], Awaitable[Response]]:
        async def act(request: Request) -> Response:
            job = self.jobs[request.path_params["id"]]
            if job.status in OVER:
                raise RejectedError(f"Job has already completed with status: {job.status}")
            job.status = status
            self._add_event(job, f"The job is {status}")
            return JSONResponse(self._job_json(job))

        return act

    async def _list_events(self, request: Request) -> Response:
        events = self.jobs[request.path_params["id"]].events[::-1]
        if self.invents_event_ids:
            events = [{**event, "id": self._id("ftevent-")} for event in events]
        return self._page(request, events)

    async def _list_checkpoints(self, request: Request) -> Response:
        job = self.jobs[request.path_params["id"]]
        return self._page(request, [checkpoint_json(job)] if job.model else [])

    async def chat(self, request: Request) -> Response:
        body = await _body(request)
        openai_rules.check_chat(body)
        if self.refuses_stream_options and "stream_options" in body:
            raise RejectedError("Unknown parameter: 'stream_options'.", "stream_options")
        if self.loading_calls > 0:
            self.loading_calls -= 1
            return refusal(self.loading_status, "The model is still being loaded.")
        if body["model"] not in self._chat_models():
            return refusal(404, "The model does not exist.", code="model_not_found")
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    def _texts(self, body: Body) -> Sequence[str]:
        if self.answers is not None:
            return (self.answers(body),)
        return () if self.deltas else self.pieces

    async def _stream(self, body: Body) -> AsyncIterator[bytes]:
        try:
            deltas = self.deltas(body) if callable(self.deltas) else self.deltas
            for delta in deltas:
                yield chunk([{"index": 0, "delta": delta, "finish_reason": None}])
            for piece in self._texts(body):
                await asyncio.sleep(self.piece_seconds)
                yield piece_chunk(piece, *self.refuses_by)
                if self.stops_after_first:
                    await asyncio.Event().wait()
            reason = "content_filter" if self.is_filtered else self.finish_reason
            yield chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
            if "stream_options" in body:
                yield chunk([], usage=usage_json(7, len(self.pieces)))
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.stopped_streams += 1
            raise

    async def list_models(self, request: Request) -> Response:
        dates = self.shutdown_dates
        names = (*self.bases, *self.tuned)
        fields = self.listed
        rows = [
            {**model_json(name), "shutdown_date": dates.get(name), **fields.get(name, {})}
            for name in names
        ]
        return JSONResponse({"object": "list", "data": rows})

    async def _delete_model(self, request: Request) -> Response:
        name = request.path_params["id"]
        if name not in self.tuned:
            raise KeyError(name)
        self.tuned.remove(name)
        return JSONResponse({"id": name, "object": "model", "deleted": True})

    async def _list_deployments(self, request: Request) -> Response:
        self.age_deployments()
        return JSONResponse({"data": [dict(deployment) for deployment in self.deployments]})

    def age_deployments(self) -> None:
        for deployment in self.deployments:
            if deployment["status"] == "validating" and self.deploying_looks > 0:
                self.deploying_looks -= 1
            elif deployment["status"] == "validating":
                deployment["status"] = "active"

    async def _deploy(self, request: Request) -> Response:
        body = await _body(request)
        job, _, checkpoint = str(body["source"]).partition(":")
        if set(body) != {"source", "base_model", "name"} or checkpoint != f"ftckpt-{job}":
            raise RejectedError("Invalid source.", "source")
        name = f"{body['base_model']}-LoRa:{body['name']}-Ab12"
        new: Json = {**body, "name": name, "status": "validating", "status_reason": None}
        self.deployments.append(new)
        return JSONResponse(new)

    async def _undeploy(self, request: Request) -> Response:
        remaining = [
            deployment
            for deployment in self.deployments
            if deployment["name"] != request.path_params["id"]
        ]
        if len(remaining) == len(self.deployments):
            raise KeyError(request.path_params["id"])
        self.deployments = remaining
        return JSONResponse({"deleted": True})

    def _chat_models(self) -> list[str]:
        if not self.needs_deployment:
            return [*self.bases, *self.tuned]
        ready = [
            str(deployment["name"])
            for deployment in self.deployments
            if deployment["status"] == "active"
        ]
        return [*self.bases, *ready]

    def _set_status(self, job: FakeJob, status: str) -> None:
        job.status = status
        if status == "running":
            job.step += 1
            metrics = {"step": job.step, "total_steps": job.life.count("running") + job.step}
            loss = round(2 / (1 + job.step), 3)
            message = f"Step {job.step}/{metrics['total_steps']}: training loss={loss}"
            self._add_event(job, message, data={**metrics, "train_loss": loss, "valid_loss": None})
        elif status == "succeeded":
            default_name = f"ft:{job.body['model']}:team:{job.body.get('suffix', '')}:{job.id}"
            job.model = str(job.body.get("outputModel", default_name))
            self.tuned.append(job.model)
            self._add_result_file(job)
            self._add_event(job, "The job has successfully completed")

    def _add_result_file(self, job: FakeJob) -> None:
        if self.results is not None:
            name = "step_metrics.csv"
            file = FakeFile(self._id("file-"), name, self.results, self.now, 0, _RESULTS)
            self.files[file.id] = file
            job.results.append(file.id)

    def _add_event(self, job: FakeJob, message: str, data: Json | None = None) -> None:
        job.events.append(event_json(self._id("ftevent-"), self.now, message, data))

    def _job_json(self, job: FakeJob) -> Json:
        return job_json(job, self.now)

    def _visible_in_list(self, noun: str, things: Mapping[str, Listed]) -> list[Listed]:
        """Returns objects newest first, without those that the list does not have yet."""
        before = self._listings[noun]
        self._listings[noun] += 1
        return [
            thing
            for thing in list(things.values())[::-1]
            if self.now - thing.created_at >= self.lag_seconds
            and before - thing.listings_before >= self.lag_listings
        ]

    def _page(self, request: Request, rows: Sequence[Json]) -> Response:
        limit = min(int(request.query_params.get("limit", 20)), self.page_rows)
        after = None if self.ignores_after else request.query_params.get("after")
        ids = [row["id"] for row in rows]
        start = ids.index(after) + 1 if after in ids else 0
        page: Json = {"object": "list", "data": rows[start : start + limit]}
        if not self.omits_has_more:
            page["has_more"] = start + limit < len(rows)
        return JSONResponse(page)

    def _id(self, prefix: str) -> str:
        self._id_count += 1
        return f"{prefix}{self._id_count:06}"


@asynccontextmanager
async def faulty_host() -> AsyncIterator[FaultyHost]:
    """Runs a fake host on a free port of loopback."""
    host = FaultyHost()
    async with listening(host.app()) as address:
        host.url = f"{address}/v1"
        yield host


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """Runs an app on a free port of loopback and yields its URL."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    config.load()
    state = ServerState()
    # uvicorn.Server takes 0.2 s to stop and handles signals, its protocol class does neither.
    server = await asyncio.get_running_loop().create_server(
        lambda: H11Protocol(config, state, {}), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await _tear_down(state)


async def _tear_down(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
    for task in list(state.tasks):
        task.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)


async def _body(request: Request) -> Body:
    """Returns the JSON object of a request; leaves a multipart body unread for faults to cut."""
    if request.headers.get("content-type") != "application/json":
        return {}
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _with_transport(app: ASGIApp) -> ASGIApp:
    """Adds the transport to the scope, so that a fault can abort the connection; ASGI cannot."""

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        scope["transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await app(scope, receive, send)

    return outermost
