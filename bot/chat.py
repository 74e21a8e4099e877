"""Answers: a question goes to the model that is in use, its words come back as they are written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.canary.arms import canary_for
from bot.commands import Handlers
from bot.daily_token_budget import reserve
from bot.domain import (
    LOCAL,
    Canary,
    HostName,
    Message,
    MessageId,
    ModelName,
    Notice,
    Role,
    Turn,
    TurnId,
    TurnState,
)
from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostUnreachable,
    KeyRefused,
    NotAllowed,
    NotFound,
    SurfaceError,
    deserialize,
    serialize,
)
from bot.events import MessageReceived
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Delta, Usage
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.prompts import PromptMessage, few_shot, prompt
from bot.replies import Button, Drawn, Listing, ListingRow, NoReply, Reply, Stream, Text
from bot.request import Request
from bot.rows import text_tokens
from bot.words import Words

handlers = Handlers()


log = logging.getLogger(__name__)

FELL_BACK = "model.fell_back"
_HISTORY = 20


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """The model in question and where it lives."""

    model: ModelName
    host: HostName
    address: ModelName


@handlers.event("spoken", Role.STRANGER)
async def answer(request: Request, deps: Dependencies) -> Reply:
    """The answer as a stream; its turn is stored as soon as the first words stand.

    After a crash an answer that was cut off is written again. One that the model had ended is
    said once more in the same words, as it may not have stood yet; one that was stopped is not.
    """
    what = request.event.what
    if not isinstance(what, MessageReceived):
        return NoReply()
    message = what.message
    if not message.text.strip():
        return Text(request.words("chat.empty"))
    history = await _said_before(request, message, deps.surfaces.of(request.id))
    async with deps.store.reading() as records:
        known = await records.turns.by_event(request.id, request.event.key)
        if known is not None and known.state is TurnState.STOPPED:
            return NoReply()
        if known is not None and known.state is TurnState.DONE:
            return _once_more(known, store=deps.store, words=request.words)
        shots = await few_shot(
            records,
            request.place,
            request.assistant,
            message.text,
            count=request.assistant.few_shot,
        )
        trial = await records.canaries.running(request.id, request.assistant.id)
        canary = await canary_for(request, trial, records) if trial else None
    messages = prompt(request.assistant, message.text, history=history, shots=shots)
    writer = AnswerWriter(request, message, messages, deps, canary)
    return Stream(
        writer.pieces(),
        writer.posted,
        buttons=_feedback_buttons(request.words),
        standing=known.message if known else None,
    )


def _once_more(turn: Turn, *, store: Store, words: Words) -> Stream:
    async def pieces() -> AsyncGenerator[str]:
        yield turn.reply

    async def posted(message: MessageId) -> None:
        await _note_message(turn, message, store=store)

    return Stream(pieces(), posted, buttons=_feedback_buttons(words), standing=turn.message)


async def _note_message(turn: Turn, message: MessageId, *, store: Store) -> None:
    """From now on the turn is known by where its answer stands."""
    async with store.writing() as records:
        await records.turns.change(turn.workspace, turn.id, message=message)


async def _said_before(request: Request, message: Message, surface: Surface) -> Sequence[Message]:
    """A platform that does not tell what was said still wants an answer."""
    if not request.assistant.history or not (message.place.thread or message.reply_to):
        return ()
    try:
        return await surface.history(message.place, message.id, _HISTORY)
    except SurfaceError as error:
        log.warning("What was said before cannot be read", extra={"why": error.key})
        return ()


@handlers.reaction("❌", Role.STRANGER)
async def stop(request: Request, deps: Dependencies) -> Reply:
    """❌ from the asker, a curator or an admin stops the answer."""
    message = request.clicked
    if message is None:
        return NoReply()
    async with deps.store.reading() as records:
        turn = await records.turns.by_message(request.id, request.place.channel, message)
    if turn is None or turn.state is not TurnState.STREAMING:
        return NoReply()
    if turn.asker != request.by and request.role < Role.CURATOR:
        raise NotAllowed(role=request.words("role.curator"), who=request.words("role.ask.curator"))
    deps.running.stop(message)
    return NoReply()


@handlers.button("answers", Role.CURATOR, is_for_pages=True)
async def about_answers(request: Request, deps: Dependencies) -> Reply:
    """Which model wrote each of these messages, and in what time."""
    lines: list[ListingRow] = []
    async with deps.store.reading() as records:
        for number in request.argument.split(","):
            message = MessageId(number)
            turn = await records.turns.by_message(request.id, request.place.channel, message)
            if turn is not None:
                note = f"{turn.seconds:.1f} s" if turn.seconds is not None else ""
                lines.append(ListingRow(message, turn.model, note))
    return Listing("", tuple(lines))


async def word_fell_back(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Whoever reads the channel hears why the base answered."""
    model, kept = notice.details.get("model"), notice.details.get("why")
    why = deserialize(kept) if isinstance(kept, Mapping) else None
    error = why or AttuneError()
    # Everybody in the channel reads it; the operator alone reads the local room.
    told = words.error(error) if notice.place.workspace == LOCAL else words.plain(error)
    instead = notice.details.get("instead")
    if instead is not None:
        return Text(words("chat.fell_back_to", model=model, instead=instead, why=told))
    return Text(words("chat.fell_back", model=model, why=told))


