"""Questions and answers: asks the model in use and streams its answer back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.answer_access import NOTE
from bot.answer_threads import open_answer_thread
from bot.canary.selection import canary_for
from bot.commands import Handlers
from bot.conversation import Context, build_context, fetch_history
from bot.daily_token_budget import reserve
from bot.domain import (
    LOCAL,
    Canary,
    HostName,
    Message,
    MessageId,
    ModelName,
    Notice,
    Place,
    Role,
    ToolCall,
    Turn,
    TurnId,
    TurnState,
    UserId,
)
from bot.errors import (
    AttuneError,
    EmptyAnswer,
    HostBusy,
    HostError,
    HostUnreachable,
    KeyRefused,
    NotFound,
    SurfaceError,
    deserialize,
    serialize,
)
from bot.events import MessageReceived
from bot.ports.dependencies import Dependencies
from bot.ports.metered_calls import Meter
from bot.ports.provider import Delta, Host
from bot.ports.store import Records, Store
from bot.ports.surface import CanSendEphemeral
from bot.prompts import PictureMessage, PromptMessage, build_prompt, few_shot
from bot.question_files import FileReader, Picture
from bot.replies import Button, Drawn, NoReply, Reply, Stream, Text
from bot.request import Request
from bot.tools import AnswerTools
from bot.words import Words

handlers = Handlers()


log = logging.getLogger(__name__)

FELL_BACK = "model.fell_back"
MODEL_LOADING_SECONDS = 15.0
"""After so long without a first word whoever asked hears that the model is being loaded."""


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """The model in question and where it lives."""

    model: ModelName
    host: HostName
    name_at_host: ModelName


@handlers.event("spoken", Role.STRANGER)
async def answer(request: Request, deps: Dependencies) -> Reply:
    """The answer as a stream; its turn is stored as soon as the first words stand.

    After a crash an answer that was cut off is written again. One that the model had ended is
    said once more in the same words, as it may not have stood yet; one that was stopped is not.
    """
    what = request.event.what
    if not isinstance(what, MessageReceived):
        return NoReply()
    async with deps.store.reading() as records:
        known = await records.turns.by_event(request.workspace_id, request.event.key)
    if (told := reply_of_earlier_attempt(request, known, deps)) is not None:
        return told
    message = what.message
    is_reply = bool(message.place.thread or message.reply_to)
    surface = deps.surfaces.of(request.workspace_id)
    said = await fetch_history(request, message, surface) if is_reply else ()
    asked = await read_prompt_input(request, message, said, deps)
    if not asked.text_with_files.strip():
        return Text(asked.note or request.words("chat.empty"))
    async with deps.store.reading() as records:
        messages = await build_question_prompt(request, asked, records)
        trial = await records.canaries.running_for(request.workspace_id, request.assistant.id)
        canary = await canary_for(request, trial, records) if trial else None
    if known is not None:
        request = replace(request, event=replace(request.event, place=_place_of(request, known)))
    elif request.opens_threads:
        request = await open_answer_thread(request, message, deps)
    question = Question(
        asked.question, message.id, request.user_id, note=asked.note, has_history=bool(said)
    )
    return AnswerWriter(request, question, messages, deps, canary).stream(known)


@dataclass(frozen=True, slots=True)
class PromptInput:
    """A question and what was said before it, both with what is read of their files.

    `question` is what somebody typed, `text` what the model reads, `note` what it does not.
    """

    question: str
    text_with_files: str
    context: Context
    pictures: Mapping[MessageId | None, Sequence[Picture]] = field(default_factory=dict)
    note: str = ""


async def read_prompt_input(
    request: Request, message: Message, said: Sequence[Message], deps: Dependencies
) -> PromptInput:
    """The files of the question come first; those said before it get what is left of the budget."""
    context = await build_context(request, said, deps) if said else Context()
    if not (message.files or any(one.files for one in context.messages)):
        return PromptInput(message.text, message.text, context, note=context.note)
    reader = FileReader(request, deps.surfaces.of(request.workspace_id), deps.documents)
    read = await reader.read(message.files)
    earlier, pictures = await reader.read_earlier(context.messages)
    typed = "\n\n".join(filter(None, (message.text.strip(), *read.typed_texts)))
    question = typed or ", ".join(one.name for one in message.files)
    pictures[None] = read.pictures
    note = " ".join(filter(None, (*read.notes, context.note)))
    context = replace(context, messages=earlier)
    return PromptInput(question, read.text_with_files(message.text), context, pictures, note)


async def build_question_prompt(
    request: Request, asked: PromptInput, records: Records
) -> list[PromptMessage]:
    """What the model is sent of it."""
    assistant = request.assistant
    shots = await few_shot(
        records, request.place, assistant, asked.question, count=assistant.few_shot
    )
    return build_prompt(
        request.assistant,
        asked.text_with_files,
        summary=request.words("chat.summary", text=asked.context.summary)
        if asked.context.summary
        else "",
        history=asked.context.messages,
        shots=shots,
        pictures=asked.pictures,
    )


def reply_of_earlier_attempt(
    request: Request, known: Turn | None, deps: Dependencies, *, begun: str = ""
) -> Reply | None:
    """What an earlier attempt at the same event has ended; None where there is work to do.

    `begun` is the part of the reply that stands in an earlier message.
    """
    if known is not None and known.state is TurnState.STOPPED:
        return NoReply()
    if known is not None and known.state is TurnState.DONE:
        rest = replace(known, reply=known.reply.removeprefix(begun))
        return _once_more(request, rest, store=deps.store)
    return None


def _once_more(request: Request, turn: Turn, *, store: Store) -> Stream:
    words = request.words

    async def pieces() -> AsyncGenerator[str]:
        yield turn.reply
        yield _note_of(turn, words)

    async def posted(message: MessageId) -> None:
        await _note_message(turn, message, store=store)

    return Stream(
        pieces(),
        posted,
        buttons=lambda: answer_buttons(turn, words),
        unfinished_message=turn.reply_message,
        place=_place_of(request, turn),
    )


async def _note_message(turn: Turn, message: MessageId, *, store: Store) -> None:
    """From now on the turn is known by where its answer stands."""
    async with store.writing() as records:
        await records.turns.change(turn.workspace, turn.id, reply_message=message)


async def render_fallback_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Whoever reads the channel hears why the base answered."""
    model, kept = notice.details.get("model"), notice.details.get("why")
    why = deserialize(kept) if isinstance(kept, Mapping) else None
    error = why or AttuneError()
    # Everybody in the channel reads it; the operator alone reads the local room.
    told = (
        words.error(error)
        if notice.place.workspace == LOCAL
        else words.error_without_host_words(error)
    )
    instead = notice.details.get("instead")
    if instead is not None:
        return Text(words("chat.fell_back_to", model=model, instead=instead, why=told))
    return Text(words("chat.fell_back", model=model, why=told))


