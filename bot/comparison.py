"""Comparison: one question to the base, the base with examples, and any model, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from bot import access
from bot.commands import Handlers, Option
from bot.daily_token_budget import reserve
from bot.domain import HostName, ModelKind, ModelName, Role
from bot.errors import BadInput, HostError, OverCap
from bot.ports.dependencies import Dependencies
from bot.ports.metered_calls import Answer, Meter
from bot.ports.provider import Usage
from bot.ports.store import Store
from bot.prompts import PromptMessage, build_prompt, few_shot
from bot.replies import Card, Column, Comparison, Listing, ListingRow, Reply, StreamedColumn, Tone
from bot.request import Request

handlers = Handlers()


_SHOTS = 8
_CHECKPOINTS = 3
_MOST = 8
_BASE, _FEW_SHOT = "base", "few_shot"


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """Who may be asked; `name` tells apart what has one model."""

    name: str
    title: str
    model: ModelName
    host: HostName
    has_examples: bool = False
    is_asked_by_default: bool = False
    is_checkpoint: bool = False


@handlers.command(
    "compare",
    Role.MEMBER,
    Option("question", rest=True, required=True, is_sentence=True),
    Option.yes_no("checkpoints"),
    costs_tokens=True,
)
async def compare(request: Request, deps: Dependencies) -> Reply:
    """The same question and instructions to each, with tokens and time."""
    access.refuse_closed_workspace(request.workspace, request.words)
    question = request.text_option("question") or ""
    everyone = await _everyone(request, store=deps.store)
    chosen = [one for one in everyone if one.is_asked_by_default]
    if request.yes_no_option("checkpoints", default=False):
        chosen += [one for one in everyone if one.is_checkpoint][:_CHECKPOINTS]
    answers = await _answers(request, question, chosen, deps)
    async with asyncio.TaskGroup() as group:  # Left once every call is counted.
        columns = [group.create_task(_whole(answer)) for answer in answers]
    return Card(
        title=request.words("compare.title", question=question),
        lines=_warning(request),
        columns=tuple(column.result() for column in columns),
    )


@handlers.button("compare.who", Role.CURATOR, is_for_pages=True)
async def contenders(request: Request, deps: Dependencies) -> Reply:
    """Who can be compared; those asked unless others are chosen come with a good tone."""
    found = await _everyone(request, store=deps.store)
    async with deps.store.reading() as records:
        models = await records.models.all(request.workspace_id, request.assistant.id)
    names: Mapping[str, str] = {model.name: model.display_name for model in models}
    lines = tuple(
        ListingRow(
            one.name,
            one.title,
            names.get(one.name, one.model),
            tone=Tone.GOOD if one.is_asked_by_default else Tone.PLAIN,
        )
        for one in found
    )
    return Listing("", lines)


@handlers.form("compare", Role.CURATOR, is_for_pages=True)
async def side_by_side(request: Request, deps: Dependencies) -> Reply:
    """As `compare`, of the chosen and while they write. Raises OverCap and BadInput."""
    access.refuse_closed_workspace(request.workspace, request.words)
    question, wanted = (
        request.options.get("question", "").strip(),
        request.options.get("who", "").splitlines(),
    )
    async with deps.store.reading() as records:
        spent = await records.daily_tokens.spent(
            request.workspace_id, request.user_id, request.now.date()
        )
    access.require_within_caps(request.workspace, spent, request.words)
    chosen = [one for one in await _everyone(request, store=deps.store) if one.name in wanted][
        :_MOST
    ]
    if not question or not chosen:
        raise BadInput(problem=request.words("compare.nobody"))
    answers = await _answers(request, question, chosen, deps)
    return Comparison(_warning(request), tuple(answer.writing() for answer in answers))


def _warning(request: Request) -> tuple[str, ...]:
    return () if request.deployment else (request.words("compare.no_tuned"),)


async def _everyone(request: Request, *, store: Store) -> list[ComparedModel]:
    """The base, the base with examples, who answers now, then every other model, newest first."""
    assistant, words = request.assistant, request.words
    async with store.reading() as records:
        models = await records.models.all(request.workspace_id, assistant.id)
    base, host = assistant.base, assistant.chat_host
    found = [
        ComparedModel(_BASE, words("compare.base"), base, host, is_asked_by_default=True),
        ComparedModel(
            _FEW_SHOT, words("compare.examples"), base, host, True, is_asked_by_default=True
        ),
    ]
    answering = request.deployment
    if answering and answering.model != base:
        title = words("compare.tuned")
        found.append(
            ComparedModel(
                answering.model,
                title,
                answering.name_at_host,
                answering.host,
                is_asked_by_default=True,
            )
        )
    known = {one.name for one in found}
    checkpoint = words("model.checkpoint").capitalize()
    titles = {ModelKind.TUNED: words("compare.tuned"), ModelKind.CHECKPOINT: checkpoint}
    found.extend(
        ComparedModel(
            one.name,
            titles[one.kind],
            one.served_name or one.name,
            one.host,
            is_checkpoint=one.kind is ModelKind.CHECKPOINT,
        )
        for one in models
        if one.kind in titles and one.name not in known
    )
    return found


async def _answers(
    request: Request, question: str, chosen: list[ComparedModel], deps: Dependencies
) -> list[_Answer]:
    async with deps.store.reading() as records:
        shots = await few_shot(records, request.place, request.assistant, question, count=_SHOTS)
    plain = build_prompt(request.assistant, question)
    shown = build_prompt(request.assistant, question, shots=shots)
    asked = [one for one in chosen if shots or not one.has_examples]
    return [
        _Answer(
            request,
            one,
            _titled(request, one, len(shots) // 2),
            shown if one.has_examples else plain,
            deps,
        )
        for one in asked
    ]


def _titled(request: Request, one: ComparedModel, count: int) -> str:
    return request.words("compare.few_shot", count=count) if one.has_examples else one.title


async def _whole(answer: _Answer) -> Column:
    pieces = [piece async for piece in answer.pieces()]
    return answer.ended() or Column(answer.title, "".join(pieces), answer.model)


class _Answer:
    """One contender's answer, its time and tokens."""

    def __init__(
        self,
        request: Request,
        one: ComparedModel,
        title: str,
        messages: list[PromptMessage],
        deps: Dependencies,
    ) -> None:
        self.title = title
        self.model = one.model
        self._request = request
        self._one = one
        self._messages = messages
        self._deps = deps
        self._column: Column | None = None

    def writing(self) -> StreamedColumn:
        return StreamedColumn(self.title, self.model, self.pieces(), self.ended)

    def ended(self) -> Column | None:
        return self._column

    async def pieces(self) -> AsyncGenerator[str]:
        """Its text; a host's failure, or that today's tokens are used up, is told in its place."""
        try:
            async with (
                reserve(self._request, self._messages, self._deps.token_reservations) as meter,
                aclosing(self._chat(meter)) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        except (HostError, OverCap) as error:
            words = self._request.words
            yield (
                words.error(error)
                if self._request.may_quote_host
                else words.error_without_host_words(error)
            )

    async def _chat(self, meter: Meter) -> AsyncGenerator[str]:
        started, answer = self._deps.clock.now(), Answer()
        host = self._deps.hosts.paid(self._one.host, self._request.workspace)
        sampling = self._request.assistant.sampling
        async with aclosing(meter.chat(host, self.model, self._messages, sampling)) as deltas:
            async for delta in deltas:
                answer.add(delta)
                if delta.text:
                    yield delta.text
        note = self._note(meter.usage, (self._deps.clock.now() - started).total_seconds())
        self._column = Column(self.title, answer.text, note, is_refusal=answer.is_refusal)

    def _note(self, told: Usage, seconds: float) -> str:
        return self._request.words(
            "compare.note",
            model=self.model,
            prompt=told.prompt_tokens,
            completion=told.completion_tokens,
            seconds=f"{seconds:.2f}",
        )
