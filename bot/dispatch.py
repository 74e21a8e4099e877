"""Handles an event: drops duplicates and stale events, authorises, checks caps, runs, replies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot import access, assistants, private_replies, workspaces
from bot.commands import Action, Catalogue, Command
from bot.daily_token_budget import require_daily_budget
from bot.domain import (
    LOCAL,
    Assistant,
    Binding,
    ChannelId,
    Deployment,
    InboxRow,
    Message,
    MessageId,
    Place,
    Role,
    WorkspaceId,
)
from bot.domain.ids import platform_of
from bot.errors import AttuneError, NotFound, Outdated, PlaceClosed
from bot.events import (
    ButtonClicked,
    ChannelDeleted,
    CommandInvoked,
    Event,
    EventContent,
    FormSubmitted,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    PersonLeft,
    ReactionChanged,
    ShortcutUsed,
    WorkspaceJoined,
    WorkspaceLeft,
    from_json,
    person_left_event,
)
from bot.form_links import offer_form_link
from bot.inbox_writer import AdmissionGate, InboxWriter, SpawnTask
from bot.keyed_order import KeyedOrder, QueueTicket
from bot.mentions_and_times import resolve_names
from bot.ports.dependencies import Dependencies, ProgressCallback
from bot.ports.store import Records
from bot.ports.surface import CanDirectMessage, CanRetry, CanSendEphemeral, HasFormLimits, Surface
from bot.replies import Drawn, Form, NoReply, Refused, Reply, Stream
from bot.reply_sender import ReplySender
from bot.request import Request
from bot.running_answers import RunningAnswers
from bot.single_flight import SingleFlight
from bot.startup_warmup import warm_up_service
from bot.words import Words, language_of

log = logging.getLogger(__name__)

_MAX_MESSAGE_AGE = timedelta(minutes=10)
_MAX_ATTEMPTS = 8  # attempts after which an event is given up: it may be what crashes the process

_NO_REPLY = NoReply()
_STOPPABLE = (MessageReceived, MessageEdited, ButtonClicked, CommandInvoked)
"""Events that a model may answer, so that a person can stop their handling."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The reply or error of an event, with the words and the role of its user."""

    words: Words
    role: Role
    reply: Reply = _NO_REPLY
    error: AttuneError | None = None


