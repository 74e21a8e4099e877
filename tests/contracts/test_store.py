"""Contract tests of every store, repository by repository."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime
from typing import Any, cast

import pytest

from bot.domain import (
    LOCAL,
    NO_EXCLUSIONS,
    AnswerState,
    AssistantId,
    Binding,
    Checkpoint,
    Consent,
    EvaluationAnswer,
    EvaluationQuestion,
    EvaluationState,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Exclusion,
    Grant,
    HostName,
    JobEvent,
    MessageId,
    Model,
    ModelKind,
    ModelName,
    NoticeId,
    Origin,
    Phase,
    Place,
    RemoteCleanup,
    RequestedAction,
    Role,
    Sources,
    Split,
    StepMetrics,
    TurnState,
    User,
    UserId,
    Vote,
    Workspace,
)
from bot.errors import BadInput, NotFound
from bot.ports.store import ALL_CHANNELS, Store
from bot.rows import Method
from tests.stores import (
    ANN,
    BASE,
    BOB,
    FOREIGN,
    GENERAL,
    HOME,
    HOST,
    NOW,
    PLACE,
    RANDOM,
    a_job,
    a_row,
    a_source,
    a_turn,
    an_assistant,
    an_estimate,
    an_evaluation,
    an_example,
    erase_workspace,
    frozen,
    furnished,
    hash_of,
    later,
    texts_of,
)

APPROVED = ExampleState.APPROVED
TUNED = ModelName("ft:ada")


def a_model(assistant: AssistantId, name: str = TUNED) -> Model:
    kind = ModelKind.TUNED
    return Model(HOME, assistant, ModelName(name), HOST, kind, BASE, None, NOW, "2027-01-14")


class TestTransactions:
    async def test_what_was_written_is_read(self, store: Store) -> None:
        await furnished(store)

        async with store.reading() as records:
            assert await records.workspaces.find(HOME) == Workspace(HOME, "Home", Sources.MESSAGES)

    async def test_nothing_of_a_failed_transaction_lasts(self, store: Store) -> None:
        async def fail() -> None:
            async with store.writing() as records:
                await records.workspaces.add(Workspace(HOME, "Home", Sources.FORMS))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()

        async with store.reading() as records:
            assert await records.workspaces.page() == []

    async def test_a_reader_does_not_wait_for_a_writer(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as writing, asyncio.timeout(2), store.reading() as reading:
            await writing.workspaces.set_sources(HOME, Sources.OUTSIDE, allowed=NO_EXCLUSIONS)
            workspace = await reading.workspaces.find(HOME)

        assert workspace is not None
        assert workspace.sources is Sources.MESSAGES

    async def test_writers_wait_for_one_another(self, store: Store) -> None:
        await furnished(store)

        async def spend() -> None:
            async with store.writing() as records:
                await records.daily_tokens.add(HOME, ANN, date(2026, 11, 21), 1)

        await asyncio.gather(*(spend() for _ in range(20)))

        async with store.reading() as records:
            assert await records.daily_tokens.tokens_of_day(HOME, ANN, date(2026, 11, 21)) == (
                20,
                20,
            )

    async def test_a_writer_that_would_wait_for_itself_is_told(self, store: Store) -> None:
        async with store.writing():
            with pytest.raises(RuntimeError, match="wait for itself"):
                async with store.writing():
                    pass

    async def test_a_reader_cannot_write(self, store: Store) -> None:
        async with store.reading() as records:
            with pytest.raises(Exception, match=r"read-?only"):
                await records.workspaces.add(Workspace(HOME, "Home", Sources.FORMS))

    async def test_a_moment_without_a_zone_is_refused(self, store: Store) -> None:
        async with store.writing() as records:
            with pytest.raises(Exception, match="time zone"):
                await records.audit.add(HOME, ANN, "look", at=datetime(2026, 1, 1))  # noqa: DTZ001


class TestWorkspaces:
    async def test_adding_one_twice_changes_nothing(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            await records.workspaces.add(Workspace(HOME, "Other", Sources.OUTSIDE))
            stored = await records.workspaces.find(HOME)

        assert stored == Workspace(HOME, "Home", Sources.MESSAGES)

    async def test_sources_and_caps_are_set(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            await records.workspaces.set_sources(HOME, Sources.FORMS, allowed=Exclusion.GUEST)
            await records.workspaces.set_caps(
                HOME, person_cap=10, workspace_cap=None, training_cap=2.5
            )
            stored = await records.workspaces.find(HOME)

        assert stored == Workspace(HOME, "Home", Sources.FORMS, 10, None, 2.5, Exclusion.GUEST)

    async def test_erasing_takes_everything_but_other_workspaces(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one", "two")
            job = await records.jobs.add(HOME, a_job(snapshot))
            turn = await records.turns.add(HOME, a_turn(assistant))
            await records.turns.put_vote(HOME, Vote(turn.id, BOB, 1, None, NOW))
            await records.models.add(HOME, replace(a_model(assistant), job=job.id))
            await records.inbox.add(HOME, "key", message_key=None, payload="{}", at=NOW)

        async with store.writing() as records:
            await erase_workspace(records, HOME)

        async with store.reading() as records:
            assert [workspace.id for workspace in await records.workspaces.page()] == [FOREIGN]
            assert await records.examples.count(HOME, ExampleFilter()) == 0
            assert await records.inbox.list_unfinished() == []


class TestRoles:
    async def test_a_role_is_given_changed_and_taken(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            await records.roles.set_grant(HOME, ANN, Grant(Role.CURATOR, NOW))
            await records.roles.set_grant(HOME, ANN, Grant(Role.ADMIN, NOW, is_external=True))
            await records.roles.set_grant(HOME, BOB, Grant(Role.TRAINER, NOW))
            await records.roles.set_grant(HOME, BOB, None)

            assert await records.roles.get(HOME, ANN) == Grant(Role.ADMIN, NOW, is_external=True)
            assert await records.roles.get(HOME, BOB) is None
            assert await records.roles.all(HOME) == [(ANN, Role.ADMIN)]


class TestGuestChannels:
    async def test_a_channel_is_opened_and_closed(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            await records.guest_channels.set_may_ask(HOME, GENERAL, may_ask=True)
            await records.guest_channels.set_may_ask(HOME, GENERAL, may_ask=True)
            opened = await records.guest_channels.all(HOME)
            await records.guest_channels.set_may_ask(HOME, GENERAL, may_ask=False)

            assert opened == [GENERAL]
            assert not await records.guest_channels.allows(HOME, GENERAL)

    async def test_everywhere_stands_for_each(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            await records.guest_channels.set_may_ask(HOME, ALL_CHANNELS, may_ask=True)

            assert await records.guest_channels.allows(HOME, GENERAL)
            assert not await records.guest_channels.allows(FOREIGN, GENERAL)


class TestAssistants:
    async def test_it_comes_back_as_it_went_in(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.reading() as records:
            stored = await records.assistants.get(HOME, assistant)

        assert stored == replace(an_assistant(), id=assistant)

    async def test_its_name_has_no_upper_case(self, store: Store) -> None:
        async with store.writing() as records:
            await records.workspaces.add(Workspace(HOME, "Home", Sources.FORMS))
            stored = await records.assistants.add(HOME, an_assistant("Émile"))

            assert await records.assistants.find_by_name(HOME, "éMILE") == stored

    async def test_a_second_of_the_same_name_is_refused(self, store: Store) -> None:
        await furnished(store)

        with pytest.raises(BadInput, match="ADA"):
            async with store.writing() as records:
                await records.assistants.add(HOME, an_assistant("ADA", is_default=False))

    async def test_a_new_default_takes_the_place_of_the_old(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            new = await records.assistants.add(HOME, an_assistant("Bea"))

            assert await records.assistants.default(HOME) == new
            assert [assistant.is_default for assistant in await records.assistants.all(HOME)] == [
                False,
                True,
            ]

    async def test_it_is_updated(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            changed = replace(await records.assistants.get(HOME, assistant), name="Eva", few_shot=3)

            await records.assistants.update(HOME, changed)

            assert await records.assistants.find_by_name(HOME, "eva") == changed

    async def test_one_that_is_not_there_is_not_found(self, store: Store) -> None:
        async with store.reading() as records:
            with pytest.raises(NotFound):
                await records.assistants.get(HOME, AssistantId(7))

    async def test_a_channel_is_bound_bound_anew_and_unbound(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            await records.assistants.bind(HOME, Binding(GENERAL, assistant, answers_unasked=False))
            await records.assistants.bind(HOME, Binding(GENERAL, assistant, answers_unasked=True))
            bindings = await records.assistants.bindings(HOME)

            assert bindings == [Binding(GENERAL, assistant, answers_unasked=True)]
            assert await records.assistants.unbind(HOME, GENERAL)
            assert not await records.assistants.unbind(HOME, GENERAL)
            assert await records.assistants.binding(HOME, GENERAL) is None

    async def test_nobody_answers_where_there_is_no_assistant(self, store: Store) -> None:
        async with store.reading() as records:
            assert await records.assistants.answering_in(HOME, GENERAL) is None

    async def test_the_bound_one_answers_else_the_default(self, store: Store) -> None:
        default = await furnished(store)
        async with store.writing() as records:
            bound = await records.assistants.add(HOME, an_assistant("Bea", is_default=False))
            binding = Binding(GENERAL, bound.id, answers_unasked=True)
            await records.assistants.bind(HOME, binding)
            for model in ("first", "second"):
                deployment = await records.deployments.add(
                    HOME,
                    bound.id,
                    model=ModelName(model),
                    host=HOST,
                    by=ANN,
                    at=NOW,
                    previous_model=None,
                )

            here = await records.assistants.answering_in(HOME, GENERAL)
            elsewhere = await records.assistants.answering_in(HOME, RANDOM)

        assert here == (bound, binding, deployment)
        assert elsewhere == (replace(an_assistant(), id=default), None, None)


class TestExamples:
    async def test_it_comes_back_as_it_went_in(self, store: Store) -> None:
        assistant = await furnished(store)
        new = replace(an_example(assistant), authors=(BOB, ANN), tags=("z", "a"), source=a_source())

        async with store.writing() as records:
            stored, is_new = await records.examples.add(HOME, new, at=NOW)

            assert is_new
            assert (stored.row, stored.authors, stored.tags) == (new.row, (BOB, ANN), ("z", "a"))
            assert (stored.source, stored.revision, stored.created_at) == (a_source(), 1, NOW)
            assert await records.examples.get(HOME, stored.id) == stored

    async def test_the_same_row_is_kept_once(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            first, _ = await records.examples.add(HOME, an_example(assistant), at=NOW)
            second, is_new = await records.examples.add(HOME, an_example(assistant), at=later(1))

        assert (second, is_new) == (first, False)

    async def test_the_same_message_is_kept_once(self, store: Store) -> None:
        assistant = await furnished(store)
        pointer = replace(an_example(assistant, None), source=a_source())
        marked = replace(an_example(assistant, "other words"), source=a_source())

        async with store.writing() as records:
            first, _ = await records.examples.add(HOME, pointer, at=NOW)
            second, is_new = await records.examples.add(HOME, marked, at=NOW)

        assert (second, is_new) == (first, False)

    async def test_a_message_gives_an_example_and_a_preference(self, store: Store) -> None:
        assistant = await furnished(store)
        example = replace(an_example(assistant), source=a_source())
        preference = replace(an_example(assistant, "x"), method=Method.DPO, source=a_source())

        async with store.writing() as records:
            await records.examples.add(HOME, example, at=NOW)
            _, is_new = await records.examples.add(HOME, preference, at=NOW)

        assert is_new

    async def test_a_rejected_one_may_be_proposed_again(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            first, _ = await records.examples.add(HOME, an_example(assistant), at=NOW)
            await records.examples.set_state(HOME, [first.id], ExampleState.REJECTED, at=NOW)
            second, is_new = await records.examples.add(HOME, an_example(assistant), at=NOW)

        assert is_new
        assert second.id != first.id

    async def test_many_are_added_without_duplicates(self, store: Store) -> None:
        assistant = await furnished(store)
        tagged = replace(an_example(assistant, "two"), tags=("x", "y"), authors=(BOB, ANN))
        pointer = replace(an_example(assistant, None), source=a_source())
        new = [an_example(assistant, "one"), tagged, an_example(assistant, "one"), pointer]

        async with store.writing() as records:
            await records.examples.add(HOME, an_example(assistant, "one"), at=NOW)
            assert await records.examples.add_many(HOME, new, at=later(1)) == 2
            stored = await records.examples.page(HOME, ExampleFilter())

        assert [example.row for example in stored] == [a_row("one"), None, a_row("two")]
        assert (stored[2].tags, stored[2].authors) == (("x", "y"), (BOB, ANN))
        assert (stored[2].created_at, stored[2].revision) == (later(1), 1)

    async def test_an_import_gives_no_authors_to_what_was_there(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            stored, _ = await records.examples.add(HOME, an_example(assistant), at=NOW)
            again = replace(an_example(assistant), authors=(BOB,))
            assert await records.examples.add_many(HOME, [again], at=NOW) == 0

            assert (await records.examples.get(HOME, stored.id)).authors == (ANN,)

    async def test_it_is_found_by_the_message_it_came_from(self, store: Store) -> None:
        assistant = await furnished(store)
        new = replace(an_example(assistant), source=a_source("1"))

        async with store.writing() as records:
            stored, _ = await records.examples.add(HOME, new, at=NOW)
            assert await records.examples.find_by_source(HOME, GENERAL, MessageId("1")) == stored

            await records.examples.set_state(HOME, [stored.id], ExampleState.WITHDRAWN, at=NOW)
            assert await records.examples.find_by_source(HOME, GENERAL, MessageId("1")) is None

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            (ExampleFilter(), ["one", "100% ÉTÉ", "three_x"]),
            (ExampleFilter(assistant=AssistantId(99)), []),
            (ExampleFilter(state=ExampleState.PROPOSED), ["three_x"]),
            (ExampleFilter(method=Method.DPO), []),
            (ExampleFilter(search="été"), ["100% ÉTÉ"]),
            (ExampleFilter(search="0%"), ["100% ÉTÉ"]),
            (ExampleFilter(search="%"), ["100% ÉTÉ"]),
            (ExampleFilter(search="E_X"), ["three_x"]),
            (ExampleFilter(search="_"), ["three_x"]),
            (ExampleFilter(search="assistant"), []),
            (ExampleFilter(author=BOB), ["100% ÉTÉ"]),
            (ExampleFilter(origin=Origin.FORM), ["three_x"]),
            (ExampleFilter(tag="t"), ["100% ÉTÉ"]),
            (ExampleFilter(held_out=True), ["one"]),
            (ExampleFilter(held_out=False, state=APPROVED), ["100% ÉTÉ"]),
        ],
    )
    async def test_filters_narrow_what_is_found(
        self, store: Store, filters: ExampleFilter, found: list[str]
    ) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            one, _ = await records.examples.add(HOME, an_example(assistant, "one"), at=NOW)
            two = replace(an_example(assistant, "100% ÉTÉ"), authors=(ANN, BOB), tags=("t",))
            await records.examples.add(HOME, two, at=NOW)
            three = replace(an_example(assistant, "three_x"), state=ExampleState.PROPOSED)
            await records.examples.add(HOME, replace(three, origin=Origin.FORM), at=NOW)
            await records.examples.set_held_out(HOME, [one.id], held_out=True)

            page = await records.examples.page(HOME, filters)

            assert [example.row for example in page] == [a_row(text) for text in found]
            assert await records.examples.count(HOME, filters) == len(found)

    async def test_pages_follow_one_another(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            new = [an_example(assistant, str(n)) for n in range(5)]
            await records.examples.add_many(HOME, new, at=NOW)

            first = await records.examples.page(HOME, ExampleFilter(), limit=3)
            rest = await records.examples.page(HOME, ExampleFilter(), after=first[-1].id, limit=3)

        assert [example.row for example in (*first, *rest)] == [a_row(str(n)) for n in range(5)]

    @pytest.mark.parametrize("count", [199, 200, 201, 450])
    async def test_long_pages_and_streams_are_whole(self, store: Store, count: int) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            new = [
                replace(an_example(assistant, str(n)), state=ExampleState.APPROVED)
                for n in range(count)
            ]
            await records.examples.add_many(HOME, new, at=NOW)
        async with store.reading() as records:
            page = await records.examples.page(HOME, ExampleFilter(), limit=1000)
            rows = records.examples.iterate_trainable(HOME, assistant, Method.SUPERVISED)
            streamed = [example.row async for example in rows]

        assert [example.row for example in page] == [a_row(str(n)) for n in range(count)]
        assert streamed == [example.row for example in page]

    async def test_an_edit_makes_a_revision(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            stored, _ = await records.examples.add(HOME, an_example(assistant, "one"), at=NOW)
            edited = await records.examples.add_revision(
                HOME, stored.id, a_row("two"), BOB, at=later(5)
            )
            history = await records.examples.revisions(HOME, stored.id)

            assert edited == await records.examples.get(HOME, stored.id)
            assert (edited.row, edited.revision, edited.updated_at) == (a_row("two"), 2, later(5))
            assert [
                (revision.number, revision.row, revision.editor, revision.at)
                for revision in history
            ] == [
                (1, a_row("one"), None, NOW),
                (2, a_row("two"), BOB, later(5)),
            ]
            assert await records.examples.count(HOME, ExampleFilter(search="one")) == 0

    async def test_an_edit_cannot_repeat_another_example(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            one, _ = await records.examples.add(HOME, an_example(assistant, "one"), at=NOW)
            await records.examples.add(HOME, an_example(assistant, "two"), at=NOW)

            with pytest.raises(BadInput, match="already"):
                await records.examples.add_revision(HOME, one.id, a_row("two"), ANN, at=NOW)

    async def test_only_what_changes_state_is_counted(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            new = [an_example(assistant, str(n)) for n in range(3)]
            await records.examples.add_many(HOME, new, at=NOW)
            ids = [example.id for example in await records.examples.page(HOME, ExampleFilter())]

            rejected = ExampleState.REJECTED
            assert await records.examples.set_state(HOME, ids[:2], rejected, at=later(1)) == 2
            assert await records.examples.set_state(HOME, ids, rejected, at=later(2)) == 1
            assert (await records.examples.get(HOME, ids[0])).updated_at == later(1)

    async def test_of_two_dead_twins_one_comes_back(self, store: Store) -> None:
        assistant = await furnished(store)
        rejected = replace(an_example(assistant), state=ExampleState.REJECTED)

        async with store.writing() as records:
            ids = [(await records.examples.add(HOME, rejected, at=NOW))[0].id for _ in range(2)]

            assert await records.examples.set_state(HOME, ids, APPROVED, at=NOW) == 1
            assert (await records.examples.get(HOME, ids[1])).state is ExampleState.REJECTED

    async def test_tags_are_replaced(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            stored, _ = await records.examples.add(HOME, an_example(assistant), at=NOW)
            await records.examples.set_tags(HOME, stored.id, ["b", "a", "b"])
            assert (await records.examples.get(HOME, stored.id)).tags == ("b", "a")

            await records.examples.set_tags(HOME, stored.id, [])
            assert (await records.examples.get(HOME, stored.id)).tags == ()

    async def test_the_named_are_held_out_and_given_back(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            new = [an_example(assistant, str(n)) for n in range(3)]
            await records.examples.add_many(HOME, new, at=NOW)
            ids = [example.id for example in await records.examples.page(HOME, ExampleFilter())]

            await records.examples.set_held_out(HOME, ids, held_out=True)
            await records.examples.set_held_out(HOME, ids[:1], held_out=False)

            held = await records.examples.page(HOME, ExampleFilter(held_out=True))
            assert [example.id for example in held] == ids[1:]

    async def test_erasing_leaves_an_empty_withdrawn_example(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            new = replace(an_example(assistant), source=a_source(), tags=("t",))
            stored, _ = await records.examples.add(HOME, new, at=NOW)
            await records.examples.add_revision(HOME, stored.id, a_row("edited"), BOB, at=NOW)

            await records.examples.erase(HOME, [stored.id])

            erased = await records.examples.get(HOME, stored.id)
            assert (erased.row, erased.authors, erased.source, erased.tags) == (None, (), None, ())
            assert erased.state is ExampleState.WITHDRAWN
            assert [
                revision.row for revision in await records.examples.revisions(HOME, stored.id)
            ] == [None]
            assert await records.examples.list_ids_by_author(HOME, ANN) == []

    async def test_authors_are_asked_for(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            one, _ = await records.examples.add(HOME, an_example(assistant, "one"), at=NOW)
            two, _ = await records.examples.add(HOME, an_example(assistant, "two"), at=NOW)

            assert await records.examples.list_ids_by_author(HOME, ANN) == [one.id, two.id]
            assert await records.examples.list_ids_by_author(HOME, BOB) == []

    async def test_more_than_a_page_can_be_trained_on(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            new = [an_example(assistant, str(n)) for n in range(1203)]
            await records.examples.add_many(HOME, new, at=NOW)

            supervised = Method.SUPERVISED
            trainable = records.examples.iterate_trainable(HOME, assistant, supervised)
            rows = [example.row async for example in trainable]

        assert rows == [a_row(str(n)) for n in range(1203)]


class TestSnapshots:
    async def test_rows_come_back_in_frozen_order(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one", "two", "three")

            assert (snapshot.training_rows, snapshot.validation_rows) == (2, 1)
            assert await records.snapshots.get(HOME, snapshot.id) == snapshot
            assert await texts_of(records, snapshot.id) == [
                a_row("one"),
                a_row("two"),
                a_row("three"),
            ]

    async def test_a_split_is_read_alone(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one", "two")
            rows = records.snapshots.rows(HOME, snapshot.id, Split.VALIDATION)

            assert [row.sha256 async for row in rows] == [hash_of("two")]

    async def test_a_later_edit_does_not_reach_a_snapshot(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            (example,) = await records.examples.page(HOME, ExampleFilter())

            await records.examples.add_revision(HOME, example.id, a_row("two"), BOB, at=NOW)
            await records.examples.add_revision(HOME, example.id, a_row("three"), BOB, at=NOW)

            assert await texts_of(records, snapshot.id) == [a_row("one")]
            assert await records.snapshots.count_untrainable_rows(HOME, snapshot.id) == 0

    async def test_an_erased_row_leaves_its_hash(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one", "two")
            first, *_ = await records.examples.page(HOME, ExampleFilter())
            await records.examples.add_revision(HOME, first.id, a_row("edited"), BOB, at=NOW)

            await records.examples.erase(HOME, [first.id])
            await records.examples.add_revision(HOME, first.id, a_row("anew"), BOB, at=NOW)

            rows = [row async for row in records.snapshots.rows(HOME, snapshot.id)]
            assert [row.row for row in rows] == [None, a_row("two")]
            assert rows[0].sha256 == hash_of("one")
            assert await records.snapshots.count_untrainable_rows(HOME, snapshot.id) == 1

    async def test_consent_taken_back_forbids_rows(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one", "two")
            await records.consents.put(HOME, Consent(ANN, 1, given=False, at=NOW))

            assert await records.snapshots.count_untrainable_rows(HOME, snapshot.id) == 2

    async def test_snapshots_that_hold_an_example_are_named(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            first = await frozen(records, assistant, "one", "two")
            second = await frozen(records, assistant, "one")
            one, two = await records.examples.page(HOME, ExampleFilter())

            assert await records.snapshots.list_containing(HOME, [one.id]) == [first.id, second.id]
            assert await records.snapshots.list_containing(HOME, [two.id]) == [first.id]
            assert await records.snapshots.list_containing(HOME, [ExampleId(99)]) == []


class TestJobs:
    async def test_it_comes_back_as_it_went_in(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            stored = await records.jobs.add(HOME, a_job(snapshot))

            assert stored == replace(a_job(snapshot), id=stored.id)
            assert await records.jobs.get(HOME, stored.id) == stored

    async def test_one_start_is_one_job(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            first = await records.jobs.add(HOME, a_job(snapshot))
            second = await records.jobs.add(HOME, replace(a_job(snapshot), suffix="other"))

        assert second == first

    async def test_any_field_can_be_changed(self, store: Store) -> None:
        assistant = await furnished(store)
        changes: dict[str, Any] = {
            "phase": Phase.WATCHING,
            "place": Place(HOME, RANDOM, None),
            "requested_action": RequestedAction.CANCEL,
            "resolved_hyperparameters": {"n_epochs": 3},
            "next_poll_at": later(10),
            "train_loss": 0.5,
            "model": TUNED,
        }
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))

            assert await records.jobs.update_if(HOME, job.id, **changes)

            changed = await records.jobs.get(HOME, job.id)
            assert {name: getattr(changed, name) for name in changes} == changes

    @pytest.mark.parametrize("name", ["colour", "id", "workspace", "channel"])
    async def test_other_names_cannot_be_set(self, store: Store, name: str) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))

            with pytest.raises(TypeError, match=name):
                await records.jobs.update_if(HOME, job.id, **cast(dict[str, Any], {name: 1}))

    async def test_a_change_may_depend_on_the_phase(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))
            early, late = [Phase.CONFIRMED], [Phase.WATCHING, Phase.WARMING]

            assert not await records.jobs.update_if(HOME, job.id, when=late, phase=Phase.FAILED)
            assert await records.jobs.update_if(HOME, job.id, when=early, phase=Phase.UPLOADING)
            assert (await records.jobs.get(HOME, job.id)).phase is Phase.UPLOADING

    async def test_pages_leave_out_what_was_never_confirmed(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            for start in ("a", "b", "c"):
                await records.jobs.add(HOME, a_job(snapshot, start))
            await records.jobs.add(HOME, an_estimate(snapshot, "d"))

            newest = await records.jobs.page(HOME, limit=2)
            rest = await records.jobs.page(HOME, before=newest[-1].id)
            other = await records.jobs.page(HOME, assistant=AssistantId(99))

        assert [job.idempotency_key for job in newest] == ["c", "b"]
        assert [job.idempotency_key for job in rest] == ["a"]
        assert other == []

    async def test_only_what_is_confirmed_gets_the_next_number(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            first, second, third = [
                await records.jobs.add(HOME, an_estimate(snapshot, start)) for start in "abc"
            ]
            assert await records.jobs.decline(HOME, first.id)
            one = await records.jobs.confirm(HOME, third.id, at=NOW)
            two = await records.jobs.add(HOME, a_job(snapshot, "d"))
            three = await records.jobs.confirm(HOME, second.id, at=NOW)

            assert not await records.jobs.decline(HOME, first.id)
            assert not await records.jobs.decline(HOME, two.id)
            assert await records.jobs.confirm(HOME, third.id, at=NOW) is None
            assert await records.jobs.confirm(HOME, two.id, at=NOW) is None
        assert one is not None
        assert three is not None
        assert [job.id for job in (one, two, three)] == [1, 2, 3]
        assert one == replace(third, id=one.id, phase=Phase.CONFIRMED, confirmed_at=NOW)

    async def test_open_jobs_are_confirmed_and_not_over(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            for phase in Phase:
                await records.jobs.add(HOME, replace(a_job(snapshot, phase), phase=phase))

            everywhere = await records.jobs.list_open()

            assert [job.phase for job in everywhere] == [
                Phase.CONFIRMED,
                Phase.UPLOADING,
                Phase.CREATING,
                Phase.WATCHING,
                Phase.WARMING,
            ]
            assert await records.jobs.list_open_in_workspace(HOME) == everywhere

    async def test_the_months_money_is_that_of_every_job_which_reached_a_host(
        self, store: Store
    ) -> None:
        """A job that was refused before a host had it costs nothing."""
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            for start, host_job, phase, confirmed in (
                ("finished", "ftjob-1", Phase.SUCCEEDED, NOW),
                ("failed there", "ftjob-2", Phase.FAILED, later(60)),
                ("running", "ftjob-3", Phase.WATCHING, later(60)),
                ("not there yet", None, Phase.UPLOADING, later(60)),
                ("refused", None, Phase.FAILED, later(60)),
                ("last month", "ftjob-4", Phase.SUCCEEDED, later(-60)),
            ):
                job = replace(a_job(snapshot, start), confirmed_at=confirmed, phase=phase)
                await records.jobs.add(HOME, replace(job, host_job=host_job))
            await records.jobs.add(HOME, an_estimate(snapshot, "estimate"))

            assert await records.jobs.committed_cost(HOME, since=NOW) == 4 * 0.25

    async def test_only_finished_jobs_forget_their_files(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            for phase in (Phase.WATCHING, Phase.SUCCEEDED):
                await records.jobs.add(HOME, replace(a_job(snapshot, phase), phase=phase))

            await records.jobs.request_file_deletion(HOME, [snapshot.id], at=NOW)

            assert [job.phase for job in await records.jobs.list_awaiting_file_deletion()] == [
                Phase.SUCCEEDED
            ]

    async def test_a_remote_cleanup_is_kept_until_it_is_done(self, store: Store) -> None:
        cleanup = RemoteCleanup(HOST, "start-1", "ftjob-1", ("file-1", "file-2"), NOW)
        async with store.writing() as records:
            await records.remote_cleanups.add(cleanup)

            assert await records.remote_cleanups.list_due(now=later(-1)) == []
            (stored,) = await records.remote_cleanups.list_due(now=NOW)
            assert replace(stored, id=0) == cleanup
            await records.remote_cleanups.postpone(stored.id, until=later(60))
            assert await records.remote_cleanups.list_due(now=later(59)) == []
            (again,) = await records.remote_cleanups.list_due(now=later(60))
            assert again.attempts == 1
            await records.remote_cleanups.delete(stored.id)
            assert await records.remote_cleanups.list_due(now=later(99)) == []

    async def test_a_remote_cleanup_outlives_every_workspace(self, store: Store) -> None:
        await furnished(store)
        async with store.writing() as records:
            await records.remote_cleanups.add(RemoteCleanup(HOST, "start-1", None, (), NOW))

            await erase_workspace(records, HOME)

            assert len(await records.remote_cleanups.list_due(now=NOW)) == 1

    async def test_a_fact_that_is_told_once_is_not_told_again(self, store: Store) -> None:
        async with store.writing() as records:
            await records.outbox.put(
                "end", PLACE, "end", details={"n": 1}, at=NOW, only_if_new=True
            )
            (notice,) = await records.outbox.list_due(now=NOW)
            await records.outbox.mark_delivered(notice.id, version=1, message=MessageId("1"))

            await records.outbox.put(
                "end", PLACE, "end", details={"n": 2}, at=NOW, only_if_new=True
            )

            assert await records.outbox.list_due(now=NOW) == []

    async def test_a_known_event_is_not_told_twice(self, store: Store) -> None:
        assistant = await furnished(store)
        first = JobEvent("e1", NOW, "info", "started")
        second = JobEvent("e2", later(1), "info", "step", 1, 9, {"train_loss": 0.5})
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))

            assert await records.jobs.add_events(HOME, job.id, [first]) == 1
            assert await records.jobs.add_events(HOME, job.id, [second, first]) == 1
            assert await records.jobs.events(HOME, job.id) == [first, second]
            assert await records.jobs.events(HOME, job.id, last=1) == [second]
            assert await records.jobs.event_ids(HOME, job.id) == {"e1", "e2"}

    async def test_a_step_told_anew_has_its_metrics_once(self, store: Store) -> None:
        assistant = await furnished(store)
        before = JobEvent("e1", NOW, "info", "step", 1, 9, {"train_loss": 0.5})
        after = JobEvent("e2", later(9), "info", "step", 1, 9, {"train_loss": 0.4})
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))

            await records.jobs.add_events(HOME, job.id, [before])
            await records.jobs.add_events(HOME, job.id, [after])

            events = await records.jobs.events(HOME, job.id)
            assert [event.metrics for event in events] == [{}, {"train_loss": 0.4}]

    async def test_measures_join_what_events_told_of_a_step(self, store: Store) -> None:
        assistant = await furnished(store)
        step_event = JobEvent("e1", NOW, "info", "step", 2, 9, {"train_loss": 0.5, "lr": 1.0})
        table = [
            StepMetrics(2, {"train_loss": 0.4, "valid_loss": 0.6}),
            StepMetrics(1, {"lr": 2.0}),
        ]
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))
            await records.jobs.add_events(HOME, job.id, [step_event])

            await records.jobs.add_metrics(HOME, job.id, table)

            both = {"train_loss": 0.4, "lr": 1.0, "valid_loss": 0.6}
            stored = [StepMetrics(1, {"lr": 2.0}), StepMetrics(2, both)]
            assert await records.jobs.metrics(HOME, job.id) == stored
            (event,) = await records.jobs.events(HOME, job.id)
            assert event.metrics == both

    async def test_checkpoints_are_kept_by_step(self, store: Store) -> None:
        assistant = await furnished(store)
        old = Checkpoint(5, ModelName("a"), {})
        new = Checkpoint(5, ModelName("b"), {"valid_loss": 0.1})
        first = Checkpoint(1, ModelName("c"), {})
        async with store.writing() as records:
            job = await records.jobs.add(HOME, a_job(await frozen(records, assistant, "one")))

            await records.jobs.add_checkpoints(HOME, job.id, [old, new, first])

            assert await records.jobs.checkpoints(HOME, job.id) == [first, new]

    async def test_past_successes_tell_how_long_it_takes(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            for seconds in (10, 20):
                finished_job = replace(
                    a_job(snapshot, f"start-{seconds}"),
                    phase=Phase.SUCCEEDED,
                    trained_tokens=1000,
                    running_at=NOW,
                    finished_at=later(seconds),
                )
                await records.jobs.add(HOME, finished_job)

            assert await records.jobs.past_durations(HOST, BASE) == [(1000, 20.0), (1000, 10.0)]
            assert await records.jobs.past_durations(HostName("other"), BASE) == []


class TestModels:
    async def test_a_name_is_kept_once(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            await records.models.add(HOME, a_model(assistant))
            await records.models.add(HOME, replace(a_model(assistant), expires_on=None))

            assert await records.models.find(HOME, TUNED) == a_model(assistant)
            assert await records.models.find(HOME, ModelName("other")) is None

    async def test_the_newest_stands_first_and_a_deleted_one_nowhere(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            for name in ("a", "b", "c"):
                await records.models.add(HOME, a_model(assistant, name))
            await records.models.mark_deleted(HOME, ModelName("b"))

            assert [model.name for model in await records.models.all(HOME, assistant)] == ["c", "a"]

    async def test_what_learned_from_an_erased_row_is_marked(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            snapshot = await frozen(records, assistant, "one")
            job = await records.jobs.add(HOME, a_job(snapshot))
            trained = replace(a_model(assistant, "made"), job=job.id)
            child = replace(a_model(assistant, "heir"), parent=trained.name)
            for model in (trained, child, a_model(assistant, "other")):
                await records.models.add(HOME, model)

            assert await records.models.mark_tainted(HOME, [snapshot.id]) == 2
            assert await records.models.mark_tainted(HOME, [snapshot.id]) == 0

            stored = await records.models.all(HOME, assistant)
            assert [model.name for model in stored if model.is_tainted] == ["heir", "made"]


class TestDeployments:
    async def test_the_newest_is_in_force_and_knows_what_it_followed(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            assert await records.deployments.current(HOME, assistant) is None
            for model, after in ((BASE, None), (TUNED, BASE)):
                last = await records.deployments.add(
                    HOME, assistant, model=model, host=HOST, by=ANN, at=NOW, previous_model=after
                )

            assert (last.model, last.previous_model, last.by, last.since) == (TUNED, BASE, ANN, NOW)
            assert await records.deployments.current(HOME, assistant) == last
            history = await records.deployments.history(HOME, assistant)
            assert [deployment.model for deployment in history] == [TUNED, BASE]


class TestTurns:
    async def test_one_event_is_one_turn(self, store: Store) -> None:
        assistant = await furnished(store)

        async with store.writing() as records:
            first = await records.turns.add(HOME, a_turn(assistant))
            second = await records.turns.add(HOME, replace(a_turn(assistant), question="other"))

            assert first == replace(a_turn(assistant), id=first.id)
            assert second == first
            assert await records.turns.get(HOME, first.id) == first
            assert await records.turns.by_event(HOME, "event-1") == first

    async def test_it_is_completed(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            turn = await records.turns.add(HOME, a_turn(assistant))

            message = MessageId("300.1")
            await records.turns.update_fields(
                HOME, turn.id, reply_message=message, state=TurnState.DONE
            )

            completed = replace(turn, reply_message=message, state=TurnState.DONE)
            assert await records.turns.by_reply_message(HOME, GENERAL, message) == completed
            with pytest.raises(TypeError):
                await records.turns.update_fields(HOME, turn.id, colour="red")

    async def test_an_askers_turns_are_counted_shown_and_erased(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            for key in ("a", "b"):
                mine = await records.turns.add(HOME, a_turn(assistant, key))
            theirs = await records.turns.add(HOME, replace(a_turn(assistant, "c"), asker=BOB))
            for turn in (mine, theirs):
                for user in (ANN, BOB):
                    await records.turns.put_vote(HOME, Vote(turn.id, user, 1, None, NOW))

            assert await records.turns.count_by_asker(HOME, ANN) == 2
            assert [turn.event_key for turn in await records.turns.by_asker(HOME, ANN)] == [
                "b",
                "a",
            ]
            assert await records.turns.erase_votes_of_user(HOME, ANN) == 2
            assert await records.turns.erase_by_asker(HOME, ANN) == 2
            assert await records.turns.by_asker(HOME, ANN) == []
            assert [vote.user for vote in await records.turns.votes(HOME, theirs.id)] == [BOB]

    async def test_a_persons_last_vote_counts(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            turn = await records.turns.add(HOME, a_turn(assistant))

            await records.turns.put_vote(HOME, Vote(turn.id, ANN, -1, "too long", NOW))
            await records.turns.put_vote(HOME, Vote(turn.id, ANN, 1, None, later(1)))

            assert await records.turns.votes(HOME, turn.id) == [
                Vote(turn.id, ANN, 1, "too long", later(1))
            ]

    async def test_only_the_vote_that_stands_is_taken_back(self, store: Store) -> None:
        assistant = await furnished(store)
        async with store.writing() as records:
            turn = await records.turns.add(HOME, a_turn(assistant))
            await records.turns.put_vote(HOME, Vote(turn.id, ANN, 1, None, NOW))

            await records.turns.remove_vote(HOME, turn.id, ANN, -1)
            assert len(await records.turns.votes(HOME, turn.id)) == 1

            await records.turns.remove_vote(HOME, turn.id, ANN, 1)
            assert await records.turns.votes(HOME, turn.id) == []


class TestOutbox:
    async def test_a_fact_is_due_until_it_is_delivered(self, store: Store) -> None:
        async with store.writing() as records:
            await records.outbox.put("k", PLACE, "job", subject=7, details={"a": [1]}, at=NOW)
            (notice,) = await records.outbox.list_due(now=NOW)

            assert (notice.place, notice.kind, notice.subject) == (PLACE, "job", 7)
            assert (notice.details, notice.version, notice.delivered) == ({"a": [1]}, 1, 0)
            assert not await records.outbox.is_empty()

            await records.outbox.mark_delivered(notice.id, version=1, message=MessageId("9"))

            assert await records.outbox.list_due(now=NOW) == []
            assert await records.outbox.is_empty()

    async def test_a_changed_fact_is_due_again_for_its_message(self, store: Store) -> None:
        async with store.writing() as records:
            await records.outbox.put("k", PLACE, "job", at=NOW)
            (notice,) = await records.outbox.list_due(now=NOW)
            await records.outbox.put("k", PLACE, "job", details={"b": 2}, at=later(1))

            await records.outbox.mark_delivered(notice.id, version=1, message=MessageId("9"))

            (again,) = await records.outbox.list_due(now=later(1))
            assert (again.id, again.version, again.delivered) == (notice.id, 2, 1)
            assert (again.message, again.details) == (MessageId("9"), {"b": 2})

    async def test_a_postponed_fact_waits_even_if_it_changes(self, store: Store) -> None:
        async with store.writing() as records:
            await records.outbox.put("k", PLACE, "job", at=NOW)
            (notice,) = await records.outbox.list_due(now=NOW)

            await records.outbox.postpone(notice.id, until=later(60))
            await records.outbox.put("k", PLACE, "job", at=later(1))

            assert await records.outbox.list_due(now=later(59)) == []
            (again,) = await records.outbox.list_due(now=later(60))
            assert again.attempts == 1

    async def test_the_oldest_facts_are_told_first(self, store: Store) -> None:
        async with store.writing() as records:
            for key, seconds in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
                await records.outbox.put(key, PLACE, "job", at=later(seconds))

            due = await records.outbox.list_due(now=later(9), limit=2)

        assert [notice.key for notice in due] == ["a", "b"]

    async def test_a_dropped_fact_is_gone(self, store: Store) -> None:
        async with store.writing() as records:
            await records.outbox.put("k", PLACE, "job", at=NOW)
            await records.outbox.delete((await records.outbox.list_due(now=NOW))[0].id)
            await records.outbox.delete(NoticeId(99))

            assert await records.outbox.is_empty()

    async def test_a_moved_fact_is_told_anew_elsewhere_and_stays_there(self, store: Store) -> None:
        there = replace(PLACE, channel=RANDOM, thread=None)
        async with store.writing() as records:
            await records.outbox.put("k", PLACE, "job", at=NOW)
            (notice,) = await records.outbox.list_due(now=NOW)
            await records.outbox.mark_delivered(notice.id, version=1, message=MessageId("9"))
            await records.outbox.put("k", PLACE, "job", at=NOW)

            await records.outbox.move_to_place(notice.id, there)
            await records.outbox.put("k", PLACE, "job", at=NOW)

            (moved,) = await records.outbox.list_due(now=NOW)
            assert (moved.place, moved.message) == (there, None)

    async def test_no_workspace_can_change_the_fact_of_another(self, store: Store) -> None:
        async with store.writing() as records:
            await records.outbox.put("k", PLACE, "job", at=NOW)
            await records.outbox.put("k", replace(PLACE, workspace=FOREIGN), "other", at=NOW)

            (notice,) = await records.outbox.list_due(now=NOW)
            assert (notice.place, notice.kind, notice.version) == (PLACE, "job", 1)


class TestInbox:
    async def test_an_event_is_received_once(self, store: Store) -> None:
        async with store.writing() as records:
            inbox = records.inbox
            assert await inbox.add(HOME, "a", message_key="m", payload="{}", at=NOW)
            assert not await inbox.add(HOME, "a", message_key=None, payload="{}", at=NOW)
            assert not await inbox.add(HOME, "b", message_key="m", payload="{}", at=NOW)
            assert await inbox.add(HOME, "c", message_key=None, payload="{}", at=NOW)
            assert await inbox.add(HOME, "d", message_key=None, payload="{}", at=NOW)

    async def test_what_was_not_finished_is_told_oldest_first(self, store: Store) -> None:
        async with store.writing() as records:
            for key, seconds in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
                at = later(seconds)
                await records.inbox.add(HOME, key, message_key=None, payload=f"of {key}", at=at)
            await records.inbox.count_attempt("a")
            await records.inbox.mark_begun("b")
            await records.inbox.mark_done("c")

            rows = await records.inbox.list_unfinished()

        assert [(row.key, row.payload, row.attempts, row.has_begun) for row in rows] == [
            ("a", "of a", 1, False),
            ("b", "of b", 0, True),
        ]
        assert rows[0].received_at == later(1)

    async def test_an_event_that_is_done_does_not_begin_again(self, store: Store) -> None:
        async with store.writing() as records:
            await records.inbox.add(HOME, "a", message_key=None, payload="{}", at=NOW)
            await records.inbox.mark_done("a")

            await records.inbox.mark_begun("a")

            assert await records.inbox.list_unfinished() == []

    async def test_old_keys_are_forgotten_only_when_done(self, store: Store) -> None:
        async with store.writing() as records:
            for key in ("done", "open"):
                await records.inbox.add(HOME, key, message_key=None, payload="{}", at=NOW)
            await records.inbox.mark_done("done")

            assert await records.inbox.delete_finished_before(later(1)) == 1

            receive = records.inbox.add
            assert await receive(HOME, "done", message_key=None, payload="{}", at=NOW)
            assert not await receive(HOME, "open", message_key=None, payload="{}", at=NOW)


class TestAudit:
    async def test_entries_are_read_newest_first_and_by_beginning(self, store: Store) -> None:
        async with store.writing() as records:
            await records.audit.add(HOME, ANN, "job.start", at=NOW, rows=3)
            await records.audit.add(HOME, None, "job.done", at=later(1))
            await records.audit.add(HOME, BOB, "role.give", at=later(2))

            everything = await records.audit.page(HOME)
            jobs = await records.audit.page(HOME, what="job.")
            anns = await records.audit.page(HOME, user=ANN)

        assert [entry.what for entry in everything] == ["role.give", "job.done", "job.start"]
        assert [entry.what for entry in jobs] == ["job.done", "job.start"]
        assert [(entry.at, entry.details) for entry in anns] == [(NOW, {"rows": 3})]


class TestSpending:
    async def test_tokens_are_summed_by_person_and_day(self, store: Store) -> None:
        today, tomorrow = date(2026, 11, 21), date(2026, 11, 22)
        async with store.writing() as records:
            for user, day, tokens in ((ANN, today, 5), (ANN, today, 6), (BOB, today, 7)):
                await records.daily_tokens.add(HOME, user, day, tokens)

            assert await records.daily_tokens.tokens_of_day(HOME, ANN, today) == (11, 18)
            assert await records.daily_tokens.tokens_of_day(HOME, ANN, tomorrow) == (0, 0)


class TestConsents:
    async def test_the_last_word_counts(self, store: Store) -> None:
        await furnished(store)

        async with store.writing() as records:
            await records.consents.put(HOME, Consent(ANN, 1, given=True, at=NOW))
            await records.consents.put(HOME, Consent(ANN, 2, given=False, at=later(1)))

            last = Consent(ANN, 2, given=False, at=later(1))
            assert await records.consents.get(HOME, ANN) == last
            assert await records.consents.get(HOME, BOB) is None


class TestRoom:
    author = User(ANN, "Ann", is_platform_admin=True)

    async def say(self, store: Store, text: str, **more: object) -> int:
        values: dict[str, Any] = {"body": None, "is_own": False, "at": NOW, **more}
        async with store.writing() as records:
            post = records.room.post(GENERAL, author=self.author, text=text, **values)
            return (await post).number

    async def test_messages_are_numbered_from_one(self, store: Store) -> None:
        assert [await self.say(store, "a"), await self.say(store, "b")] == [1, 2]

        async with store.reading() as records:
            message = await records.room.get(1)
            assert message is not None
            assert (message.author, message.text, message.at) == (self.author, "a", NOW)
            assert await records.room.get(3) is None

    async def test_the_same_key_edits(self, store: Store) -> None:
        first = await self.say(store, "a", key="k")
        second = await self.say(store, "b", key="k", at=later(1))

        async with store.reading() as records:
            (message,) = await records.room.page(GENERAL)

        assert first == second == message.number
        assert (message.text, message.at, message.edited_at) == ("b", NOW, later(1))

    async def test_posting_again_takes_no_number(self, store: Store) -> None:
        await self.say(store, "a", key="k")
        await self.say(store, "b", key="k")

        assert await self.say(store, "c") == 2

    async def test_a_message_is_edited(self, store: Store) -> None:
        number = await self.say(store, "a")

        async with store.writing() as records:
            edited = await records.room.edit(number, text="b", body="{}", at=later(1))

            assert edited == await records.room.get(number)
            assert edited is not None
            assert (edited.text, edited.body, edited.edited_at) == ("b", "{}", later(1))
            assert await records.room.edit(99, text="b", body=None, at=NOW) is None

    async def test_a_page_is_the_newest_and_reads_downwards(self, store: Store) -> None:
        root = await self.say(store, "root")
        for text in ("a", "b", "c"):
            await self.say(store, text, thread=root if text != "b" else None)

        async with store.reading() as records:
            page = await records.room.page(GENERAL, limit=2)
            before = await records.room.page(GENERAL, before=page[0].number)
            thread = await records.room.page(GENERAL, thread=root)

        assert [message.text for message in page] == ["b", "c"]
        assert [message.text for message in before] == ["root", "a"]
        assert [message.text for message in thread] == ["root", "a", "c"]

    async def test_a_reaction_stands_once_until_it_is_taken_off(self, store: Store) -> None:
        number = await self.say(store, "a")

        async with store.writing() as records:
            for emoji, user in (("👍", ANN), ("🎓", BOB), ("👍", ANN)):
                await records.room.set_reaction(number, emoji, user)
            await records.room.set_reaction(99, "👍", UserId("U3"))
            message = await records.room.get(number)
            assert message is not None
            assert message.reactions == (("👍", ANN), ("🎓", BOB))

            await records.room.set_reaction(number, "👍", ANN, on=False)
            message = await records.room.get(number)
            assert message is not None
            assert message.reactions == (("🎓", BOB),)

    async def test_it_belongs_to_the_local_workspace(self, store: Store) -> None:
        await self.say(store, "a")

        async with store.writing() as records:
            await erase_workspace(records, LOCAL)

            assert await records.room.page(GENERAL) == []


async def test_an_evaluation_is_asked_question_by_question(store: Store) -> None:
    assistant = await furnished(store)
    async with store.writing() as records:
        snapshot = await frozen(records, assistant, "one", "two", "three")
        rows = [row async for row in records.snapshots.rows(HOME, snapshot.id)]
        evaluation = await records.evaluations.add(HOME, an_evaluation(assistant))
        again = await records.evaluations.add(HOME, an_evaluation(assistant))
        questions = [
            EvaluationQuestion(number, row.example, row.revision, is_must_answer=number == 3)
            for number, row in enumerate(rows, start=1)
        ]
        await records.evaluations.replace_questions(HOME, evaluation.id, questions)
        await records.evaluations.replace_questions(HOME, evaluation.id, questions)
        first, second = await records.evaluations.pending_questions(HOME, evaluation.id, 0, limit=2)
        await records.evaluations.mark_asked(HOME, evaluation.id, 0, [first.number, second.number])
        answer = EvaluationAnswer(first.number, 0, AnswerState.DONE, "Hi", scores={"score": 0.5})
        await records.evaluations.put_answer(HOME, evaluation.id, answer)
        await records.evaluations.unmark_asked(HOME, evaluation.id, 0, second.number)
        await records.evaluations.unmark_asked(HOME, evaluation.id, 0, first.number)
        await records.evaluations.mark_asked(HOME, evaluation.id, 0, [3])

    async with store.writing() as records:
        assert again == evaluation
        assert await records.evaluations.list_open() == [evaluation]
        assert [q.row for q in await records.evaluations.questions(HOME, evaluation.id)] == [
            a_row("one"),
            a_row("two"),
            a_row("three"),
        ]
        (pending,) = await records.evaluations.pending_questions(HOME, evaluation.id, 0, limit=9)
        assert pending.number == second.number
        assert await records.evaluations.mark_outcome_unknown(HOME, evaluation.id, [0]) == 1
        assert await records.evaluations.count_settled_answers(HOME, evaluation.id) == 2
        answers = await records.evaluations.answers(HOME, evaluation.id)
        assert answers == [answer, EvaluationAnswer(3, 0, AnswerState.LOST)]
        assert await records.snapshots.training_examples_among(
            HOME, snapshot.id, [r.example for r in rows]
        ) == {row.example for row in rows[:2]}


async def test_an_evaluation_keeps_no_words_of_an_erased_example(store: Store) -> None:
    assistant = await furnished(store)
    async with store.writing() as records:
        example, _ = await records.examples.add(HOME, an_example(assistant), at=NOW)
        evaluation = await records.evaluations.add(HOME, an_evaluation(assistant))
        question = EvaluationQuestion(1, example.id, 1, is_must_answer=False)
        await records.evaluations.replace_questions(HOME, evaluation.id, [question])
        await records.evaluations.mark_asked(HOME, evaluation.id, 0, [1])
        answer = EvaluationAnswer(1, 0, AnswerState.DONE, "Hello!", scores={"score": 1.0})
        await records.evaluations.put_answer(HOME, evaluation.id, answer)

        await records.examples.erase(HOME, [example.id])

        (stored_question,) = await records.evaluations.questions(HOME, evaluation.id)
        assert stored_question.row is None
        assert await records.evaluations.answers(HOME, evaluation.id) == [
            EvaluationAnswer(1, 0, AnswerState.LOST)
        ]


async def test_an_evaluation_that_is_over_changes_no_more(store: Store) -> None:
    assistant = await furnished(store)
    is_open = (EvaluationState.CONFIRMED, EvaluationState.RUNNING)
    async with store.writing() as records:
        evaluation = await records.evaluations.add(HOME, an_evaluation(assistant))
        report = {"a": [1]}
        assert await records.evaluations.update_if(
            HOME, evaluation.id, when=is_open, state=EvaluationState.DONE, report=report
        )

        is_changed = await records.evaluations.update_if(
            HOME, evaluation.id, when=is_open, state=EvaluationState.FAILED
        )

        assert not is_changed
        stored = await records.evaluations.get(HOME, evaluation.id)
        assert stored == replace(evaluation, state=EvaluationState.DONE, report=report)
        assert await records.evaluations.list_open_in_workspace(HOME) == []
        assert await records.evaluations.page(HOME) == [stored]
        assert await records.evaluations.committed_cost(HOME, since=NOW) == 0.5


async def test_an_estimate_of_an_evaluation_goes_with_time(store: Store) -> None:
    assistant = await furnished(store)
    estimate = replace(an_evaluation(assistant), state=EvaluationState.ESTIMATED)
    async with store.writing() as records:
        await records.evaluations.add(HOME, estimate)

        assert await records.evaluations.page(HOME) == []
        assert await records.evaluations.committed_cost(HOME, since=NOW) == 0.0
        assert await records.evaluations.delete_old_estimates(NOW) == 0
        assert await records.evaluations.delete_old_estimates(later(1)) == 1
