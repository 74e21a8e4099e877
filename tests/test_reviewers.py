"""Several reviewers of an example, its assignment to one, and the question to its author."""

from __future__ import annotations

import pytest

from adapters.local_room import render_message
from adapters.studio.page_session import STUDIO_OWNER
from bot.domain import ExampleState, Role
from bot.events import ButtonClicked, CommandInvoked, FormSubmitted
from bot.replies import Card, Drawn, Refused, Reply, Text
from bot.significance import fleiss_kappa, rater_agreement
from tests.scene import GENERAL, Scene

# Fleiss 1971, as worked through at https://en.wikipedia.org/wiki/Fleiss%27_kappa
TABLE = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


async def tell(scene: Scene, words: str, *, by: str) -> Reply:
    scene.advance(1)
    key = f"{words} {by} {scene.clock.now()}"
    return await scene.app.handle_for_page(scene.event(CommandInvoked(words), key=key, by=by))


async def press(scene: Scene, action: str, *, by: str) -> Reply:
    scene.advance(1)
    key = f"{action} {by} {scene.clock.now()}"
    return await scene.app.handle_for_page(scene.event(ButtonClicked(action), key=key, by=by))


async def reviewed_by_two(scene: Scene, *lessons: str) -> None:
    """Examples of mina's that two of three curators must agree on."""
    await scene.command("help")
    for name in ("cora", "ben", "ada"):
        await scene.grant(name, Role.CURATOR)
    await scene.command("assistant edit reviewers:2")
    for lesson in lessons:
        values = {"question": lesson, "answer": f"{lesson}!"}
        await scene.handle(scene.event(FormSubmitted("teach", values), key=lesson, by="mina"))


async def states(scene: Scene) -> list[ExampleState]:
    return [one.state for one in await scene.examples()]


def lines(reply: Reply | Drawn) -> str:
    assert isinstance(reply, Card), reply
    return "\n".join(reply.lines)


async def test_two_must_agree_and_who_did_not_is_shown(scene: Scene) -> None:
    await reviewed_by_two(scene, "a", "b")

    await press(scene, "example.approve:1.r1.proposed", by="cora")
    await press(scene, "example.approve:1.r1.proposed", by="cora")
    alone = await states(scene)
    own = await tell(scene, "review", by="cora")
    await press(scene, "example.reject:1.r1.proposed", by="ben")
    shown = await tell(scene, "review", by="ada")
    await press(scene, "example.approve:1.r1.proposed", by="ada")

    assert alone == [ExampleState.PROPOSED] * 2
    assert isinstance(own, Card)
    assert own.title.startswith("Example 2 ")
    assert "Approved by cora. Rejected by ben. 2 must agree." in lines(shown)
    assert await states(scene) == [ExampleState.APPROVED, ExampleState.PROPOSED]
    for name in ("ben", "cora"):
        await press(scene, "example.reject:2.r1.proposed", by=name)
    assert (await states(scene))[1] is ExampleState.REJECTED
    assert "disagreed on 1 of 2 examples" in lines(await tell(scene, "review", by="ada"))


async def test_nothing_counts_as_approved_by_one_whichever_way_it_comes(scene: Scene) -> None:
    await reviewed_by_two(scene, "a")

    curators_own = {"question": "c", "answer": "d"}
    await scene.handle(scene.event(FormSubmitted("teach", curators_own), key="c", by="cora"))
    await scene.command("import starter:limericks")
    every = scene.event(
        FormSubmitted("examples:approved", {"all": "yes"}), key="all", by=STUDIO_OWNER
    )
    first = await scene.app.handle_for_page(every)

    assert isinstance(first, Text)
    assert "wait until more reviewers agree" in first.text
    assert set(await states(scene)) == {ExampleState.PROPOSED}


