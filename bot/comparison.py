"""Comparison: sends one question to several models and shows their answers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from bot import access
from bot.commands import Handlers, Option
from bot.daily_token_budget import require_daily_budget, reserve_tokens
from bot.domain import HostName, ModelKind, ModelName, Role
from bot.errors import BadInput, HostError, OverCap
from bot.ports.dependencies import Dependencies
from bot.ports.metered_calls import Answer, TokenMeter
from bot.ports.model_hosts import Usage
from bot.ports.store import Store
from bot.prompts import PromptMessage, build_prompt, example_messages
from bot.replies import Card, Column, Comparison, Listing, ListingRow, Reply, StreamedColumn, Tone
from bot.request import Request

handlers = Handlers()


_SHOTS = 8
_CHECKPOINTS = 3
_MAX_MODELS = 8
_BASE, _FEW_SHOT = "base", "few_shot"


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model that can be compared; `name` is unique, as one model may appear twice.

    With `has_examples` the prompt contains examples (few-shot).
    """

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
    Option("question", takes_rest=True, required=True, is_sentence=True),
    Option.yes_no("checkpoints"),
    costs_tokens=True,
)
async def compare_models(request: Request, deps: Dependencies) -> Reply:
    """Asks each default model the same question; shows answers with tokens and time."""
    access.refuse_closed_workspace(request.workspace, request.words)
    question = request.text_option("question") or ""
    models = await _comparable_models(request, store=deps.store)
    chosen = [model for model in models if model.is_asked_by_default]
    if request.yes_no_option("checkpoints", default=False):
        chosen += [model for model in models if model.is_checkpoint][:_CHECKPOINTS]
    answers = await _answers(request, question, chosen, deps)
    async with asyncio.TaskGroup() as group:  # Also waits until the tokens of each call are stored.
        columns = [group.create_task(_complete_answer(answer)) for answer in answers]
    return Card(
        title=request.words("compare.title", question=question),
        lines=_warning(request),
        columns=tuple(column.result() for column in columns),
    )


@handlers.button("compare.who", Role.CURATOR, is_for_pages=True)
async def list_comparable_models(request: Request, deps: Dependencies) -> Reply:
    """Lists the models that can be compared; the default ones have the tone GOOD."""
    compared = await _comparable_models(request, store=deps.store)
    async with deps.store.reading() as records:
        models = await records.models.all(request.workspace_id, request.assistant.id)
    names: Mapping[str, str] = {model.name: model.display_name for model in models}
    lines = tuple(
        ListingRow(
            choice.name,
            choice.title,
            names.get(choice.name, choice.model),
            tone=Tone.GOOD if choice.is_asked_by_default else Tone.PLAIN,
        )
        for choice in compared
    )
    return Listing("", lines)


@handlers.form("compare", Role.CURATOR, is_for_pages=True)
async def compare_side_by_side(request: Request, deps: Dependencies) -> Reply:
    """Asks the chosen models the same question and streams their answers.

    Raises OverCap, and BadInput without a question or a model.
    """
    access.refuse_closed_workspace(request.workspace, request.words)
    question = request.options.get("question", "").strip()
    names = request.options.get("who", "").splitlines()
    await require_daily_budget(request, deps.store)
    models = await _comparable_models(request, store=deps.store)
    chosen = [model for model in models if model.name in names][:_MAX_MODELS]
    if not question or not chosen:
        raise BadInput(problem=request.words("compare.nobody"))
    answers = await _answers(request, question, chosen, deps)
    return Comparison(_warning(request), tuple(answer.writing() for answer in answers))


def _warning(request: Request) -> tuple[str, ...]:
    return () if request.deployment else (request.words("compare.no_tuned"),)


