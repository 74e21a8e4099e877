"""The 🎓 and ✅ reactions: propose or approve a message's exchange; removing 🎓 withdraws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.commands import Handlers
from bot.consent import request_consent
from bot.domain import (
    Example,
    ExampleSource,
    ExampleState,
    Message,
    MessageId,
    Role,
    Sources,
)
from bot.errors import NotFound, Outdated, Refusal
from bot.examples.ask_admins_for_permission import list_pointers, pointer_saved_reply
from bot.examples.better_answer_form import offer_better_answer_form
from bot.examples.example_buttons import review_buttons
from bot.examples.message_exchange import (
    Exchange,
    authors_unless_own,
    exchange_of,
    new_proposal,
    refused_turn_with_reply,
    require_allowed_authors,
)
from bot.examples.review_queue import private_text_warnings
from bot.examples.row_texts import readable_texts
from bot.examples.state_changes import (
    add_example,
    change_state,
    offer_undo_of,
    set_state,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Store
from bot.replies import ReactionReply, Reply, Text
from bot.request import Request
from bot.words import Words

handlers = Handlers()


PROPOSE_EMOJI = "🎓"
APPROVE_EMOJI = "✅"
_MAX_PROPOSED = 50
_MAX_IN_THREAD = 50
_NEWEST = MessageId("9223372036854775807")
"""Greater than every message id of both platforms."""


@handlers.reaction(PROPOSE_EMOJI, Role.MEMBER)
async def propose(request: Request, deps: Dependencies) -> Reply:
    """Proposes the exchange that ends in the marked message, also if a curator marks it."""
    marked = request.marked_message()
    if refusal := await refused_turn_with_reply(request, marked, store=deps.store):
        return offer_better_answer_form(request, refusal)
    return await _propose(request, marked, deps)


async def _propose(request: Request, marked: Message, deps: Dependencies) -> Reply:
    if request.workspace.sources < Sources.MESSAGES:
        pointer = await store_pointer(request, marked, store=deps.store)
        return await pointer_saved_reply(request, pointer, marked, deps)
    surface = deps.surfaces.surface_of(request.workspace_id)
    exchange = await exchange_of(request, marked, store=deps.store, surface=surface)
    return await propose_marked_exchange(request, marked, exchange, store=deps.store)


async def propose_marked_exchange(
    request: Request, marked: Message, exchange: Exchange, *, store: Store
) -> Reply:
    """Stores an exchange as a proposed example and asks its authors for consent."""
    example, is_new = await add_example(
        request, new_proposal(request, marked, exchange), store=store
    )
    await _mark(request, example, store=store)
    await request_consent(request, exchange.people, store=store, link=marked.permalink)
    key = "example.proposed" if is_new else "example.known"
    text = request.words(key, id=example.id, state=request.words(f"state.{example.state}"))
    text = " ".join([text, *_content_notes(example, exchange, request.words)])
    if example.awaits_masking:
        text = " ".join([text, *private_text_warnings(example, request.words)])
    buttons = (
        review_buttons(example, request.words) if example.state is ExampleState.PROPOSED else ()
    )
    return ReactionReply(PROPOSE_EMOJI, Text(text, private=True, buttons=buttons), marked.id)


def _content_notes(example: Example, exchange: Exchange, words: Words) -> Iterator[str]:
    """Yields what the example contains, as counts and names only.

    The text is not repeated, because a reply outlives the message when that is deleted.
    """
    earlier = len(readable_texts(example.row)) - 1
    if earlier > 0:
        yield words("example.learned", count=earlier)
    if earlier > 1 and len(exchange.speakers) == earlier + 1:
        yield words("example.turns", turns=" → ".join(exchange.speakers))


@handlers.shortcut("thread", Role.MEMBER)
async def propose_thread(request: Request, deps: Dependencies) -> Reply:
    """Proposes the whole thread of a message, up to the last answer in it."""
    marked = request.marked_message()
    place = replace(marked.place, thread=marked.place.thread or marked.id)
    surface = deps.surfaces.surface_of(request.workspace_id)
    history = [*await surface.thread_before(place, _NEWEST, _MAX_IN_THREAD)]
    answers = [
        message
        for message in history
        if message.author.id != history[0].author.id or message.is_own
    ]
    if not answers:
        raise NotFound(noun="question", name=marked.text[:40])
    event = replace(request.event, place=replace(request.place, thread=place.thread))
    return await _propose(replace(request, event=event, message=answers[-1]), answers[-1], deps)


@handlers.reaction(APPROVE_EMOJI, Role.CURATOR)
async def approve_marked(request: Request, deps: Dependencies) -> Reply:
    """Approves the example of a message with ✅; proposes it first if there is none."""
    marked = request.marked_message()
    if refusal := await refused_turn_with_reply(request, marked, store=deps.store):
        return offer_better_answer_form(request, refusal)
    async with deps.store.reading() as records:
        example = await records.examples.find_by_source(
            request.workspace_id, marked.place.channel, marked.id
        )
    may_keep = request.workspace.sources >= Sources.MESSAGES
    if example is None or (example.row is None and may_keep):
        reply = await _propose(request, marked, deps)
        if not isinstance(reply, ReactionReply):
            return reply
        async with deps.store.reading() as records:
            example = await records.examples.find_by_source(
                request.workspace_id, marked.place.channel, marked.id
            )
    if example is None:
        return Text(request.words("example.known_elsewhere"), private=True)
    is_done = await set_state(request, example.id, ExampleState.APPROVED, store=deps.store)
    key = "example.approved" if is_done else "example.approved.waits"
    text = Text(request.words(key, id=example.id), private=True)
    return ReactionReply(APPROVE_EMOJI, text, marked.id)


@handlers.removed_reaction(PROPOSE_EMOJI, Role.MEMBER)
async def withdraw_proposal(request: Request, deps: Dependencies) -> Reply:
    """Withdraws a proposed example when the last 🎓 on its message is removed."""
    marked = request.marked_message()
    async with deps.store.writing() as records:
        example = await records.examples.find_by_source(
            request.workspace_id, marked.place.channel, marked.id
        )
        if example is None or example.state is not ExampleState.PROPOSED:
            return Text(request.words("example.nothing_to_withdraw"), private=True)
        others = await records.example_messages.remove_marker(
            request.workspace_id, example.id, request.user_id
        )
        if others is None:
            return Text(request.words("example.not_yours"), private=True)
        if others:
            return Text(request.words("example.still_marked", id=example.id), private=True)
        await change_state(request, records, example.id, ExampleState.WITHDRAWN)
        undo = await offer_undo_of(request, example, ExampleState.WITHDRAWN, records)
    return Text(request.words("example.withdrawn", id=example.id), private=True, buttons=undo)


async def store_pointer(request: Request, marked: Message, *, store: Store) -> Example:
    """Stores a pointer to a message, in a workspace that does not allow storing the text."""
    exclusions = require_allowed_authors(request, authors_unless_own(marked))
    pointer = Exchange(None, (marked.author,), exclusions)
    stored, _ = await add_example(request, new_proposal(request, marked, pointer), store=store)
    await _mark(request, stored, store=store)
    return stored


async def _mark(request: Request, example: Example, *, store: Store) -> None:
    async with store.writing() as records:
        await records.example_messages.add_marker(request.workspace_id, example.id, request.user_id)


@handlers.button("marks.keep", Role.MEMBER)
async def propose_pointed_messages(request: Request, deps: Dependencies) -> Reply:
    """Turns the pointers of this channel into proposals with text."""
    if request.workspace.sources < Sources.MESSAGES:
        raise Outdated(problem=request.words("marks.not_allowed"))
    channel = request.place.channel
    async with deps.store.reading() as records:
        marked = await list_pointers(request, records)
    waiting = [
        pointer.source for pointer in marked if pointer.source and pointer.source.channel == channel
    ]
    proposed = [await _propose_again(request, source, deps) for source in waiting[:_MAX_PROPOSED]]
    text = request.words("marks.kept", count=sum(proposed), left=len(waiting) - sum(proposed))
    return Text(text, private=True)


async def _propose_again(request: Request, source: ExampleSource, deps: Dependencies) -> bool:
    """Proposes a message; returns False if it is deleted or may not be trained on."""
    surface, place = (
        deps.surfaces.surface_of(request.workspace_id),
        replace(request.place, thread=source.thread),
    )
    marked = await surface.fetch_message(place, source.message)
    if marked is None:
        return False
    request = replace(request, event=replace(request.event, place=place), message=marked)
    try:
        exchange = await exchange_of(request, marked, store=deps.store, surface=surface)
        await propose_marked_exchange(request, marked, exchange, store=deps.store)
    except Refusal:
        return False
    return True
