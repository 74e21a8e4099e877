"""The page of a training's states, written from the tables in `bot/tuning/state_machine.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.domain import OPEN_PHASES, Phase, RequestedAction
from bot.tuning.state_machine import ACTION_RULES, TRANSITIONS

MEANINGS = {
    Phase.ESTIMATED: "rows are frozen and priced; somebody has to confirm",
    Phase.CONFIRMED: "the start is durable; examples are about to be marked as held out",
    Phase.UPLOADING: "the training file, then the validation file, go to the host",
    Phase.CREATING: "the job is about to be created",
    Phase.WATCHING: "the host trains; its own status is shown",
    Phase.WARMING: "the model is deployed where that is needed, and asked for a first word",
    Phase.SUCCEEDED: "the model answers, or waits to be deployed by hand",
    Phase.FAILED: "the host reported a failure, or was given up",
    Phase.CANCELLED: "a trainer cancelled it",
    Phase.ABANDONED: "an example lost its permission before the job was created",
}
ANY_OPEN = "any open"


def training_states_page() -> Iterator[str]:
    yield "`bot/tuning/state_machine.py` has these tables; a move that they do not have is not"
    yield "written. `bot/tuning/job_steps.py` has what is done at the host in each state;"
    yield "[what survives a crash](what-survives-a-crash.md#when-a-host-fails) says when a host"
    yield "that fails is given up."
    yield from ("", "```mermaid", *diagram(), "```", "", "## States", "")
    yield from ("| state | what it means |", "| --- | --- |")
    yield from (f"| {phase} | {MEANINGS[phase]} |" for phase in Phase)
    yield from ("", "## Moves", "", "| from | to | who | when |", "| --- | --- | --- | --- |")
    for move in TRANSITIONS:
        yield f"| {_phases(move.sources)} | {move.target} | {move.actor} | {move.reason} |"
    yield from ("", "An estimate that is declined, or that nobody confirms, is deleted.", "")
    yield from ("## Requested actions", "")
    yield "A requested action is written down; the poller asks the host for it, and clears it once"
    yield "the host reports it or refuses it. Pause and resume do not replace a cancel."
    yield from ("", "| action | requested by | in | if paused | fulfilled at | waits at |")
    yield "| --- | --- | --- | --- | --- | --- |"
    for action in RequestedAction:
        rule = ACTION_RULES[action]
        halted = {None: "either way", True: "yes", False: "no"}[rule.requires_paused]
        done, waits = _statuses(rule.fulfilled_at), _statuses(rule.waits_at)
        phases = _phases(rule.phases)
        yield f"| {action} | {rule.requested_by} | {phases} | {halted} | {done} | {waits} |"


def diagram() -> Iterator[str]:
    """The moves as a Mermaid state diagram; one of every open state starts at their frame."""
    yield from ("stateDiagram-v2", "    [*] --> estimated: a trainer asks")
    yield from ("    state open {", *_arrows(is_inside=True, indent=8), "    }")
    yield from _arrows(is_inside=False, indent=4)
    yield from (f"    {phase} --> [*]" for phase in Phase if phase.is_over)


def _arrows(*, is_inside: bool, indent: int) -> Iterator[str]:
    for move in TRANSITIONS:
        sources = ("open",) if move.sources == OPEN_PHASES else move.sources
        for source in sources:
            if (source in OPEN_PHASES and move.target in OPEN_PHASES) is is_inside:
                yield f"{' ' * indent}{source} --> {move.target}: {move.reason} ({move.actor})"


def _phases(phases: Sequence[Phase]) -> str:
    return ANY_OPEN if phases == OPEN_PHASES else ", ".join(phases)


def _statuses(statuses: Sequence[str]) -> str:
    return ", ".join(f"`{status}`" for status in statuses) or "–"
