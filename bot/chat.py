"""Questions and answers: asks the model in use and streams its answer back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.answer_access import BOT_NOTE_PREFIX
from bot.answer_threads import open_answer_thread
from bot.attached_files import AttachedImage, FileReader
from bot.built_in_tools import AnswerTools
from bot.canary.traffic_split import canary_that_answers
from bot.commands import Handlers
from bot.conversation_history import ConversationContext, build_context, fetch_history
from bot.daily_token_budget import reserve_tokens
from bot.domain import (
    Canary,
    HostName,
    Message,
    MessageId,
    ModelName,
    Place,
    Role,
    ToolCall,
    Turn,
    TurnId,
    TurnState,
    UserId,
)
from bot.errors import (
    BadInput,
    EmptyAnswer,
    HostBusy,
    HostError,
    HostUnreachable,
    KeyRefused,
    NotFound,
    SurfaceError,
)
from bot.events import MessageReceived
from bot.fallback_notices import queue_fallback_notice
from bot.ports.dependencies import Dependencies
from bot.ports.metered_calls import TokenMeter
from bot.ports.model_hosts import Delta, Host
from bot.ports.store import Records, Store
from bot.ports.surface import CanSendEphemeral
from bot.prompts import ImageMessage, PromptMessage, build_prompt, example_messages
from bot.replies import Button, NoReply, Reply, Stream, Text
from bot.request import Request
from bot.words import Words

handlers = Handlers()
log = logging.getLogger(__name__)

SECONDS_BEFORE_LOADING_NOTICE = 15.0
"""Seconds without a first word after which the asker is told that the model is being loaded."""


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A model, its host, and its name at that host."""

    model: ModelName
    host: HostName
    name_at_host: ModelName


@handlers.event("spoken", Role.STRANGER)
async def answer_question(request: Request, deps: Dependencies) -> Reply:
    """Returns the answer as a stream; its turn is stored once the first words are posted.

    After a crash the event is handled again: an unfinished answer is written again, a finished one
    is sent again with the same text, as it may not have been posted, and a stopped one is not.
    """
    what = request.event.what
    if not isinstance(what, MessageReceived):
        return NoReply()
    async with deps.store.reading() as records:
        turn = await records.turns.by_event(request.workspace_id, request.event.key)
    if (reply := reply_of_earlier_attempt(request, turn, deps)) is not None:
        return reply
    message = what.message
    is_reply = bool(message.place.thread or message.reply_to)
    surface = deps.surfaces.surface_of(request.workspace_id)
    history = await fetch_history(request, message, surface) if is_reply else ()
    prompt_input = await read_prompt_input(request, message, history, deps)
    if not prompt_input.text_with_files.strip():
        return Text(prompt_input.note or request.words("chat.empty"))
    async with deps.store.reading() as records:
        messages = await build_question_prompt(request, prompt_input, records, deps)
        running = await records.canaries.find_running(request.workspace_id, request.assistant.id)
        canary = await canary_that_answers(request, running, records) if running else None
    if turn is not None:
        request = replace(request, event=replace(request.event, place=_place_of(request, turn)))
    elif request.opens_threads:
        request = await open_answer_thread(request, message, deps)
    question = Question(
        prompt_input.question,
        message.id,
        request.user_id,
        note=prompt_input.note,
        has_history=bool(history),
        has_text=prompt_input.has_text,
    )
    return AnswerWriter(request, question, messages, deps, canary).to_stream(turn)


@dataclass(frozen=True, slots=True)
class PromptInput:
    """A question and the messages before it, both with the content of their files.

    `question` is the text that the person typed, `text_with_files` the text for the model, and
    `note` a sentence about files or messages that the model does not get. `has_text` is False for
    pictures without any text.
    """

    question: str
    text_with_files: str
    context: ConversationContext
    pictures: Mapping[MessageId | None, Sequence[AttachedImage]] = field(default_factory=dict)
    note: str = ""
    has_text: bool = True


async def read_prompt_input(
    request: Request, message: Message, history: Sequence[Message], deps: Dependencies
) -> PromptInput:
    """Reads the files of a question and of the messages before it, up to a budget.

    The files of the question are read first.
    """
    context = await build_context(request, history, deps) if history else ConversationContext()
    if not (message.files or any(earlier.files for earlier in context.messages)):
        return PromptInput(message.text, message.text, context, note=context.note)
    reader = FileReader(request, deps.surfaces.surface_of(request.workspace_id), deps.documents)
    read = await reader.read_question_files(message.files)
    earlier, pictures = await reader.read_files_of_history(context.messages)
    typed = "\n\n".join(filter(None, (message.text.strip(), *read.typed_texts)))
    question = typed or ", ".join(file.name for file in message.files)
    pictures[None] = read.pictures
    note = " ".join(filter(None, (*read.problem_notes(request.words), context.note)))
    context = replace(context, messages=earlier)
    text = read.text_with_files(message.text)
    return PromptInput(question, text, context, pictures, note, bool(typed) or read.has_text)


