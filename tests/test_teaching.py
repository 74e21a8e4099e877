"""From a good answer to a lesson: marked, reviewed, followed through, taken out again."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from bot.domain import LOCAL, Example, ExampleState, Message, MessageId, Origin, Role
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    FormSubmitted,
    MessageEdited,
    MessagesDeleted,
    ReactionChanged,
    ShortcutUsed,
)
from bot.rows import Method
from tests.scene import GENERAL, SLACK, Scene

PROPOSED, APPROVED = ExampleState.PROPOSED, ExampleState.APPROVED


async def only(scene: Scene, state: ExampleState | None = None) -> Example:
    (example,) = await scene.examples(state)
    return example


def spoken(example: Example) -> list[tuple[str, str]]:
    assert example.row is not None
    messages: Any = example.row["messages"]
    return [(message["role"], message["content"]) for message in messages]


async def exported(scene: Scene, options: str = "") -> bytes:
    await scene.command(f"export {options}".strip())
    files = (scene.folder / "exports").iterdir()
    return max(files, key=lambda path: path.stat().st_mtime_ns).read_bytes()


async def test_a_reply_is_taught_with_what_it_answers(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.say("something in between", by="omar")
    await scene.do("/reply 1 at nine", by="ada")

    await scene.react(3, "🎓", by="omar")

    example = await only(scene)
    assert spoken(example) == [("user", "when do you open?"), ("assistant", "at nine")]
    assert (example.state, example.origin) == (PROPOSED, Origin.MESSAGE)
    assert set(example.authors) == {"mina", "ada"}


async def test_a_reply_to_a_reply_is_several_turns(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    await scene.do("/reply 2 on sundays too?", by="mina")
    await scene.do("/reply 3 at ten", by="ada")

    await scene.react(4, "🎓", by="omar")

    assert spoken(await only(scene)) == [
        ("user", "when do you open?"),
        ("assistant", "at nine"),
        ("user", "on sundays too?"),
        ("assistant", "at ten"),
    ]


async def test_neighbours_by_the_same_person_are_stitched(scene: Scene) -> None:
    await scene.say("long ago", by="omar")
    await scene.say("hello", by="mina")
    await scene.say("when do you open?", by="mina")
    await scene.say("good morning", by="ada")
    await scene.say("at nine", by="ada")

    await scene.react(5, "🎓", by="omar")

    assert spoken(await only(scene)) == [
        ("user", "hello\nwhen do you open?"),
        ("assistant", "good morning\nat nine"),
    ]


async def test_a_thread_is_taught_in_several_turns(scene: Scene) -> None:
    room = scene.app.room
    users = {
        name: scene.event(CommandInvoked(""), key="", by=name).user for name in ("mina", "ada")
    }
    root = await room.post_as_person(GENERAL, users["mina"], "when do you open?")
    await room.post_as_person(GENERAL, users["mina"], "elsewhere", thread=None)
    await room.post_as_person(GENERAL, users["ada"], "at nine", thread=root.number)
    await room.post_as_person(GENERAL, users["mina"], "on sundays too?", thread=root.number)
    last = await room.post_as_person(GENERAL, users["ada"], "at ten", thread=root.number)

    await scene.react(last.number, "🎓", by="omar")

    assert [text for _, text in spoken(await only(scene))] == [
        "when do you open?",
        "at nine",
        "on sundays too?",
        "at ten",
    ]


async def test_an_answer_of_the_assistant_is_taught_as_it_was_given(scene: Scene) -> None:
    await scene.say("@attune hi", by="mina")

    await scene.react(2, "🎓", by="omar")

    example = await only(scene)
    assert spoken(example) == [("user", "hi"), ("assistant", "Hello from the model")]
    assert example.authors == ("mina",)


async def test_a_message_without_a_question_before_it_teaches_nothing(scene: Scene) -> None:
    await scene.say("just saying", by="mina")

    await scene.react(1, "🎓", by="omar")

    assert await scene.examples() == []
    assert "There is no question before" in await scene.last()


async def test_the_mark_gets_a_receipt(scene: Scene) -> None:
    await taught(scene)

    message = await scene.app.room.message(2)

    assert message is not None
    assert ("🎓", "attune") in message.reactions


async def test_marking_it_twice_teaches_it_once(scene: Scene) -> None:
    await taught(scene)

    await scene.react(2, "🎓", by="ada")

    assert len(await scene.examples()) == 1
    assert "I have that already: it is example 1 (proposed)" in await scene.last()


async def taught(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    await scene.react(2, "🎓", by="omar")


async def test_the_mark_taken_off_withdraws_what_is_proposed(scene: Scene) -> None:
    await taught(scene)

    await scene.react(2, "🎓", by="omar", is_removed=True)

    assert (await only(scene)).state is ExampleState.WITHDRAWN


async def test_the_mark_taken_off_leaves_what_is_approved(scene: Scene) -> None:
    await taught(scene)
    await scene.react(2, "✅")

    await scene.react(2, "🎓", by="omar", is_removed=True)

    assert (await only(scene)).state is APPROVED


async def test_a_curator_approves_with_an_emoji(scene: Scene) -> None:
    await taught(scene)
    await scene.grant("cora", Role.CURATOR)

    await scene.react(2, "✅", by="cora")

    assert (await only(scene)).state is APPROVED


async def test_a_curators_emoji_alone_proposes_and_approves(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")

    await scene.react(2, "✅")

    assert (await only(scene)).state is APPROVED


async def test_a_member_does_not_approve_with_an_emoji(scene: Scene) -> None:
    await taught(scene)

    await scene.react(2, "✅", by="omar")

    assert (await only(scene)).state is PROPOSED
    assert "That needs the role “curator”" in await scene.last()


# Where messages may not be learned from


async def test_below_messages_a_mark_keeps_only_a_pointer(scene: Scene) -> None:
    question = scene.slack.hears("our secret", by="mina")
    answer = scene.slack.hears("very secret", by="ada", reply_to=int(question.id))

    await scene.slack_event(ReactionChanged(answer.id, "🎓"), key="e1", by="omar")

    (example,) = await scene.examples(workspace=SLACK)
    assert example.row is None
    assert example.source is not None
    assert example.source.message == answer.id
    assert "Kept as a pointer" in str(scene.slack.whispers[-1])
    stored = b"".join(path.read_bytes() for path in scene.folder.glob("attune.db*"))
    assert b"very secret" not in stored


async def test_below_messages_a_curator_approves_nothing(scene: Scene) -> None:
    answer = await marked_on_slack(scene)

    await scene.grant("cora", Role.CURATOR, SLACK)
    await scene.slack_event(ReactionChanged(answer.id, "✅"), key="e2", by="cora")

    (example,) = await scene.examples(workspace=SLACK)
    assert example.state is PROPOSED
    assert "only a pointer" in str(scene.slack.whispers[-1])


async def marked_on_slack(scene: Scene) -> Message:
    question = scene.slack.hears("when do you open?", by="mina")
    answer = scene.slack.hears("at nine", by="ada", reply_to=int(question.id))
    await scene.slack_event(ReactionChanged(answer.id, "🎓"), key="e1", by="omar")
    return answer


async def test_below_forms_a_form_teaches_nothing(scene: Scene) -> None:
    lesson = {"question": "when?", "answer": "at nine"}

    await scene.slack_event(FormSubmitted("teach", lesson), key="e1", by="mina")

    assert await scene.examples(workspace=SLACK) == []
    assert "/tune admin sources" in str(scene.slack.whispers[-1])


async def test_raising_the_sources_needs_a_word_on_who_permits_it(scene: Scene) -> None:
    scene.admins = "slack:ada"
    await scene.restart()

    await raise_sources(scene, "")
    await raise_sources(scene, "Slack's letter of 3 May")

    assert "Say who permits that" in str(scene.slack.whispers[-1])
    assert await scene.audited("sources", SLACK) == 1


async def raise_sources(scene: Scene, permission: str) -> None:
    values = {"sources": "messages", "permission": permission}
    await scene.slack_event(FormSubmitted("sources", values), key=f"s{permission}", by="ada")


async def test_with_permission_the_text_is_kept_and_waits_for_its_authors(scene: Scene) -> None:
    scene.admins = "slack:ada"
    await scene.restart()
    await raise_sources(scene, "Slack's letter of 3 May")
    answer = await marked_on_slack(scene)
    for author in ("ada", "mina"):
        await scene.slack_event(ReactionChanged(answer.id, "✅"), key=f"early {author}", by="ada")
        assert await trainable(scene) == 0
        await scene.slack_event(ButtonClicked("consent.on"), key=f"yes {author}", by=author)

    await scene.slack_event(ReactionChanged(answer.id, "✅"), key="now", by="ada")
    assert await trainable(scene) == 1
    await scene.slack_event(CommandInvoked("consent off"), key="no", by="mina")

    assert await trainable(scene) == 0


async def trainable(scene: Scene) -> int:
    async with scene.database.reading() as records:
        assistant = await records.assistants.default(SLACK)
        assert assistant is not None
        found = records.examples.iterate_trainable(SLACK, assistant.id, Method.SUPERVISED)
        return len([example async for example in found])


async def test_an_objection_takes_the_lesson_out_again(scene: Scene) -> None:
    await taught(scene)
    await scene.react(2, "✅")
    await scene.learn(12)
    await scene.command("start")
    assert "13 to learn from" in (await scene.last_card()).facts[0].value

    await scene.command("consent off", by="mina")
    await scene.command("start")

    assert "12 to learn from" in (await scene.last_card()).facts[0].value


# Sources followed through


async def test_an_edit_at_the_source_is_looked_at_again(scene: Scene) -> None:
    await taught(scene)
    await scene.react(2, "✅")

    await scene.do("/edit 2 at half past nine", by="ada")

    example = await only(scene)
    assert spoken(example)[-1] == ("assistant", "at half past nine")
    assert (example.state, example.revision) == (PROPOSED, 2)


async def test_an_edit_keeps_the_neighbours_that_were_stitched(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.say("good morning", by="ada")
    await scene.say("at nine", by="ada")
    await scene.react(3, "🎓")

    await scene.do("/edit 3 at ten", by="ada")

    assert spoken(await only(scene))[-1] == ("assistant", "good morning\nat ten")


async def test_an_edit_that_changes_nothing_leaves_it_approved(scene: Scene) -> None:
    await taught(scene)
    await scene.react(2, "✅")

    await scene.handle(
        scene.event(MessageEdited(MessageId("2"), "at nine"), key="unfurled", by="ada")
    )

    assert (await only(scene)).state is APPROVED


async def test_an_edit_that_leaves_nothing_erases_the_lesson(scene: Scene) -> None:
    await taught(scene)
    await scene.app.room.edit_as_person(2, "")

    await scene.handle(scene.event(MessageEdited(MessageId("2"), ""), key="e1", by="ada"))

    assert (await only(scene)).row is None


async def test_a_message_deleted_at_its_source_erases_the_lesson(scene: Scene) -> None:
    await taught(scene)
    await scene.react(2, "✅")

    await scene.do("/delete 2", by="ada")

    example = await only(scene)
    assert (example.row, example.authors) == (None, ())
    stored = b"".join(path.read_bytes() for path in scene.folder.glob("attune.db*"))
    assert b"at nine" not in stored


async def test_a_message_deleted_elsewhere_erases_nothing(scene: Scene) -> None:
    await taught(scene)

    await scene.slack_event(MessagesDeleted((MessageId("2"),)), key="e1", by="ada")

    assert (await only(scene)).row is not None


# Forms and review


async def test_a_curators_own_lesson_is_approved_at_once(scene: Scene) -> None:
    await scene.command("teach")
    await scene.submit(question="when do you open?", answer="at nine")

    example = await only(scene)
    assert spoken(example) == [("user", "when do you open?"), ("assistant", "at nine")]
    assert (example.state, example.origin, example.authors) == (APPROVED, Origin.CONSOLE, ("you",))


async def test_a_members_lesson_waits_for_a_curator(scene: Scene) -> None:
    await scene.command("teach", by="mina")
    await scene.submit(by="mina", question="when do you open?", answer="at nine")

    assert (await only(scene)).state is PROPOSED


async def test_half_a_lesson_is_refused(scene: Scene) -> None:
    await scene.handle(scene.event(FormSubmitted("teach", {"question": "when?"}), key="e1"))

    assert "needs a question and an answer" in await scene.last()


async def three_proposed(scene: Scene) -> int:
    """The number of the review card."""
    await scene.grant("mina", Role.MEMBER)
    for number in range(3):
        await scene.command("teach", by="mina")
        await scene.submit(by="mina", question=f"question {number}", answer="answer")
    await scene.command("review")
    return await scene.number_of("waiting")


async def test_review_goes_from_one_to_the_next_in_one_message(scene: Scene) -> None:
    await scene.do("/tune help")
    card = await three_proposed(scene)
    before = len(await scene.texts())

    await scene.click("Approve", on=card)
    await scene.click("Reject", on=card)
    await scene.click("Skip", on=card)

    assert len(await scene.texts()) == before
    states = [example.state for example in await scene.examples()]
    assert states == [APPROVED, ExampleState.REJECTED, PROPOSED]


async def test_review_says_when_nothing_is_left(scene: Scene) -> None:
    await scene.do("/tune help")
    card = await three_proposed(scene)

    for _ in range(3):
        await scene.click("Approve", on=card)

    assert "Nothing waits for review." in "".join(await scene.texts())


async def test_review_warns_of_what_should_not_be_taught(scene: Scene) -> None:
    await scene.do("/tune help")
    await scene.command("teach", by="mina")
    await scene.submit(by="mina", question="your card?", answer="4111 1111 1111 1111")

    await scene.command("review")

    assert "a card number" in await scene.last()


async def test_an_example_is_edited_in_a_form(scene: Scene) -> None:
    await scene.learn(1)
    await scene.command("examples edit:1")

    await scene.submit(answer="a better answer")

    example = await only(scene)
    assert spoken(example) == [("user", "question 0"), ("assistant", "a better answer")]
    assert example.revision == 2


async def test_an_example_that_is_withdrawn_is_not_trained_on(scene: Scene) -> None:
    await scene.learn(12)
    await scene.command("examples withdraw:5")

    await scene.command("start")

    assert (await scene.last_card()).facts[0].value == "11 to learn from"


async def test_examples_are_searched_and_paged_with_the_same_question(scene: Scene) -> None:
    await scene.learn(30)
    await scene.command("examples withdraw:2")
    await scene.command("examples answer state:approved")
    assert (await scene.last_listing()).total == 29

    for _ in range(2):
        await scene.click("More")

    listing = await scene.last_listing()
    assert listing.total == 29
    assert [line.id for line in listing.lines] == ["10", "9", "8", "7", "6", "5", "4", "3", "1"]


# Feedback


async def test_a_thumb_is_a_vote_and_the_last_one_wins(scene: Scene) -> None:
    await scene.say("@attune hi", by="mina")
    await scene.react(2, "👍", by="mina")
    await scene.react(2, "👎", by="mina")

    async with scene.database.reading() as records:
        turn = await records.turns.by_reply_message(LOCAL, GENERAL, MessageId("2"))
        assert turn is not None
        votes = await records.turns.votes(LOCAL, turn.id)
    assert [(vote.user, vote.value) for vote in votes] == [("mina", -1)]


async def test_a_thumb_down_asks_why_once(scene: Scene) -> None:
    await scene.say("@attune hi", by="mina")

    await scene.react(2, "👎", by="mina")
    await scene.react(2, "👎", by="mina", is_removed=True)
    await scene.react(2, "👎", by="omar")

    assert len(await scene.said("Sorry about that")) == 2


async def test_a_thumb_taken_off_is_no_vote(scene: Scene) -> None:
    await scene.say("@attune hi", by="mina")
    await scene.react(2, "👍", by="mina")

    await scene.react(2, "👍", by="mina", is_removed=True)

    async with scene.database.reading() as records:
        turn = await records.turns.by_reply_message(LOCAL, GENERAL, MessageId("2"))
        assert turn is not None
        assert await records.turns.votes(LOCAL, turn.id) == []


async def test_a_better_answer_becomes_a_lesson_and_a_preference(scene: Scene) -> None:
    await scene.say("@attune hi", by="mina")
    await scene.react(2, "👎", by="mina")
    await scene.click("Tell us why", by="mina")

    await scene.submit(by="mina", reason="too long", better="Hi!")

    lesson, preference = await scene.examples()
    assert spoken(lesson) == [("user", "hi"), ("assistant", "Hi!")]
    assert preference.row == {
        "input": {"messages": [{"role": "user", "content": "hi"}]},
        "preferred_output": [{"role": "assistant", "content": "Hi!"}],
        "non_preferred_output": [{"role": "assistant", "content": "Hello from the model"}],
    }
    assert {lesson.state, preference.state} == {PROPOSED}


async def test_a_reason_alone_stays_feedback(scene: Scene) -> None:
    await scene.say("@attune hi", by="mina")
    await scene.react(2, "👎", by="mina")
    await scene.click("Tell us why", by="mina")

    await scene.submit(by="mina", reason="too long", better="")

    assert await scene.examples() == []


async def test_without_permission_a_better_answer_stays_feedback(scene: Scene) -> None:
    said = scene.spoken("hi", number=1)
    await scene.slack_event(said, key="e1", by="mina")

    values = {"better": "Hi!", "reason": ""}
    await scene.slack_event(FormSubmitted("feedback:1", values), key="e2", by="mina")

    assert await scene.examples(workspace=SLACK) == []
    assert "it stays feedback" in str(scene.slack.whispers[-1])


async def test_a_better_answer_asks_its_authors_as_a_mark_does(scene: Scene) -> None:
    """Else it would wait for ever: nothing is trained on without their yes."""
    scene.admins = "slack:ada"
    await scene.restart()
    await raise_sources(scene, "Slack's letter of 3 May")
    await scene.slack_event(scene.spoken("hi", number=1), key="e1", by="mina")
    values = {"better": "Hi!", "reason": ""}

    await scene.slack_event(FormSubmitted("feedback:1", values), key="e2", by="omar")
    await scene.app.deliver_notices()

    asked = [str(said) for key, said in scene.slack.posts.items() if ".consent" in key]
    assert len(asked) == 2
    assert "mina" in str(asked)
    assert "omar" in str(asked)


async def test_feedback_buttons_on_slack_open_the_form(scene: Scene) -> None:
    await scene.slack_event(scene.spoken("hi", number=1), key="e1", by="mina")

    await scene.slack_event(ButtonClicked("feedback.bad", MessageId("own0")), key="e2", by="omar")

    (form,) = scene.slack.forms
    assert form.id == "feedback:1"


async def test_the_shortcut_improves_only_answers_of_the_assistant(scene: Scene) -> None:
    said = scene.slack.hears("not yours", by="ada")

    await scene.slack_event(ShortcutUsed("improve", said), key="e1", by="mina")

    assert "not an answer of mine" in str(scene.slack.whispers[-1])


# Files


async def test_every_form_of_file_teaches_the_same(scene: Scene) -> None:
    files = {
        "a.csv": "question,answer\nwhen?,at nine",
        "b.tsv": "question\tanswer\nwhere?\there",
        "c.jsonl": json.dumps({"messages": chat("who?", "ada")}),
        "d.jsonl": json.dumps({"prompt": "why?", "completion": "because"}),
    }
    for name, text in files.items():
        (scene.folder / name).write_text(text)
        await scene.command(f"import {scene.folder / name} yes")

    questions = [spoken(example)[0][1] for example in await scene.examples()]
    assert questions == ["when?", "where?", "who?", "why?"]
    assert {example.state for example in await scene.examples()} == {APPROVED}


def chat(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


async def test_importing_again_adds_nothing(scene: Scene) -> None:
    await scene.learn(3)
    await scene.learn(4)

    assert len(await scene.examples()) == 4
    assert "Known already: 3" in await scene.last()


async def test_refused_rows_are_named_and_the_others_kept(scene: Scene) -> None:
    path = scene.folder / "half.csv"
    path.write_text("question,answer\nwhen?,at nine\nwhere?,\nwho?,ada")

    await scene.command(f"import {path} yes")

    assert len(await scene.examples()) == 2
    assert "Refused: 1" in await scene.last()
    assert "Line 3" in await scene.last()


async def test_a_starter_set_is_brought_in_by_name(scene: Scene) -> None:
    await scene.command("import starter:limericks")

    assert len(await scene.examples(APPROVED)) >= 10
    await scene.command("import starter:nothing")
    assert "There is no starter set “nothing”" in await scene.last()


async def test_what_is_exported_is_what_is_trained(scene: Scene) -> None:
    await scene.command('assistant edit instructions:"Be brief."')
    await scene.learn(12)
    await scene.confirm()
    await scene.settle()
    (file,) = scene.host.files.values()

    assert await exported(scene) == file.content


async def test_an_export_comes_back_as_known(scene: Scene) -> None:
    await scene.learn(12)
    await exported(scene)
    (path,) = (scene.folder / "exports").iterdir()

    await scene.command(f"import {path} yes")

    assert "Known already: 12" in await scene.last()


async def test_a_sheet_runs_nothing_of_an_export(scene: Scene) -> None:
    await scene.command("teach")
    await scene.submit(question="=1+1", answer="@SUM(A1)")

    rows = list(csv.reader(io.StringIO((await exported(scene, "csv")).decode("utf-8-sig"))))

    assert rows[1][1:3] == ["'=1+1", "'@SUM(A1)"]


async def test_only_approved_examples_are_exported(scene: Scene) -> None:
    await scene.do("/tune help")
    await scene.command("teach", by="mina")
    await scene.submit(by="mina", question="when?", answer="at nine")

    await scene.command("export")

    assert "no approved examples" in await scene.last()


async def test_preferences_are_exported_apart(scene: Scene) -> None:
    await test_a_better_answer_becomes_a_lesson_and_a_preference(scene)
    for number in (1, 2):
        await scene.handle(
            scene.event(ButtonClicked(f"example.approve:{number}.r1.proposed"), key=f"ok{number}")
        )

    supervised, dpo = await exported(scene), await exported(scene, "method:dpo")

    assert "messages" in json.loads(supervised)
    assert "preferred_output" in json.loads(dpo)
