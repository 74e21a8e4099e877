"""From a marked message or a form to a proposed example."""

from __future__ import annotations

from bot.commands import Ask
from bot.errors import BadInput, NotNow, Refusal
from bot.examples.exchange import (
    Exchange,
    exchange_of,
    proposal,
    refuse_excluded,
    refuse_guest,
    strangers,
)
from bot.examples.keeping import add, ask_authors, change_state, set_state
from bot.examples.review import review_buttons
from bot.examples.texts import checked, exchange_row
from bot.model import (
    ExampleState,
    MessageId,
    NewExample,
    Origin,
    Role,
    Row,
    Said,
    Sources,
)
from bot.ports.store import Store
from bot.ports.surface import Surface
from bot.replies import (
    Field,
    FieldKind,
    Form,
    Receipt,
    Reply,
    Text,
)
from bot.rows import Method
from bot.words import Words

PROPOSED = "🎓"
APPROVED = "✅"


async def propose(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Reply:
    """Keep the exchange that ends in a marked message; a curator's own mark does not approve it."""
    if ask.workspace.sources < Sources.MESSAGES:
        return await keep_pointer(ask, marked, store=store)
    exchange = await exchange_of(ask, marked, store=store, surface=surface)
    return await proposed(ask, marked, exchange, store=store)


async def proposed(ask: Ask, marked: Said, exchange: Exchange, *, store: Store) -> Reply:
    """It waits for a curator, and for every author who has not said yes or no."""
    kept, is_new = await add(ask, proposal(ask, marked, exchange), store=store)
    await ask_authors(ask, exchange.people, store=store)
    key = "example.proposed" if is_new else "example.known"
    text = ask.words(key, id=kept.id, state=ask.words(f"state.{kept.state}"))
    buttons = review_buttons(kept, ask.words) if kept.state is ExampleState.PROPOSED else ()
    return Receipt(PROPOSED, Text(text, private=True, buttons=buttons), marked.id)


async def approve_marked(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Reply:
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


async def unpropose(ask: Ask, marked: Said, *, store: Store) -> Reply:
    """Taking 🎓 off withdraws what is still only proposed."""
    async with store.writing() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
        if example is None or example.state is not ExampleState.PROPOSED:
            return Text(ask.words("example.nothing_to_withdraw"), private=True)
        await change_state(ask, records, example.id, ExampleState.WITHDRAWN)
    return Text(ask.words("example.withdrawn", id=example.id), private=True)


def teach_form(words: Words, *, question: str = "", answer: str = "") -> Form:
    """Where a lesson is typed."""
    return Form(
        id="teach",
        title=words("teach.title"),
        fields=(
            Field("question", words("teach.question"), FieldKind.TEXT, question),
            Field("answer", words("teach.answer"), FieldKind.TEXT, answer),
        ),
        submit=words("teach.submit"),
    )


async def teach(ask: Ask, question: str, answer: str, *, store: Store) -> Reply:
    """A lesson typed into a form; a curator's own counts as approved."""
    if not question.strip() or not answer.strip():
        raise BadInput(problem=ask.words("teach.empty"))
    is_local = ask.workspace.platform == "local"
    if not is_local and ask.workspace.sources < Sources.FORMS:
        raise NotNow(problem=ask.words("sources.forms_needed"))
    exclusions = refuse_guest(ask)
    is_curator = ask.role >= Role.CURATOR
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=checked(exchange_row(question, answer), ask.words),
        origin=Origin.CONSOLE if is_local else Origin.FORM,
        authors=(ask.by,),
        exclusions=exclusions,
    )
    kept, is_new = await add(ask, example, store=store)
    if not is_new:
        state = ask.words(f"state.{kept.state}")
        return Text(ask.words("example.known", id=kept.id, state=state), private=True)
    key = "teach.approved" if is_curator else "teach.proposed"
    return Text(ask.words(key, id=kept.id))


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
        exchange = await exchange_of(ask, marked, store=store, surface=surface)
        return exchange.row
    except Refusal:
        return None


async def keep_pointer(ask: Ask, marked: Said, *, store: Store) -> Text:
    """The workspace does not allow keeping text: remember only where it stands."""
    found = refuse_excluded(ask, strangers(marked))
    pointer = Exchange(None, (marked.author,), found)
    kept, _ = await add(ask, proposal(ask, marked, pointer), store=store)
    return Text(ask.words("example.pointer", id=kept.id), private=True)
