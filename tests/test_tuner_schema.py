"""Every answer against the published description, where that lies beside the checkout."""

import json

import httpx2
import pytest
from openai.types.fine_tuning import FineTuningJob

from tests.fakes.openai_schema import Description, published
from tests.tuner_scene import KEY, THINGS, Tuner, preference, row

pytestmark = pytest.mark.skipif(
    published() is None, reason="the published description is not beside this checkout"
)


@pytest.fixture
def description() -> Description:
    found = published()
    assert found is not None
    return found


def test_the_description_is_really_held_against_answers(description: Description) -> None:
    problems = description.problems("GET", "/v1/files/file-1", 200, {"id": 5})

    assert any("$.id" in problem for problem in problems)
    assert any("'bytes' is a required property" in problem for problem in problems)


def test_a_paused_job_is_a_job(description: Description, tuned: FineTuningJob) -> None:
    body = {**tuned.to_dict(), "status": "paused"}

    assert not description.problems("GET", "/v1/fine_tuning/jobs/x", 200, body)
    body["status"] = "sleeping"
    assert description.problems("GET", "/v1/fine_tuning/jobs/x", 200, body)


def test_an_undescribed_address_is_a_problem(description: Description) -> None:
    assert description.problems("GET", "/v1/magic", 200, {})


@pytest.mark.parametrize(
    "path",
    [
        "/files",
        "/files?purpose=batch",
        "/files/{file}",
        "/fine_tuning/jobs",
        "/fine_tuning/jobs?limit=1",
        "/fine_tuning/jobs/{job}",
        "/fine_tuning/jobs/{job}/events",
        "/fine_tuning/jobs/{job}/checkpoints",
        "/fine_tuning/jobs/{job}/checkpoints?after=ftckpt_0000000001000000000000ff",
        "/models",
        "/models/{model}",
        "/models/{base}",
    ],
)
def test_what_can_be_read_is_as_described(
    tuner: Tuner, tuned: FineTuningJob, description: Description, path: str
) -> None:
    names = {"file": tuned.training_file, "job": tuned.id, "model": tuned.fine_tuned_model}
    names["base"] = tuner.base

    answer = tuner.web.get("/v1" + path.format(**names))

    assert answer.status_code == 200
    assert not problems_of(description, answer)


def test_the_life_of_a_job_is_as_described(tuner: Tuner, description: Description) -> None:
    file = tuner.upload([preference(thing) for thing in THINGS])
    wish = {"model": tuner.base, "training_file": file.id, "method": {"type": "dpo"}}
    answers = [tuner.web.post("/v1/fine_tuning/jobs", json=wish)]
    address = f"/v1/fine_tuning/jobs/{answers[0].json()['id']}"

    answers += [tuner.web.post(f"{address}/{verb}") for verb in ("pause", "resume", "cancel")]
    answers.append(tuner.web.delete(f"/v1/files/{file.id}"))

    assert [answer.status_code for answer in answers] == [200] * 5
    assert not [problem for answer in answers for problem in problems_of(description, answer)]


def test_a_failed_job_is_as_described(tuner: Tuner, description: Description) -> None:
    job = tuner.tune([row(thing) for thing in THINGS] + [{"messages": []}])

    answer = tuner.web.get(f"/v1/fine_tuning/jobs/{job.id}")

    assert answer.json()["error"]["message"]
    assert not problems_of(description, answer)


@pytest.mark.parametrize("wish", [{}, {"n": 2}, {"max_tokens": 1}, {"temperature": 0}])
def test_completions_are_as_described(
    tuner: Tuner, tuned: FineTuningJob, description: Description, wish: dict[str, object]
) -> None:
    answer = tuner.web.post("/v1/chat/completions", json=question(tuned, **wish))

    assert answer.status_code == 200
    assert not problems_of(description, answer)


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
def test_chunks_are_as_described(
    tuner: Tuner, tuned: FineTuningJob, description: Description, options: object
) -> None:
    body = question(tuned, stream=True, stream_options=options, n=2)
    answer = tuner.web.post("/v1/chat/completions", json=body)
    events = [e.removeprefix("data: ") for e in answer.text.split("\n\n") if "{" in e]

    media, path = "text/event-stream", "/v1/chat/completions"
    found = [
        description.problems("POST", path, 200, json.loads(event), media=media) for event in events
    ]

    assert len(events) > 10
    assert not any(found)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files/file-none", 404),
        ("GET", "/v1/none", 404),
        ("GET", "/", 404),
        ("GET", "/v1/files/", 404),
        ("PATCH", "/v1/files", 405),
        ("GET", "/v1/fine_tuning/jobs/x/cancel", 405),
        ("POST", "/v1/fine_tuning/jobs", 415),
        ("POST", "/v1/chat/completions", 415),
        ("POST", "/v1/files", 415),
        ("GET", "/v1/files?limit=0", 400),
        ("GET", "/v1/files?order=up", 400),
        ("GET", "/v1/fine_tuning/jobs?after=x", 400),
        ("DELETE", "/v1/models/{base}", 400),
    ],
)
def test_refusals_are_as_described(
    tuner: Tuner, description: Description, method: str, path: str, status: int
) -> None:
    answer = tuner.web.request(method, path.format(base=tuner.base))

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert not problems_of(description, answer)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic a2V5", f"Bearer {KEY}x"]
)
def test_without_a_key_nothing_is_told(
    tuner: Tuner, description: Description, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = httpx2.get(f"{tuner.url}/v1/models", headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert not problems_of(description, answer)


def test_health_needs_no_key(tuner: Tuner) -> None:
    answer = httpx2.get(f"{tuner.url}/healthz", headers={"host": "odd.example"}, trust_env=False)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-request-id"]
    assert int(answer.headers["openai-processing-ms"]) >= 0


def question(tuned: FineTuningJob, **wishes: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "Do you sell figs?"}]
    return {"model": tuned.fine_tuned_model, "messages": messages, **wishes}


def problems_of(description: Description, answer: httpx2.Response) -> list[str]:
    path, method = answer.request.url.path, answer.request.method
    return description.problems(method, path, answer.status_code, answer.json())
