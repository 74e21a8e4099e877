"""Several models are asked the same questions, and their answers decide about the new one."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
from fastapi import Response
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import precision_recall_fscore_support

from bot.domain import (
    LOCAL,
    AnswerState,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationState,
    ModelName,
    Role,
)
from bot.evaluation import answer_scores
from bot.evaluation.report import load_report
from bot.events import ButtonClicked
from bot.replies import Document, Listing, ListingRow, Tone
from bot.rows.classification_metrics import label_metrics
from bot.significance import Interval, Verdict
from tests.fakes.faults import (
    Call,
    Fault,
    broken_stream,
    busy,
    empty_stream,
    ends_for,
    short_stream,
)
from tests.fakes.faults import answers as replies
from tests.fakes.faulty_host import FaultyHost
from tests.fakes.openai_rules import Body
from tests.scene import Scene
from tests.studio_desk import Desk
from tests.studio_desk import desk as desk
from tests.waiting import until

CHAT = "POST /chat/completions"
ROWS = 60


def messages_in(body: Body) -> list[dict[str, str]]:
    return cast(list[dict[str, str]], body["messages"])


def question_in(body: Body) -> str:
    return messages_in(body)[-1]["content"]


def taught(body: Body) -> str:
    return question_in(body).replace("question", "answer")


def is_tuned(body: Body) -> bool:
    return str(body["model"]).startswith("ft:")


def tuned_is_right(body: Body) -> str:
    return taught(body) if is_tuned(body) else "I do not know that one at all."


def base_is_right(body: Body) -> str:
    return "Something else entirely?" if is_tuned(body) else taught(body)


def nobody_is_right(body: Body) -> str:
    return "No idea!"


async def evaluations(scene: Scene) -> list[Evaluation]:
    async with scene.database.reading() as records:
        return list(await records.evaluations.page(LOCAL))


async def the_answers(scene: Scene, evaluation: Evaluation) -> list[EvaluationAnswer]:
    async with scene.database.reading() as records:
        return list(await records.evaluations.answers(LOCAL, evaluation.id))


async def in_use(scene: Scene) -> ModelName | None:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        current = await records.deployments.current(LOCAL, assistant.id)
    return current.model if current else None


async def train(scene: Scene, answers: Callable[[Body], str], options: str = "") -> Evaluation:
    scene.host.answers = answers
    await scene.learn(ROWS)
    await scene.confirm(options)
    await scene.settle()
    (evaluation, *_) = await evaluations(scene)
    return evaluation


def times_asked(host: FaultyHost) -> Counter[tuple[str, str]]:
    """How often each question was asked of each model, with examples or without."""
    bodies = [one.body for one in host.asked if one.route == CHAT]
    return Counter(
        (f"{body['model']}.{len(messages_in(body))}", question_in(body))
        for body in bodies
        if question_in(body).startswith("question")
    )


@pytest.mark.parametrize(
    ("answers", "verdict", "sentence", "is_used"),
    [
        (tuned_is_right, Verdict.BETTER, "Better than the base", True),
        (nobody_is_right, Verdict.UNDECIDED, "Undecided: 12 questions", True),
        (base_is_right, Verdict.WORSE, "It is not taken into use, as it is worse.", False),
    ],
)
async def test_after_a_training_its_model_is_used_if_it_is_not_worse(
    scene: Scene,
    answers: Callable[[Body], str],
    verdict: Verdict,
    sentence: str,
    is_used: bool,
) -> None:
    evaluation = await train(scene, answers)

    found = load_report(evaluation.report)
    assert found is not None
    assert (evaluation.state, found.verdict) == (EvaluationState.DONE, verdict)
    assert (evaluation.questions, len(evaluation.contenders)) == (12, 3)
    assert (await in_use(scene) == evaluation.model) is is_used
    assert sentence in await scene.last()
    assert set(times_asked(scene.host).values()) == {1}


def mixed(body: Body) -> str:
    """Right, nearly right, wrong in a number, or declined; the base more often wrong."""
    digits = question_in(body).rpartition(" ")[2]
    number = int(digits) if digits.isdecimal() else 0
    kinds = "ffvnfr" if is_tuned(body) else "vnrnrf"
    said = {"f": taught(body), "v": f"Sure: {taught(body)}.", "n": f"answer {number + 1}"}
    return said.get(kinds[number % 6], "I'm sorry, I can't help with that.")


async def test_another_program_reckons_the_same_from_the_exported_rows(
    scene: Scene, desk: Desk
) -> None:
    """From the file alone, by scikit-learn and scipy."""
    scene.host.results = b"step,train_loss,full_valid_loss\n1,0.9,0.8\n2,0.5,0.7123\n"
    await train(scene, mixed, "validation:50%")
    assert "held-out loss 0.712" in await scene.last()
    found = load_report((await evaluations(scene))[0].report)
    assert found is not None
    assert found.result is not None

    await scene.click("Answers as CSV")
    exported = await desk.ask(ButtonClicked("evaluation.export:1.jsonl"))

    assert isinstance(exported, Document)
    lines = [json.loads(one) for one in b"".join([c async for c in exported.chunks]).splitlines()]
    (path,) = (scene.folder / "exports").glob("evaluation-1.csv")
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    assert [{k: "" if v is None else str(v) for k, v in one.items()} for one in lines] == rows
    scores = defaultdict[str, list[float]](list)
    for row in sorted(rows, key=lambda one: int(one["question"])):
        scores[row["contender"]].append(reckoned(row))
        assert float(row["score"]) == pytest.approx(scores[row["contender"]][-1], abs=1e-4)
    new, base = np.array(scores["new"]), np.array(scores["base"])
    for who, one in zip(("new", "base"), found.contenders, strict=False):
        assert one.interval is not None
        assert one.mean == pytest.approx(np.mean(scores[who]), abs=1e-3)
        close_to(one.interval, np.array(scores[who]))
    differences, result = new - base, found.result
    wins, losses = int((differences > 0.05).sum()), int((differences < -0.05).sum())
    assert min(wins, losses) > 0
    of_scipy = stats.binomtest(wins, wins + losses)
    wilson = of_scipy.proportion_ci(method="wilson")
    assert (result.wins, result.losses) == (wins, losses)
    assert result.ties == len(differences) - wins - losses
    assert result.p_value == pytest.approx(of_scipy.pvalue)
    assert (result.win_share.low, result.win_share.high) == pytest.approx((wilson.low, wilson.high))
    assert result.mean_difference == pytest.approx(differences.mean(), abs=1e-3)
    assert result.difference is not None
    close_to(result.difference, differences)


def close_to(interval: Interval, values: NDArray[np.float64]) -> None:
    """Of the mean, as scipy's bootstrap has it but for chance."""
    drawn = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=2000)
    ends, scale = drawn.confidence_interval, float(np.std(values)) / len(values) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high), abs=0.5 * scale)


