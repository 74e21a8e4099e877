"""Every kind of host, gone wrong in every way: one job for a yes, nothing lost, the truth told."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from adapters.openai.host_kinds import HOST_KINDS
from bot.domain import Phase, Role
from bot.ports.model_hosts import Serving
from bot.rows import Method
from tests.fakes.connected import CHAT, CREATE, EVENTS, JOB, UPLOAD, with_
from tests.fakes.faults import (
    Fault,
    answers,
    busy,
    cut,
    cut_after,
    late,
    reshaped,
    says,
    training_closed,
)
from tests.fakes.openai_schema import published
from tests.scene import Scene

FAULTS: dict[str, Callable[[], Fault]] = {
    "429": lambda: busy(3),
    "500": lambda: answers(500),
    "cut": cut,
    "cut after": cut_after,
    "nothing": lambda: says(""),
    "lies": lambda: says('{"object": "list", "id": null, "status": 7}'),
}
CHECKPOINTS = "GET /fine_tuning/jobs/{id}/checkpoints"
DEPLOY = "POST /v0/models"
MODELS = "GET /v0/models"
REFUSALS = {
    "quota": (answers(403, "No quota.", code="insufficient_quota"), "No quota."),
    "closed": (training_closed(), "/tune start host:NAME"),
    "file": (answers(400, "The file is too large."), "The file is too large."),
    "key": (answers(401, "Bad key."), "must check KEY"),
}
OUTSIDE = [name for name in HOST_KINDS if name != "sandbox"]
OWN_APIS = ("together", "fireworks")
ALL = pytest.mark.parametrize("kind", OUTSIDE)


def some_of(faults: Iterable[str], *, every: int) -> list[tuple[str, str]]:
    """Every kind with so many of the faults, every fault with so many of the kinds."""
    pairs = itertools.product(enumerate(OUTSIDE), enumerate(faults))
    return [(kind, fault) for (row, kind), (column, fault) in pairs if (row + column) % every == 0]


async def at(scene: Scene, kind: str, **more: Any) -> None:
    """A house whose own host is of this kind, and a dataset."""
    scene.configs = [scene.config("sandbox", profile=kind, **addresses(scene, kind), **more)]
    scene.host.is_legacy = kind == "nebius"
    scene.host.settings = dict(HOST_KINDS[kind].dialect.default_hyperparameters)
    scene.host.needs_deployment = HOST_KINDS[kind].profile.serving is not Serving.READY_WHEN_TRAINED
    scene.host.life = ("queued", "succeeded")
    await scene.restart()
    await scene.learn(20)


def addresses(scene: Scene, kind: str) -> dict[str, str]:
    """Where the fake speaks as a host of this kind does."""
    root = scene.host.url.removesuffix("/v1")
    if kind == "together":
        return {"base_url": f"{root}/together/v1"}
    if kind == "fireworks":
        chat = f"{root}/fireworks/inference/v1"
        return {"base_url": f"{root}/fireworks/v1", "chat_base_url": chat}
    return {}


async def one_of_everything(scene: Scene, kind: str) -> None:
    job = await scene.job()
    assert job.phase is Phase.SUCCEEDED, job.error_message
    assert len(scene.host.jobs) == len(scene.host.tuned) == 1
    names = [file.name.rpartition("-")[2] for file in scene.host.files.values()]
    assert sorted(names) == ["training.jsonl", "validation.jsonl"]
    (ended,) = await scene.said("Training 1 succeeded")
    match HOST_KINDS[kind].profile.serving:
        case Serving.READY_WHEN_TRAINED:
            assert "It answers here from now on." in ended
        case Serving.DEPLOYED_BY_API:
            assert "It answers here from now on." in ended
            assert len(scene.host.deployments) == 1
        case Serving.DEPLOYED_BY_PERSON:
            assert "deploy it at the host first" in ended
            assert "/tune use as:DEPLOYMENT" in ended


@pytest.mark.parametrize(("kind", "fault"), some_of(FAULTS, every=3))
async def test_a_host_that_goes_wrong_everywhere_once_trains_once(
    scene: Scene, kind: str, fault: str
) -> None:
    await at(scene, kind)
    await scene.command("start validation:25%")
    for step in (UPLOAD, CREATE, JOB, EVENTS, CHAT, DEPLOY, MODELS):
        scene.host.fail(step, FAULTS[fault]())

    await scene.click("Confirm")
    await scene.settle()

    await one_of_everything(scene, kind)


@ALL
@pytest.mark.usefixtures("impatient_hosts")
async def test_a_host_that_is_slow_trains_once(scene: Scene, kind: str) -> None:
    await at(scene, kind)
    await scene.command("start validation:25%")
    scene.host.fail(CREATE, late())

    await scene.click("Confirm")
    await scene.settle()
    scene.host.release()

    await one_of_everything(scene, kind)


@pytest.mark.parametrize(("kind", "refusal"), some_of(REFUSALS, every=4))
async def test_a_refusal_is_a_sentence_and_leaves_nothing_behind(
    scene: Scene, kind: str, refusal: str
) -> None:
    fault, because = REFUSALS[refusal]
    await at(scene, kind)
    await scene.command("start validation:25%")
    scene.host.fail(CREATE, fault)

    await scene.click("Confirm")
    await scene.settle()

    assert (await scene.job()).phase is Phase.FAILED
    assert scene.host.files == {}
    (ended,) = await scene.said("Training 1 failed")
    assert because in ended


@pytest.mark.parametrize("kind", [kind for kind in OUTSIDE if kind not in OWN_APIS])
async def test_every_host_is_asked_as_the_published_description_says(
    scene: Scene, kind: str
) -> None:
    description = published()
    if description is None:
        pytest.skip("no description beside this checkout")
    await at(scene, kind)
    await scene.confirm("epochs:2 batch_size:16 validation:25% suffix:voice seed:3")
    await scene.settle()

    body = scene.host.last(CREATE).body
    assert description.request_problems("POST", "/v1/fine_tuning/jobs", body) == []
    asked = [call.body for call in scene.host.asked if call.route == CHAT]
    for question in asked:
        assert description.request_problems("POST", "/v1/chat/completions", question) == []


async def test_a_deployment_is_waited_for_and_then_answers(scene: Scene) -> None:
    scene.host.deploying_looks = 3
    await at(scene, "nebius")
    await scene.confirm()
    await scene.settle()

    await scene.say("@attune hi")

    (deployed,) = scene.host.deployments
    assert scene.host.last(CHAT).body["model"] == deployed["name"]
    assert await scene.last() == "Hello from the model"


async def test_a_deployment_that_fails_is_told_with_the_hosts_reason(scene: Scene) -> None:
    await at(scene, "nebius")

    async def broken(call: Any) -> Any:
        response = await call.act()
        scene.host.deployments[0] |= {"status": "error", "status_reason": "Rank too high."}
        return response

    scene.host.fail(DEPLOY, broken)
    await scene.confirm()
    await scene.settle()

    (ended,) = await scene.said("Training 1 succeeded")
    assert "Rank too high." in ended
    assert len(scene.host.deployments) == 1


async def test_a_deployment_that_is_never_ready_is_given_up_in_words(scene: Scene) -> None:
    scene.host.deploying_looks = 10**6
    await at(scene, "nebius")
    await scene.confirm()
    await scene.settle()

    (ended,) = await scene.said("Training 1 succeeded")
    assert "The host does not let it answer yet" in ended
    assert len(scene.host.deployments) == 1


async def test_a_host_may_name_its_model_with_the_checkpoint_only(scene: Scene) -> None:
    await at(scene, "crusoe")
    scene.host.fail_always(JOB, with_(fine_tuned_model=None))
    scene.host.fail_always(CHECKPOINTS, reshaped(deployable))
    await scene.confirm()
    await scene.settle()

    assert (await scene.job()).model == "ftmodel-1"
    assert "deploy it at the host first" in await scene.last()


def deployable(body: dict[str, Any]) -> object:
    return {**body, "data": [{**row, "fine_tuned_model_id": "ftmodel-1"} for row in body["data"]]}


async def test_a_model_deployed_by_hand_answers_under_the_name_it_was_given(scene: Scene) -> None:
    await at(scene, "azure")
    await scene.confirm()
    await scene.settle()
    scene.host.bases.append("my-voice")

    await scene.command("use as:my-voice latest")
    await scene.say("@attune hi")

    assert scene.host.last(CHAT).body["model"] == "my-voice"
    await scene.command("models")
    assert "called my-voice at the host" in (await scene.last_listing()).lines[0].note


@pytest.mark.parametrize(
    ("kind", "options", "because"),
    [
        ("nebius", "method:dpo", "cannot train by preferences (dpo)"),
        ("nebius", "learning_rate:2", "does not let “learning_rate” be chosen"),
        ("nebius", "epochs:21", "at most 20 epochs"),
        ("nebius", "batch_size:33", "batch_size from 1 to 32"),
        ("crusoe", "batch_size:8", "batch_size from 16 to 256"),
        ("azure", "suffix:nineteen-characters", "at most 18 characters"),
        ("azure", "suffix:v1.2", "does not take that suffix"),
    ],
)
async def test_what_a_host_cannot_do_is_said_before_anything_is_sent(
    scene: Scene, kind: str, options: str, because: str
) -> None:
    await at(scene, kind)

    await scene.command(f"start {options}")

    assert because in await scene.last()
    assert scene.host.sent == []


@pytest.mark.parametrize(
    ("limit", "because"),
    [
        ({"max_rows": 19}, "at most 19 rows"),
        ({"max_bytes": 100}, "a file of at most"),
        ({"minimum_rows": 21}, "training needs 21"),
        ({"methods": (Method.DPO,)}, "cannot train by answers"),
    ],
)
async def test_the_hosts_file_may_say_otherwise(
    scene: Scene, limit: dict[str, Any], because: str
) -> None:
    await at(scene, "custom", **limit)

    await scene.command("start")

    assert because in await scene.last()


async def test_a_host_without_validation_gets_every_row(scene: Scene) -> None:
    await at(scene, "custom", takes_validation=False)
    await scene.learn(60, origin="more.csv")

    await scene.command("start validation:20%")
    assert "checks on no rows held back" in await scene.last()
    await scene.confirm()
    await scene.settle()

    assert [file.name[-14:] for file in scene.host.files.values()] == ["training.jsonl"]


async def test_weights_that_a_host_does_not_know_are_refused_or_left_out(scene: Scene) -> None:
    await at(scene, "custom", takes_weight=False)
    await scene.do(f"/tune import {weighted(scene, 1)} yes")
    await scene.confirm()
    await scene.settle()
    assert b"weight" not in next(iter(scene.host.files.values())).content

    await scene.do(f"/tune import {weighted(scene, 0)} yes")
    await scene.command("start")

    assert "which of its answers not to learn from" in await scene.last()


async def test_thoughts_go_only_to_a_host_that_learns_from_them(scene: Scene) -> None:
    await at(scene, "custom")
    path = scene.folder / "thoughts.jsonl"
    said = {"role": "assistant", "content": "Seven.", "reasoning_content": "Three and four."}
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "3 + 4?"}, said]}))
    await scene.command(f"import {path} yes")

    await scene.command("start")

    assert "what was thought before an answer" in await scene.last()


def weighted(scene: Scene, weight: int) -> str:
    path = scene.folder / f"weighted-{weight}.jsonl"
    turn = '{"role": "user", "content": "q%d"}'
    said = '{"role": "assistant", "content": "a", "weight": %d}'
    last = '{"role": "assistant", "content": "b"}'
    path.write_text(f'{{"messages": [{turn % weight}, {said % weight}, {turn % 7}, {last}]}}\n')
    return str(path)


async def test_a_host_closed_to_this_account_is_known_before_anything_is_uploaded(
    scene: Scene,
) -> None:
    await at(scene, "openai")
    scene.host.fail(CREATE, training_closed())

    await scene.command("start")

    assert "no longer lets this account train" in await scene.last()
    assert scene.host.count(UPLOAD) == 0


@pytest.mark.parametrize(
    ("fault", "more", "because"),
    [
        (answers(401, "Bad key."), {}, "must check KEY"),
        (answers(404, "Not Found"), {}, "answers questions alone: it has no http://"),
        (None, {"base_url": "http://127.0.0.1:9/v1"}, "Check its address and that it runs."),
        (None, {"base_url": "https://api.mistral.ai/v1"}, "Mistral does not train"),
    ],
)
async def test_what_the_doctor_would_say_is_said_at_the_start(
    scene: Scene, fault: Fault | None, more: dict[str, Any], because: str
) -> None:
    await at(scene, "custom", **more)
    if fault is not None:
        scene.host.fail("GET /fine_tuning/jobs", fault)

    await scene.command("start")

    assert because in await scene.last()
    assert scene.host.sent == []


async def test_a_base_that_only_earlier_customers_may_train_is_warned_of(scene: Scene) -> None:
    await at(scene, "azure", bases=("gpt-4.1-mini",))

    await scene.command("start base:gpt-4.1-mini")

    assert "is retired at “sandbox” since 2026-10-14" in await scene.last()


@pytest.mark.parametrize("fault", [answers(500), answers(429), answers(400), cut()])
async def test_a_host_that_does_not_tell_whether_one_may_train_is_tried(
    scene: Scene, fault: Fault
) -> None:
    await at(scene, "openai")
    scene.host.fail(CREATE, fault)

    await scene.confirm()
    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_a_job_begun_by_asking_alone_is_cancelled(scene: Scene) -> None:
    await at(scene, "openai")
    scene.host.takes_any_file = True

    await scene.command("start")

    assert [job.status for job in scene.host.jobs.values()] == ["cancelled"]


async def test_a_host_that_has_closed_for_everybody_is_not_even_asked(scene: Scene) -> None:
    await at(scene, "openai")
    await scene.command("start")
    assert "no new training from 2027-01-06 on" in await scene.last()
    asked = len(scene.host.asked)
    scene.advance(65 * 24 * 3600)

    await scene.command("start")

    assert "no longer lets this account train" in await scene.last()
    assert len(scene.host.asked) == asked


async def test_an_unknown_price_takes_a_second_yes(scene: Scene) -> None:
    await at(scene, "custom", prices={})
    await scene.command("start")
    assert "Price: unknown." in await scene.last()

    await scene.click("Confirm")
    assert (await scene.last_card()).title == "The price at “sandbox” is not known. Train anyway?"
    assert await scene.jobs() == []
    await scene.click("Train anyway")
    await scene.settle()

    await scene.said("Training confirmed by you.")
    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_what_hosting_costs_stands_apart(scene: Scene) -> None:
    await at(scene, "custom", prices={"base": 1000.0}, hosting=1.7)

    await scene.command("start")

    assert "Hosting is another bill: $1.70 for every hour" in await scene.last()


@pytest.mark.parametrize(
    ("kind", "hosting"),
    [
        ("azure", "How much is not known here."),
        ("crusoe", "How much is not known here."),
        ("nebius", "never tried"),
        ("together", "$3.99 for every hour"),
        ("fireworks", "“Stop serving” ends that bill"),
    ],
)
async def test_a_kind_known_from_its_pages_only_says_so(
    scene: Scene, kind: str, hosting: str
) -> None:
    await at(scene, kind)

    await scene.command("start")

    assert "was never tried against it" in await scene.last()
    assert hosting in await scene.last()


async def test_a_budget_for_training_is_kept_to(scene: Scene) -> None:
    await at(scene, "custom", prices={"base": 1000.0})
    await scene.command("start")
    price = float((await scene.last()).split("Price: $")[1].split(". ")[0].split(".\n")[0])
    await scene.command(f"admin budget training:{price * 1.5:.2f}")

    await scene.confirm()
    assert "Training confirmed" in await scene.last()
    await scene.confirm()
    assert "is left. An admin can raise it" in await scene.last()

    await scene.command("admin budget")
    told = {fact.label: fact.value for fact in (await scene.last_card()).facts}
    assert told["Training this month"].endswith(f"of ${price * 1.5:,.2f} left")


async def test_money_that_reached_no_host_is_given_back_to_the_budget(scene: Scene) -> None:
    await at(scene, "custom", prices={"base": 1000.0})
    scene.host.fail_always(CREATE, answers(400, "No."))
    await scene.confirm()
    await scene.settle()

    await scene.command("admin budget")

    told = {fact.label: fact.value for fact in (await scene.last_card()).facts}
    assert told["Training this month"] == "no limit ($0.00 used)"


async def test_under_a_budget_only_an_admin_confirms_an_unknown_price(scene: Scene) -> None:
    await at(scene, "custom", prices={})
    await scene.grant("tom", Role.TRAINER)
    await scene.command("admin budget training:5")
    await scene.command("start")

    await scene.click("Confirm", by="tom")
    assert "Only an admin may confirm that." in await scene.last()
    await scene.click("Confirm", on=await scene.number_of("Train “attune”?"))

    assert len(await scene.said("Train anyway?")) == 1
