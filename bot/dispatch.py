"""The pipeline of an event: drop duplicates and stale ones, authorise, check caps, run, reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot import access, assistants, sharing, workspaces
from bot.commands import Action, Catalogue
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
from bot.errors import AttuneError, NotFound, Outdated, PlaceClosed
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    Event,
    FormSubmitted,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    PersonLeft,
    PlaceDeleted,
    ReactionChanged,
    ShortcutUsed,
    What,
    WorkspaceJoined,
    WorkspaceLeft,
    from_json,
    person_left_event,
)
from bot.form_links import offer_form_link
from bot.inbox_writer import AdmissionGate, InboxWriter, Spawn
from bot.keyed_order import KeyedOrder, QueueTicket
from bot.ports.dependencies import Dependencies, ProgressCallback
from bot.ports.store import Records
from bot.ports.surface import (
    CanReach,
    CanResume,
    CanSendEphemeral,
    HasFormLimits,
    Surface,
)
from bot.references import resolve_names
from bot.replies import (
    Form,
    NoReply,
    Refused,
    Reply,
    Stream,
)
from bot.reply_sender import ReplySender
from bot.request import Request
from bot.running_answers import RunningAnswers
from bot.single_flight import SingleFlight
from bot.startup_warmup import warm_up
from bot.words import Words, language_of

log = logging.getLogger(__name__)

_FRESH_FOR = timedelta(minutes=10)
_TRIES = 8  # attempts after which an event is given up, as it may bring the process down itself


_NOTHING = NoReply()
_ANSWERED = (MessageReceived, MessageEdited, ButtonClicked, CommandInvoked)
"""What a model may answer."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an event, and how the one it came from is spoken to."""

    words: Words
    role: Role
    reply: Reply = _NOTHING
    error: AttuneError | None = None