async def test_an_edit_asks_everybody_anew_and_a_verdict_is_taken_back(scene: Scene) -> None:
    await reviewed_by_two(scene, "a", "b")
    await press(scene, "example.approve:1.r1.proposed", by="cora")
    await press(scene, "example.approve:2.r1.proposed", by="cora")
    edit = FormSubmitted("example.edit:1:1", {"question": "a", "answer": "better"})
    await scene.handle(scene.event(edit, key="edit", by="ben"))

    await press(scene, "example.approve:1.r2.proposed", by="ben")
    await press(scene, "example.undo:2.r1.approved", by="cora")
    await press(scene, "example.approve:2.r1.proposed", by="ben")

    assert await states(scene) == [ExampleState.PROPOSED] * 2


async def test_an_assigned_example_waits_for_one_alone(scene: Scene) -> None:
    await reviewed_by_two(scene, "a")

    await tell(scene, "review 1 assign:ben", by="cora")
    refused = await tell(scene, "review 1 assign:mina", by="cora")

    assert "no curator" in getattr(refused, "text", "")
    assert lines(await tell(scene, "review", by="cora")) == ""
    assert "Assigned to ben." in lines(await tell(scene, "review", by="ben"))
    nobody = scene.event(FormSubmitted("example.assign:1", {"person": "-"}), key="off", by="cora")
    await scene.handle(nobody)
    assert "Assigned" not in lines(await tell(scene, "review", by="ben"))


async def test_the_author_is_asked_and_the_answer_is_shown_in_review(scene: Scene) -> None:
    await reviewed_by_two(scene, "a")

    asked = await press(scene, "example.ask_author:1", by="cora")
    await scene.app.deliver_notices()
    question = render_message((await scene.app.room.recent(GENERAL, limit=50))[-1])
    foreign = await press(scene, "author.right:1.r1", by="ben")
    wrong = FormSubmitted("author.wrong:1.r1", {"note": "closed on Monday"})
    await scene.handle(scene.event(wrong, key="wrong", by="mina"))
    shown = await tell(scene, "review", by="cora")

    assert isinstance(asked, Text)
    assert asked.text.startswith("Asked: mina.")
    assert "a!" in lines(question)
    assert not isinstance(foreign, Card)
    assert "mina, the author, says it is not right: closed on Monday" in lines(shown)
    await press(scene, "author.right:1.r1", by="mina")
    assert "mina, the author, says it is right." in lines(await tell(scene, "review", by="cora"))


def test_agreement_is_that_of_the_published_examples() -> None:
    counts = [{str(at): count for at, count in enumerate(row)} for row in TABLE]

    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=0.0005)
    # (0.70 - 0.50) / (1 - 0.50), at https://en.wikipedia.org/wiki/Cohen%27s_kappa
    pairs = {"yy": 20, "yn": 5, "ny": 10, "nn": 15}
    judged = [{"a": both[0], "b": both[1]} for both, n in pairs.items() for _ in range(n)]
    assert rater_agreement(judged) == pytest.approx(0.4)
    assert rater_agreement([]) is None


async def test_an_example_that_reviewers_disagree_on_is_found_and_decided(scene: Scene) -> None:
    await reviewed_by_two(scene, "When?")
    await press(scene, "example.approve:1.r1.proposed", by="cora")
    await press(scene, "example.reject:1.r1.proposed", by="ben")

    refused = await tell(scene, "review 1 assign:ben", by="ada")
    shown = await tell(scene, "review 1", by="ben")
    await press(scene, "example.approve:1.r1.proposed", by="ben")

    assert isinstance(refused, Refused), refused
    assert "has given a verdict on example 1 already" in refused.text
    assert "Approved by cora. Rejected by ben." in lines(shown)
    assert await states(scene) == [ExampleState.APPROVED]


async def test_a_search_without_a_match_does_not_say_that_there_is_nothing(scene: Scene) -> None:
    await reviewed_by_two(scene, "When?")

    await scene.command("examples tag:refunds", by="ada")

    assert (await scene.last_listing()).empty.startswith("No example matches.")