@dataclass(frozen=True, slots=True)
class Question:
    """What is answered, where it stands and who asked; `begun` is what was answered already.

    `turn` is the one whose reply is written anew, `note` is told below the answer; with
    `has_history` a button offers to begin a new conversation.
    """

    text: str
    message: MessageId | None
    asker: UserId
    answered_before: str = ""
    turn: Turn | None = None
    note: str = ""
    has_history: bool = False

    @classmethod
    def from_turn(cls, turn: Turn, edited: str | None = None) -> Question:
        """That of an answer; an edited one is answered in place."""
        if edited is None:
            return cls(turn.question, turn.question_message, turn.asker)
        return cls(edited, turn.question_message, turn.asker, turn=turn)


class ToolCallNotice(Delta):
    """That a tool of ours is called: shown in the answer, but no part of it."""


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
        self._question = question
        self._unseen = ""
        self._text: list[str] = []
        self._meter = Meter()
        self._is_refusal = False
        self._started = deps.clock.now()
        self._turn = self._blank(question)
        self._is_kept = False
        self._has_begun = asyncio.Event()

    def stream(self, known: Turn | None) -> Stream:
        """For whoever shows it; `known` is what an earlier attempt at this event has kept."""
        return Stream(
            self.pieces(),
            self.on_posted,
            buttons=lambda: answer_buttons(
                self._turn, self._request.words, has_history=self._question.has_history
            ),
            unfinished_message=known.reply_message if known else None,
            buttons_while_written=(Button(self._request.words("button.stop"), "stop"),),
            place=self._turn.place,
        )

    async def pieces(self) -> AsyncGenerator[str]:
        """The text as it comes, once today's tokens reach for it. Raises OverCap.

        Whatever happens, the turn says how far it came.
        """
        state = TurnState.FAILED
        try:
            async with (
                reserve(
                    self._request, self._messages, self._deps.token_reservations
                ) as self._meter,
                self._telling_of_warmup(),
                aclosing(self._written()) as pieces,
            ):
                async for piece in pieces:
                    yield piece
            state = TurnState.DONE
        except (asyncio.CancelledError, GeneratorExit):
            is_wanted = self._deps.running_answers.is_stopping()
            state = TurnState.STOPPED if is_wanted else TurnState.STREAMING
            raise
        finally:
            if self._text or self._is_kept:
                await self._finish(state)
            elif self._question.turn is not None and state is not TurnState.STREAMING:
                await self._stay_as_it_was(self._question.turn)
        more = f"{self._unseen} {self._question.note}".strip()
        if note := _note_of(self._turn, self._request.words, more):
            yield note

    async def _written(self) -> AsyncGenerator[str]:
        async for delta in self._deltas():
            self._has_begun.set()
            if isinstance(delta, ToolCallNotice):
                lead = "\n\n" if self._text else ""
                yield f"{lead}{NOTE.lstrip()}{delta.text}\n\n"
            elif text := self._read(delta):
                self._note(text)
                yield text

    @contextlib.asynccontextmanager
    async def _telling_of_warmup(self) -> AsyncGenerator[None]:
        waiting = asyncio.create_task(self._tell_warming(), name="model warms up")
        try:
            yield
        finally:
            waiting.cancel()

    async def _stay_as_it_was(self, turn: Turn) -> None:
        """An answer that was to be renewed, and was not."""
        async with self._deps.store.writing() as records:
            await records.turns.change(self._request.workspace_id, turn.id, state=TurnState.DONE)

    def _read(self, delta: Delta) -> str:
        """The text that a piece of the answer brings; calls of tools are told in words."""
        self._is_refusal |= delta.is_refusal
        self._turn = replace(
            self._turn, incomplete_reason=delta.incomplete_reason or self._turn.incomplete_reason
        )
        if not delta.tool_calls:
            return delta.text
        # No tool of ours answers, so a call in place of an answer is nothing to learn from.
        self._is_refusal |= not self._text
        lead = "\n\n" if self._text else ""
        told = [
            self._request.words("chat.called", name=one.name, arguments=one.arguments)
            for one in delta.tool_calls
        ]
        return f"{delta.text}{lead}{chr(10).join(told)}"

    async def _tell_warming(self) -> None:
        """A model that has to be loaded first is said to be, to whoever waits for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MODEL_LOADING_SECONDS):
                await self._has_begun.wait()
                return
        request = self._request
        surface, text = self._deps.surfaces.of(request.workspace_id), request.words("chat.warming")
        try:
            if isinstance(surface, CanSendEphemeral):
                await surface.send_ephemeral(request.event, Text(text, private=True))
            else:
                await surface.post(request.place, Text(text), key=f"{request.event.key}.warming")
        except SurfaceError as error:
            log.info("It could not be told that a model warms up", extra={"why": error.key})

    async def on_posted(self, message: MessageId) -> None:
        """The first words stand: from now on the turn is known by its message."""
        self._turn = replace(self._turn, reply_message=message)
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
                if self._text and not "".join(self._text).strip():
                    raise EmptyAnswer(host=answering.host)
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
        """With tools of ours in rounds: what they gave goes along until the model answers."""
        self._turn = replace(self._turn, model=answering.model, host=answering.host)
        host = self._deps.hosts.paid(answering.host, self._request.workspace)
        assistant = self._request.assistant
        tools = AnswerTools(self._request, self._deps) if assistant.tools else None
        messages, rounds = list(await self._shown(host, answering)), 0
        while True:
            calls: tuple[ToolCall, ...] = ()
            offered, written = tools.schemas(rounds) if tools else (), ""
            sampling = assistant.sampling
            answer = self._meter.chat(
                host, answering.name_at_host, messages, sampling, tools=offered
            )
            async with aclosing(answer) as deltas:
                async for delta in deltas:
                    written += delta.text
                    if tools and offered and tools.knows(delta.tool_calls):
                        calls, delta = delta.tool_calls, replace(delta, tool_calls=())
                    yield delta
            if tools is None or not calls:
                return
            rounds += 1
            for call in calls:
                yield ToolCallNotice(tools.notice_of(call))
            messages += await tools.run_calls(calls, written)

    async def _shown(self, host: Host, answering: ModelInUse) -> Sequence[Mapping[str, object]]:
        """With their pictures for a model that sees; another one's answer says that it does not."""
        self._unseen = ""
        asked = [one for one in self._messages if isinstance(one, PictureMessage)]
        if not asked:
            return self._messages
        if await host.takes_pictures(answering.name_at_host):
            return [
                one.parts() if isinstance(one, PictureMessage) else one for one in self._messages
            ]
        if asked[-1] is self._messages[-1]:
            model = answering.model
            self._unseen = self._request.words("chat.no_pictures", model=model)
        return self._messages

    def _wanted(self) -> ModelInUse:
        canary = self._canary
        if canary is None:
            return self._in_use()
        return ModelInUse(canary.model, canary.host, canary.served_name or canary.model)

    def _in_use(self) -> ModelInUse:
        deployment = self._request.deployment
        if deployment is None:
            return self._base
        return ModelInUse(deployment.model, deployment.host, deployment.name_at_host)

    def _note(self, text: str) -> None:
        if not self._text:
            self._turn = replace(self._turn, first_text_seconds=self._seconds())
        self._text.append(text)

    async def _keep(self) -> None:
        async with self._deps.store.writing() as records:
            kept = await records.turns.add(self._request.workspace_id, self._turn)
            if kept.reply_message != self._turn.reply_message or kept.model != self._turn.model:
                changes = {"reply_message": self._turn.reply_message, "model": self._turn.model}
                await records.turns.change(self._request.workspace_id, kept.id, **changes)
        self._turn = replace(self._turn, id=kept.id)
        self._is_kept = True

    async def _finish(self, state: TurnState) -> None:
        if not self._is_kept:
            await self._keep()
        text = "".join(self._text)
        usage = self._meter.usage
        self._turn = replace(self._turn, state=state)
        async with self._deps.store.writing() as records:
            await records.turns.change(
                self._request.workspace_id,
                self._turn.id,
                reply=self._question.answered_before + text,
                incomplete_reason=self._turn.incomplete_reason,
                state=state,
                is_refusal=self._is_refusal,
                reply_message=self._turn.reply_message,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                first_text_seconds=self._turn.first_text_seconds,
                seconds=self._seconds(),
            )

    async def _tell_fallback(
        self, model: ModelName, error: HostError | NotFound, answering: ModelInUse
    ) -> None:
        """Once a day, channel and model, so that a broken model does not flood the channel."""
        log.warning("A tuned model failed, the base answers", extra={"why": error.key})
        request = self._request
        at = f"{request.place.channel}.{model}.{request.now.date()}"
        key = f"{request.workspace_id}.{at}.fell_back"
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
            workspace=self._request.workspace_id,
            assistant=self._request.assistant.id,
            place=_place_of(self._request, question.turn),
            event_key=question.turn.event_key if question.turn else self._request.event.key,
            reply_message=question.turn.reply_message if question.turn else None,
            asker=question.asker,
            question=question.text,
            question_message=question.message,
            reply="",
            model=wanted.model,
            host=wanted.host,
            state=TurnState.STREAMING,
            at=self._request.now,
        )


