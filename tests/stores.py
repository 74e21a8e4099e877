"""A workspace with an assistant, and things to put into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from bot.domain import (
    Assistant,
    AssistantId,
    Canary,
    CanaryId,
    CanaryState,
    ChannelId,
    Contender,
    ContenderKind,
    Estimate,
    Evaluation,
    EvaluationId,
    EvaluationState,
    ExampleSource,
    ExampleState,
    HostName,
    Hyperparameters,
    Job,
    JobId,
    MessageId,
    ModelName,
    NewExample,
    Origin,
    Phase,
    Place,
    Row,
    Sampling,
    Snapshot,
    SnapshotId,
    SnapshotRow,
    Sources,
    Split,
    SyntheticKind,
    SyntheticRun,
    Turn,
    TurnId,
    TurnState,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.ports.store import Records, Store
from bot.rows import Method

HOME = WorkspaceId("slack:T1")
FOREIGN = WorkspaceId("slack:T2")
ANN, BOB = UserId("U1"), UserId("U2")
GENERAL, RANDOM = ChannelId("C1"), ChannelId("C2")
HOST, BASE = HostName("sandbox"), ModelName("base")
NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=UTC)
PLACE = Place(HOME, GENERAL, MessageId("100.1"))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def an_assistant(name: str = "Ada", *, is_default: bool = True) -> Assistant:
    return Assistant(
        id=AssistantId(0),
        workspace=HOME,
        name=name,
        instructions="Be kind.",
        sampling=Sampling(temperature=0.5, stop=("END",)),
        language="en",
        chat_host=HOST,
        training_host=HOST,
        base=BASE,
        is_default=is_default,
    )


def a_row(text: str = "Good morning") -> Row:
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": "Hello!"}]
    return {"messages": said}


def an_example(assistant: AssistantId, text: str | None = "Good morning") -> NewExample:
    return NewExample(
        assistant=assistant,
        method=Method.SUPERVISED,
        state=ExampleState.APPROVED,
        row=None if text is None else a_row(text),
        origin=Origin.STUDIO,
        authors=(ANN,),
    )


def a_source(message: str = "200.1") -> ExampleSource:
    return ExampleSource(GENERAL, MessageId(message), MessageId("100.1"), "https://example.org/200")


def a_turn(assistant: AssistantId, event_key: str = "event-1") -> Turn:
    return Turn(
        id=TurnId(0),
        workspace=HOME,
        assistant=assistant,
        place=PLACE,
        event_key=event_key,
        asker=ANN,
        question="How are you?",
        reply="",
        model=BASE,
        host=HOST,
        state=TurnState.STREAMING,
        at=NOW,
        prompt=({"role": "user", "content": "How are you?"},),
    )


def an_estimate(snapshot: Snapshot, start: str = "start-1") -> Job:
    return replace(a_job(snapshot, start), phase=Phase.ESTIMATED, confirmed_at=None)


def a_job(snapshot: Snapshot, start: str = "start-1") -> Job:
    return Job(
        id=JobId(0),
        workspace=HOME,
        assistant=snapshot.assistant,
        snapshot=snapshot.id,
        idempotency_key=start,
        place=PLACE,
        asked_by=ANN,
        host=HOST,
        base=BASE,
        method=Method.SUPERVISED,
        hyperparameters=Hyperparameters(n_epochs=3),
        suffix="ada",
        seed=2**40,
        use_when_done=True,
        estimate=Estimate(10, 2, 5000, 3, 0.25, None),
        phase=Phase.CONFIRMED,
        created_at=NOW,
        confirmed_at=NOW,
    )


def a_canary(assistant: AssistantId, start: str = "canary-1", share: float = 0.2) -> Canary:
    return Canary(
        id=CanaryId(0),
        workspace=HOME,
        assistant=assistant,
        place=PLACE,
        idempotency_key=start,
        started_by=ANN,
        state=CanaryState.RUNNING,
        model=ModelName("ft:base:new"),
        host=HOST,
        served_name=None,
        share=share,
        deployment=0,
        in_use=BASE,
        started_at=NOW,
    )


def an_evaluation(assistant: AssistantId, start: str = "evaluation-1") -> Evaluation:
    return Evaluation(
        id=EvaluationId(0),
        workspace=HOME,
        assistant=assistant,
        place=PLACE,
        idempotency_key=start,
        asked_by=ANN,
        state=EvaluationState.RUNNING,
        model=ModelName("ft:base:new"),
        against=None,
        method=Method.SUPERVISED,
        deployment=0,
        is_gate=True,
        contenders=(Contender(ContenderKind.BASE, BASE, HOST, BASE, 8),),
        price=0.5,
        created_at=NOW,
    )


async def furnished(store: Store) -> AssistantId:
    """Two workspaces; the assistant is at home in the first."""
    async with store.writing() as records:
        await records.workspaces.add(Workspace(HOME, "Home", Sources.MESSAGES))
        await records.workspaces.add(Workspace(FOREIGN, "Foreign", Sources.MESSAGES))
        return (await records.assistants.add(HOME, an_assistant())).id


async def frozen(records: Records, assistant: AssistantId, *texts: str) -> Snapshot:
    """A snapshot of new examples; the last one is for validation."""
    rows = []
    for text in texts:
        example, _ = await records.examples.add(HOME, an_example(assistant, text), at=NOW)
        rows.append(SnapshotRow(example.id, example.revision, Split.TRAIN, hash_of(text), None))
    rows[-1] = replace(rows[-1], split=Split.VALIDATION)
    return await freeze(records, HOME, assistant, rows)


async def freeze(
    records: Records, workspace: WorkspaceId, assistant: AssistantId, rows: Sequence[SnapshotRow]
) -> Snapshot:
    training = sum(row.split is Split.TRAIN for row in rows)
    made = await records.snapshots.create(
        workspace,
        assistant,
        Method.SUPERVISED,
        training_rows=training,
        validation_rows=len(rows) - training,
        at=NOW,
    )
    await records.snapshots.append_rows(workspace, made.id, rows, first_position=0)
    return made


def hash_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


async def texts_of(records: Records, snapshot: SnapshotId) -> list[Row | None]:
    return [row.row async for row in records.snapshots.rows(HOME, snapshot)]


def a_synthetic_run(assistant: AssistantId) -> SyntheticRun:
    return SyntheticRun(
        id=0,
        workspace=HOME,
        assistant=assistant,
        place=PLACE,
        idempotency_key="run",
        asked_by=ANN,
        state=EvaluationState.RUNNING,
        kind=SyntheticKind.WORDINGS,
        host=HOST,
        model=ModelName("m"),
        wordings=1,
        labels=(),
        tag="",
        examples=1,
        tokens=1,
        price=0.0,
        created_at=NOW,
    )


async def erase_workspace(records: Records, workspace: WorkspaceId) -> None:
    at = 0
    while at >= 0:
        at = await records.workspaces.erase_part(workspace, first_table=at)