async def build_question_prompt(
    request: Request, prompt_input: PromptInput, records: Records, deps: Dependencies
) -> list[PromptMessage]:
    """Returns the messages for the model: instructions, examples, history and the question."""
    assistant = request.assistant
    context = prompt_input.context
    nearest = await deps.nearest_examples.find(
        records, request.place, assistant, prompt_input.question, count=assistant.few_shot
    )
    return build_prompt(
        request.assistant,
        prompt_input.text_with_files,
        summary=request.words("chat.summary", text=context.summary) if context.summary else "",
        history=context.messages,
        shots=example_messages(nearest),
        pictures=prompt_input.pictures,
    )


def reply_of_earlier_attempt(
    request: Request, turn: Turn | None, deps: Dependencies, *, begun: str = ""
) -> Reply | None:
    """Returns the reply of an earlier attempt at the same event, or None if it did not finish.

    `turn` is the stored turn of the event, or None if no attempt has stored one. `begun` is the
    beginning of the turn's reply that is posted in an earlier message.
    """
    if turn is not None and turn.state is TurnState.STOPPED:
        return NoReply()
    if turn is not None and turn.state is TurnState.DONE:
        rest = replace(turn, reply=turn.reply.removeprefix(begun))
        return _repeat_stored_reply(request, rest, store=deps.store)
    return None


def _repeat_stored_reply(request: Request, turn: Turn, *, store: Store) -> Stream:
    """Returns a stream that sends the stored reply of a turn again."""
    words = request.words

    async def pieces() -> AsyncGenerator[str]:
        yield turn.reply
        yield _closing_note(turn, words)

    async def posted(message: MessageId) -> None:
        await _store_reply_message(turn, message, store=store)

    return Stream(
        pieces(),
        posted,
        buttons=lambda: answer_buttons(turn, words),
        unfinished_message=turn.reply_message,
        place=_place_of(request, turn),
    )


async def _store_reply_message(turn: Turn, message: MessageId, *, store: Store) -> None:
    """Stores the id of the message in which the turn's answer is posted."""
    async with store.writing() as records:
        await records.turns.update_fields(turn.workspace, turn.id, reply_message=message)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its message and its asker.

    `answered_before` is the beginning of the answer if the model goes on with an incomplete one.
    `turn` is the turn whose reply is rewritten, or None for a new turn. `note` is shown below
    the answer. With `has_history` the answer has a button to begin a new conversation. Without
    `has_text` only a model that takes pictures is asked.
    """

    text: str
    message: MessageId | None
    asker: UserId
    answered_before: str = ""
    turn: Turn | None = None
    note: str = ""
    has_history: bool = False
    has_text: bool = True

    @classmethod
    def from_turn(cls, turn: Turn, edited: str | None = None) -> Question:
        """Returns the question of a turn; the answer to an edited one replaces the turn's reply."""
        if edited is None:
            return cls(turn.question, turn.question_message, turn.asker)
        return cls(edited, turn.question_message, turn.asker, turn=turn)


class ToolCallNotice(Delta):
    """The notice that one of the bot's tools is called, shown in the answer but not stored."""


