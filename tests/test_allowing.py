"""What an admin may allow to learn from, and the form in which an exchange is saved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain import ChannelKind, ExampleState, Exclusion, Message, User, UserId
from bot.events import ButtonClicked, FormSubmitted, ReactionChanged, ShortcutUsed
from bot.replies import Form
from bot.rows import Method
from tests.scene import SLACK, Scene

ADA = "ada"


async def allow(scene: Scene, allowed: str = "", sources: str = "messages") -> None:
    """Ada, an admin, lets the bot learn from marked messages, and from what she names."""
    if not scene.admins:
        scene.admins = f"slack:{ADA}"
        await scene.restart()
    values = {"sources": sources, "allowed": allowed, "permission": "Letter of 3 May"}
    key = f"sources {allowed} {sources} {scene.clock.now()}"
    await scene.slack_event(FormSubmitted("sources", values), key=key, by=ADA)


def exchange(scene: Scene, *, by: User | None = None) -> Message:
    question = scene.slack.hears("when do you open?", by="mina")
    answer = scene.slack.hears("at nine", by="omar", reply_to=int(question.id))
    return answer if by is None else replace(answer, author=by)


async def mark(scene: Scene, said: Message, kind: ChannelKind = ChannelKind.OPEN) -> None:
    scene.slack.said = [said if one.id == said.id else one for one in scene.slack.said]
    event = scene.event(
        ReactionChanged(said.id, "🎓"),
        key=f"mark {said.id} {kind} {scene.clock.now()}",
        by="mina",
        workspace=SLACK,
        channel=scene.slack.channel,
        kind=kind,
    )
    await scene.handle(event)


CLOSED = [kind for kind in ChannelKind if kind is not ChannelKind.OPEN]


@pytest.mark.parametrize("kind", CLOSED)
async def test_a_closed_channel_teaches_only_once_an_admin_allows_its_kind(
    scene: Scene, kind: ChannelKind
) -> None:
    await allow(scene)
    await mark(scene, exchange(scene), kind)
    refused = await scene.examples(workspace=SLACK)

    await allow(scene, kind.value)
    scene.advance(1)
    await mark(scene, exchange(scene), kind)

    assert refused == []
    (example,) = await scene.examples(workspace=SLACK)
    assert example.exclusions == Exclusion[kind.name]


async def test_to_allow_one_kind_allows_no_other(scene: Scene) -> None:
    await allow(scene, "direct,guest")

    await mark(scene, exchange(scene), ChannelKind.PRIVATE)

    assert await scene.examples(workspace=SLACK) == []
    assert "/tune admin sources" in str(scene.slack.whispers[-1])


GUEST = User(UserId("omar"), "Omar", is_guest=True)


async def test_a_guest_teaches_only_once_an_admin_allows_it(scene: Scene) -> None:
    await allow(scene)
    await mark(scene, exchange(scene, by=GUEST))
    refused = await scene.examples(workspace=SLACK)

    await allow(scene, "guest")
    scene.advance(1)
    await mark(scene, exchange(scene, by=GUEST))

    assert refused == []
    assert len(await scene.examples(workspace=SLACK)) == 1


async def test_other_bots_never_teach(scene: Scene) -> None:
    await allow(scene, "private,shared,direct,restricted,guest")

    await mark(scene, exchange(scene, by=User(UserId("B1"), "bot", is_bot=True)))

    assert await scene.examples(workspace=SLACK) == []


async def test_a_guest_who_asked_us_does_not_teach_through_our_answer(scene: Scene) -> None:
    await allow(scene)
    scene.slack.people[UserId("mina")] = User(UserId("mina"), "Mina", is_guest=True)
    await scene.slack_event(scene.spoken("hi", number=1), key="e1", by="mina")
    said = replace(scene.slack.hears("the answer", by="attune"), is_own=True)
    own = replace(said, id=scene.slack.own_ids[-1])
    scene.slack.said.append(own)

    await scene.slack_event(ReactionChanged(own.id, "🎓"), key="e2", by=ADA)

    assert await scene.examples(workspace=SLACK) == []
    assert "guest" in str(scene.slack.whispers[-1])


async def test_a_guests_own_lesson_needs_the_same_word(scene: Scene) -> None:
    await allow(scene)
    lesson = {"question": "when?", "answer": "at nine"}

    await scene.slack_event(FormSubmitted("teach", lesson), key="e1", by=GUEST)

    assert await scene.examples(workspace=SLACK) == []


async def test_what_is_allowed_no_more_is_trained_on_no_more(scene: Scene) -> None:
    await allow(scene, "private")
    await mark(scene, exchange(scene), ChannelKind.PRIVATE)
    for author in ("mina", "omar"):
        await scene.slack_event(ButtonClicked("consent.on"), key=f"yes {author}", by=author)
    await scene.slack_event(ButtonClicked("example.approve:1.r1.proposed"), key="approve", by=ADA)
    before = await trainable(scene)

    await allow(scene)

    assert (before, await trainable(scene)) == (1, 0)


async def trainable(scene: Scene) -> int:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(SLACK)
        assert assistant is not None
        found = records.examples.iterate_trainable(SLACK, assistant.id, Method.SUPERVISED)
        return len([example async for example in found])


async def test_the_audit_tells_what_was_allowed(scene: Scene) -> None:
    await allow(scene, "private,guest")

    async with scene.database.reading() as records:
        (entry,) = await records.audit.page(SLACK, what="sources")

    assert entry.user == ADA
    assert (entry.details["allowed"], entry.details["permission"]) == (
        "private,guest",
        "Letter of 3 May",
    )


async def test_a_word_that_is_none_of_them_changes_nothing(scene: Scene) -> None:
    await allow(scene, "everything")

    assert "Choose from: private, shared" in str(scene.slack.whispers[-1])
    assert await scene.audited("sources", SLACK) == 0


# Save as example


async def save(scene: Scene, said: Message, *, by: str = "mina") -> Form:
    key = f"save {said.id} {by}"
    await scene.slack_event(ShortcutUsed("save", said), key=key, by=by)
    return scene.slack.forms[-1]


async def test_saving_shows_the_exchange_before_anything_is_kept(scene: Scene) -> None:
    await allow(scene)

    form = await save(scene, exchange(scene))

    assert [field.value for field in form.fields] == ["when do you open?", "at nine"]
    assert await scene.examples(workspace=SLACK) == []


async def test_what_is_saved_is_what_was_edited(scene: Scene) -> None:
    await allow(scene)
    form = await save(scene, exchange(scene), by=ADA)

    edited = {"question": "when do you open?", "answer": "At nine."}
    await scene.slack_event(FormSubmitted(form.id, edited), key="e2", by=ADA)

    (example,) = await scene.examples(workspace=SLACK)
    assert "At nine." in str(example.row)
    assert (example.state, example.authors) == (ExampleState.PROPOSED, ("mina", "omar", ADA))


async def test_who_changes_nothing_is_no_author(scene: Scene) -> None:
    await allow(scene)
    form = await save(scene, exchange(scene), by=ADA)

    same = {field.name: field.value for field in form.fields}
    await scene.slack_event(FormSubmitted(form.id, same), key="e2", by=ADA)

    (example,) = await scene.examples(workspace=SLACK)
    assert example.authors == ("mina", "omar")


async def test_what_was_forbidden_meanwhile_is_not_saved(scene: Scene) -> None:
    await allow(scene)
    form = await save(scene, exchange(scene))
    await allow(scene, sources="outside")

    edited = {"question": "a secret", "answer": "a secret"}
    await scene.slack_event(FormSubmitted(form.id, edited), key="e2", by="mina")

    (example,) = await scene.examples(workspace=SLACK)
    assert example.row is None


async def test_of_a_long_conversation_the_end_is_edited_and_the_rest_goes_along(
    scene: Scene,
) -> None:
    await allow(scene)
    last: Message | None = None
    for number, (text, by) in enumerate([("q1", "mina"), ("a1", "omar")] * 4):
        last = scene.slack.hears(f"{text}.{number}", by=by, reply_to=number or None)
    assert last is not None

    form = await save(scene, last)
    values = {field.name: field.value.upper() for field in form.fields}
    await scene.slack_event(FormSubmitted(form.id, values), key="e2", by="mina")

    assert len(form.fields) == 4
    assert "4 earlier texts" in form.note
    (example,) = await scene.examples(workspace=SLACK)
    assert [word in str(example.row) for word in ("q1.0", "a1.3", "Q1.4", "A1.7")] == [True] * 4


async def test_below_messages_saving_keeps_a_pointer(scene: Scene) -> None:
    said = replace(exchange(scene), permalink="https://chat.example/1")

    await scene.slack_event(ShortcutUsed("save", said), key="e1", by="mina")

    (example,) = await scene.examples(workspace=SLACK)
    assert example.row is None
    assert example.source is not None
    assert example.source.permalink == "https://chat.example/1"
    assert "Kept as a pointer" in str(scene.slack.whispers[-1])


async def test_where_forms_teach_the_pointer_comes_with_an_empty_form(scene: Scene) -> None:
    await allow(scene, sources="forms")

    form = await save(scene, exchange(scene))

    assert form.id.startswith("example.written:")
    assert [field.value for field in form.fields] == ["", ""]
    assert "in your own words" in form.note


async def test_a_pointer_gives_way_to_its_text_once_that_is_allowed(scene: Scene) -> None:
    said = exchange(scene)
    await mark(scene, said)
    await allow(scene)
    scene.advance(1)

    await mark(scene, said)

    pointer, example = await scene.examples(workspace=SLACK)
    assert (pointer.row, pointer.state) == (None, ExampleState.WITHDRAWN)
    assert "at nine" in str(example.row)


async def test_a_form_whose_moment_has_passed_is_opened_by_a_button(scene: Scene) -> None:
    await allow(scene)
    form = await save(scene, exchange(scene))

    await scene.slack_event(ButtonClicked(form.reopen_action), key="e2", by="mina")

    assert scene.slack.forms[-1] == form
