"""From a marked message to a proposed example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.commands import Ask
from bot.errors import BadInput, NotFound, NotNow
from bot.examples.keeping import add, ask_authors, change_state, set_state
from bot.examples.review import review_buttons
from bot.examples.texts import checked, exchange_row
from bot.examples.writing import write_button
from bot.model import (
    ChannelKind,
    ExampleState,
    MessageId,
    NewExample,
    Origin,
    Row,
    Said,
    Source,
    Sources,
    UserId,
)
from bot.ports.store import Store
from bot.ports.surface import Surface
from bot.replies import Receipt, Reply, Text
from bot.rows import Method

PROPOSED = "🎓"
APPROVED = "✅"
_NEARBY = 8


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said, as a training row, and by whom."""

    row: Row
    authors: tuple[UserId, ...]
    said: tuple[Said, ...] = ()


async def propose(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Reply:
    """Keep the exchange that ends in a marked message; a curator's own mark does not approve it."""
    source = Source(marked.place.channel, marked.id, marked.place.thread)
    _refuse_closed(ask, [marked])
    if ask.workspace.sources < Sources.MESSAGES:
        return await _keep_pointer(ask, marked, source, store=store)
    exchange = await _exchange(ask, marked, store=store, surface=surface)
    _refuse_closed(ask, exchange.said)
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=checked(exchange.row, ask.words),
        origin=Origin.MESSAGE,
        authors=exchange.authors,
        source=source,
    )
    kept, is_new = await add(ask, example, store=store)
    names = {said.author.id: said.author.name for said in exchange.said}
    await ask_authors(ask, exchange.authors, names, store=store)
    key = "example.proposed" if is_new else "example.known"
    text = ask.words(key, id=kept.id, state=ask.words(f"state.{kept.state}"))
    buttons = review_buttons(kept, ask.words) if kept.state is ExampleState.PROPOSED else ()
    return Receipt(PROPOSED, Text(text, private=True, buttons=buttons), marked.id)


async def approve_marked(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Reply:
    """A curator's ✅: proposes if nobody has yet, then approves."""
    async with store.reading() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
    if example is None:
        reply = await propose(ask, marked, store=store, surface=surface)
        if not isinstance(reply, Receipt):
            return reply
        async with store.reading() as records:
            example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
    if example is None:
        return Text(ask.words("example.known_elsewhere"), private=True)
    await set_state(ask, example.id, ExampleState.APPROVED, store=store)
    text = Text(ask.words("example.approved", id=example.id), private=True)
    return Receipt(APPROVED, text, marked.id)


async def unpropose(ask: Ask, marked: Said, *, store: Store) -> Reply:
    """Taking 🎓 off withdraws what is still only proposed."""
    async with store.writing() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
        if example is None or example.state is not ExampleState.PROPOSED:
            return Text(ask.words("example.nothing_to_withdraw"), private=True)
        await change_state(ask, records, example.id, ExampleState.WITHDRAWN)
    return Text(ask.words("example.withdrawn", id=example.id), private=True)


async def source_edited(ask: Ask, message: MessageId, *, store: Store, surface: Surface) -> bool:
    """The author changed the message an example was taken from: it must be looked at again.

    False where nothing is left that could be taught.
    """
    async with store.reading() as records:
        example = await records.examples.by_source(ask.id, ask.place.channel, message)
    if example is None or example.row is None:
        return True
    row = await _row_now(ask, message, store=store, surface=surface)
    if row is None or row == example.row:
        return row is not None
    async with store.writing() as records:
        await records.examples.revise(ask.id, example.id, row, ask.by, at=ask.now)
        await change_state(ask, records, example.id, ExampleState.PROPOSED)
    return True


async def _row_now(ask: Ask, message: MessageId, *, store: Store, surface: Surface) -> Row | None:
    marked = await surface.fetch(ask.place, message)
    if marked is None:
        return None
    try:
        exchange = await _exchange(ask, marked, store=store, surface=surface)
        return checked(exchange.row, ask.words)
    except (BadInput, NotFound):
        return None


async def _exchange(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Exchange:
    async with store.reading() as records:
        turn = await records.turns.by_message(ask.id, marked.place.channel, marked.id)
    if turn is not None:
        return Exchange(exchange_row(turn.question, turn.reply), (turn.asker,))
    before = await _said_before(marked, surface)
    messages = _as_messages([*before, marked], marked)
    if not any(message["role"] == "user" for message in messages):
        raise NotFound(noun="question", name=marked.text[:40])
    authors = dict.fromkeys(said.author.id for said in [*before, marked] if not said.is_own)
    return Exchange({"messages": messages}, tuple(authors), (*before, marked))


def _refuse_closed(ask: Ask, said: Sequence[Said]) -> None:
    """Closed channels, guests and bots have not agreed to be learned from."""
    if ask.workspace.platform == "local":
        return
    kind = ask.place.kind
    if kind is not ChannelKind.OPEN:
        raise NotNow(problem=ask.words(f"excluded.{kind}"))
    for one in said:
        if one.author.is_guest:
            raise NotNow(problem=ask.words("excluded.guest"))
        if one.author.is_bot and not one.is_own:
            raise NotNow(problem=ask.words("excluded.bot"))


async def _said_before(marked: Said, surface: Surface) -> Sequence[Said]:
    """The thread or reply chain; else the other person's words just above."""
    if marked.place.thread is not None or marked.reply_to is not None:
        return await surface.history(marked.place, marked.id, 50)
    nearby = await surface.nearby(marked.place, marked.id, _NEARBY)
    own = _trailing(nearby, marked.author.id)
    rest = nearby[: len(nearby) - len(own)]
    asked = _trailing(rest, rest[-1].author.id) if rest else []
    return [*asked, *own]


def _trailing(messages: Sequence[Said], author: UserId) -> list[Said]:
    tail: list[Said] = []
    for said in reversed(messages):
        if said.author.id != author:
            break
        tail.insert(0, said)
    return tail


def _as_messages(said: Sequence[Said], marked: Said) -> list[dict[str, object]]:
    """The marked author teaches, everybody else asks; neighbours of one side are stitched."""
    messages: list[dict[str, object]] = []
    for one in said:
        role = "assistant" if one.author.id == marked.author.id or one.is_own else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] = f"{messages[-1]['content']}\n{one.text}"
        else:
            messages.append({"role": role, "content": one.text})
    while messages and messages[0]["role"] == "assistant" and len(messages) > 1:
        messages.pop(0)
    return messages


async def _keep_pointer(ask: Ask, marked: Said, source: Source, *, store: Store) -> Reply:
    """The workspace does not allow keeping text: remember only where it stands."""
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=None,
        origin=Origin.MESSAGE,
        authors=(marked.author.id,),
        source=source,
    )
    kept, _ = await add(ask, example, store=store)
    if kept.state is not ExampleState.PROPOSED:
        state = ask.words(f"state.{kept.state}")
        return Text(ask.words("example.known", id=kept.id, state=state), private=True)
    buttons = (write_button(kept.id, ask.words),)
    return Text(ask.words("example.pointer", id=kept.id), private=True, buttons=buttons)