def _place_of(request: Request, turn: Turn | None) -> Place:
    """Where an answer is written: one that exists already stays in its thread."""
    return request.place if turn is None else replace(request.place, thread=turn.place.thread)


def _may_answer(one: ModelInUse, failed: ModelInUse, error: HostError | NotFound) -> bool:
    """What stands at the same host is no better off with a host that is away."""
    is_away = isinstance(error, HostBusy | HostUnreachable | KeyRefused)
    return one.host != failed.host or not is_away


def answer_buttons(turn: Turn, words: Words, *, has_history: bool = False) -> tuple[Button, ...]:
    """The votes, the way on where the answer is not whole, another try, a new beginning.

    None while the app stops in the middle of an answer, as that is written anew.
    """
    if turn.state is TurnState.STREAMING:
        return ()
    buttons = [
        Button(words("button.good"), "feedback.good"),
        Button(words("button.bad"), "feedback.bad"),
    ]
    if turn.incomplete_reason is not None:
        buttons.append(Button(words("button.go_on"), f"go_on:{turn.id}"))
    buttons.append(Button(words("button.again"), f"again:{turn.id}"))
    if has_history:
        buttons.append(Button(words("button.new_conversation"), "new"))
    return tuple(buttons)


def _note_of(turn: Turn, words: Words, more: str = "") -> str:
    """Why an answer ends where it does, as a last paragraph that is no part of it."""
    is_cut = turn.incomplete_reason is not None and turn.state is TurnState.DONE
    told = [words(f"chat.end.{turn.incomplete_reason}")] if is_cut else []
    told += [more] if more else []
    return f"{NOTE}{' '.join(told)}" if told else ""
