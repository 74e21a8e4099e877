"""A button decides about the state it was drawn for: the one table of all that change something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import pytest

from adapters.studio.page_session import STUDIO_OWNER
from bot.command_catalogue import CATALOGUE
from bot.domain import LOCAL, ChannelId, ModelName
from bot.events import ButtonClicked, CommandInvoked, WorkspaceLeft
from bot.outdated_clicks import state_token
from bot.replies import Card, Listing, Refused, Reply
from tests.scene import SLACK, Scene

Draw = Callable[[Scene], Awaitable[str]]
Step = Callable[[Scene], Awaitable[object]]

SHOWS_ONLY = {
    *(
        "answer.why",
        "answers",
        "bindings",
        "channel",
        "compare.who",
        "consents",
        "counts",
        "hosts",
        "tour",
    ),
    *("example.context", "example.lineage", "example.revisions", "example.show", "example.similar"),
    *("check.overview", "check.show"),
    *("example.skip", "examples.more", "host.test", "job.accuracy", "job.events", "job.numbers"),
    "job.changes",
    *("job.quote", "job.results", "job.rows", "job.show", "jobs.more", "model.history"),
    *("model.keep", "model.lineage", "privacy.keep", "privacy.my_data", "share"),
    *("dashboard", "unanswered.more"),
    *("engine", "evaluation.details", "evaluation.gaps", "evaluation.question", "evaluation.show"),
    *("evaluation.export", "evaluation.sheet", "evaluations", "evaluations.history"),
    *("model.export", "model.take", "model.take_page", "welcome.approvers"),
    *("welcome.try", "workspace.export", "workspace.show", "workspaces"),
}
OPENS_A_QUESTION = {
    "check.merge",
    *("author.wrong", "example.assign"),
    *("example.edit", "example.write", "example.write_page", "feedback.bad", "feedback.why"),
    *(
        "job.again",
        "job.start",
        "offer.train",
        "judge.estimate",
        "synthetic.choose",
        "model.delete",
        "model.name",
        "privacy.ask_forget",
        "save",
        "several",
        "welcome.sources",
    ),
    *("evaluation.labels", "workspace.erase", "engine.install", "import.change"),
}
ONE_STATE_ALONE = {
    *("feedback.good", "starter", "example.must_answer", "example.not_must_answer"),
    *("example.teach", "unanswered.dismiss"),
    *("engine.cancel", "engine.confirm", "engine.use"),
}
"""Done twice it is as done once: the last vote of a person, the same rows, one mark, one engine."""
ELSEWHERE = {
    # test_private_text: the revision and state that the card showed
    *("example.keep", "example.mask"),
    # test_reviewers: the revision that the author was shown, and whether it still waits
    *("author.right", "example.ask_author"),
    # test_dataset_export: what is kept now
    "retention.set",
    # test_checking: fewer than two of its examples still live
    "check.keep_one",
    # test_decisions
    *("example.approve", "example.reject", "example.drop", "example.undo"),
    # test_own_cards
    *("consent.on", "consent.off", "privacy.forget", "model.use", "role.take_back"),
    "assistant.unbind",
    # test_tuning_races and test_tuning_states: the phase of the job decides
    *("job.cancel", "job.pause", "job.resume", "job.confirm", "job.confirm_unpriced"),
    "job.decline",
    # test_at_home: a second press takes the first back
    "job.ping",
    # The state of the evaluation decides.
    *("evaluation.confirm", "evaluation.decline", "evaluation.stop"),
    *("judge.confirm", "judge.decline", "judge.stop"),
    *("synthetic.confirm", "synthetic.decline", "synthetic.stop"),
    # test_blind_votes: the state of the vote decides
    *("vote.confirm", "vote.cast", "vote.end"),
    # A preview is of use once.
    *("import.go", "import.drop"),
    # test_undo and test_tuning_hosted: what is gone cannot go again
    *("undo", "file.delete"),
    # test_late_clicks: another model answers
    "model.rollback",
    # test_first_mark: what is allowed already is told, and a pointer that is kept is none
    *("marks.allow", "marks.decline", "marks.keep"),
    # test_whole_answers and test_conversation: each click is a call of its own
    *("go_on", "again", "new", "stop"),
    # test_discord_servers
    *("workspace.allow", "workspace.disallow"),
}


async def press(scene: Scene, action: str) -> Reply:
    key = f"{action} {scene.clock.now()} {len(await scene.messages())}"
    return await scene.app.handle_for_page(
        scene.event(ButtonClicked(action), key=key, by=STUDIO_OWNER)
    )


async def command(scene: Scene, words: str, channel: str = "general") -> Reply:
    key = f"{words} {channel} {scene.clock.now()}"
    event = scene.event(CommandInvoked(words), key=key, by=STUDIO_OWNER, channel=ChannelId(channel))
    return await scene.app.handle_for_page(event)


def action(reply: Reply, name: str) -> str:
    """Of the first button of that name."""
    if isinstance(reply, Listing):
        buttons = [button for line in reply.lines for button in line.buttons]
    else:
        assert isinstance(reply, Card), reply
        buttons = list(reply.buttons)
    return next(one.action for one in buttons if one.action.partition(":")[0] == name)


async def an_open_channel(scene: Scene) -> str:
    return action(await command(scene, "admin guests where:here"), "guests.close")


async def another_channel_is_opened(scene: Scene) -> None:
    await command(scene, "admin guests where:here", "other")


async def a_model_to_delete(scene: Scene) -> str:
    job = await scene.tuned("use:no")
    return action(await press(scene, f"model.delete:{job.model}"), "model.delete_sure")


async def another_model_answers(scene: Scene) -> None:
    await scene.confirm()
    await scene.settle()


async def a_deployed_model(scene: Scene) -> str:
    job = await scene.tuned("use:no")
    assert job.model is not None
    async with scene.store.writing() as records:
        await records.models.set_served_name(LOCAL, job.model, ModelName("first"))
    return f"model.undeploy:{state_token('first')}:{job.model}"


async def a_closed_workspace(scene: Scene) -> None:
    await scene.slack_event(CommandInvoked("help"), key="first", by="U1")
    await scene.slack_event(WorkspaceLeft(), key="left")
    scene.advance(120)
    await scene.app.runners.removals.poll()


async def a_period_to_extend(scene: Scene) -> str:
    await a_closed_workspace(scene)
    return action(await press(scene, f"workspace.show:{SLACK}"), "workspace.extend")


async def a_workspace_to_erase(scene: Scene) -> str:
    await a_closed_workspace(scene)
    return action(await press(scene, f"workspace.erase:{SLACK}"), "workspace.erase_sure")


async def the_period_begins_anew(scene: Scene) -> None:
    scene.advance(timedelta(days=3).total_seconds())
    shown = await press(scene, f"workspace.show:{SLACK}")
    await press(scene, action(shown, "workspace.extend"))
    scene.advance(1)


async def a_canary_to(scene: Scene, name: str) -> str:
    await scene.tuned("use:no")
    await command(scene, "use latest share:20%")
    await scene.settle()
    return action(await scene.last_card(), name)


async def a_canary_to_promote(scene: Scene) -> str:
    return await a_canary_to(scene, "canary.promote")


async def a_canary_to_stop(scene: Scene) -> str:
    return await a_canary_to(scene, "canary.stop")


async def another_share_is_tried(scene: Scene) -> None:
    scene.advance(1)
    await command(scene, "use latest share:50%")


async def deployed_anew(scene: Scene) -> None:
    for model in await scene.models():
        async with scene.store.writing() as records:
            await records.models.set_served_name(LOCAL, model.name, ModelName("second"))


HERE: Mapping[str, tuple[Draw, Step]] = {
    "guests.close": (an_open_channel, another_channel_is_opened),
    "canary.promote": (a_canary_to_promote, another_share_is_tried),
    "canary.stop": (a_canary_to_stop, another_share_is_tried),
    "model.delete_sure": (a_model_to_delete, another_model_answers),
    "model.undeploy": (a_deployed_model, deployed_anew),
    "workspace.erase_sure": (a_workspace_to_erase, the_period_begins_anew),
    "workspace.extend": (a_period_to_extend, the_period_begins_anew),
}


def test_every_button_is_looked_at() -> None:
    known = [*SHOWS_ONLY, *OPENS_A_QUESTION, *ONE_STATE_ALONE, *ELSEWHERE, *HERE]

    assert sorted(known) == sorted(one.name for one in CATALOGUE.buttons)


@pytest.mark.parametrize("name", HERE)
async def test_a_late_click_changes_nothing_and_is_told_how_it_stands(
    scene: Scene, name: str
) -> None:
    draw, meanwhile = HERE[name]
    late = await draw(scene)
    await meanwhile(scene)
    before = await audited(scene)

    reply = await press(scene, late)

    assert isinstance(reply, Refused), reply
    assert "has changed since it was shown" in reply.text
    assert await audited(scene) == before
    if reply.card is not None:
        await press(scene, action(reply.card, name))
        assert await audited(scene) != before


async def audited(scene: Scene) -> list[tuple[str, str]]:
    async with scene.database.reading() as records:
        return [
            (workspace, entry.what)
            for workspace in (LOCAL, SLACK)
            for entry in await records.audit.page(workspace, limit=100)
        ]
