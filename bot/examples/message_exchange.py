"""Collects the exchange that a marked message ends, as a training row with its authors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot import access
from bot.answer_access import strip_bot_notes
from bot.domain import (
    NO_EXCLUSIONS,
    TYPED_SOURCE_PREFIX,
    ExampleSource,
    ExampleState,
    Exclusion,
    Message,
    MessageId,
    NewExample,
    Origin,
    Row,
    Turn,
    User,
    UserId,
)
from bot.errors import NotFound, NotNow
from bot.examples.row_texts import question_answer_row, require_valid_row
from bot.mentions_and_times import person_reference
from bot.ports.dependencies import Surfaces
from bot.ports.store import Store
from bot.ports.surface import CanFetchUser, CanFindPerson, Surface
from bot.request import Request
from bot.rows import Method

MAX_MESSAGES_BEFORE = 24
"""Number of messages before a marked one that can be chosen; Discord's menus hold 25 options."""
_NEARBY = 8


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange as a training row, with its human authors; the bot's messages have none.

    `row` is None for a pointer.
    """

    row: Row | None
    people: tuple[User, ...]
    exclusions: Exclusion = NO_EXCLUSIONS
    messages: tuple[ExampleSource, ...] = ()
    speakers: tuple[str, ...] = ()
    """Names of the authors of each message of the row, in order; empty for a stored answer."""

    @property
    def authors(self) -> tuple[UserId, ...]:
        return tuple(person.id for person in self.people)


async def turn_with_reply(
    request: Request, message: MessageId | None, *, store: Store
) -> Turn | None:
    """Returns the turn whose reply is this message of the channel."""
    if message is None:
        return None
    async with store.reading() as records:
        return await records.turns.by_reply_message(
            request.workspace_id, request.place.channel, message
        )


async def refused_turn_with_reply(
    request: Request, marked: Message, *, store: Store
) -> Turn | None:
    """Returns the turn whose reply is the marked message, if the reply is a refusal."""
    turn = await turn_with_reply(request, marked.id, store=store)
    return turn if turn is not None and turn.is_refusal else None


async def exchange_of(
    request: Request,
    marked: Message,
    *,
    store: Store,
    surface: Surface,
    before: Sequence[Message] | None = None,
) -> Exchange:
    """Returns the exchange that a message ends, with the messages `before` it if they are given.

    Raises NotNow if an author may not be trained on, NotFound without a question.
    """
    exclusions = require_allowed_authors(request, authors_unless_own(marked))
    async with store.reading() as records:
        turn = await records.turns.by_reply_message(
            request.workspace_id, marked.place.channel, marked.id
        )
    if turn is not None and turn.is_refusal:
        raise NotNow(problem=request.words("refusal.no_lesson"))
    speakers: tuple[str, ...] = ()
    if turn is not None and before is None:
        people = [await fetch_user_details(request, turn.asker, surface)]
        row, messages = (
            question_answer_row(turn.question, turn.reply),
            source_messages_of_turn(turn),
        )
    else:
        if before is None:
            before = await messages_just_before(marked, surface)
        messages_read = [*await _without_refusals(request, marked, before, store=store), marked]
        row, speakers = _as_row(request, messages_read, marked)
        people = list({m.author.id: m.author for m in messages_read if not m.is_own}.values())
        messages = tuple(
            ExampleSource(m.place.channel, m.id, m.place.thread) for m in messages_read
        )
    exclusions |= require_allowed_authors(request, people)
    require_valid_row(row, request.words)
    return Exchange(row, tuple(people), exclusions, messages, speakers)


def source_messages_of_turn(turn: Turn) -> tuple[ExampleSource, ...]:
    """Returns the messages of a turn's question and reply, as far as they are known."""
    return tuple(
        ExampleSource(turn.place.channel, message, turn.place.thread)
        for message in (turn.question_message, turn.reply_message)
        if message is not None
    )


def require_allowed_authors(request: Request, people: Sequence[User]) -> Exclusion:
    """Returns the exclusions of this channel and these authors, all allowed by an admin.

    Raises NotNow for an exclusion that is not allowed, and for other bots.
    """
    if request.workspace.platform == "local":
        return NO_EXCLUSIONS
    if any(person.is_bot for person in people):
        raise NotNow(problem=request.words("excluded.bot"))
    return require_allowed(request, access.learning_exclusions(request.place, people))


def require_allowed_user(request: Request) -> Exclusion:
    """Returns the user's exclusions, for a form; its channel does not count. Raises NotNow."""
    is_local = request.workspace.platform == "local"
    return (
        NO_EXCLUSIONS
        if is_local
        else require_allowed(request, access.excluded_people([request.user]))
    )


def source_of_form(request: Request) -> ExampleSource | None:
    """Returns the form's event as source, in place of a message; None in the local workspace."""
    if request.workspace.platform == "local":
        return None
    place = request.place
    return ExampleSource(
        place.channel, MessageId(f"{TYPED_SOURCE_PREFIX}{request.event.key}"), place.thread
    )


