"""No row is trained on without permission: the query against the rule in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain import (
    LOCAL,
    NO_EXCLUSIONS,
    Consent,
    Example,
    ExampleState,
    Exclusion,
    Grant,
    NewExample,
    Origin,
    Role,
    SnapshotRow,
    Sources,
    Split,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.ports.store import Records
from bot.rows import Method
from storage.database import Database
from tests.stores import HOME, NOW, a_row, an_assistant, an_example, freeze

PEOPLE = [UserId(f"U{number}") for number in range(4)]


@dataclass(frozen=True)
class Case:
    """One workspace, what its people said about their words, and its examples."""

    workspace: WorkspaceId
    sources: Sources
    allowed: Exclusion
    consents: dict[UserId, bool]
    examples: tuple[NewExample, ...]


def may_be_trained_on(case: Case, example: Example | NewExample) -> bool:
    """The rule, said once more in another language than SQL."""
    if example.state is not ExampleState.APPROVED or example.row is None:
        return False
    if any(case.consents.get(author) is False for author in example.authors):
        return False
    if example.origin in (Origin.STUDIO, Origin.CONSOLE, Origin.IMPORT):
        return True
    is_local = case.workspace == LOCAL
    sources = Sources.MESSAGES if is_local else case.sources
    needed = Sources.FORMS if example.origin is Origin.FORM else Sources.MESSAGES
    agreed = all(case.consents.get(author, is_local) for author in example.authors)
    known = bool(example.authors) or example.origin is Origin.FORM
    closed = [one for one in example.exclusions if one not in case.allowed and not is_local]
    return sources >= needed and agreed and known and not closed


exclusions = st.builds(
    lambda few: reduce(or_, few, NO_EXCLUSIONS),
    st.sets(st.sampled_from(list(Exclusion)), max_size=2),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    base = an_example(an_assistant().id)
    examples = [
        replace(
            base,
            row=draw(st.sampled_from([a_row(str(number)), a_row(str(number)), None])),
            state=draw(st.sampled_from([ExampleState.APPROVED, *ExampleState])),
            origin=draw(st.sampled_from(Origin)),
            exclusions=draw(exclusions),
            authors=tuple(draw(st.lists(st.sampled_from(PEOPLE), unique=True, max_size=3))),
        )
        for number in range(draw(st.integers(1, 8)))
    ]
    return Case(
        workspace=draw(st.sampled_from([LOCAL, HOME])),
        sources=draw(st.sampled_from(Sources)),
        allowed=draw(exclusions),
        consents=draw(st.dictionaries(st.sampled_from(PEOPLE), st.booleans())),
        examples=tuple(examples),
    )


async def check(store: Database, case: Case) -> None:
    async with store.writing() as records:
        kept = await keep(records, case)
        assistant = kept[0].assistant
        allowed = [example for example in kept if may_be_trained_on(case, example)]

        trainable = records.examples.iterate_trainable(case.workspace, assistant, Method.SUPERVISED)
        assert [example async for example in trainable] == allowed

        rows = [SnapshotRow(e.id, e.revision, Split.TRAIN, "hash", None) for e in kept]
        snapshot = await freeze(records, case.workspace, assistant, rows)
        forbidden = await records.snapshots.count_untrainable_rows(case.workspace, snapshot.id)
        assert forbidden == len(kept) - len(allowed)

        raise ForgottenError


class ForgottenError(Exception):
    """Undoes what the case wrote."""


async def keep(records: Records, case: Case) -> list[Example]:
    other = WorkspaceId("slack:other")
    for workspace in (case.workspace, other):
        await records.workspaces.add(Workspace(workspace, "A team", case.sources))
        await records.workspaces.set_sources(workspace, case.sources, allowed=case.allowed)
        await records.roles.set_grant(workspace, PEOPLE[0], Grant(Role.ADMIN, NOW))
    for user, given_ in case.consents.items():
        await records.consents.put(case.workspace, Consent(user, 1, not given_, NOW))
        await records.consents.put(case.workspace, Consent(user, 2, given_, NOW))
        # What somebody says elsewhere counts only there.
        await records.consents.put(other, Consent(user, 1, not given_, NOW))
    assistant = await records.assistants.add(case.workspace, an_assistant())
    kept = []
    for example in case.examples:
        owned = replace(example, assistant=assistant.id)
        kept.append((await records.examples.add(case.workspace, owned, at=NOW))[0])
    return kept


def one_step_away() -> Iterator[Case]:
    """A marked message that may be trained on, and each single thing that forbids it."""
    marked = replace(
        an_example(an_assistant().id),
        state=ExampleState.APPROVED,
        origin=Origin.MESSAGE,
        authors=(PEOPLE[0], PEOPLE[1]),
        exclusions=NO_EXCLUSIONS,
    )
    agreed = {PEOPLE[0]: True, PEOPLE[1]: True}
    permitted = Case(HOME, Sources.MESSAGES, NO_EXCLUSIONS, agreed, (marked,))
    yield permitted
    yield replace(permitted, consents={PEOPLE[0]: True})
    yield replace(permitted, consents={PEOPLE[0]: True, PEOPLE[1]: False})
    yield replace(permitted, sources=Sources.FORMS)
    imported = replace(marked, origin=Origin.IMPORT)
    yield replace(permitted, consents={PEOPLE[0]: False}, examples=(imported,))
    for forbidden in (
        replace(marked, authors=()),
        replace(marked, row=None),
        replace(marked, state=ExampleState.PROPOSED),
        *(replace(marked, exclusions=one) for one in Exclusion),
    ):
        yield replace(permitted, examples=(forbidden,))


async def test_each_single_reason_forbids_training(tmp_path: Path) -> None:
    cases = list(one_step_away())
    store = await Database.open(f"sqlite:///{tmp_path}/attune.db")

    for case in cases:
        with suppress(ForgottenError):
            await check(store, case)

    await store.close()
    assert [may_be_trained_on(case, case.examples[0]) for case in cases] == [
        True,
        *[False] * (len(cases) - 1),
    ]


def test_what_is_trainable_is_exactly_what_is_permitted(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(Database.open(f"sqlite:///{tmp_path}/attune.db"))

        @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=cases())
        def holds(case: Case) -> None:
            with suppress(ForgottenError):
                runner.run(check(store, case))

        holds()
        runner.run(store.close())