class Dispatch:
    """Stores each event in the inbox, then handles it in a task of its own."""

    def __init__(
        self, *, deps: Dependencies, catalogue: Catalogue, answers: RunningAnswers, spawn: Spawn
    ) -> None:
        self._deps = deps
        self._catalogue = catalogue
        self._event_handlers = {one.name: one for one in catalogue.event_handlers}
        self._button_roles = {one.name: one.role for one in catalogue.buttons}
        self._reactions = {
            **{(one.name, False): one for one in catalogue.reactions},
            **{(one.name, True): one for one in catalogue.unreactions},
        }
        self._answers = answers
        self._spawn = spawn
        self._inbox = InboxWriter(deps.store, deps.clock, spawn)
        self._gate = AdmissionGate()
        self._sender = ReplySender(deps=deps, answers=answers, inbox=self._inbox)
        self._order, self._telling = KeyedOrder(), KeyedOrder()
        self._settling: SingleFlight[None] = SingleFlight()

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        """Once this returns the platform may be acknowledged."""
        ticket, at = self._order.enqueue(event.ordering_keys), self._inbox.next_arrival_time()
        is_kept = False
        try:
            if event.user.is_bot or not await self._concerns_us(event, ticket):
                return None
            is_kept = await self._inbox.store_event(event, at)
        finally:
            if not is_kept:
                ticket.leave()
        if not is_kept:
            return None
        return self._spawn(
            self._in_turn(ticket, partial(self._run, event, ticket)), f"event {event.what.kind}"
        )

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        """The reply itself, for a page to draw; nothing is posted, an error comes as `Refused`."""
        ticket, at = self._order.enqueue(event.ordering_keys), self._inbox.next_arrival_time()
        is_kept = False
        try:
            if not await self._is_served(event.place):
                return await self._told(event)
            is_kept = not event.user.is_bot and await self._inbox.store_event(event, at)
        finally:
            if not is_kept:
                ticket.leave()
        if not is_kept:
            return NoReply()
        told: list[Reply] = []

        async def run() -> None:
            told.append(await self._told(event, progress))
            await self._finish(event.key)
            self._deps.publish_change(event.what.kind)

        # Waited for, not awaited: a page that closes must not cancel what it asked for.
        work = self._in_turn(ticket, run)
        await asyncio.wait({self._spawn(work, f"question {event.what.kind}")})
        return told[0] if told else NoReply()

    async def _in_turn(self, ticket: QueueTicket, work: Callable[[], Awaitable[None]]) -> None:
        """The work of an event, after that of those before it about the same message."""
        try:
            await ticket.wait_turn()
            await work()
        finally:
            ticket.leave()

    async def query(self, event: Event) -> Reply:
        """As `handle_for_page`, for what changes nothing: nothing is stored or published."""
        return await self._told(event)

    async def warm_up(self) -> None:
        """Makes ready what a first question needs, and leaves no trace."""
        deps = self._deps
        await warm_up(store=deps.store, hosts=deps.hosts, clock=deps.clock)

    async def backlog(self) -> Sequence[tuple[InboxRow, Event | None, QueueTicket]]:
        """Unfinished events of an earlier run; to be read before anything new comes in.

        Each has its place already before everything that comes later about the same message.
        """
        found: list[tuple[InboxRow, Event | None, QueueTicket]] = []
        last = None
        while page := await self._unfinished(after=last):
            for row in page:
                event = _read(row)
                found.append(
                    (row, event, self._order.enqueue(event.ordering_keys if event else ()))
                )
            last = page[-1].received_at, page[-1].key
        return found

    async def recover(
        self, backlog: Sequence[tuple[InboxRow, Event | None, QueueTicket]] | None = None
    ) -> None:
        """Handles unfinished events of an earlier run; drops questions older than ten minutes."""
        for row, event, ticket in await self.backlog() if backlog is None else backlog:
            if event is None:
                await self._finish(row.key)
            if event is None or not await self._is_taken_up(row, event):
                ticket.leave()
                continue
            self._resume(event, has_begun=row.has_begun)
            work = self._in_turn(ticket, partial(self._run, event, ticket))
            self._spawn(work, f"event {event.what.kind} again")

    async def _unfinished(self, *, after: tuple[datetime, str] | None) -> Sequence[InboxRow]:
        async with self._deps.store.reading() as records:
            return await records.inbox.list_unfinished(after=after)

    async def _is_taken_up(self, row: InboxRow, event: Event) -> bool:
        """Whether an event of an earlier run is worked on once more; counts the attempt."""
        is_stale = row.received_at + _FRESH_FOR < self._deps.clock.now()
        if row.attempts >= _TRIES or (is_stale and isinstance(event.what, MessageReceived)):
            await self._finish(row.key)
            return False
        if not self._is_on(event):
            return False
        async with self._deps.store.writing() as records:
            await records.inbox.retry(row.key)
        return True

    def _is_on(self, event: Event) -> bool:
        """Whether anybody could be answered; a platform that is off may be on at the next start."""
        return self._surface_of(event) is not None

    def _resume(self, event: Event, *, has_begun: bool) -> None:
        surface = self._deps.surfaces.of(event.place.workspace)
        if isinstance(surface, CanResume):
            surface.resume(event, has_begun=has_begun)

    async def _concerns_us(self, event: Event, ticket: QueueTicket) -> bool:
        """What is not meant for us leaves no trace, not even in the inbox."""
        match event.what:
            case ReactionChanged(emoji=emoji, is_removed=is_removed):
                return (emoji, is_removed) in self._reactions
            case MessageReceived(is_addressed=False):
                return await self._is_answered_unasked(event)
            case MessageEdited(message=message):
                # A mark that is still worked on may make an example of it.
                return not ticket.is_first or await self._is_followed(event.place, message)
            case WorkspaceLeft():
                return await self._is_served(event.place)
        return True

    async def _is_answered_unasked(self, event: Event) -> bool:
        place = event.place
        async with self._deps.store.reading() as records:
            binding = await records.assistants.binding(place.workspace, place.channel)
            if binding is not None and binding.answers_unasked:
                return True
            # A thread that began with a question to us goes on with it.
            root = event.root_key
            return root is not None and await _is_ours(place.workspace, root, records)

    async def _told(self, event: Event, progress: ProgressCallback | None = None) -> Reply:
        """What `handle_for_page` and `query` give back; here too errors become words."""
        words, role = _words(event, _language(event)), Role.STRANGER
        try:
            # A workspace begins with what a platform sends, never with what an address names.
            is_ours = event.place.workspace == LOCAL
            request = await self._request_for(event, may_create=is_ours)
            request = replace(request, progress=progress, is_page=True)
            words, role = request.words, request.role
            if not _is_heard(request):
                access.refuse_closed_workspace(request.workspace, words)
            reply = await self._reply(request)
        except AttuneError as error:
            reply = Refused(_explained(error, role, words))
        except Exception:
            log.exception("A question could not be handled", extra={"kind": event.what.kind})
            reply = Refused(words.error(AttuneError()))
        finally:
            self._answers.leave()
        return await resolve_names(reply, event.place, self._surface_of(event), is_page=True)

    def _surface_of(self, event: Event) -> Surface | None:
        """None where its platform is off."""
        try:
            return self._deps.surfaces.of(event.place.workspace)
        except PlaceClosed:
            return None

    async def _is_served(self, place: Place) -> bool:
        if place.workspace == LOCAL:
            return True
        async with self._deps.store.reading() as records:
            return await records.workspaces.find(place.workspace) is not None

    async def _is_followed(self, place: Place, message: MessageId) -> bool:
        """Whether it went into an example, or is a question that was answered."""
        at = place.workspace, place.channel
        async with self._deps.store.reading() as records:
            if await records.turns.by_question(*at, message) is not None:
                return True
            return bool(await records.example_messages.examples(*at, [message]))

    async def _run(self, event: Event, ticket: QueueTicket) -> None:
        """What comes later about the same message waits for the effect, not until it is told.

        A platform may let us whisper once a second; an answer is written while it is told.
        """
        if isinstance(event.what, _ANSWERED):
            await self._answers.until_stopped(self._answer(event, ticket))
        else:
            await self._answer(event, ticket)
        await self._finish(event.key)
        self._deps.publish_change(event.what.kind)

    async def _answer(self, event: Event, ticket: QueueTicket) -> None:
        outcome = await self._outcome(event)
        if isinstance(outcome.reply, Stream):
            await self._tell(event, outcome)
        else:
            telling = self._telling.enqueue(event.ordering_keys)
            ticket.leave()
            await self._in_turn(telling, partial(self._tell, event, outcome))

    async def _outcome(self, event: Event) -> _Outcome:
        words, role = _words(event, _language(event)), Role.STRANGER
        try:
            await self._gate.wait()
            request = await self._request_for(event)
            if not _is_heard(request):
                await workspaces.check_reinstallation(request.workspace_id, self._deps)
                request = await self._request_for(event)
            words, role = request.words, request.role
            if not _is_heard(request):
                return _Outcome(words, role)
            reply = self._pressable(request, await self._reply(request))
            return _Outcome(words, role, self._fitting(request, reply))
        except AttuneError as error:
            return _Outcome(words, role, error=error)
        except Exception:
            log.exception("An event could not be handled", extra={"kind": event.what.kind})
            return _Outcome(words, role, error=AttuneError())

    async def _tell(self, event: Event, outcome: _Outcome) -> None:
        """Errors become words for the place where they happened."""
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
            said = _explained(error, outcome.role, outcome.words)
            is_outdated = isinstance(error, Outdated)
            await self._sender.send_error(event, said, outcome.words, is_outdated=is_outdated)

    async def _request_for(self, event: Event, *, may_create: bool = True) -> Request:
        """What one look at the store says about an event."""
        place = event.place
        async with self._deps.store.reading() as records:
            request = await self._known(event, records)
        if request is None and may_create:
            await self._ensure_workspace(place.workspace)
            async with self._deps.store.reading() as records:
                request = await self._known(event, records)
        if request is None:
            raise NotFound(noun="workspace", name=place.workspace)
        return request

    async def _ensure_workspace(self, workspace: WorkspaceId) -> None:
        """Creates the workspace; events that arrive together wait for one creation."""
        store, hosts = self._deps.store, self._deps.hosts
        await self._settling.run(
            workspace, lambda: assistants.ensure_workspace(workspace, store=store, hosts=hosts)
        )

    async def _known(self, event: Event, records: Records) -> Request | None:
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
            self._spawn(self._pass_on(person_left_event(event)), "event person_left")
        through = await records.roles.highest(workspace.id, user.groups) if user.groups else None
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

    async def _pass_on(self, event: Event) -> None:
        await self.handle(event)

    async def _reply(self, request: Request) -> Reply:
        request = self._as_meant(request)
        match request.event.what:
            case CommandInvoked() as what:
                return await self._command(request, what)
            case ButtonClicked(action=name):
                action, argument = self._catalogue.find_button(name)
                return await self._act(action, replace(request, argument=argument))
            case FormSubmitted() as what:
                action, argument = self._catalogue.form(what.form)
                filled = replace(
                    request, argument=argument, options=what.values, attachment=what.attachment
                )
                return await self._act(action, filled)
            case ShortcutUsed(shortcut=shortcut, message=message):
                marked = replace(request, message=message)
                return await self._act(self._catalogue.shortcut(shortcut), marked)
            case ReactionChanged() as what:
                return await self._reaction(request, what)
            case MessageReceived() as what:
                return await self._question(request, what)
        return await self._act(self._event_handlers[request.event.what.kind], request)

    def _as_meant(self, request: Request) -> Request:
        """`@Attune tune …` says the same words where slash commands cannot go.

        `tune my guitar` is a question: nothing of ours begins with `my`.
        """
        what = request.event.what
        meant: What = what
        match what:
            case CommandInvoked(words=words, said=Message() as said) if not self._is_ours(words):
                meant = MessageReceived(said, is_addressed=True)
            case MessageReceived(message=message):
                head, _, words = message.text.strip().partition(" ")
                is_slashed, is_plain = head.lower() == "/tune", head.lower() == "tune"
                if is_slashed or (is_plain and self._is_ours(words)):
                    meant = CommandInvoked(words, attachment=next(iter(message.files), None))
        return replace(request, event=replace(request.event, what=meant))

    def _is_ours(self, words: str) -> bool:
        """One word alone may be a command that somebody has mistyped."""
        return len(words.split()) < 2 or self._catalogue.has_command(words)

    async def _question(self, request: Request, what: MessageReceived) -> Reply:
        """Strangers who may not ask hear so only where they turned to us."""
        if not request.may_ask and not what.is_addressed:
            return NoReply()
        access.require_leave_to_ask(request.may_ask)
        self._deps.running_answers.begin(request.event)
        await self._within_caps(request)
        return await self._act(self._event_handlers[what.kind], request)

    async def _within_caps(self, request: Request) -> None:
        """What costs tokens is refused once today's are spent."""
        if request.workspace.person_cap is None and request.workspace.workspace_cap is None:
            return
        async with self._deps.store.reading() as records:
            spent = await records.daily_tokens.spent(
                request.workspace_id, request.user_id, request.now.date()
            )
        access.require_within_caps(request.workspace, spent, request.words)

    async def _command(self, request: Request, what: CommandInvoked) -> Reply:
        command, line = self._catalogue.find_command(what.words.strip() or "help")
        filled = replace(request, options=what.options, attachment=what.attachment)
        admitted = access.authorize_and_parse(command, filled, line)
        if command.costs_tokens:
            await self._within_caps(request)
        reply = await command.run(admitted, self._deps)
        return await sharing.as_private_reply(request, reply, self._deps)

    async def _reaction(self, request: Request, what: ReactionChanged) -> Reply:
        action = self._reactions.get((what.emoji, what.is_removed))
        if action is None:
            return NoReply()
        surface = self._deps.surfaces.of(request.workspace_id)
        message = await surface.fetch(request.place, what.message)
        return await self._act(action, replace(request, message=message))

    async def _act(self, action: Action | None, request: Request) -> Reply:
        """Roles are checked on every click, whoever could see the button."""
        if action is None:
            return NoReply()
        if request.clicked_message and (
            stored := self._deps.running_answers.unstored.get(request.clicked_message)
        ):
            await stored.wait()
        reply = await action.run(access.authorize_and_parse(action, request), self._deps)
        return await sharing.as_private_reply(request, reply, self._deps)

    def _pressable(self, request: Request, reply: Reply) -> Reply:
        """What one person alone is shown has no button that this person may not press."""
        if not isinstance(
            self._deps.surfaces.of(request.workspace_id), CanSendEphemeral | CanReach
        ):
            return reply
        return sharing.without_forbidden_buttons(reply, self._button_roles, request.role)

    def _fitting(self, request: Request, reply: Reply) -> Reply:
        """What a form of the surface cannot hold is filled in on a page of ours."""
        if not isinstance(reply, Form):
            return reply
        surface = self._deps.surfaces.of(request.workspace_id)
        is_too_long = isinstance(surface, HasFormLimits) and not surface.can_hold_form(reply)
        return offer_form_link(request, reply, self._deps.links) if is_too_long else reply

    async def _finish(self, key: str) -> None:
        """Ends the event in the inbox; where that fails, the next start tries again."""
        try:
            await self._inbox.end(key)
        except Exception:
            log.exception("An event could not be put away")


