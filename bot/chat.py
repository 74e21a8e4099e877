"""Questions and answers: asks the model in use and streams its answer back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot import access
from bot.answer_access import NOTE, turn_named, without_note
from bot.canary.selection import canary_for
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
    UserId,
)
from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostUnreachable,
    KeyRefused,
    NotAllowed,
    NotFound,
    NotNow,
    OverCap,
    SurfaceError,
    deserialize,
    serialize,
)
from bot.events import MessageEdited, MessageReceived
from bot.examples.source_changes import source_edited
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Delta, Usage
from bot.ports.store import Records, Store
from bot.ports.surface import CanSendEphemeral, Surface
from bot.prompts import PromptMessage, few_shot, prompt
from bot.question_files import AskedWithFiles, with_files
from bot.replies import Button, Drawn, Listing, ListingRow, NoReply, Reply, Stream, Text
from bot.request import Request
from bot.rows import text_tokens
from bot.words import Words

handlers = Handlers()


log = logging.getLogger(__name__)

FELL_BACK = "model.fell_back"
WARMING_SECONDS = 15.0
"""After so long without a first word whoever asked hears that the model is being loaded."""
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
    surface = deps.surfaces.of(request.id)
    asked = AskedWithFiles(message.text, message.text)
    if what.files:
        asked = await with_files(request, what, surface)
    if not asked.text.strip():
        return Text(asked.note or request.words("chat.empty"))
    said = await _said_before(request, message, surface)
    async with deps.store.reading() as records:
        known = await records.turns.by_event(request.id, request.event.key)
        if (told := _said_already(request, known, deps)) is not None:
            return told
        shots = await _shots(request, asked.question, records)
        trial = await records.canaries.running(request.id, request.assistant.id)
        canary = await canary_for(request, trial, records) if trial else None
    messages = prompt(request.assistant, asked.text, history=_without_notes(said), shots=shots)
    note = " ".join(filter(None, (asked.note, _note_on(said, request.words))))
    question = Question(asked.question, message.id, request.by, note=note)
    return AnswerWriter(request, question, messages, deps, canary).stream(known)


async def _shots(request: Request, question: str, records: Records) -> list[PromptMessage]:
    assistant = request.assistant
    return await few_shot(records, request.place, assistant, question, count=assistant.few_shot)


def _note_on(said: Sequence[Message], words: Words) -> str:
    """Once in a conversation it is told that only its end goes along; empty otherwise."""
    note = words("chat.only_last", count=_HISTORY)
    is_told = any(one.is_own and note in one.text for one in said)
    return note if len(said) >= _HISTORY and not is_told else ""


def _without_notes(said: Sequence[Message]) -> Sequence[Message]:
    return [replace(one, text=without_note(one.text)) if one.is_own else one for one in said]


@handlers.event("edited", Role.STRANGER)
async def edited(request: Request, deps: Dependencies) -> Reply:
    """What was learned follows an edited message; its answer is written anew in its place."""
    what = request.event.what
    if not isinstance(what, MessageEdited):
        return NoReply()
    turn = await _turn_to_renew(request, what, deps.store)
    await source_edited(request, what, deps)
    if turn is None:
        return NoReply()
    said = await _said_before_turn(request, turn, deps.surfaces.of(request.id))
    async with deps.store.reading() as records:
        shots = await _shots(request, what.text, records)
    messages = prompt(request.assistant, what.text, history=_without_notes(said), shots=shots)
    return AnswerWriter(request, Question.of(turn, what.text), messages, deps).stream(turn)


async def _turn_to_renew(request: Request, what: MessageEdited, store: Store) -> Turn | None:
    """The answer to one's own question; one that somebody has marked stays as it was marked.

    It counts as being written from now on, so that a crash does not end it half renewed.
    """
    channel = request.place.channel
    async with store.writing() as records:
        turn = await records.turns.by_question(request.id, channel, what.message)
        if turn is None or turn.message is None or turn.asker != request.by:
            return None
        is_same = turn.question == what.text and turn.state is not TurnState.STREAMING
        is_marked = await records.example_messages.examples(request.id, channel, [turn.message])
        if is_same or is_marked or not (request.may_ask and what.text.strip()):
            return None
        await records.turns.change(request.id, turn.id, state=TurnState.STREAMING)
    return turn


@handlers.button("go_on", Role.STRANGER)
async def go_on(request: Request, deps: Dependencies) -> Reply:
    """Continues an answer that was cut off; what is kept of it is the whole, from its beginning."""
    async with deps.store.reading() as records:
        turn = await turn_named(request, records)
        known = await records.turns.by_event(request.id, request.event.key)
    access.require_leave_to_ask(request.may_ask)
    if (said := _said_already(request, known, deps, begun=turn.reply)) is not None:
        return said
    if not turn.question or not turn.reply:
        raise NotNow(problem=request.words("message.gone"))
    history = await _said_before_turn(request, turn, deps.surfaces.of(request.id))
    messages = [
        *prompt(request.assistant, turn.question, history=_without_notes(history)),
        {"role": "assistant", "content": turn.reply},
        {"role": "user", "content": request.words("chat.go_on_asked")},
    ]
    question = Question(turn.question, turn.asked_message, turn.asker, begun=turn.reply)
    return AnswerWriter(request, question, messages, deps).stream(known)


def _said_already(
    request: Request, known: Turn | None, deps: Dependencies, *, begun: str = ""
) -> Reply | None:
    """What an earlier attempt at the same event has ended; None where there is work to do.

    `begun` is the part of the reply that stands in an earlier message.
    """
    if known is not None and known.state is TurnState.STOPPED:
        return NoReply()
    if known is not None and known.state is TurnState.DONE:
        rest = replace(known, reply=known.reply.removeprefix(begun))
        return _once_more(rest, store=deps.store, words=request.words)
    return None


def _once_more(turn: Turn, *, store: Store, words: Words) -> Stream:
    async def pieces() -> AsyncGenerator[str]:
        yield turn.reply
        yield _note_of(turn, words)

    async def posted(message: MessageId) -> None:
        await _note_message(turn, message, store=store)

    return Stream(
        pieces(), posted, buttons=lambda: answer_buttons(turn, words), standing=turn.message
    )


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


async def _said_before_turn(request: Request, turn: Turn, surface: Surface) -> Sequence[Message]:
    """What came before the question of an answer, where that message is known."""
    if turn.asked_message is None:
        return ()
    asked = Message(turn.place, turn.asked_message, request.user, turn.question, turn.at)
    return await _said_before(request, asked, surface)


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


@dataclass(frozen=True, slots=True)
class Question:
    """What is answered, where it stands and who asked; `begun` is what was answered already.

    `turn` is the one whose reply is written anew, `note` is told below the answer.
    """

    text: str
    message: MessageId | None
    asker: UserId
    begun: str = ""
    turn: Turn | None = None
    note: str = ""

    @classmethod
    def of(cls, turn: Turn, text: str) -> Question:
        """An edited question."""
        return cls(text, turn.asked_message, turn.asker, turn=turn)


class AnswerWriter:
    """One answer on its way: asks the model, falls back to the base, keeps the turn."""

    def __init__(
        self,
        request: Request,
        question: Question,
        messages: list[PromptMessage],
        deps: Dependencies,
        canary: Canary | None = None,
    ) -> None:
        self._request = request
        self._canary = canary
        self._messages = messages
        self._deps = deps
        self._begun = question.begun
        self._note_below = question.note
        self._renewed = question.turn
        self._text: list[str] = []
        self._usage: Usage | None = None
        self._is_refusal = False
        self._started = deps.clock.now()
        self._turn = self._blank(question)
        self._is_kept = False
        self._has_begun = asyncio.Event()

    def stream(self, known: Turn | None) -> Stream:
        """For whoever shows it; `known` is what an earlier attempt at this event has kept."""
        return Stream(
            self.pieces(),
            self.posted,
            buttons=lambda: answer_buttons(self._turn, self._request.words),
            standing=known.message if known else None,
        )

    async def pieces(self) -> AsyncGenerator[str]:
        """The text as it comes, once today's tokens reach for it. Raises OverCap."""
        try:
            async with (
                reserve(self._request, self._messages, self._deps.tokens),
                aclosing(self._kept()) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        except OverCap:
            if self._renewed is not None:
                await self._end_without_text(TurnState.FAILED)
            raise

    async def _kept(self) -> AsyncGenerator[str]:
        """The text as it comes; whatever happens, the turn says how far it came."""
        state = TurnState.FAILED
        waiting = asyncio.create_task(self._tell_warming(), name="model warms up")
        try:
            async for delta in self._deltas():
                self._has_begun.set()
                if text := self._read(delta):
                    self._note(text)
                    yield text
            state = TurnState.DONE
        except (asyncio.CancelledError, GeneratorExit):
            is_wanted = self._deps.running.is_stopping()
            state = TurnState.STOPPED if is_wanted else TurnState.STREAMING
            raise
        finally:
            waiting.cancel()
            if self._text:
                await self._finish(state)
            elif self._usage or self._renewed:
                await self._end_without_text(state)
        if note := _note_of(self._turn, self._request.words, self._note_below):
            yield note

    async def _end_without_text(self, state: TurnState) -> None:
        """An answer that was to be renewed stays what it was."""
        async with self._deps.store.writing() as records:
            if self._usage:
                await self._spend(self._usage, records)
            if self._renewed is not None and state is TurnState.FAILED:
                done = TurnState.DONE
                await records.turns.change(self._request.id, self._renewed.id, state=done)

    def _read(self, delta: Delta) -> str:
        """The text that a piece of the answer brings; calls of tools are told in words."""
        self._usage = delta.usage or self._usage
        self._is_refusal |= delta.is_refusal
        self._turn = replace(self._turn, end=delta.end or self._turn.end)
        if not delta.calls:
            return delta.text
        # No tool of ours answers, so a call in place of an answer is nothing to learn from.
        self._is_refusal |= not self._text
        lead = "\n\n" if self._text else ""
        told = [
            self._request.words("chat.called", name=one.name, arguments=one.arguments)
            for one in delta.calls
        ]
        return f"{delta.text}{lead}{chr(10).join(told)}"

    async def _tell_warming(self) -> None:
        """A model that has to be loaded first is said to be, to whoever waits for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WARMING_SECONDS):
                await self._has_begun.wait()
                return
        request = self._request
        surface, text = self._deps.surfaces.of(request.id), request.words("chat.warming")
        try:
            if isinstance(surface, CanSendEphemeral):
                await surface.send_ephemeral(request.event, Text(text, private=True))
            else:
                await surface.post(request.place, Text(text), key=f"{request.event.key}.warming")
        except SurfaceError as error:
            log.info("It could not be told that a model warms up", extra={"why": error.key})

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
        self._turn = replace(self._turn, state=state)
        async with self._deps.store.writing() as records:
            await records.turns.change(
                self._request.id,
                self._turn.id,
                reply=self._begun + text,
                end=self._turn.end,
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

    def _blank(self, question: Question) -> Turn:
        wanted = self._wanted()
        return Turn(
            id=TurnId(0),
            workspace=self._request.id,
            assistant=self._request.assistant.id,
            place=self._request.place,
            event_key=question.turn.event_key if question.turn else self._request.event.key,
            message=question.turn.message if question.turn else None,
            asker=question.asker,
            question=question.text,
            asked_message=question.message,
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


def answer_buttons(turn: Turn, words: Words) -> tuple[Button, ...]:
    """The votes, and the way on where the answer is not whole."""
    votes = (
        Button(words("button.good"), "feedback.good"),
        Button(words("button.bad"), "feedback.bad"),
    )
    if turn.end is None:
        return votes
    return (*votes, Button(words("button.go_on"), f"go_on:{turn.id}"))


def _note_of(turn: Turn, words: Words, more: str = "") -> str:
    """Why an answer ends where it does, as a last paragraph that is no part of it."""
    is_cut = turn.end is not None and turn.state is TurnState.DONE
    told = [words(f"chat.end.{turn.end}")] if is_cut else []
    told += [more] if more else []
    return f"{NOTE}{' '.join(told)}" if told else ""
