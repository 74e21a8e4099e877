"""What a marked message answers: the exchange as a training row, and by whom it was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot import access
from bot.answer_access import strip_bot_notes
from bot.domain import (
    NO_EXCLUSION,
    TYPED,
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
from bot.examples.texts import exchange_row, require_valid
from bot.ports.dependencies import Surfaces
from bot.ports.store import Store
from bot.ports.surface import CanDescribe, CanFindPerson, Surface
from bot.references import person_reference
from bot.request import Request
from bot.rows import Method

_NEARBY = 8


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said, as a training row, and by whom; our own words have no author.

    Without a row it is only known where it stands.
    """

    row: Row | None
    people: tuple[User, ...]
    exclusions: Exclusion = NO_EXCLUSION
    messages: tuple[ExampleSource, ...] = ()
    speakers: tuple[str, ...] = ()
    """Who wrote each message of the row, in order; none where it comes from a stored answer."""

    @property
    def authors(self) -> tuple[UserId, ...]:
        return tuple(person.id for person in self.people)


async def turn_at(request: Request, message: MessageId | None, *, store: Store) -> Turn | None:
    if message is None:
        return None
    async with store.reading() as records:
        return await records.turns.by_message(request.workspace_id, request.place.channel, message)


async def refusal_at(request: Request, marked: Message, *, store: Store) -> Turn | None:
    """The answer of ours that stands there, where it only declined to answer."""
    turn = await turn_at(request, marked.id, store=store)
    return turn if turn is not None and turn.is_refusal else None


async def exchange_of(
    request: Request,
    marked: Message,
    *,
    store: Store,
    surface: Surface,
    before: Sequence[Message] | None = None,
) -> Exchange:
    """What a message answers: the messages `before` it, where they are named.

    Raises NotNow where somebody in it must not be learned from, NotFound without a question.
    """
    found = refuse_excluded(request, authors_unless_own(marked))
    async with store.reading() as records:
        turn = await records.turns.by_message(request.workspace_id, marked.place.channel, marked.id)
    if turn is not None and turn.is_refusal:
        raise NotNow(problem=request.words("refusal.no_lesson"))
    speakers: tuple[str, ...] = ()
    if turn is not None and before is None:
        people = [await described_by_platform(request, turn.asker, surface)]
        row, messages = exchange_row(turn.question, turn.reply), messages_of(turn)
    else:
        if before is None:
            before = await said_just_before(marked, surface)
        said = [*await _without_refusals(request, marked, before, store=store), marked]
        row, speakers = _as_row(request, said, marked)
        people = list({one.author.id: one.author for one in said if not one.is_own}.values())
        messages = tuple(ExampleSource(one.place.channel, one.id, one.place.thread) for one in said)
    allowed = found | refuse_excluded(request, people)
    return Exchange(require_valid(row, request.words), tuple(people), allowed, messages, speakers)


def messages_of(turn: Turn) -> tuple[ExampleSource, ...]:
    """Where a question and its reply stand, as far as that is known."""
    known = [one for one in (turn.question_message, turn.reply_message) if one is not None]
    return tuple(ExampleSource(turn.place.channel, one, turn.place.thread) for one in known)


def refuse_excluded(request: Request, people: Sequence[User]) -> Exclusion:
    """What is excluded here and yet allowed; raises NotNow for what is not, and for other bots."""
    if request.workspace.platform == "local":
        return NO_EXCLUSION
    if any(person.is_bot for person in people):
        raise NotNow(problem=request.words("excluded.bot"))
    return refuse_unless_allowed(request, access.exclusions(request.place, people))


def refuse_guest(request: Request) -> Exclusion:
    """For what is typed into a form, where the channel plays no part."""
    is_local = request.workspace.platform == "local"
    return (
        NO_EXCLUSION
        if is_local
        else refuse_unless_allowed(request, access.excluded_people([request.user]))
    )


