"""From a marked message to a proposed example."""

from __future__ import annotations

from bot.domain import (
    Example,
    ExampleState,
    Message,
    Sources,
)
from bot.examples.exchange import (
    Exchange,
    exchange_of,
    proposal,
    refuse_excluded,
    strangers,
)
from bot.examples.keeping import add, ask_authors, change_state, offer_undo_of, set_state
from bot.examples.review import review_buttons
from bot.examples.writing import write_button
from bot.ports.store import Store
from bot.ports.surface import Surface
from bot.replies import Receipt, Reply, Text
from bot.request import Request

PROPOSED = "🎓"
APPROVED = "✅"


async def propose(ask: Request, marked: Message, *, store: Store, surface: Surface) -> Reply:
    """Keep the exchange that ends in a marked message; a curator's own mark does not approve it."""
    if ask.workspace.sources < Sources.MESSAGES:
        return pointed(ask, await keep_pointer(ask, marked, store=store))
    exchange = await exchange_of(ask, marked, store=store, surface=surface)
    return await proposed(ask, marked, exchange, store=store)


async def proposed(ask: Request, marked: Message, exchange: Exchange, *, store: Store) -> Reply:
    """It waits for a curator, and for every author who has not said yes or no."""
    kept, is_new = await add(ask, proposal(ask, marked, exchange), store=store)
    await _mark(ask, kept, store=store)
    await ask_authors(ask, exchange.people, store=store)
    key = "example.proposed" if is_new else "example.known"
    text = ask.words(key, id=kept.id, state=ask.words(f"state.{kept.state}"))
    buttons = review_buttons(kept, ask.words) if kept.state is ExampleState.PROPOSED else ()
    return Receipt(PROPOSED, Text(text, private=True, buttons=buttons), marked.id)


async def approve_marked(ask: Request, marked: Message, *, store: Store, surface: Surface) -> Reply:
    """A curator's ✅: proposes if nobody has yet, then approves."""
    async with store.reading() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
    may_keep = ask.workspace.sources >= Sources.MESSAGES
    if example is None or (example.row is None and may_keep):
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


async def unpropose(ask: Request, marked: Message, *, store: Store) -> Reply:
    """Taking one's 🎓 off withdraws what is only proposed, and by nobody else."""
    async with store.writing() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
        if example is None or example.state is not ExampleState.PROPOSED:
            return Text(ask.words("example.nothing_to_withdraw"), private=True)
        others = await records.example_messages.unmark(ask.id, example.id, ask.by)
        if others is None:
            return Text(ask.words("example.not_yours"), private=True)
        if others:
            return Text(ask.words("example.still_marked", id=example.id), private=True)
        await change_state(ask, records, example.id, ExampleState.WITHDRAWN)
        undo = await offer_undo_of(ask, example, ExampleState.WITHDRAWN, records)
    return Text(ask.words("example.withdrawn", id=example.id), private=True, buttons=undo)


async def keep_pointer(ask: Request, marked: Message, *, store: Store) -> Example:
    """The workspace does not allow keeping text: remember only where it stands."""
    found = refuse_excluded(ask, strangers(marked))
    pointer = Exchange(None, (marked.author,), found)
    kept, _ = await add(ask, proposal(ask, marked, pointer), store=store)
    await _mark(ask, kept, store=store)
    return kept


async def _mark(ask: Request, example: Example, *, store: Store) -> None:
    async with store.writing() as records:
        await records.example_messages.mark(ask.id, example.id, ask.by)


def pointed(ask: Request, kept: Example) -> Text:
    """What the marker hears of it, and how it may become an example."""
    if kept.row is not None:
        state = ask.words(f"state.{kept.state}")
        return Text(ask.words("example.known", id=kept.id, state=state), private=True)
    buttons = (write_button(kept.id, ask.words),)
    return Text(ask.words("example.pointer", id=kept.id), private=True, buttons=buttons)
