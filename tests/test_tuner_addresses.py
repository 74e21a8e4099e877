"""Names and addresses that clients bring along: aliases, pages of a browser, and old paths."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.tuner_scene import KEY, THINGS, Tuner, row

ALIAS = "gpt-3.5-turbo"
PAGE = "https://page.example"


@pytest.fixture(scope="module")
def aliased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuner]:
    data = tmp_path_factory.mktemp("aliased") / "data"
    scene = Tuner(data, "--alias", f"{ALIAS}=sandbox", "--cors-origin", PAGE)
    yield scene
    assert scene.stop() == 0


def test_an_alias_is_a_model_wherever_a_model_is_named(aliased: Tuner) -> None:
    answer = aliased.client.chat.completions.create(
        model=ALIAS, messages=[{"role": "user", "content": "Hello?"}]
    )
    file = aliased.upload([row(thing) for thing in THINGS])
    job = aliased.client.fine_tuning.jobs.create(model=ALIAS, training_file=file.id)
    shown = aliased.client.models.retrieve(ALIAS)

    assert answer.model == job.model == "sandbox"
    assert ALIAS in [model.id for model in aliased.client.models.list()]
    assert shown.owned_by == "alias of sandbox"
    assert str(aliased.await_end(job).fine_tuned_model).startswith("ft:sandbox:")
    with pytest.raises(BadRequestError, match="another name for 'sandbox'"):
        aliased.client.models.delete(ALIAS)


@pytest.mark.parametrize("alias", ["x", "x=", "=sandbox", "x=nothing", "sandbox=sandbox"])
def test_an_alias_of_nothing_ends_the_start(tmp_path: Path, alias: str) -> None:
    command = [sys.executable, "-m", "tuner", "--data", str(tmp_path / "data"), "--port", "0"]
    ended = subprocess.run(
        [*command, "--api-key", KEY, "--alias", alias], capture_output=True, timeout=60, check=False
    )

    assert ended.returncode == 1
    assert b"alias" in ended.stderr


def test_a_page_may_ask_from_where_it_was_allowed(aliased: Tuner) -> None:
    wish = {"access-control-request-method": "POST", "origin": PAGE}
    wish["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"
    bare = {"authorization": ""}

    path = "/v1/chat/completions"
    before = aliased.web.options(path, headers={**wish, **bare})
    other = aliased.web.options(path, headers={**wish, **bare, "origin": "https://no.example"})
    asked = aliased.web.get("/v1/models", headers={"origin": PAGE})
    refused = aliased.web.get("/v1/models", headers={"origin": PAGE, **bare})

    assert (before.status_code, other.status_code) == (200, 400)
    for answer in (before, asked, refused):
        assert answer.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in other.headers


def test_no_page_may_ask_unless_it_was_allowed(sandbox: Tuner) -> None:
    answer = sandbox.web.get("/v1/models", headers={"origin": PAGE})

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "successor"),
    [
        ("/v1/fine-tunes", "/v1/fine_tuning/jobs"),
        ("/v1/fine-tunes/ft-1/events", "/v1/fine_tuning/jobs"),
        ("/v1/engines/davinci/completions", "/v1/models"),
        ("/v1/edits", "/v1/chat/completions"),
        ("/v1/uploads", "/v1/files"),
        ("/v1/assistants", "/v1/chat/completions"),
        ("/v1/v1/models", "/v1/models"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/api/chat", "/v1/chat/completions"),
        ("/", "/v1/models"),
        ("/v1/audio/speech", "text only"),
        ("/v1/fine_tuning/alpha/graders/run", "Graders"),
    ],
)
def test_an_old_address_names_its_successor(sandbox: Tuner, path: str, successor: str) -> None:
    answer = sandbox.web.get(path)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"
    assert successor in answer.json()["error"]["message"].partition(path)[2]


def test_a_client_without_the_version_is_told_where_it_is(sandbox: Tuner) -> None:
    client = OpenAI(base_url=sandbox.url, api_key=KEY, max_retries=0, http_client=sandbox.web)

    with pytest.raises(NotFoundError, match=r"end in /v1"):
        client.models.list()