def form_source(request: Request) -> ExampleSource | None:
    """Where a form was filled in, which no message of the channel stands for; None locally."""
    if request.workspace.platform == "local":
        return None
    place = request.place
    return ExampleSource(place.channel, MessageId(f"{TYPED}{request.event.key}"), place.thread)


def refuse_unless_allowed(request: Request, found: Exclusion) -> Exclusion:
    for one in found & ~request.workspace.allowed:
        raise NotNow(problem=request.words(f"excluded.{str(one.name).lower()}"))
    return found


def authors_unless_own(marked: Message) -> list[User]:
    """Who wrote a message, unless we did."""
    return [] if marked.is_own else [marked.author]


def proposal(request: Request, marked: Message, exchange: Exchange) -> NewExample:
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


async def described_by_platform(request: Request, user: UserId, surface: Surface) -> User:
    """As the platform describes them today: an answer keeps only who asked."""
    if user == request.user_id:
        return request.user
    if isinstance(surface, CanDescribe):
        return await surface.describe(request.place, user)
    return User(user, user)


async def find_person(request: Request, said: str, surfaces: Surfaces) -> User:
    """Who is meant. Raises NotFound where the platform knows nobody of that id."""
    surface = surfaces.of(request.workspace_id)
    if not isinstance(surface, CanFindPerson):
        return await described_by_platform(request, UserId(said), surface)
    found = await surface.find_person(request.place, said)
    if found is None:
        raise NotFound(noun="person", name=said)
    return found


def names_of(people: Sequence[UserId]) -> str:
    return ", ".join(map(person_reference, people))


async def _without_refusals(
    request: Request, marked: Message, said: Sequence[Message], *, store: Store
) -> list[Message]:
    """What the assistant declined to answer is no part of the answer that came after it."""
    own = [one.id for one in said if one.is_own]
    async with store.reading() as records:
        turns = (
            await records.turns.by_messages(request.workspace_id, marked.place.channel, own)
            if own
            else {}
        )
    return [one for one in said if not (one.id in turns and turns[one.id].is_refusal)]


async def said_just_before(
    marked: Message, surface: Surface, nearby: Sequence[Message] | None = None
) -> Sequence[Message]:
    """The thread or reply chain; else the other person's words just above.

    `nearby` are messages of its channel before it, where they are read already.
    """
    if marked.place.thread is not None or marked.reply_to is not None:
        return await surface.history(marked.place, marked.id, 50)
    if nearby is None:
        nearby = await surface.messages_before(marked.place, marked.id, _NEARBY)
    nearby = nearby[-_NEARBY:]
    own = _trailing(nearby, marked.author.id)
    rest = nearby[: len(nearby) - len(own)]
    asked = _trailing(rest, rest[-1].author.id) if rest else []
    return [*asked, *own]


def _trailing(messages: Sequence[Message], author: UserId) -> list[Message]:
    tail: list[Message] = []
    for said in reversed(messages):
        if said.author.id != author:
            break
        tail.insert(0, said)
    return tail


def _as_row(
    request: Request, said: Sequence[Message], marked: Message
) -> tuple[Row, tuple[str, ...]]:
    """The marked author teaches, everybody else asks; neighbours of one side are stitched.

    With who said each of its messages. Raises NotFound without a question.
    """
    messages: list[dict[str, object]] = []
    speakers: list[list[str]] = []
    for one in said:
        role = "assistant" if one.author.id == marked.author.id or one.is_own else "user"
        text = strip_bot_notes(one.text) if one.is_own else one.text
        name = (
            request.assistant.name
            if one.is_own
            else person_reference(one.author.id, one.author.name)
        )
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] = f"{messages[-1]['content']}\n{text}"
            speakers[-1].append(name)
        else:
            messages.append({"role": role, "content": text})
            speakers.append([name])
    first = next((at for at, one in enumerate(messages) if one["role"] == "user"), None)
    if first is None:
        raise NotFound(noun="question", name=marked.text[:40])
    named = tuple(", ".join(dict.fromkeys(names)) for names in speakers[first:])
    return {"messages": messages[first:]}, named