def reckoned(row: Mapping[str, str]) -> float:
    """The score of an answer, as the documentation has it."""
    if row["refusal"] != "True":
        return 0.0
    if row["taught"] == row["answer"]:
        return 1.0
    parts = [chrf_of(row["taught"], row["answer"])]
    parts += [int(row["facts_found"]) / int(row["facts"])] if row["facts"] else []
    return float(np.mean(parts))


def chrf_of(taught: str, answer: str) -> float:
    shares = []
    for order in range(1, 7):
        counter = CountVectorizer(analyzer="char", ngram_range=(order, order), lowercase=False)
        try:
            both = counter.fit_transform([t.replace(" ", "") for t in (taught, answer)]).toarray()
        except ValueError:
            continue
        if both.sum(axis=1).all():
            shares.append(np.minimum(*both).sum() / both.sum(axis=1))
    recall, precision = np.mean(shares, axis=0)
    return float(5 * precision * recall / (4 * precision + recall)) if precision + recall else 0.0


async def test_what_is_not_taken_can_be_used_anyway(scene: Scene) -> None:
    evaluation = await train(scene, base_is_right)
    assert await in_use(scene) is None

    await scene.click("Use anyway")

    assert await in_use(scene) == evaluation.model


async def test_the_tour_waits_for_the_comparison_and_says_where_nothing_is_used(
    scene: Scene, desk: Desk
) -> None:
    scene.host.answers = base_is_right
    await scene.learn(ROWS)
    await scene.confirm()
    await until(lambda: evaluations(scene), meanwhile=scene.step_jobs)

    asked = await tour(desk)
    await scene.settle()
    compared = await tour(desk)

    assert (asked["wait"].tone, compared["wait"].tone) == (Tone.BUSY, Tone.GOOD)
    assert "not in use" in compared["ask"].note
    await scene.click("Use anyway")
    assert "from now on" in (await tour(desk))["ask"].note