async def _comparable_models(request: Request, *, store: Store) -> list[ComparedModel]:
    """Returns the base, the base with examples, the model in use, then the others, newest first."""
    assistant, words = request.assistant, request.words
    async with store.reading() as records:
        models = await records.models.all(request.workspace_id, assistant.id)
    base, host = assistant.base, assistant.chat_host
    compared = [
        ComparedModel(_BASE, words("compare.base"), base, host, is_asked_by_default=True),
        ComparedModel(
            _FEW_SHOT, words("compare.examples"), base, host, True, is_asked_by_default=True
        ),
    ]
    answering = request.deployment
    if answering and answering.model != base:
        title = words("compare.tuned")
        compared.append(
            ComparedModel(
                answering.model,
                title,
                answering.name_at_host,
                answering.host,
                is_asked_by_default=True,
            )
        )
    names = {model.name for model in compared}
    checkpoint = words("model.checkpoint").capitalize()
    titles = {ModelKind.TUNED: words("compare.tuned"), ModelKind.CHECKPOINT: checkpoint}
    compared.extend(
        ComparedModel(
            model.name,
            titles[model.kind],
            model.served_name or model.name,
            model.host,
            is_checkpoint=model.kind is ModelKind.CHECKPOINT,
        )
        for model in models
        if model.kind in titles and model.name not in names
    )
    return compared


async def _answers(
    request: Request, question: str, chosen: list[ComparedModel], deps: Dependencies
) -> list[_Answer]:
    async with deps.store.reading() as records:
        nearest = await deps.nearest_examples.find(
            records, request.place, request.assistant, question, count=_SHOTS
        )
    plain = build_prompt(request.assistant, question)
    few_shot_prompt = build_prompt(request.assistant, question, shots=example_messages(nearest))
    return [
        _Answer(
            request,
            compared,
            _title(request, compared, len(nearest)),
            few_shot_prompt if compared.has_examples else plain,
            deps,
        )
        for compared in chosen
        if nearest or not compared.has_examples
    ]


def _title(request: Request, compared: ComparedModel, count: int) -> str:
    if compared.has_examples:
        return request.words("compare.few_shot", count=count)
    return compared.title


async def _complete_answer(answer: _Answer) -> Column:
    """Returns the complete answer, or the error text if the host failed."""
    pieces = [piece async for piece in answer.pieces()]
    return answer.ended() or Column(answer.title, "".join(pieces), answer.model)


class _Answer:
    """The answer of one model with its tokens and time."""

    def __init__(
        self,
        request: Request,
        compared: ComparedModel,
        title: str,
        messages: list[PromptMessage],
        deps: Dependencies,
    ) -> None:
        self.title = title
        self.model = compared.model
        self._request = request
        self._compared = compared
        self._messages = messages
        self._deps = deps
        self._column: Column | None = None

    def writing(self) -> StreamedColumn:
        return StreamedColumn(self.title, self.model, self.pieces(), self.ended)

    def ended(self) -> Column | None:
        return self._column

    async def pieces(self) -> AsyncGenerator[str]:
        """Yields the answer's text, or the text of an error of the host or of a token cap."""
        try:
            async with (
                reserve_tokens(
                    self._request, self._messages, self._deps.token_reservations
                ) as meter,
                aclosing(self._chat(meter)) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        except (HostError, OverCap) as error:
            words = self._request.words
            yield (
                words.error_text(error)
                if self._request.may_quote_host
                else words.error_text_without_host_message(error)
            )

    async def _chat(self, meter: TokenMeter) -> AsyncGenerator[str]:
        started, answer = self._deps.clock.now(), Answer()
        host = self._deps.hosts.get_paid(self._compared.host, self._request.workspace)
        sampling = self._request.assistant.sampling
        async with aclosing(meter.chat(host, self.model, self._messages, sampling)) as deltas:
            async for delta in deltas:
                answer.add_delta(delta)
                if delta.text:
                    yield delta.text
        note = self._note(meter.usage, (self._deps.clock.now() - started).total_seconds())
        self._column = Column(self.title, answer.text, note, is_refusal=answer.is_refusal)

    def _note(self, usage: Usage, seconds: float) -> str:
        return self._request.words(
            "compare.note",
            model=self.model,
            prompt=usage.prompt_tokens,
            completion=usage.completion_tokens,
            seconds=f"{seconds:.2f}",
        )
