"""Hosts that are odd in one thing or another: each is trained through, or refused in a sentence."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from adapters.openai import openai_host
from bot.domain import HostName, Phase
from tests.fakes.connected import CHAT, CREATE, EVENTS, JOB, UPLOAD, with_
from tests.fakes.faults import Call, Fault, answers, cut, cut_after, html, reshaped, says
from tests.fakes.faulty_host import FaultyHost
from tests.scene import Scene

FILE, FILES, JOBS, DELETE = (
    "GET /files/{id}",
    "GET /files",
    "GET /fine_tuning/jobs",
    "DELETE /files/{id}",
)
CHECKPOINTS = "GET /fine_tuning/jobs/{id}/checkpoints"
Arrange = Callable[[FaultyHost], None]
TRAINED = "succeeded"
MAX_CALLS, MAX_LOOKS = 320, 100
HERE = HostName("sandbox")


def has(**fields: Any) -> Arrange:
    def arrange(host: FaultyHost) -> None:
        for name, value in fields.items():
            setattr(host, name, value)

    return arrange


def once(route: str, *faults: Fault) -> Arrange:
    return lambda host: host.fail(route, *faults)


def always(route: str, fault: Fault) -> Arrange:
    return lambda host: host.fail_always(route, fault)


def all_of(*arranged: Arrange) -> Arrange:
    def arrange(host: FaultyHost) -> None:
        for one in arranged:
            one(host)

    return arrange


def answered(change: Callable[[Response], Response]) -> Fault:
    """It is done, and answered in another way."""

    async def fault(call: Call) -> Response:
        return change(await call.act())

    return fault


def each(change: Callable[[Any], Any]) -> Fault:
    """Every field of the answer, however deep, as `change` makes it."""

    def deep(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: deep(one) for name, one in value.items()}
        if isinstance(value, list):
            return [deep(one) for one in value]
        return change(value)

    return reshaped(deep)


def number_as_text(value: Any) -> Any:
    return str(value) if type(value) in (int, float) else value


def times_as(change: Callable[[int], object]) -> Fault:
    return each(lambda value: change(value) if type(value) is int and value > 10**9 else value)


def renamed(value: Any) -> Any:
    return f"0001 {value}.txt" if str(value).endswith(".jsonl") else value


def without_steps(body: dict[str, Any]) -> object:
    rows = [{**row, "data": {"train_loss": 1.0} if row["data"] else None} for row in body["data"]]
    return {**body, "data": rows}


def moved(status: int) -> Fault:
    """To the same place, where the fault is no more."""

    async def fault(call: Call) -> Response:
        return RedirectResponse(str(call.request.url), status)

    return fault


def halved() -> Fault:
    """In chunks, of which the last ones never come."""

    async def fault(call: Call) -> Response:
        whole = bytes((await call.act()).body)

        async def pieces() -> AsyncIterator[bytes]:
            yield whole[: len(whole) // 2]
            call.request.scope["transport"].abort()

        return StreamingResponse(pieces(), media_type="application/json")

    return fault


def done_twice() -> Fault:
    """A proxy repeats the request, and gives up on both answers."""

    async def fault(call: Call) -> Response:
        await call.act()
        await call.act()
        return Response("Bad gateway", 502)

    return fault


def marked(response: Response) -> Response:
    """With the mark of its byte order, as some Windows servers send it."""
    content = b"\xef\xbb\xbf" + bytes(response.body)
    return Response(content, response.status_code, media_type="application/json")


def empty(status: int) -> Fault:
    return answered(lambda response: Response(status_code=status))


def dated(status: int) -> Fault:
    return answers(status, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})


def no_more(host: FaultyHost) -> None:
    """The job is forgotten as soon as it runs."""

    async def fault(call: Call) -> Response:
        host.jobs.pop(call.request.path_params["id"], None)
        return await call.act()

    host.fail_always(JOB, fault)


ODD: Mapping[str, tuple[Arrange, str]] = {
    "a job id of odd characters": (has(job_prefix="ft job?#50%é:"), TRAINED),
    "states nobody knows": (has(life=("warming the oven", "COOKING", "succeeded")), TRAINED),
    "a state nobody knows, for ever": (has(life=("reticulating",) * 999), "“reticulating”"),
    "states in capitals": (
        always(JOB, reshaped(lambda job: job | {"status": str(job["status"]).upper()})),
        TRAINED,
    ),
    "a state in an object": (
        always(JOB, reshaped(lambda job: job | {"status": {"state": job["status"]}})),
        TRAINED,
    ),
    "queued for ever": (has(life=("queued",) * 999), "has not begun it"),
    "cancelled there": (has(life=("running", "cancelled")), "was cancelled"),
    "cancelled there, with one l": (has(life=("running", "CANCELED")), "was cancelled"),
    "expired there": (has(life=("queued", "expired")), "failed"),
    "events without steps": (always(EVENTS, reshaped(without_steps)), TRAINED),
    "events without an end": (has(ignores_after=True, omits_has_more=True, page_rows=1), TRAINED),
    "events with new ids each time": (has(invents_event_ids=True), TRAINED),
    "no events": (always(EVENTS, answers(404, "Not Found")), TRAINED),
    "no checkpoints": (always(CHECKPOINTS, answers(501)), TRAINED),
    "lists that are null": (always(CHECKPOINTS, with_(data=None)), TRAINED),
    "no word of the model": (always(JOB, with_(fine_tuned_model=None)), "names no model"),
    "a file checked for a while": (
        all_of(once(UPLOAD, with_(status="uploaded")), once(FILE, *[with_(status="pending")] * 3)),
        TRAINED,
    ),
    "a file received, and no more": (
        all_of(once(UPLOAD, with_(status="uploaded")), always(FILE, with_(status="uploaded"))),
        TRAINED,
    ),
    "a file checked for ever": (
        all_of(once(UPLOAD, with_(status="pending")), always(FILE, with_(status="running"))),
        "goes on checking the file",
    ),
    "a file it cannot read": (
        all_of(
            once(UPLOAD, with_(status="pending")),
            always(FILE, with_(status="error", status_details="Line 3 is torn.")),
        ),
        "Line 3 is torn.",
    ),
    "202 to a job": (
        once(CREATE, answered(lambda found: JSONResponse(json.loads(bytes(found.body)), 202))),
        TRAINED,
    ),
    "204 to a job": (once(CREATE, empty(204)), TRAINED),
    "204 to a deletion": (always(DELETE, empty(204)), TRAINED),
    "a page of a proxy": (all_of(once(CREATE, html(503)), once(JOB, html(200))), TRAINED),
    "502, 503, 504": (
        all_of(*(once(step, *map(answers, (502, 503, 504))) for step in (UPLOAD, CREATE, JOB))),
        TRAINED,
    ),
    "429 until a date": (
        all_of(*(once(step, dated(429), dated(503)) for step in (UPLOAD, CREATE, JOB, EVENTS))),
        TRAINED,
    ),
    "413": (always(UPLOAD, answers(413, "Request entity too large.")), "Request entity too large."),
    "409": (always(CREATE, answers(409, "Too many jobs.")), "Too many jobs."),
    "408": (once(CREATE, answers(408)), TRAINED),
    "half an answer": (
        all_of(once(CREATE, halved()), once(JOB, halved()), once(EVENTS, halved())),
        TRAINED,
    ),
    "no JSON, but done": (once(CREATE, answered(lambda found: Response("ok"))), TRAINED),
    "JSON as text": (
        always(JOB, answered(lambda found: Response(bytes(found.body), media_type="text/plain"))),
        TRAINED,
    ),
    "an error in a 200": (once(JOB, says('{"error": {"message": "Hiccup."}}')), TRAINED),
    "an error in every 200": (
        always(CREATE, says('{"error": "Out of service."}')),
        "Out of service.",
    ),
    "error: {}": (always(JOB, with_(error={}, result_files=None)), TRAINED),
    "numbers as text": (
        all_of(always(JOB, each(number_as_text)), always(EVENTS, each(number_as_text))),
        TRAINED,
    ),
    "times in milliseconds": (
        all_of(
            always(EVENTS, times_as(lambda at: at * 1000)),
            always(JOB, times_as(lambda at: at * 1000)),
        ),
        TRAINED,
    ),
    "times in words": (
        always(EVENTS, times_as(lambda at: datetime.fromtimestamp(at, UTC).isoformat())),
        TRAINED,
    ),
    "times with fractions": (
        all_of(
            always(EVENTS, times_as(lambda at: at + 0.5)),
            always(JOB, times_as(lambda at: at + 0.5)),
        ),
        TRAINED,
    ),
    "a mark before the JSON": (
        all_of(*(always(step, answered(marked)) for step in (CREATE, JOB, EVENTS))),
        TRAINED,
    ),
    "settings that are null": (
        always(JOB, with_(hyperparameters=None, method=None, metadata=None, trained_tokens=None)),
        TRAINED,
    ),
    "no state for a while": (once(JOB, *[with_(status=None)] * 2), TRAINED),
    "events that are text": (always(EVENTS, with_(data=["warming up", None, 7])), TRAINED),
    "an end long ago": (always(JOB, with_(estimated_finish=7)), TRAINED),
    "one job made twice": (
        all_of(once(CREATE, done_twice()), has(life=("queued",) * 3 + ("succeeded",))),
        TRAINED,
    ),
    "one job made, and lost": (once(CREATE, cut_after()), TRAINED),
    "a file of another name": (
        all_of(once(UPLOAD, cut_after()), always(FILES, each(renamed))),
        TRAINED,
    ),
    "a key refused for a while": (once(JOB, *[answers(401, "Bad key.")] * 3), TRAINED),
    "a key refused for good": (always(JOB, answers(401, "Bad key.")), "must check KEY"),
    "a job that is gone": (no_more, "no longer knows this job"),
    "a model that is loaded first": (has(loading_calls=3), TRAINED),
    "a model that never answers": (
        always(CHAT, answers(404, "No such model.")),
        "does not let it answer yet",
    ),
    "sent on": (
        all_of(*(once(step, moved(307)) for step in (UPLOAD, CREATE, JOB, EVENTS))),
        TRAINED,
    ),
    "sent on for good": (once(JOB, moved(301)), TRAINED),
    "what is sent goes elsewhere": (always(CREATE, moved(301)), "belongs into base_url"),
    "one cut after the other": (
        all_of(*(once(step, cut(), cut_after()) for step in (UPLOAD, CREATE, JOB, CHAT))),
        TRAINED,
    ),
}
PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
async def test_what_is_odd_is_trained_through_or_refused_in_a_sentence(
    scene: Scene, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_host, "_LOADING_PAUSE", 0.0)
    scene.start_patience, scene.job_patience = 0.5, 2.0
    scene.configs = [scene.config("sandbox", poll_seconds=300, listing_lag=1)]
    await scene.restart()
    await scene.learn(12)
    found: dict[str, object] = {}
    for name, (arrange, wanted) in itertools.islice(ODD.items(), part, None, PARTS):
        usual = vars(FaultyHost())
        scene.host.life = ("queued", "running", "running", "succeeded")
        arrange(scene.host)
        before = len(scene.host.asked)
        await scene.confirm("use:no")
        await _until_over(scene)
        found[name] = await _wrong(scene, wanted) or _too_many(scene, before)
        for field in ("life", "job_prefix", "ignores_after", "omits_has_more", "page_rows"):
            setattr(scene.host, field, usual[field])
        scene.host.invents_event_ids, scene.host.loading_calls = False, 0
        scene.host.recover()
        scene.host.jobs.clear()
        scene.host.files.clear()

    assert {name: wrong for name, wrong in found.items() if wrong} == {}


async def _until_over(scene: Scene) -> None:
    """Looks at the job alone, however long that takes by the clock."""
    for _ in range(MAX_LOOKS):
        wait = await scene.app.runners.jobs.poll_host(HERE)
        if (await scene.jobs())[0].phase.is_over:
            break
        scene.advance(wait or 1.0)
    scene.advance(600)
    await scene.app.runners.jobs.poll_host(HERE)
    await scene.app.deliver_notices()


async def _wrong(scene: Scene, wanted: str) -> object:
    """What ended otherwise than it should; nothing where all is as wanted."""
    job = (await scene.jobs())[0]
    told = await scene.said(f"Training {job.id} ")
    running = [one.id for one in scene.host.jobs.values() if one.status not in ENDED]
    is_trained = job.phase is Phase.SUCCEEDED
    if not told or wanted not in told[-1] or (wanted == TRAINED) > is_trained:
        return job.phase, job.error_message, told
    if len(scene.host.files) > 1:
        return "left there", list(scene.host.files)
    if running and wanted not in UNREACHED:
        return "still paid for", running
    return None


ENDED = ("succeeded", "failed", "cancelled", "CANCELED", "expired")
UNREACHED = ("must check KEY",)
"""Where it cannot be cancelled before the host lets us in again."""


def _too_many(scene: Scene, before: int) -> object:
    calls = len(scene.host.asked) - before
    return ("calls", calls) if calls > MAX_CALLS else None