async def tour(desk: Desk) -> dict[str, ListingRow]:
    told = await desk.query("tour")
    assert isinstance(told, Listing)
    return {line.id: line for line in told.lines}


async def test_the_price_and_the_rule_are_said_before_the_training(scene: Scene) -> None:
    await scene.learn(ROWS)

    await scene.command("start")

    said = await scene.last()
    assert "answers with it if it is not worse than what is in use" in said
    assert "It is asked 12 held-out questions afterwards" in said


@pytest.mark.parametrize(("options", "is_used"), [("use:yes", True), ("use:no", False)])
async def test_who_decides_it_beforehand_is_obeyed(
    scene: Scene, options: str, is_used: bool
) -> None:
    evaluation = await train(scene, base_is_right, options)

    assert not evaluation.is_gate
    assert (await in_use(scene) == evaluation.model) is is_used
    assert "Worse than the base" in await scene.last()


@pytest.mark.parametrize(
    ("fault", "said", "whose"),
    [
        (short_stream(1), "were cut off", "the new model"),
        (broken_stream(1), "were cut off", "the base"),
        (ends_for("length"), "were cut off", "the new model"),
        (ends_for("content_filter"), "were cut off", "the base"),
        (empty_stream(), "were empty", "the new model"),
        (empty_stream(), "were empty", "the base"),
    ],
)
async def test_what_is_cut_off_or_empty_is_no_answer_and_that_is_said(
    scene: Scene, fault: Fault, said: str, whose: str
) -> None:
    """Neither does a cut answer make its model worse, nor the other one better."""

    async def breaks(call: Call) -> Response:
        body = await call.request.json()
        is_hit = question_in(body).startswith("question") and len(messages_in(body)) == 1
        is_hit = is_hit and is_tuned(body) is (whose == "the new model")
        return await (fault(call) if is_hit else call.act())

    scene.host.fail_always(CHAT, breaks)
    evaluation = await train(scene, taught)

    found, told = load_report(evaluation.report), await scene.last()
    assert found is not None
    assert (found.result is None or found.result.questions, evaluation.is_deployed) == (0, False)
    assert "too few questions were answered" in told
    assert f"12 answers {said}: {whose}" in told
    assert "12 answers are missing" in told
    await scene.click("Answers as CSV")
    (path,) = (scene.folder / "exports").glob("evaluation-1.csv")
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    hit = [one for one in rows if one["contender"] == ("new" if "new" in whose else "base")]
    assert {one["missing"] for one in hit} == {said.removeprefix("were ").partition(" ")[0]}
    assert all("“sandbox”" in one["why"] for one in hit)
    assert {one["missing"] for one in rows if one not in hit} == {""}


