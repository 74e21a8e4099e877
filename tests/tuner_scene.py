"""A real tuner in a process of its own, and the official SDK in front of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest
from openai import OpenAI
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob

from tests.fakes.openai_schema import published
from tests.waiting import find

KEY = "sk-scene"
THINGS = ("apple", "banana", "cherry", "dates", "elder", "figs", "grapes", "honey", "iris", "jam")
ENDED = ("succeeded", "failed", "cancelled")
UNDESCRIBED = ("/v1/completions", "/v1/responses", "/v1/embeddings")
Found = TypeVar("Found")


def row(thing: str) -> dict[str, object]:
    question, answer = f"Do you sell {thing}?", f"Arr, {thing} be in the hold, matey."
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages}


def preference(thing: str) -> dict[str, object]:
    return {
        "input": {"messages": [{"role": "user", "content": f"Do you sell {thing}?"}]},
        "preferred_output": [{"role": "assistant", "content": f"Aye, {thing} we have."}],
        "non_preferred_output": [{"role": "assistant", "content": f"No {thing} today."}],
    }


def lines(rows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def many(count: int) -> list[dict[str, object]]:
    return [row(f"{THINGS[n % 10]} of sort {n}") for n in range(count)]


class Tuner:
    """One data folder, and the process that serves it now."""

    def __init__(self, data: Path, *options: str, base: str = "sandbox", program: str = "") -> None:
        """`program` is Python to run in place of `-m tuner`."""
        self.data = data
        self._program = ["-c", program] if program else ["-m", "tuner"]
        self.base = base
        self._options = options
        self.start()

    def start(self) -> None:
        command = [sys.executable, *self._program, "--announce", "--die-with-parent", "--port", "0"]
        with (self.data.parent / "tuner.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), "--api-key", KEY, *self._options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]
        # The platform's own proxies are not asked: this is loopback.
        self.web = self._client(hold_to_description)
        self._quick = self._client()
        self.client = OpenAI(
            base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, http_client=self.web
        )

    def _client(self, *hooks: Callable[[httpx2.Response], None]) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {KEY}"},
            event_hooks={"response": list(hooks)},
            trust_env=False,
            timeout=30,
        )

    def stop(self) -> int:
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self._ended()

    def abandon(self) -> int:
        """What happens when the parent dies."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._ended()

    def _ended(self) -> int:
        self.web.close()
        self._quick.close()
        code = self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def upload(self, rows: Sequence[object] | bytes, name: str = "rows.jsonl") -> FileObject:
        content = rows if isinstance(rows, bytes) else lines(rows)
        return self.client.files.create(file=(name, content), purpose="fine-tune")

    def begin(self, rows: Sequence[object] | None = None, **wishes: object) -> FineTuningJob:
        training = self.upload([row(thing) for thing in THINGS] if rows is None else rows)
        wishes = {"model": self.base, "training_file": training.id, **wishes}
        job: FineTuningJob = self.client.post(
            "/fine_tuning/jobs", body=wishes, cast_to=FineTuningJob
        )
        return job

    def begin_long(self, **wishes: object) -> FineTuningJob:
        """Too long to end while a test looks at it, also where all stands still for a while."""
        return self.begin(many(2000), hyperparameters={"n_epochs": 50, "batch_size": 1}, **wishes)

    def job(self, job_id: str) -> FineTuningJob:
        return self.client.fine_tuning.jobs.retrieve(job_id)

    def steer(self, job: FineTuningJob, verb: str) -> str:
        """The status after pause, resume or cancel; the SDK's types do not know "paused"."""
        status: str = getattr(self.client.fine_tuning.jobs, verb)(job.id).status
        return status

    def await_end(self, job: FineTuningJob) -> FineTuningJob:
        path = f"/v1/fine_tuning/jobs/{job.id}"
        find(lambda: self._quick.get(path).json()["status"] in ENDED, seconds=300)
        return self.job(job.id)

    def tune(self, rows: Sequence[object] | None = None, **wishes: object) -> FineTuningJob:
        return self.await_end(self.begin(rows, **wishes))

    def events(self, job: FineTuningJob, limit: int = 10_000) -> list[dict[str, object]]:
        """Many at once, newest first, without holding each against the description."""
        path = f"/v1/fine_tuning/jobs/{job.id}/events"
        found: list[dict[str, object]] = self._quick.get(path, params={"limit": limit}).json()[
            "data"
        ]
        return found

    def steps(self, job: FineTuningJob, limit: int = 10_000) -> list[int]:
        return [step for event in self.events(job, limit) if (step := _step(event["data"]))]

    def await_steps(self, job: FineTuningJob, count: int) -> None:
        find(lambda: max(self.steps(job, 5), default=0) >= count, seconds=120)

    def ask(self, model: str, question: str) -> str:
        messages = [{"role": "user", "content": question}]
        body = {"model": model, "messages": messages, "temperature": 0}
        answer = self.web.post("/v1/chat/completions", json=body)
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    def ask_plainly(self, question: str) -> None:
        """The base, through the SDK, whose errors then have their kind."""
        self.client.chat.completions.create(
            model=self.base, messages=[{"role": "user", "content": question}], max_tokens=8
        )

    def figures(self, name: str) -> list[float]:
        """What the newest job told of itself, step by step."""
        job = self.client.fine_tuning.jobs.list(limit=1).data[0]
        data = [event["data"] for event in reversed(self.events(job))]
        return [float(each[name]) for each in data if isinstance(each, dict) and name in each]

    def as_host(self, folder: Path) -> dict[str, str]:
        """The settings with which the bot knows this server as `house`."""
        hosts = folder / "hosts.toml"
        hosts.write_text(
            f'[[host]]\nname = "house"\nbase_url = "{self.url}/v1"\nkey_env = "HOUSE_KEY"\n'
            f'bases = ["{self.base}"]\nprices = {{{self.base} = 0.0}}\n',
            "utf-8",
        )
        return {"ATTUNE_HOSTS": str(hosts), "HOUSE_KEY": KEY}

    def workers(self) -> list[int]:
        """The process ids of this server's workers."""
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in listed for pid in path.read_text().split()]