class Dispatch:
    """Stores each event in the inbox, then handles it in a task of its own."""

    def __init__(
        self, *, deps: Dependencies, catalogue: Catalogue, answers: RunningAnswers, spawn: SpawnTask
    ) -> None:
        self._deps = deps
        self._catalogue = catalogue
        self._event_handlers = {action.name: action for action in catalogue.event_handlers}
        self._button_roles = {action.name: action.role for action in catalogue.buttons}
        self._reactions = {
            **{(action.name, False): action for action in catalogue.reactions},
            **{(action.name, True): action for action in catalogue.removed_reactions},
        }
        self._answers = answers
        self._spawn = spawn
        self._inbox = InboxWriter(deps.store, deps.clock, spawn)
        self._gate = AdmissionGate()
        self._sender = ReplySender(deps=deps, answers=answers, inbox=self._inbox)
        self._handling_order, self._reply_order = KeyedOrder(), KeyedOrder()
        self._workspace_creation: SingleFlight[None] = SingleFlight()

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        """Stores the event and starts its handling; the platform may be acknowledged afterwards.

        Returns None for an event that is a duplicate or not for the bot.
        """
        ticket = self._handling_order.enqueue(event.ordering_keys)
        arrived_at = self._inbox.next_arrival_time()
        is_stored = False
        try:
            if event.user.is_bot or not await self._is_for_bot(event, ticket):
                return None
            is_stored = await self._inbox.store_event(event, arrived_at)
        finally:
            if not is_stored:
                ticket.leave()
        if not is_stored:
            return None
        work = self._run_in_order(ticket, partial(self._run, event, ticket))
        return self._spawn(work, f"event {event.what.kind}")

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        """Handles an event of a studio page and returns the reply for the page to draw.

        Nothing is posted to a channel. An error is returned as `Refused`.
        """
        ticket = self._handling_order.enqueue(event.ordering_keys)
        arrived_at = self._inbox.next_arrival_time()
        is_stored = False
        try:
            if not await self._workspace_exists(event.place):
                return await self._page_reply(event)
            is_stored = not event.user.is_bot and await self._inbox.store_event(event, arrived_at)
        finally:
            if not is_stored:
                ticket.leave()
        if not is_stored:
            return NoReply()
        replies: list[Reply] = []

        async def run() -> None:
            replies.append(await self._page_reply(event, progress))
            await self._mark_done(event.key)
            self._deps.publish_change(event.what.kind)

        # asyncio.wait does not cancel the task when the page that waits for it is closed.
        work = self._run_in_order(ticket, run)
        await asyncio.wait({self._spawn(work, f"question {event.what.kind}")})
        return replies[0] if replies else NoReply()

    async def _run_in_order(self, ticket: QueueTicket, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work` after the earlier events about the same message have finished."""
        try:
            await ticket.wait_turn()
            await work()
        finally:
            ticket.leave()

    async def answer_page_query(self, event: Event) -> Reply:
        """Returns the reply to an event that only reads; does not store the event or publish it."""
        return await self._page_reply(event)

    async def warm_up(self) -> None:
        """Loads ahead of time what the first question needs; stores nothing."""
        deps = self._deps
        await warm_up_service(
            store=deps.store,
            hosts=deps.hosts,
            clock=deps.clock,
            nearest_examples=deps.nearest_examples,
        )

    async def unfinished_events(self) -> Sequence[tuple[InboxRow, Event | None, QueueTicket]]:
        """Returns the unfinished events of an earlier run; to be called before new events arrive.

        Each event is enqueued here, so it is handled before later events about the same message.
        An event is None if it was stored by an older version and cannot be read.
        """
        events: list[tuple[InboxRow, Event | None, QueueTicket]] = []
        last = None
        while page := await self._unfinished(after=last):
            for row in page:
                event = _deserialize(row)
                keys = event.ordering_keys if event else ()
                events.append((row, event, self._handling_order.enqueue(keys)))
            last = page[-1].received_at, page[-1].key
        return events

    async def handle_unfinished(
        self, backlog: Sequence[tuple[InboxRow, Event | None, QueueTicket]] | None = None
    ) -> None:
        """Handles unfinished events of an earlier run; drops messages older than ten minutes."""
        for row, event, ticket in await self.unfinished_events() if backlog is None else backlog:
            if event is None:
                await self._mark_done(row.key)
            if event is None or not await self._begin_retry(row, event):
                ticket.leave()
                continue
            self._resume_interaction(event, has_begun=row.has_begun)
            work = self._run_in_order(ticket, partial(self._run, event, ticket))
            self._spawn(work, f"event {event.what.kind} again")

    async def _unfinished(self, *, after: tuple[datetime, str] | None) -> Sequence[InboxRow]:
        async with self._deps.store.reading() as records:
            return await records.inbox.list_unfinished(after=after)

    async def _begin_retry(self, row: InboxRow, event: Event) -> bool:
        """Whether an event of an earlier run is handled again; if so, counts the attempt."""
        is_stale = row.received_at + _MAX_MESSAGE_AGE < self._deps.clock.now()
        if row.attempts >= _MAX_ATTEMPTS or (is_stale and isinstance(event.what, MessageReceived)):
            await self._mark_done(row.key)
            return False
        if self._surface_of(event) is None:
            return False  # It waits until its platform is on again.
        async with self._deps.store.writing() as records:
            await records.inbox.count_attempt(row.key)
        return True

    def _resume_interaction(self, event: Event, *, has_begun: bool) -> None:
        surface = self._deps.surfaces.surface_of(event.place.workspace)
        if isinstance(surface, CanRetry):
            surface.prepare_retry(event, has_begun=has_begun)

    async def _is_for_bot(self, event: Event, ticket: QueueTicket) -> bool:
        """Whether the event is for the bot. Other events are not stored in the inbox."""
        match event.what:
            case ReactionChanged(emoji=emoji, is_removed=is_removed):
                return (emoji, is_removed) in self._reactions
            case MessageReceived(is_addressed=False):
                return await self._is_answered_without_mention(event)
            case MessageEdited(message=message):
                # An earlier event, still being handled, may store the message as an example.
                return not ticket.is_first or await self._is_tracked_message(event.place, message)
            case WorkspaceLeft():
                return await self._workspace_exists(event.place)
        return True

    async def _is_answered_without_mention(self, event: Event) -> bool:
        """Whether a message that does not mention the bot is answered nevertheless."""
        place = event.place
        async with self._deps.store.reading() as records:
            binding = await records.assistants.binding(place.workspace, place.channel)
            if binding is not None and binding.answers_unasked:
                return True
            # The bot goes on answering in a thread that began with a question to it.
            root = event.root_key
            return root is not None and await _is_thread_of_bot(place.workspace, root, records)

    async def _page_reply(self, event: Event, progress: ProgressCallback | None = None) -> Reply:
        """Returns the reply for a page, with an error as `Refused`."""
        words, role = _words(event, _language(event)), Role.STRANGER
        try:
            # An address typed into the browser must not create the workspace that it names.
            is_local = event.place.workspace == LOCAL
            request = await self._request_for(event, may_create=is_local)
            request = replace(request, progress=progress, is_page=True)
            words, role = request.words, request.role
            if not _is_handled(request):
                access.refuse_closed_workspace(request.workspace, words)
            reply = await self._reply(request)
        except AttuneError as error:
            reply = Refused(_error_text(error, role, words))
        except Exception:
            log.exception("A question could not be handled", extra={"kind": event.what.kind})
            reply = Refused(words.error_text(AttuneError()))
        finally:
            self._answers.unregister_current_task()
        return await resolve_names(reply, event.place, self._surface_of(event), is_page=True)

    def _surface_of(self, event: Event) -> Surface | None:
        """Returns the surface of the event's workspace, or None if its platform is off."""
        try:
            return self._deps.surfaces.surface_of(event.place.workspace)
        except PlaceClosed:
            return None

    async def _workspace_exists(self, place: Place) -> bool:
        if place.workspace == LOCAL:
            return True
        async with self._deps.store.reading() as records:
            return await records.workspaces.find(place.workspace) is not None

    async def _is_tracked_message(self, place: Place, message: MessageId) -> bool:
        """Whether the message is part of an example or a question that was answered."""
        channel = place.workspace, place.channel
        async with self._deps.store.reading() as records:
            if await records.turns.by_question_message(*channel, message) is not None:
                return True
            return bool(await records.example_messages.example_ids_of_messages(*channel, [message]))

    async def _run(self, event: Event, ticket: QueueTicket) -> None:
        """Handles an event, marks it as done in the inbox and publishes the change.

        Later events about the same message wait until the handler has run, not until its reply is
        sent: ephemeral messages may be limited to one a second. Only a stream is different, as its
        handler runs while the answer is sent.
        """
        if isinstance(event.what, _STOPPABLE):
            await self._answers.until_stopped(self._handle_and_reply(event, ticket))
        else:
            await self._handle_and_reply(event, ticket)
        await self._mark_done(event.key)
        self._deps.publish_change(event.what.kind)

    async def _handle_and_reply(self, event: Event, ticket: QueueTicket) -> None:
        outcome = await self._outcome(event)
        if isinstance(outcome.reply, Stream):
            await self._send_outcome(event, outcome)
        else:
            reply_ticket = self._reply_order.enqueue(event.ordering_keys)
            ticket.leave()
            await self._run_in_order(reply_ticket, partial(self._send_outcome, event, outcome))

    async def _outcome(self, event: Event) -> _Outcome:
        """Calls the handler of an event; returns its reply, or the error that it raised."""
        words, role = _words(event, _language(event)), Role.STRANGER
        try:
            await self._gate.wait()
            request = await self._request_for(event)
            if not _is_handled(request):
                await workspaces.check_reinstallation(request.workspace_id, self._deps)
                request = await self._request_for(event)
            words, role = request.words, request.role
            if not _is_handled(request):
                return _Outcome(words, role)
            reply = self._without_forbidden_buttons(request, await self._reply(request))
            return _Outcome(words, role, self._with_form_link(request, reply))
        except AttuneError as error:
            return _Outcome(words, role, error=error)
        except Exception:
            log.exception("An event could not be handled", extra={"kind": event.what.kind})
            return _Outcome(words, role, error=AttuneError())

    async def _send_outcome(self, event: Event, outcome: _Outcome) -> None:
        """Sends the reply, or an error as text, to the place of the event."""
        error = outcome.error
        if isinstance(outcome.reply, Stream) and outcome.reply.place is not None:
            event = replace(event, place=outcome.reply.place)
        try:
            await self._sender.send(event, outcome.reply, outcome.words)
        except AttuneError as raised:
            error = raised
        except Exception:
            log.exception("An event could not be answered", extra={"kind": event.what.kind})
            error = AttuneError()
        if error is not None:
            text = _error_text(error, outcome.role, outcome.words)
            is_outdated = isinstance(error, Outdated)
            await self._sender.send_error(event, text, outcome.words, is_outdated=is_outdated)

    async def _request_for(self, event: Event, *, may_create: bool = True) -> Request:
        """Returns the event with its workspace, role, assistant and deployment from the store.

        Raises NotFound for an unknown workspace unless `may_create`.
        """
        place = event.place
        async with self._deps.store.reading() as records:
            request = await self._load_request(event, records)
        if request is None and may_create:
            await self._ensure_workspace(place.workspace)
            async with self._deps.store.reading() as records:
                request = await self._load_request(event, records)
        if request is None:
            raise NotFound(noun="workspace", name=place.workspace)
        return request

    async def _ensure_workspace(self, workspace: WorkspaceId) -> None:
        """Creates the workspace; concurrent events of the workspace share one creation."""
        store, hosts = self._deps.store, self._deps.hosts
        await self._workspace_creation.run(
            workspace, lambda: assistants.ensure_workspace(workspace, store=store, hosts=hosts)
        )

    async def _load_request(self, event: Event, records: Records) -> Request | None:
        """Returns the request, or None while the workspace or its assistant does not exist."""
        place = event.place
        workspace = await records.workspaces.find(place.workspace)
        answering = await _assistant_for(event, records)
        if workspace is None or answering is None:
            return None
        assistant, binding, deployment = answering
        words = _words(event, assistant.language or _language(event))
        user = event.user
        grant = await records.roles.get(workspace.id, user.id)
        if grant is not None and access.has_rejoined_since(grant, user):
            self._spawn(self._handle_event(person_left_event(event)), "event person_left")
        through: Role | None = None
        if user.groups:
            through = await records.roles.highest_group_role(workspace.id, user.groups)
        role = access.role_of(
            user,
            workspace=workspace,
            grant=grant,
            admins=self._deps.admins,
            through_groups=through or Role.STRANGER,
        )
        may_ask = role > Role.STRANGER or await records.guest_channels.allows(
            workspace.id, place.channel
        )
        return Request(
            event=event,
            workspace=workspace,
            role=role,
            words=words,
            now=self._deps.clock.now(),
            assistant=assistant,
            binding=binding,
            deployment=deployment,
            may_ask=may_ask,
        )

    async def _handle_event(self, event: Event) -> None:
        await self.handle(event)

    async def _reply(self, request: Request) -> Reply:
        request = self._as_command_or_question(request)
        match request.event.what:
            case CommandInvoked() as what:
                return await self._command(request, what)
            case ButtonClicked(action=name):
                action, argument = self._catalogue.find_button(name)
                return await self._run_action(action, replace(request, argument=argument))
            case FormSubmitted() as what:
                action, argument = self._catalogue.find_form(what.form)
                filled = replace(
                    request, argument=argument, options=what.values, attachment=what.attachment
                )
                return await self._run_action(action, filled)
            case ShortcutUsed(shortcut=shortcut, message=message):
                marked = replace(request, message=message)
                return await self._run_action(self._catalogue.find_shortcut(shortcut), marked)
            case ReactionChanged() as what:
                return await self._reaction(request, what)
            case MessageReceived() as what:
                return await self._question(request, what)
        return await self._run_action(self._event_handlers[request.event.what.kind], request)

    def _as_command_or_question(self, request: Request) -> Request:
        """Turns a message such as `@Attune tune help` into a command, and the reverse.

        Slash commands do not work everywhere, for example in Slack's threads. `tune my guitar` is
        a question, as no command begins with `my`.
        """
        what: EventContent = request.event.what
        match what:
            case CommandInvoked(words=words, said=Message() as text) if not self._is_command(words):
                what = MessageReceived(text, is_addressed=True)
            case MessageReceived(message=message):
                head, _, words = message.text.strip().partition(" ")
                is_slashed, is_plain = head.lower() == "/tune", head.lower() == "tune"
                if is_slashed or (is_plain and self._is_command(words)):
                    what = CommandInvoked(words, attachment=next(iter(message.files), None))
        return replace(request, event=replace(request.event, what=what))

    def _is_command(self, words: str) -> bool:
        """Whether the words are a command; a single word counts, as it may be a mistyped one."""
        return len(words.split()) < 2 or self._catalogue.has_command(words)

    async def _question(self, request: Request, what: MessageReceived) -> Reply:
        """Answers a question; refuses a stranger only if the message mentions the bot."""
        if not request.may_ask and not what.is_addressed:
            return NoReply()
        access.require_leave_to_ask(request.may_ask)
        self._deps.running_answers.register_current_task(request.event)
        await require_daily_budget(request, self._deps.store)
        return await self._run_action(self._event_handlers[what.kind], request)

    async def _command(self, request: Request, what: CommandInvoked) -> Reply:
        command, line = self._catalogue.find_command(what.words.strip() or "help")
        filled = replace(request, options=what.options, attachment=what.attachment)
        admitted = access.authorize_and_parse(command, filled, line)
        if command.costs_tokens:
            await require_daily_budget(request, self._deps.store)
        return await self._run_handler(command, admitted)

    async def _reaction(self, request: Request, what: ReactionChanged) -> Reply:
        action = self._reactions.get((what.emoji, what.is_removed))
        if action is None:
            return NoReply()
        surface = self._deps.surfaces.surface_of(request.workspace_id)
        message = await surface.fetch_message(request.place, what.message)
        return await self._run_action(action, replace(request, message=message))

    async def _run_action(self, action: Action | None, request: Request) -> Reply:
        """Runs an action after checking the role, which may have changed since the message."""
        if action is None:
            return NoReply()
        unstored = self._deps.running_answers.turn_stored_events
        if request.clicked_message and (stored := unstored.get(request.clicked_message)):
            await stored.wait()
        return await self._run_handler(action, access.authorize_and_parse(action, request))

    async def _run_handler(self, handler: Action | Command, request: Request) -> Reply:
        reply = await handler.run(request, self._deps)
        if not isinstance(reply, Drawn):
            return reply
        return await private_replies.as_private_reply(request, reply, self._deps)

    def _without_forbidden_buttons(self, request: Request, reply: Reply) -> Reply:
        """Removes buttons that the user may not click from a reply that only this user sees."""
        surface = self._deps.surfaces.surface_of(request.workspace_id)
        if not isinstance(surface, CanSendEphemeral | CanDirectMessage):
            return reply
        return private_replies.without_forbidden_buttons(reply, self._button_roles, request.role)

    def _with_form_link(self, request: Request, reply: Reply) -> Reply:
        """Replaces a form that is too large for the surface by a link to a page of the studio."""
        if not isinstance(reply, Form):
            return reply
        surface = self._deps.surfaces.surface_of(request.workspace_id)
        is_too_long = isinstance(surface, HasFormLimits) and not surface.can_hold_form(reply)
        return offer_form_link(request, reply, self._deps.links) if is_too_long else reply

    async def _mark_done(self, key: str) -> None:
        """Marks the event as done in the inbox; if that fails, the next start handles it again."""
        try:
            await self._inbox.mark_done(key)
        except Exception:
            log.exception("An event could not be put away")


def _deserialize(row: InboxRow) -> Event | None:
    """Returns the stored event, or None if an older version stored it in another form."""
    try:
        return from_json(row.payload)
    except ValueError:
        log.warning("A promised event cannot be read any more")
        return None


def _words(event: Event, language: str) -> Words:
    return Words(language, platform_of(event.place.workspace))


def _error_text(error: AttuneError, role: Role, words: Words) -> str:
    """Returns the error as text; only curators and above see a host's own message."""
    return (
        words.error_text(error)
        if role >= Role.CURATOR
        else words.error_text_without_host_message(error)
    )


def _is_handled(request: Request) -> bool:
    """Whether the event is handled; closed workspaces handle edits, deletions, joins and leaves."""
    is_open = request.workspace.closed_at is None or request.role is Role.OPERATOR
    return is_open or isinstance(
        request.event.what,
        MessagesDeleted
        | MessageEdited
        | PersonLeft
        | ChannelDeleted
        | WorkspaceJoined
        | WorkspaceLeft,
    )


async def _assistant_for(
    event: Event, records: Records
) -> tuple[Assistant, Binding | None, Deployment | None] | None:
    """Returns the assistant that the event names, else the one bound to its channel.

    In a direct message without a binding it is the assistant of the channel that the person has
    open beside the message. Raises NotFound for an unknown name.
    """
    workspace = event.place.workspace
    if event.assistant is None:
        answering = await records.assistants.answering_in(workspace, event.place.channel)
        is_bound = answering is not None and answering[1] is not None
        if event.looks_at is None or is_bound:
            return answering
        beside = await records.assistants.answering_in(workspace, event.looks_at)
        return answering if beside is None else (beside[0], None, beside[2])
    named = await records.assistants.find_by_name(workspace, event.assistant)
    if named is None:
        raise NotFound(noun="assistant", name=event.assistant)
    return named, None, await records.deployments.current(workspace, named.id)


async def _is_thread_of_bot(workspace: WorkspaceId, root: str, records: Records) -> bool:
    """Whether the thread's first message is a question to the bot or an answer of the bot."""
    answered = await records.turns.by_event(workspace, root)
    if answered is not None or await records.inbox.has_unfinished(workspace, root):
        return True
    _, channel, message = root.split("/", 2)
    turn = await records.turns.by_reply_message(workspace, ChannelId(channel), MessageId(message))
    return turn is not None


def _language(event: Event) -> str:
    """Returns the language of a question, else the locale of the event's user."""
    match event.what:
        case MessageReceived(message=message) if not message.text.startswith("tune "):
            return language_of(message.text, event.locale)
    return event.locale