async def test_an_answer_that_cannot_be_measured_has_failed_and_holds_up_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one so deeply nested that no parser reads it."""
    tried: list[str] = []

    def scores(*given: Any, **named: Any) -> Mapping[str, object]:
        tried.append(given[1])
        if len(tried) == 3:
            raise RecursionError
        return whole(*given, **named)

    whole = answer_scores.score_answer
    monkeypatch.setattr(answer_scores, "score_answer", scores)

    evaluation = await train(scene, tuned_is_right)

    states = Counter(one.state for one in await the_answers(scene, evaluation))
    assert (evaluation.state, states[AnswerState.FAILED]) == (EvaluationState.DONE, 1)
    assert states[AnswerState.ASKED] == 0


async def test_too_little_held_out_is_no_reason_to_wait(scene: Scene) -> None:
    job = await scene.tuned()

    assert await evaluations(scene) == []
    assert await in_use(scene) == job.model


async def test_where_a_comparison_decides_nothing_is_used_without_one(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("start use:if_better")
    assert "Too few questions are held out" in await scene.last()
    await scene.click("Confirm")

    await scene.settle()

    assert (await evaluations(scene), await in_use(scene)) == ([], None)
    assert "was not compared" in await scene.last()


async def test_one_question_that_must_be_answered_is_enough_to_compare(scene: Scene) -> None:
    await scene.learn(12)
    await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))

    await scene.command("start")
    await scene.click("Confirm")
    await scene.settle()

    (evaluation,) = await evaluations(scene)
    assert (evaluation.is_gate, evaluation.questions) == (True, 1)


async def test_another_model_that_was_put_to_use_meanwhile_is_not_replaced(scene: Scene) -> None:
    first = await train(scene, tuned_is_right)
    await scene.command("rollback")
    scene.host.piece_seconds = 0.01
    await scene.confirm()

    async def open_now() -> list[Evaluation]:
        return [one for one in await evaluations(scene) if one.finished_at is None]

    await until(open_now, meanwhile=scene.step_jobs)
    (running,) = await open_now()
    await scene.command(f"use {first.model}")

    await scene.settle()

    assert await in_use(scene) == first.model
    assert running.model != first.model
    assert "another model was put to use meanwhile" in await scene.last()


async def test_evaluating_is_priced_and_confirmed_first(scene: Scene) -> None:
    await train(scene, tuned_is_right)
    before = times_asked(scene.host).total()

    await scene.command("evaluate against:base questions:9")

    assert "Price:" in await scene.last()
    assert times_asked(scene.host).total() == before
    await scene.click("Evaluate")
    await scene.settle()
    newest = (await evaluations(scene))[0]
    assert (newest.questions, newest.is_gate, newest.state) == (9, False, EvaluationState.DONE)


async def test_an_evaluation_is_paid_from_the_money_for_training(scene: Scene) -> None:
    await train(scene, tuned_is_right)
    await scene.command("evaluate questions:8")
    confirm = (await scene.last_card()).buttons[0].action
    number = EvaluationId(int(confirm.partition(":")[2]))
    is_estimate = [EvaluationState.ESTIMATED]

    await scene.command("admin budget training:2.50")
    await scene.grant("tim", Role.TRAINER)
    for price, why in ((None, "nobody knows the price at “sandbox”"), (3.0, "This costs $3.00")):
        async with scene.store.writing() as records:
            await records.evaluations.update_if(LOCAL, number, when=is_estimate, price=price)
        await scene.handle(scene.event(ButtonClicked(confirm), key=f"{price}", by="tim"))
        assert why in await scene.last()
    await scene.command("admin budget training:5")
    await scene.handle(scene.event(ButtonClicked(confirm), key="enough"))
    await scene.command("admin budget")

    assert "$2.00 of $5.00 left" in str(await scene.last_card())


PRICE = 20_000.0
"""Dollars for a million tokens of an answer, so that twelve questions cost some dollars."""


async def with_prices(scene: Scene, **prices: tuple[float, float]) -> None:
    scene.configs = [scene.config("sandbox", chat_prices=prices)]
    await scene.restart()
    scene.host.answers = taught
    await scene.learn(ROWS)


async def the_price(scene: Scene) -> float:
    """Shows the card of a training, and returns the price of the evaluation that follows."""
    await scene.command("start")
    priced = re.search(r"price \$(\d+\.\d\d)", await scene.last())
    assert priced is not None
    return float(priced[1])


async def test_the_budget_covers_the_evaluation_after_a_training(scene: Scene) -> None:
    await with_prices(scene, base=(0.0, PRICE))
    price = await the_price(scene)

    await scene.command(f"admin budget training:{price / 2:.2f}")
    await scene.confirm()

    assert "is left. An admin can raise it" in await scene.last()
    await scene.settle()
    assert not times_asked(scene.host)


async def test_the_evaluation_after_a_training_counts_from_the_confirmation(scene: Scene) -> None:
    await with_prices(scene, base=(0.0, PRICE))
    price = await the_price(scene)
    await scene.command(f"admin budget training:{price * 1.5:.2f}")
    await scene.confirm()
    assert "Training confirmed" in await scene.last()

    await scene.confirm()

    assert "is left. An admin can raise it" in await scene.last()
    await scene.settle()
    await scene.command("admin budget")
    assert f"${price / 2:.2f} of" in str(await scene.last_card())


async def test_an_evaluation_of_unknown_price_after_a_training_needs_an_admin_twice(
    scene: Scene,
) -> None:
    scene.host.answers = taught
    await scene.learn(ROWS)
    await scene.grant("tim", Role.TRAINER)
    await scene.command("admin budget training:1")
    await scene.command("start")

    await scene.click("Confirm", by="tim")
    assert "Only an admin may confirm that." in await scene.last()
    await scene.click("Confirm", on=await scene.number_of("Train “attune”?"))
    assert "The evaluation that follows" in str(await scene.last_card())
    await scene.settle()
    assert not times_asked(scene.host)
    await scene.click("Train anyway")
    await scene.settle()

    assert times_asked(scene.host)


async def test_a_dearer_model_put_to_use_during_a_training_is_not_asked(scene: Scene) -> None:
    await with_prices(scene, base=(0.0, PRICE))
    await scene.confirm("use:no")
    await scene.settle()
    first = (await evaluations(scene))[0].model
    scene.configs = [
        scene.config("sandbox", chat_prices={"base": (0.0, PRICE), first: (0.0, 50 * PRICE)})
    ]
    await scene.restart()
    await scene.confirm()
    await scene.command(f"use {first}")
    asked = len([one for one in scene.host.asked if one.body.get("model") == first])

    await scene.settle()

    newest = (await evaluations(scene))[0]
    assert first not in [one.model for one in newest.contenders]
    assert len([one for one in scene.host.asked if one.body.get("model") == first]) == asked
    assert await in_use(scene) == first
    assert "another model was put to use meanwhile" in await scene.last()


async def test_an_evaluation_that_is_declined_or_confirmed_twice_asks_once(scene: Scene) -> None:
    await train(scene, tuned_is_right)
    asked = times_asked(scene.host).total()
    await scene.command("evaluate questions:8")
    await scene.click("Cancel")
    await scene.settle()
    assert times_asked(scene.host).total() == asked
    await scene.command("evaluate questions:8")
    action = (await scene.last_card()).buttons[0].action
    await scene.click("Evaluate")
    await scene.handle(scene.event(ButtonClicked(action), key="again"))
    await scene.settle()

    assert len(await evaluations(scene)) == 2
    assert "decided already" in "".join(await scene.texts())


async def test_without_a_question_there_is_no_evaluation(scene: Scene) -> None:
    await scene.tuned()

    await scene.command("evaluate")

    assert "There are no questions to ask" in await scene.last()


async def test_a_question_that_a_model_has_learned_is_left_out(scene: Scene) -> None:
    """The first training held nothing out; its model would know the answers of the second."""
    await scene.learn(40)
    await scene.confirm()
    await scene.settle()
    evaluation = await train(scene, tuned_is_right)

    async with scene.database.reading() as records:
        questions = await records.evaluations.questions(LOCAL, evaluation.id)
        jobs = await records.jobs.page(LOCAL)
        taught = await records.snapshots.training_examples_among(
            LOCAL, jobs[-1].snapshot, [one.example for one in questions]
        )
    assert len(evaluation.contenders) == 4
    assert taught == frozenset()


async def test_the_examples_that_go_along_are_none_of_the_questions(scene: Scene) -> None:
    evaluation = await train(scene, tuned_is_right)

    async with scene.database.reading() as records:
        asked = await records.evaluations.questions(LOCAL, evaluation.id)
    texts = {messages_in(dict(one.row))[0]["content"] for one in asked if one.row}
    long = [one.body for one in scene.host.asked if one.route == CHAT]
    shown = {m["content"] for body in long for m in messages_in(body)[:-1]}
    assert len([body for body in long if len(messages_in(body)) == 17]) == 12
    assert not shown & texts


async def test_a_stop_ends_it_soon_and_reports_what_was_answered(scene: Scene, desk: Desk) -> None:
    await train(scene, tuned_is_right)
    await scene.command("evaluate")
    scene.host.stops_after_first = True
    await scene.click("Evaluate")
    looking = asyncio.create_task(scene.app.runners.evaluations.poll())
    await until(lambda: times_asked_now(scene.host))
    (newest, *_) = await evaluations(scene)
    await scene.handle(scene.event(ButtonClicked(f"evaluation.stop:{newest.id}"), key="stop"))

    async with asyncio.timeout(20):
        await looking

    await scene.settle()
    (newest, *_) = await evaluations(scene)
    assert newest.state is EvaluationState.STOPPED
    assert "It was stopped" in await scene.last()
    exported = await desk.ask(ButtonClicked(f"evaluation.export:{newest.id}.jsonl"))
    assert isinstance(exported, Document)
    lines = [json.loads(one) for one in b"".join([c async for c in exported.chunks]).splitlines()]
    assert len(lines) == newest.questions * len(newest.contenders)
    assert Counter(one["missing"] for one in lines).keys() == {"lost", "not_asked"}


async def test_models_are_asked_question_by_question(scene: Scene) -> None:
    """So that what is stopped halfway has answers of all of them to compare."""
    await train(scene, tuned_is_right)
    scene.host.asked.clear()
    await scene.command("evaluate")
    await scene.click("Evaluate")

    await scene.settle()

    asked = [question_in(one.body) for one in scene.host.asked if one.route == CHAT]
    models = (await evaluations(scene))[0].contenders
    first = Counter(asked[: len(models) * 4])
    assert max(first.values()) == len(models)
    assert len(first) <= 4 + 2


def times_asked_now(host: FaultyHost) -> bool:
    return len([one for one in host.asked if one.route == CHAT]) > 40


async def test_a_host_that_is_busy_or_breaks_is_asked_again_and_in_the_end_it_is_said(
    scene: Scene,
) -> None:
    await train(scene, tuned_is_right)
    scene.host.asked.clear()
    await scene.command("evaluate against:base")
    await scene.click("Evaluate")
    broken: list[str] = []

    async def breaks(call: Call) -> Response:
        """Busy, broken and busy again; from then on one question breaks it every time."""
        body = await call.request.json()
        broken.append(question_in(body))
        if len(broken) <= 3:
            return await (busy(0), replies(500), busy(0))[len(broken) - 1](call)
        is_hopeless = question_in(body) == broken[0] and is_tuned(body)
        return await (replies(500)(call) if is_hopeless else call.act())

    scene.host.fail_always(CHAT, breaks)
    await scene.settle()

    newest = (await evaluations(scene))[0]
    states = Counter(one.state for one in await the_answers(scene, newest))
    assert newest.state is EvaluationState.DONE
    assert states == {AnswerState.DONE: 35, AnswerState.FAILED: 1}
    assert "One answer is missing" in await scene.last()


async def test_a_host_that_stays_away_ends_it_and_nothing_is_taken(scene: Scene) -> None:
    scene.host.answers = tuned_is_right
    await scene.learn(ROWS)
    await scene.confirm()
    await until(lambda: evaluations(scene), meanwhile=scene.step_jobs)
    scene.host.fail_always(CHAT, busy(0))
    await scene.settle()

    (evaluation,) = await evaluations(scene)
    assert evaluation.state is EvaluationState.FAILED
    assert await in_use(scene) is None
    assert "too few questions were answered" in await scene.last()
    assert "No question was answered by both" in await scene.last()


async def test_the_tokens_of_the_day_hold_for_evaluations_too(scene: Scene) -> None:
    await train(scene, tuned_is_right)
    await scene.command("admin budget person:1")
    scene.host.asked.clear()
    await scene.command("evaluate")
    await scene.click("Evaluate")

    await scene.app.runners.evaluations.poll()
    await scene.app.deliver_notices()

    assert times_asked(scene.host).total() == 0
    assert "tokens for you are used up" in "".join(await scene.texts())
    await scene.command("admin budget person:off")
    await scene.settle()
    assert (await evaluations(scene))[0].state is EvaluationState.DONE


async def test_must_answer_is_kept_out_of_training_and_asked_of_every_new_model(
    scene: Scene,
) -> None:
    await scene.learn(ROWS)
    await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
    first = await train(scene, tuned_is_right)
    uploaded = "".join(file.content.decode() for file in scene.host.files.values())
    asked = {question for _, question in times_asked(scene.host)}

    # The model in use answers it; the next one does not.
    def forgets(body: Body) -> str:
        is_new = is_tuned(body) and body["model"] != first.model
        return "Hm." if is_new and question_in(body) == "question 2" else tuned_is_right(body)

    scene.host.answers = forgets
    await scene.confirm()
    await scene.settle()

    assert '"question 2"' not in uploaded
    assert "question 2" in asked
    assert await in_use(scene) == first.model
    assert "it fails a must-answer question that the model in use answers" in await scene.last()
    assert "“question 2”" in await scene.last()
    found = load_report((await evaluations(scene))[0].report)
    assert found is not None
    assert len(found.regressed) == 1


async def test_a_mark_can_be_taken_away(scene: Scene) -> None:
    await scene.learn(12)
    await scene.handle(scene.event(ButtonClicked("example.must_answer:3"), key="mark"))
    await scene.handle(scene.event(ButtonClicked("example.not_must_answer:3"), key="unmark"))

    assert all(example.tags == () for example in await scene.examples())


async def test_labels_are_measured_as_a_classifier(scene: Scene) -> None:
    labels = ("spam", "ham", "unsure")
    lines = [f"message {n},{labels[n % 3]}" for n in range(90)]
    path = scene.folder / "labels.csv"
    path.write_text("\n".join(["question,answer", *lines]))
    await scene.command(f"import {path} yes")
    scene.host.answers = lambda body: "Spam." if is_tuned(body) else "no label"
    await scene.confirm()
    await scene.settle()

    (evaluation,) = await evaluations(scene)
    found = load_report(evaluation.report)
    assert found is not None
    confusion = found.contenders[0].confusion
    assert confusion is not None
    assert set(confusion) == set(labels)
    assert all(row["spam"] == sum(row.values()) for row in confusion.values())
    await scene.click("Answers as CSV")
    (exported,) = (scene.folder / "exports").glob("evaluation-1.csv")
    rows = list(csv.DictReader(io.StringIO(exported.read_text("utf-8"), newline="")))
    own = [row for row in rows if row["contender"] == "new"]
    said = [row["answer"].strip(".").lower() for row in own]
    by_sklearn = precision_recall_fscore_support(
        [row["taught"] for row in own], said, labels=["spam"], zero_division=0
    )
    metrics = label_metrics(confusion, "spam")
    reported = (metrics.precision, metrics.recall, metrics.f_beta[1.0], metrics.count)
    assert reported == pytest.approx([float(one[0]) for one in by_sklearn])
    await scene.click("All measures", on=await scene.number_of("Evaluation 1: "))
    assert "spam: precision" in await scene.last()
    await scene.click("Another label")
    await scene.submit(positive="spam", betas="0.5, 2")
    measured = await scene.last()
    # Everything is called spam, and a third is: precision a third, recall one.
    assert "precision 0.33 · recall 1.00 · F0.5 0.38 · F2 0.71" in measured
    assert "taught ham, answered: spam " in measured