class AnswerWriter:
    """Writes one answer: asks the model, falls back to other models, stores the turn."""

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
        self._picture_note = ""
        self._text: list[str] = []
        self._meter = TokenMeter()
        self._is_refusal = False
        self._started = deps.clock.now()
        self._turn = self._new_turn(question)
        self._is_turn_stored = False
        self._has_begun = asyncio.Event()

    def to_stream(self, unfinished: Turn | None) -> Stream:
        """Returns the answer as a stream; `unfinished` is the turn of an interrupted attempt."""
        return Stream(
            self.text_pieces(),
            self.on_posted,
            buttons=lambda: answer_buttons(
                self._turn, self._request.words, has_history=self._question.has_history
            ),
            unfinished_message=unfinished.reply_message if unfinished else None,
            buttons_while_written=(Button(self._request.words("button.stop"), "stop"),),
            place=self._turn.place,
        )

    async def text_pieces(self) -> AsyncGenerator[str]:
        """Yields the answer's text as the model sends it, then its notes.

        The turn is stored however the answer ends. Raises OverCap if the prompt would exceed
        today's tokens, and HostError if no model answers.
        """
        state = TurnState.FAILED
        try:
            async with (
                reserve_tokens(
                    self._request, self._messages, self._deps.token_reservations
                ) as self._meter,
                self._loading_notice(),
                aclosing(self._text_and_notices()) as pieces,
            ):
                async for piece in pieces:
                    yield piece
            state = TurnState.DONE
        except (asyncio.CancelledError, GeneratorExit):
            # An answer that a person stopped is finished; after a stop of the app it is rewritten.
            is_stopped = self._deps.running_answers.is_stopping()
            state = TurnState.STOPPED if is_stopped else TurnState.STREAMING
            raise
        finally:
            if self._text or self._is_turn_stored:
                await self._finish_turn(state)
            elif self._question.turn is not None and state is not TurnState.STREAMING:
                await self._restore_turn(self._question.turn)
        more = f"{self._picture_note} {self._question.note}".strip()
        if note := _closing_note(self._turn, self._request.words, more):
            yield note

    async def _text_and_notices(self) -> AsyncGenerator[str]:
        """Yields the text of the model's deltas and the notices of tool calls."""
        async for delta in self._deltas():
            self._has_begun.set()
            if isinstance(delta, ToolCallNotice):
                lead = "\n\n" if self._text else ""
                yield f"{lead}{BOT_NOTE_PREFIX.lstrip()}{delta.text}\n\n"
            elif text := self._text_of(delta):
                self._add_text(text)
                yield text

    @contextlib.asynccontextmanager
    async def _loading_notice(self) -> AsyncGenerator[None]:
        waiting = asyncio.create_task(self._send_loading_notice(), name="model warms up")
        try:
            yield
        finally:
            waiting.cancel()

    async def _restore_turn(self, turn: Turn) -> None:
        """Marks the turn as done with its earlier reply, as no new one was written."""
        async with self._deps.store.writing() as records:
            await records.turns.update_fields(
                self._request.workspace_id, turn.id, state=TurnState.DONE
            )

    def _text_of(self, delta: Delta) -> str:
        """Returns the text of a delta, with calls of unknown tools as words."""
        self._is_refusal |= delta.is_refusal
        self._turn = replace(
            self._turn, incomplete_reason=delta.incomplete_reason or self._turn.incomplete_reason
        )
        if not delta.tool_calls:
            return delta.text
        # The bot does not run these tools, so a call without text must not become an example.
        self._is_refusal |= not self._text
        lead = "\n\n" if self._text else ""
        calls = [
            self._request.words("chat.called", name=call.name, arguments=call.arguments)
            for call in delta.tool_calls
        ]
        return f"{delta.text}{lead}{chr(10).join(calls)}"

    async def _send_loading_notice(self) -> None:
        """Tells the asker that the model is being loaded, if no text comes for some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_BEFORE_LOADING_NOTICE):
                await self._has_begun.wait()
                return
        request = self._request
        surface, text = (
            self._deps.surfaces.surface_of(request.workspace_id),
            request.words("chat.warming"),
        )
        try:
            if isinstance(surface, CanSendEphemeral):
                await surface.send_ephemeral(request.event, Text(text, private=True))
            else:
                await surface.post(request.place, Text(text), key=f"{request.event.key}.warming")
        except SurfaceError as error:
            log.info("It could not be told that a model warms up", extra={"why": error.key})

    async def on_posted(self, message: MessageId) -> None:
        """Stores the turn with the id of its first message."""
        self._turn = replace(self._turn, reply_message=message)
        if self._is_turn_stored:
            await _store_reply_message(self._turn, message, store=self._deps.store)
        else:
            await self._store_turn()

    async def _deltas(self) -> AsyncGenerator[Delta]:
        """Yields the deltas of the first model that answers: canary, model in use, base.

        A model that fails after its first word is not replaced by the next one.
        """
        failed: tuple[ModelInUse, HostError | NotFound] | None = None
        remaining = self._candidates()
        while True:
            answering, *remaining = remaining
            try:
                async with aclosing(self._deltas_of(answering)) as deltas:
                    async for delta in deltas:
                        if failed is not None:
                            await self._send_fallback_notice(failed[0].model, failed[1], answering)
                            failed = None
                        yield delta
                if self._text and not "".join(self._text).strip():
                    raise EmptyAnswer(host=answering.host)
                return
            except (HostError, NotFound) as error:
                remaining = [model for model in remaining if _may_answer(model, answering, error)]
                if self._text or not remaining:
                    raise
                await self._count_failure(answering)
                failed = failed or (answering, error)

    async def _count_failure(self, answering: ModelInUse) -> None:
        canary = self._canary
        if canary is not None and answering.model == canary.model:
            async with self._deps.store.writing() as records:
                await records.canaries.count_failure(canary.workspace, canary.id)

    def _candidates(self) -> list[ModelInUse]:
        """Returns the models to try, in order and without duplicates."""
        return list(dict.fromkeys([self._first_model(), self._in_use(), self._base]))

    @property
    def _base(self) -> ModelInUse:
        base = self._request.assistant.base
        return ModelInUse(base, self._request.assistant.chat_host, base)

    async def _deltas_of(self, answering: ModelInUse) -> AsyncGenerator[Delta]:
        """Yields a model's deltas; runs the tools it calls and asks again with their results."""
        self._turn = replace(self._turn, model=answering.model, host=answering.host)
        host = self._deps.hosts.get_paid(answering.host, self._request.workspace)
        assistant = self._request.assistant
        tools = AnswerTools(self._request, self._deps) if assistant.tools else None
        messages, rounds = list(await self._messages_for(host, answering)), 0
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
                    if tools and offered and tools.are_all_enabled(delta.tool_calls):
                        calls, delta = delta.tool_calls, replace(delta, tool_calls=())
                    yield delta
            if tools is None or not calls:
                return
            rounds += 1
            for call in calls:
                yield ToolCallNotice(tools.call_notice_text(call))
            messages += await tools.run_calls(calls, written)

    async def _messages_for(
        self, host: Host, answering: ModelInUse
    ) -> Sequence[Mapping[str, object]]:
        """Returns the messages for a model, without pictures if the model does not take any.

        Raises BadInput if then nothing is left of the question.
        """
        self._picture_note = ""
        with_pictures = [m for m in self._messages if isinstance(m, ImageMessage)]
        if not with_pictures:
            return self._messages
        if await host.accepts_images(answering.name_at_host):
            return [m.parts() if isinstance(m, ImageMessage) else m for m in self._messages]
        if with_pictures[-1] is self._messages[-1]:
            model = answering.model
            if not self._question.has_text:
                raise BadInput(problem=self._request.words("chat.only_pictures", model=model))
            self._picture_note = self._request.words("chat.no_pictures", model=model)
        return self._messages

    def _first_model(self) -> ModelInUse:
        canary = self._canary
        if canary is None:
            return self._in_use()
        return ModelInUse(canary.model, canary.host, canary.served_name or canary.model)

    def _in_use(self) -> ModelInUse:
        deployment = self._request.deployment
        if deployment is None:
            return self._base
        return ModelInUse(deployment.model, deployment.host, deployment.name_at_host)

    def _add_text(self, text: str) -> None:
        if not self._text:
            self._turn = replace(self._turn, first_text_seconds=self._seconds())
        self._text.append(text)

    async def _store_turn(self) -> None:
        """Stores the turn, or updates the turn that an earlier attempt has stored."""
        turn = self._turn
        async with self._deps.store.writing() as records:
            stored = await records.turns.add(self._request.workspace_id, turn)
            if stored.reply_message != turn.reply_message or stored.model != turn.model:
                changes = {"reply_message": turn.reply_message, "model": turn.model}
                await records.turns.update_fields(self._request.workspace_id, stored.id, **changes)
        self._turn = replace(self._turn, id=stored.id)
        self._is_turn_stored = True

    async def _finish_turn(self, state: TurnState) -> None:
        if not self._is_turn_stored:
            await self._store_turn()
        text = "".join(self._text)
        usage = self._meter.usage
        self._turn = replace(self._turn, state=state)
        async with self._deps.store.writing() as records:
            await records.turns.update_fields(
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

    async def _send_fallback_notice(
        self, model: ModelName, error: HostError | NotFound, answering: ModelInUse
    ) -> None:
        instead = None if answering == self._base else answering.model
        async with self._deps.store.writing() as records:
            await queue_fallback_notice(self._request, model, error, records, instead=instead)

    def _seconds(self) -> float:
        return (self._deps.clock.now() - self._started).total_seconds()

    def _new_turn(self, question: Question) -> Turn:
        first_model = self._first_model()
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
            model=first_model.model,
            host=first_model.host,
            state=TurnState.STREAMING,
            at=self._request.now,
        )


def _place_of(request: Request, turn: Turn | None) -> Place:
    """Returns the place of an answer: the thread of its turn, else the place of the event."""
    return request.place if turn is None else replace(request.place, thread=turn.place.thread)


def _may_answer(candidate: ModelInUse, failed: ModelInUse, error: HostError | NotFound) -> bool:
    """Whether a model is worth trying: not if its host itself was the reason of the failure."""
    is_host_failure = isinstance(error, HostBusy | HostUnreachable | KeyRefused)
    return candidate.host != failed.host or not is_host_failure


def answer_buttons(turn: Turn, words: Words, *, has_history: bool = False) -> tuple[Button, ...]:
    """Returns the buttons below an answer.

    An answer that is still streaming has none: the app was stopped and will write it again.
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


def _closing_note(turn: Turn, words: Words, more: str = "") -> str:
    """Returns a last paragraph, which is not stored, with the reason of an incomplete answer."""
    is_cut = turn.incomplete_reason is not None and turn.state is TurnState.DONE
    sentences = [words(f"chat.end.{turn.incomplete_reason}")] if is_cut else []
    sentences += [more] if more else []
    return f"{BOT_NOTE_PREFIX}{' '.join(sentences)}" if sentences else ""