def require_allowed(request: Request, exclusions: Exclusion) -> Exclusion:
    """Returns the exclusions. Raises NotNow for one that the workspace does not allow."""
    for exclusion in exclusions & ~request.workspace.allowed:
        raise NotNow(problem=request.words(f"excluded.{str(exclusion.name).lower()}"))
    return exclusions


def authors_unless_own(marked: Message) -> list[User]:
    """Returns the author of a message; nobody for a message of the bot."""
    return [] if marked.is_own else [marked.author]


def new_proposal(request: Request, marked: Message, exchange: Exchange) -> NewExample:
    return NewExample(
        assistant=request.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=exchange.row,
        origin=Origin.MESSAGE,
        authors=exchange.authors,
        source=ExampleSource(
            marked.place.channel, marked.id, marked.place.thread, marked.permalink
        ),
        exclusions=exchange.exclusions,
        messages=exchange.messages,
    )


async def fetch_user_details(request: Request, user: UserId, surface: Surface) -> User:
    """Returns the user as the platform describes them now; only the id is stored."""
    if user == request.user_id:
        return request.user
    if isinstance(surface, CanFetchUser):
        return await surface.fetch_user(request.place, user)
    return User(user, user)


async def find_person(request: Request, person_id: str, surfaces: Surfaces) -> User:
    """Returns the person or group with this id. Raises NotFound if the platform has none."""
    surface = surfaces.surface_of(request.workspace_id)
    if not isinstance(surface, CanFindPerson):
        return await fetch_user_details(request, UserId(person_id), surface)
    person = await surface.find_person(request.place, person_id)
    if person is None:
        raise NotFound(noun="person", name=person_id)
    return person


def mention_people(people: Sequence[UserId]) -> str:
    return ", ".join(map(person_reference, people))


async def _without_refusals(
    request: Request, marked: Message, messages: Sequence[Message], *, store: Store
) -> list[Message]:
    """Removes the assistant's refusals: they are no part of the answer that came after them."""
    own = [message.id for message in messages if message.is_own]
    async with store.reading() as records:
        turns = (
            await records.turns.by_reply_messages(request.workspace_id, marked.place.channel, own)
            if own
            else {}
        )
    refusals = {message for message, turn in turns.items() if turn.is_refusal}
    return [message for message in messages if message.id not in refusals]


async def messages_before(marked: Message, surface: Surface) -> Sequence[Message]:
    """Returns the messages before one that can be chosen, of its thread, else of its channel."""
    fetch = surface.thread_before if marked.place.thread is not None else surface.messages_before
    return await fetch(marked.place, marked.id, MAX_MESSAGES_BEFORE)


async def messages_just_before(
    marked: Message, surface: Surface, nearby: Sequence[Message] | None = None
) -> Sequence[Message]:
    """Returns the messages before one: its thread or reply chain, else the ones just above.

    Just above: the author's own earlier messages, and those of the person before them. `nearby`
    are the channel's messages before it, if they are fetched already.
    """
    if marked.place.thread is not None or marked.reply_to is not None:
        return await surface.thread_before(marked.place, marked.id, 50)
    if nearby is None:
        nearby = await surface.messages_before(marked.place, marked.id, _NEARBY)
    nearby = nearby[-_NEARBY:]
    own = _trailing(nearby, marked.author.id)
    rest = nearby[: len(nearby) - len(own)]
    question = _trailing(rest, rest[-1].author.id) if rest else []
    return [*question, *own]


def _trailing(messages: Sequence[Message], author: UserId) -> list[Message]:
    """Returns the messages at the end that are all by one author."""
    tail: list[Message] = []
    for message in reversed(messages):
        if message.author.id != author:
            break
        tail.insert(0, message)
    return tail


def _as_row(
    request: Request, history: Sequence[Message], marked: Message
) -> tuple[Row, tuple[str, ...]]:
    """Returns the row, and the authors' names of each of its messages.

    The author of the marked message and the bot have the role assistant, everybody else user.
    Neighbouring messages of one role are joined. Raises NotFound without a question.
    """
    messages: list[dict[str, object]] = []
    speakers: list[list[str]] = []
    for message in history:
        author = message.author
        role = "assistant" if author.id == marked.author.id or message.is_own else "user"
        text = strip_bot_notes(message.text) if message.is_own else message.text
        name = (
            request.assistant.name if message.is_own else person_reference(author.id, author.name)
        )
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] = f"{messages[-1]['content']}\n{text}"
            speakers[-1].append(name)
        else:
            messages.append({"role": role, "content": text})
            speakers.append([name])
    first = next((i for i, part in enumerate(messages) if part["role"] == "user"), None)
    if first is None:
        raise NotFound(noun="question", name=marked.text[:40])
    authors = tuple(", ".join(dict.fromkeys(names)) for names in speakers[first:])
    return {"messages": messages[first:]}, authors