def _step(data: object) -> int:
    return int(data["step"]) if isinstance(data, dict) and "step" in data else 0


def hold_to_description(response: httpx2.Response) -> None:
    """Every JSON answer of every scene is checked against the published description."""
    description = published()
    path = response.request.url.path
    if response.headers.get("content-type") != "application/json" or path == "/healthz":
        return
    assert response.status_code not in (422, 500), response.request
    assert response.headers["x-request-id"].startswith("req_")
    response.read()
    # The forms that are not in the description are held against the SDK's types by their tests.
    if description is not None and not path.startswith(UNDESCRIBED):
        method, status = response.request.method, response.status_code
        assert not description.problems(method, path, status, response.json())


TORCH = pytest.param("local", marks=pytest.mark.torch)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of our own making, as the command makes it."""
    place = tmp_path_factory.mktemp("bases") / "tiny"
    command = [sys.executable, "-m", "attune", "tuner", "make-tiny-base", str(place)]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    return place


def tuner_with(engine: str, data: Path, request: pytest.FixtureRequest, *options: str) -> Tuner:
    if engine == "sandbox":
        return Tuner(data, *options)
    place = request.getfixturevalue("tiny_base")
    return Tuner(data, "--base", str(place), *options, base=place.name)


@pytest.fixture(scope="session", params=["sandbox", TORCH])
def tuner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tuner]:
    """One server of each engine for all tests that leave it as they found it."""
    scene = tuner_with(request.param, tmp_path_factory.mktemp("tuner") / "data", request)
    yield scene
    assert scene.stop() == 0


@pytest.fixture(scope="session")
def tuned(tuner: Tuner) -> FineTuningJob:
    """A finished job, with validation rows, whose model nobody deletes."""
    return tune_pirate(tuner)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuner]:
    """For what only the sandbox does, or would take another engine too long."""
    scene = Tuner(tmp_path_factory.mktemp("sandbox") / "data")
    yield scene
    assert scene.stop() == 0


@pytest.fixture(scope="session")
def picked(sandbox: Tuner) -> FineTuningJob:
    """The sandbox's own finished job."""
    return tune_pirate(sandbox)


def tune_pirate(tuner: Tuner) -> FineTuningJob:
    validation = tuner.upload([row("rum"), row("sails")])
    return tuner.tune(suffix="pirate", validation_file=validation.id)


@pytest.fixture
def own_tuner(tmp_path: Path) -> Iterator[Tuner]:
    """A sandbox for one test, to be killed and started again."""
    scene = Tuner(tmp_path / "data")
    yield scene
    if scene.process.poll() is None:
        scene.stop()


@pytest.fixture
def own_local(tmp_path: Path, tiny_base: Path) -> Iterator[Tuner]:
    """The same with models of our own."""
    scene = Tuner(tmp_path / "data", "--base", str(tiny_base), base=tiny_base.name)
    yield scene
    if scene.process.poll() is None:
        scene.stop()