class AnswerWriter:
    """One answer on its way: asks the model, falls back to the base, keeps the turn."""

    def __init__(
        self,
        request: Request,
        question: Message,
        messages: list[PromptMessage],
        deps: Dependencies,
        canary: Canary | None = None,
    ) -> None:
        self._request = request
        self._canary = canary
        self._messages = messages
        self._deps = deps
        self._text: list[str] = []
        self._usage: Usage | None = None
        self._is_refusal = False
        self._started = deps.clock.now()
        self._turn = self._blank(question)
        self._is_kept = False

    async def pieces(self) -> AsyncGenerator[str]:
        """The text as it comes, once today's tokens reach for it. Raises OverCap."""
        async with (
            reserve(self._request, self._messages, self._deps.tokens),
            aclosing(self._kept()) as pieces,
        ):
            async for piece in pieces:
                yield piece

    async def _kept(self) -> AsyncGenerator[str]:
        """The text as it comes; whatever happens, the turn says how far it came."""
        state = TurnState.FAILED
        try:
            async for delta in self._deltas():
                self._usage = delta.usage or self._usage
                self._is_refusal |= delta.is_refusal
                if delta.text:
                    self._note(delta.text)
                    yield delta.text
            state = TurnState.DONE
        except (asyncio.CancelledError, GeneratorExit):
            is_wanted = self._deps.running.is_stopping()
            state = TurnState.STOPPED if is_wanted else TurnState.STREAMING
            raise
        finally:
            if self._text:
                await self._finish(state)
            elif self._usage:
                async with self._deps.store.writing() as records:
                    await self._spend(self._usage, records)

    async def posted(self, message: MessageId) -> None:
        """The first words stand: from now on the turn is known by its message."""
        self._turn = replace(self._turn, message=message)
        if self._is_kept:
            await _note_message(self._turn, message, store=self._deps.store)
        else:
            await self._keep()

    async def _deltas(self) -> AsyncGenerator[Delta]:
        """From the canary that this question goes to, else from the model in use.

        Where one fails before its first word the next one answers: the model in use, the base.
        """
        failed: tuple[ModelInUse, HostError | NotFound] | None = None
        left = self._candidates()
        while True:
            answering, *left = left
            try:
                async with aclosing(self._from(answering)) as deltas:
                    async for delta in deltas:
                        if failed is not None:
                            await self._tell_fallback(failed[0].model, failed[1], answering)
                            failed = None
                        yield delta
                return
            except (HostError, NotFound) as error:
                left = [one for one in left if _may_answer(one, answering, error)]
                if self._text or not left:
                    raise
                await self._count_failure(answering)
                failed = failed or (answering, error)

    async def _count_failure(self, answering: ModelInUse) -> None:
        canary = self._canary
        if canary is not None and answering.model == canary.model:
            async with self._deps.store.writing() as records:
                await records.canaries.count_failure(canary.workspace, canary.id)

    def _candidates(self) -> list[ModelInUse]:
        found = [self._wanted(), self._in_use(), self._base]
        return list(dict.fromkeys(found))

    @property
    def _base(self) -> ModelInUse:
        base = self._request.assistant.base
        return ModelInUse(base, self._request.assistant.chat_host, base)

    async def _from(self, answering: ModelInUse) -> AsyncGenerator[Delta]:
        self._turn = replace(self._turn, model=answering.model, host=answering.host)
        host = self._deps.hosts.paid(answering.host, self._request.workspace)
        sampling = self._request.assistant.sampling
        async with aclosing(host.chat(answering.address, self._messages, sampling)) as deltas:
            async for delta in deltas:
                yield delta

    def _wanted(self) -> ModelInUse:
        canary = self._canary
        if canary is None:
            return self._in_use()
        return ModelInUse(canary.model, canary.host, canary.called or canary.model)

    def _in_use(self) -> ModelInUse:
        deployment = self._request.deployment
        if deployment is None:
            return self._base
        return ModelInUse(deployment.model, deployment.host, deployment.address)

    def _note(self, text: str) -> None:
        if not self._text:
            self._turn = replace(self._turn, first_text_seconds=self._seconds())
        self._text.append(text)

    async def _keep(self) -> None:
        async with self._deps.store.writing() as records:
            kept = await records.turns.add(self._request.id, self._turn)
            if kept.message != self._turn.message or kept.model != self._turn.model:
                changes = {"message": self._turn.message, "model": self._turn.model}
                await records.turns.change(self._request.id, kept.id, **changes)
        self._turn = replace(self._turn, id=kept.id)
        self._is_kept = True

    async def _finish(self, state: TurnState) -> None:
        if not self._is_kept:
            await self._keep()
        text = "".join(self._text)
        usage = self._usage or self._counted(text)
        async with self._deps.store.writing() as records:
            await records.turns.change(
                self._request.id,
                self._turn.id,
                reply=text,
                state=state,
                is_refusal=self._is_refusal,
                message=self._turn.message,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                first_text_seconds=self._turn.first_text_seconds,
                seconds=self._seconds(),
            )
            await self._spend(usage, records)

    async def _spend(self, usage: Usage, records: Records) -> None:
        tokens = usage.prompt_tokens + usage.completion_tokens
        await records.daily_tokens.add(
            self._request.id, self._request.by, self._request.now.date(), tokens
        )

    def _counted(self, text: str) -> Usage:
        """A host that tells no usage is counted by our own estimate."""
        asked = sum(text_tokens(message["content"]) for message in self._messages)
        return Usage(asked, text_tokens(text))

    async def _tell_fallback(
        self, model: ModelName, error: HostError | NotFound, answering: ModelInUse
    ) -> None:
        """Once a day, channel and model, so that a broken model does not flood the channel."""
        log.warning("A tuned model failed, the base answers", extra={"why": error.key})
        request = self._request
        at = f"{request.place.channel}.{model}.{request.now.date()}"
        key = f"{request.id}.{at}.fell_back"
        instead = {} if answering == self._base else {"instead": answering.model}
        async with self._deps.store.writing() as records:
            await records.outbox.put(
                key,
                replace(self._request.place, thread=None),
                FELL_BACK,
                details={"model": model, "why": serialize(error), **instead},
                at=self._deps.clock.now(),
            )

    def _seconds(self) -> float:
        return (self._deps.clock.now() - self._started).total_seconds()

    def _blank(self, question: Message) -> Turn:
        wanted = self._wanted()
        return Turn(
            id=TurnId(0),
            workspace=self._request.id,
            assistant=self._request.assistant.id,
            place=self._request.place,
            event_key=self._request.event.key,
            asker=self._request.by,
            question=question.text,
            asked_message=question.id,
            reply="",
            model=wanted.model,
            host=wanted.host,
            state=TurnState.STREAMING,
            at=self._request.now,
        )


def _may_answer(one: ModelInUse, failed: ModelInUse, error: HostError | NotFound) -> bool:
    """What stands at the same host is no better off with a host that is away."""
    is_away = isinstance(error, HostBusy | HostUnreachable | KeyRefused)
    return one.host != failed.host or not is_away


def _feedback_buttons(words: Words) -> tuple[Button, ...]:
    return (
        Button(words("button.good"), "feedback.good"),
        Button(words("button.bad"), "feedback.bad"),
    )