def _read(row: InboxRow) -> Event | None:
    """The stored event; None if an older version wrote it in another form."""
    try:
        return from_json(row.payload)
    except ValueError:
        log.warning("A promised event cannot be read any more")
        return None


def _words(event: Event, language: str) -> Words:
    return Words(language, event.place.workspace.partition(":")[0])


def _explained(error: AttuneError, role: Role, words: Words) -> str:
    """What a host said in its own words is for curators and the operator."""
    return words.error(error) if role >= Role.CURATOR else words.error_without_host_words(error)


def _is_heard(request: Request) -> bool:
    """In a closed workspace nobody is answered, yet what people delete is deleted here too."""
    is_open = request.workspace.closed_at is None or request.role is Role.OPERATOR
    return is_open or isinstance(
        request.event.what,
        MessagesDeleted
        | MessageEdited
        | PersonLeft
        | PlaceDeleted
        | WorkspaceJoined
        | WorkspaceLeft,
    )


async def _assistant_for(
    event: Event, records: Records
) -> tuple[Assistant, Binding | None, Deployment | None] | None:
    """The assistant that the event names, else the one of its channel; raises NotFound.

    In a direct message that has none of its own, that of the channel beside it.
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


async def _is_ours(workspace: WorkspaceId, root: str, records: Records) -> bool:
    """A question that was answered or waits for its answer, or an answer of ours."""
    answered = await records.turns.by_event(workspace, root)
    if answered is not None or await records.inbox.has_unfinished(workspace, root):
        return True
    _, channel, message = root.split("/", 2)
    at = ChannelId(channel), MessageId(message)
    return await records.turns.by_message(workspace, *at) is not None


def _language(event: Event) -> str:
    """A question is answered in the language that it is asked in, whoever reads along."""
    match event.what:
        case MessageReceived(message=asked) if not asked.text.startswith("tune "):
            return language_of(asked.text, event.locale)
    return event.locale
