"""Comparison: one question, the base, the base with examples, and the tuned model side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.commands import Ask
from bot.errors import HostError
from bot.model import HostName, ModelKind, ModelName
from bot.ports.provider import Hosts, Usage
from bot.ports.store import Clock, Store
from bot.prompts import Message, few_shot, prompt
from bot.replies import Card, Column, Reply
from bot.rows import text_tokens

_SHOTS = 8
_CHECKPOINTS = 3


@dataclass(frozen=True, slots=True)
class Contender:
    title: str
    model: ModelName
    host: HostName
    messages: list[Message]


async def compare(ask: Ask, question: str, *, store: Store, hosts: Hosts, clock: Clock) -> Reply:
    """The same question and instructions to each, with tokens and time."""
    contenders = await _contenders(ask, question, store=store)
    columns = await asyncio.gather(
        *(_column(ask, one, hosts=hosts, clock=clock) for one in contenders)
    )
    spent = sum(tokens for _, tokens in columns)
    async with store.writing() as records:
        await records.spending.add(ask.id, ask.by, ask.now.date(), spent)
    lines = () if ask.deployment else (ask.words("compare.no_tuned"),)
    return Card(
        title=ask.words("compare.title", question=question),
        lines=lines,
        columns=tuple(column for column, _ in columns),
    )


async def _contenders(ask: Ask, question: str, *, store: Store) -> list[Contender]:
    assistant, words = ask.assistant, ask.words
    async with store.reading() as records:
        shots = await few_shot(records, ask.id, assistant, question, count=_SHOTS)
        models = await records.models.all(ask.id, assistant.id)
    plain = prompt(assistant, question)
    base, host = assistant.base, assistant.chat_host
    found = [Contender(words("compare.base"), base, host, plain)]
    if shots:
        examples = prompt(assistant, question, shots=shots)
        title = words("compare.few_shot", count=len(shots) // 2)
        found.append(Contender(title, base, host, examples))
    if ask.deployment and ask.deployment.model != base:
        title = words("compare.tuned")
        found.append(Contender(title, ask.deployment.address, ask.deployment.host, plain))
    if ask.yes("checkpoints", default=False):
        newest = [one for one in models if one.kind is ModelKind.CHECKPOINT][:_CHECKPOINTS]
        title = words("model.checkpoint").capitalize()
        found.extend(Contender(title, one.called or one.name, one.host, plain) for one in newest)
    return found


async def _column(ask: Ask, one: Contender, *, hosts: Hosts, clock: Clock) -> tuple[Column, int]:
    """An answer with its cost; a host's failure is told in its column."""
    started = clock.now()
    pieces: list[str] = []
    usage: Usage | None = None
    try:
        host = hosts.get(one.host)
        async for delta in host.chat(one.model, one.messages, ask.assistant.sampling):
            pieces.append(delta.text)
            usage = delta.usage or usage
    except HostError as error:
        return Column(one.title, ask.words.error(error), one.model), 0
    seconds = (clock.now() - started).total_seconds()
    text = "".join(pieces)
    asked = sum(text_tokens(message["content"]) for message in one.messages)
    told = usage or Usage(asked, text_tokens(text))
    note = ask.words(
        "compare.note",
        model=one.model,
        prompt=told.prompt_tokens,
        completion=told.completion_tokens,
        seconds=f"{seconds:.2f}",
    )
    return Column(one.title, text, note), told.prompt_tokens + told.completion_tokens
