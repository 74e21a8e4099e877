"""What was said in a channel that not everybody reads is shown in that channel alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations, product

import pytest

from bot import access
from bot.domain import (
    CHANNEL_EXCLUSIONS,
    NO_EXCLUSIONS,
    ChannelId,
    ChannelKind,
    Consent,
    ExampleSource,
    ExampleState,
    Exclusion,
    MessageId,
    NewExample,
    Origin,
    Place,
    Role,
    Sources,
    User,
    UserId,
)
from bot.events import ButtonClicked, CommandInvoked, EventContent, FormSubmitted, MessageReceived
from bot.ports.store import Records
from bot.rows import Method
from tests.scene import SLACK, Scene
from tests.stores import ANN, NOW, a_row

HERE, THERE = ChannelId("C1"), ChannelId("C2")
ADMIN = User(UserId("U9"), "ada", is_platform_admin=True)
CURATOR = User(UserId("U2"), "bob")
QUESTION = "what is the word?"


def sets_of_exclusions() -> Iterator[Exclusion]:
    kinds = list(Exclusion)
    for chosen in chain.from_iterable(combinations(kinds, size) for size in range(len(kinds) + 1)):
        found = NO_EXCLUSIONS
        for one in chosen:
            found |= one
        yield found


EVERY = list(sets_of_exclusions())


def named(channel: ChannelId | None, exclusions: Exclusion, origin: Origin) -> str:
    return f"[{channel or 'nowhere'} {int(exclusions)} {origin}]"


async def settle(scene: Scene) -> None:
    await scene.slack_event(CommandInvoked("help"), key="settle", by=ADMIN)
    async with scene.store.writing() as records:
        await records.consents.put(SLACK, Consent(ANN, 1, given=True, at=NOW))
        await records.workspaces.set_sources(SLACK, Sources.MESSAGES, allowed=NO_EXCLUSIONS)


async def add(
    records: Records,
    channel: ChannelId | None,
    exclusions: Exclusion,
    *,
    origin: Origin = Origin.MESSAGE,
    state: ExampleState = ExampleState.APPROVED,
) -> None:
    assistant = await records.assistants.default(SLACK)
    assert assistant is not None
    text = named(channel, exclusions, origin)
    source = ExampleSource(channel, MessageId(text)) if channel else None
    new = NewExample(
        assistant.id, Method.SUPERVISED, state, a_row(text), origin, (ANN,), source, (), exclusions
    )
    await records.examples.add(SLACK, new, at=NOW)


async def shown(scene: Scene, records: Records, channel: ChannelId) -> str:
    place = Place(SLACK, channel)
    return str(await scene.nearest_examples(place, QUESTION, count=1000, records=records))


async def test_an_example_goes_along_only_where_it_was_said_or_where_it_is_allowed(
    scene: Scene,
) -> None:
    await settle(scene)
    kinds = list(product((HERE, THERE, None), EVERY, (Origin.MESSAGE, Origin.FORM)))
    async with scene.store.writing() as records:
        for channel, exclusions, origin in kinds:
            await add(records, channel, exclusions, origin=origin)

        for allowed in EVERY:
            await records.workspaces.set_sources(SLACK, Sources.MESSAGES, allowed=allowed)
            prompt = await shown(scene, records, HERE)

            for channel, exclusions, origin in kinds:
                counts = exclusions & Exclusion.GUEST if channel == HERE else exclusions
                is_shown = named(channel, exclusions, origin) in prompt
                assert is_shown is (counts in allowed), (allowed, channel, exclusions, origin)


async def test_a_question_elsewhere_is_answered_without_it(scene: Scene) -> None:
    await settle(scene)
    await scene.slack_event(CommandInvoked("assistant edit few_shot:8"), key="shots", by=ADMIN)
    async with scene.store.writing() as records:
        await add(records, THERE, Exclusion.PRIVATE)
        await add(records, THERE, NO_EXCLUSIONS)

    await scene.slack_event(scene.spoken(QUESTION, number=1), key="ask", by=CURATOR)
    await scene.slack_event(CommandInvoked(f"compare {QUESTION}"), key="compare", by=CURATOR)

    asked = str([one.body for one in scene.host.asked])
    assert named(THERE, NO_EXCLUSIONS, Origin.MESSAGE) in asked
    assert named(THERE, Exclusion.PRIVATE, Origin.MESSAGE) not in asked


async def test_nothing_of_it_is_trained_on_unless_it_is_allowed(scene: Scene) -> None:
    await settle(scene)
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(SLACK)
        assert assistant is not None
        for exclusions in EVERY:
            await add(records, HERE, exclusions)

        for allowed in EVERY:
            await records.workspaces.set_sources(SLACK, Sources.MESSAGES, allowed=allowed)
            rows = records.examples.iterate_trainable(SLACK, assistant.id, Method.SUPERVISED)
            found = [example.exclusions async for example in rows]

            assert sorted(found) == sorted(one for one in EVERY if one in allowed)


@pytest.mark.parametrize("kind", list(CHANNEL_EXCLUSIONS), ids=lambda one: str(one.name))
async def test_a_curator_elsewhere_neither_lists_nor_finds_nor_opens_it(
    scene: Scene, kind: Exclusion
) -> None:
    await settle(scene)
    await scene.grant(CURATOR.id, Role.CURATOR, SLACK)
    async with scene.store.writing() as records:
        await add(records, THERE, kind, state=ExampleState.PROPOSED)
    words: tuple[EventContent, ...] = (
        CommandInvoked("examples"),
        CommandInvoked("examples search:nowhere"),
        CommandInvoked("examples search:message"),
        CommandInvoked("review"),
        CommandInvoked("examples edit:1"),
        ButtonClicked("example.show:1"),
        ButtonClicked("example.edit:1"),
        ButtonClicked("examples.more:"),
        ButtonClicked("share:1"),
    )
    for number, what in enumerate(words):
        await scene.slack_event(what, key=f"look{number}", by=CURATOR)

    told = [*scene.slack.posts.values(), *scene.slack.whispers, *scene.slack.forms]
    assert named(THERE, kind, Origin.MESSAGE) not in str(told)


async def test_in_its_own_channel_a_curator_sees_it(scene: Scene) -> None:
    await settle(scene)
    await scene.grant(CURATOR.id, Role.CURATOR, SLACK)
    async with scene.store.writing() as records:
        await add(records, HERE, Exclusion.PRIVATE, state=ExampleState.PROPOSED)

    await scene.slack_event(CommandInvoked("review"), key="look", by=CURATOR)

    assert named(HERE, Exclusion.PRIVATE, Origin.MESSAGE) in str(scene.slack.whispers[-1])


async def test_the_form_says_what_to_allow_means(scene: Scene) -> None:
    await scene.slack_event(CommandInvoked("admin sources"), key="form", by=ADMIN)
    allowing = {"sources": "messages", "allowed": "private", "permission": "our own"}
    await scene.slack_event(FormSubmitted("sources", allowing), key="set", by=ADMIN)

    assert "answers in any channel" in str(scene.slack.forms[-1])
    assert "answers in any channel" in str(scene.slack.posts)


async def test_what_is_rated_from_elsewhere_teaches_nothing(scene: Scene) -> None:
    await settle(scene)
    place = Place(SLACK, THERE)
    spoken = replace(scene.spoken("secret?", number=1, by=CURATOR).message, place=place)
    asked = scene.event(
        MessageReceived(spoken, True), key="ask", by=CURATOR, workspace=SLACK, channel=THERE
    )
    await scene.handle(asked)

    values = {"reason": "", "better": "the better word"}
    await scene.slack_event(FormSubmitted("feedback:1", values), key="rate", by=CURATOR)

    assert await scene.examples(workspace=SLACK) == []


@pytest.mark.parametrize(
    "kind", [one for one in ChannelKind if one is not ChannelKind.OPEN], ids=str
)
@pytest.mark.parametrize("form", ["teach", "feedback:1"])
async def test_what_is_typed_in_a_channel_that_not_everybody_reads_stays_there(
    scene: Scene, kind: ChannelKind, form: str
) -> None:
    await settle(scene)
    await scene.grant(CURATOR.id, Role.CURATOR, SLACK)
    closed = Place(SLACK, THERE, kind=kind)
    exclusion = access.learning_exclusions(closed, ())
    async with scene.store.writing() as records:
        await records.consents.put(SLACK, Consent(CURATOR.id, 1, given=True, at=NOW))
        await records.workspaces.set_sources(SLACK, Sources.MESSAGES, allowed=exclusion)
    asked = replace(scene.spoken("the question", number=1, by=CURATOR).message, place=closed)
    values = {"question": "the question", "answer": "PARROT", "better": "PARROT", "reason": ""}
    happened: list[EventContent] = [MessageReceived(asked, True), FormSubmitted(form, values)]
    for key, what in enumerate(happened):
        event = scene.event(what, key=f"closed{key}", by=CURATOR, workspace=SLACK)
        await scene.handle(replace(event, place=closed))

    async with scene.store.writing() as records:
        await records.workspaces.set_sources(SLACK, Sources.MESSAGES, allowed=NO_EXCLUSIONS)
        there, elsewhere = await shown(scene, records, THERE), await shown(scene, records, HERE)

    assert await scene.examples(workspace=SLACK)
    assert "PARROT" in there
    assert "PARROT" not in elsewhere


async def test_a_lesson_of_a_private_channel_is_kept_and_says_that_it_stays_there(
    scene: Scene,
) -> None:
    await settle(scene)
    place = Place(SLACK, THERE, kind=ChannelKind.PRIVATE)
    lesson = FormSubmitted("teach", {"question": "q", "answer": "a"})
    await scene.handle(
        replace(scene.event(lesson, key="t", by=CURATOR, workspace=SLACK), place=place)
    )

    (kept,) = await scene.examples(workspace=SLACK)
    assert kept.exclusions == Exclusion.PRIVATE
    assert kept.source is not None
    assert kept.source.channel == THERE
    assert "in this channel alone" in str(scene.slack.whispers)


async def test_two_people_may_rate_one_answer(scene: Scene) -> None:
    await settle(scene)
    await scene.slack_event(
        scene.spoken("the question", number=1, by=CURATOR), key="ask", by=CURATOR
    )

    for by in ("U2", "U3"):
        values = {"reason": "", "better": f"better of {by}"}
        await scene.slack_event(FormSubmitted("feedback:1", values), key=by, by=by)

    assert len(await scene.examples(workspace=SLACK)) == 4
