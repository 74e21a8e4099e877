"""From a word or a click to its use-case, with the ports that one needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot import (
    access,
    chat,
    comparison,
    datasets,
    deployments,
    examples,
    feedback,
    home,
    overview,
    privacy,
    removal,
    workspaces,
)
from bot.commands import Command
from bot.domain import LOCAL, ChannelKind, ExampleState, Message, RequestedAction, Role, WorkspaceId
from bot.errors import BadInput, NotNow
from bot.events import MessageEdited, MessageReceived, MessagesDeleted, WorkspaceJoined
from bot.ports.dependencies import Dependencies
from bot.ports.surface import CanSwitchWorkspace, Surface
from bot.replies import NoReply, Reply, Text
from bot.request import Request
from bot.tuning import confirmation, control, host_resources, lineage

_PROBLEMS_WITH_ROOM = 500


async def welcome(ask: Request, deps: Dependencies) -> Reply:
    """A server is known by its name from now on."""
    what = ask.event.what
    if isinstance(what, WorkspaceJoined) and what.name:
        async with deps.store.writing() as records:
            await records.workspaces.rename(ask.id, what.name)
    note = workspaces.waiting_note(ask.workspace, deps.hosts, ask.words)
    return home.welcome(ask, note)


async def helped(ask: Request, deps: Dependencies, commands: Sequence[Command]) -> Reply:
    """In a direct message it begins with the workspace that answers there."""
    surface = deps.surfaces.of(ask.id)
    note = None
    if isinstance(surface, CanSwitchWorkspace) and ask.place.kind is ChannelKind.DIRECT:
        note = await surface.workspace_note(ask.event)
    return await overview.helped(ask, commands, note)


async def teach_form(ask: Request) -> Reply:
    return examples.teach_form(ask.words)


async def taught(ask: Request, deps: Dependencies) -> Reply:
    return await examples.teach(ask, store=deps.store)


async def write(ask: Request, deps: Dependencies) -> Reply:
    return await examples.write(ask, store=deps.store, links=deps.links)


async def write_page(ask: Request, deps: Dependencies) -> Reply:
    return await examples.write_page(ask, store=deps.store, links=deps.links)


async def written(ask: Request, deps: Dependencies) -> Reply:
    return await examples.written(ask, store=deps.store, links=deps.links)


async def find_examples(ask: Request, deps: Dependencies) -> Reply:
    """`edit:` and `withdraw:` need a curator and stand alone, looking does not."""
    for name, change in {"edit": edit, "withdraw": withdraw}.items():
        number = ask.text(name)
        if number:
            _refuse_beside(ask, name)
            access.require(ask.role, Role.CURATOR, ask.words)
            return await change(replace(ask, argument=number), deps)
    return await examples.listing(ask, store=deps.store)


def _refuse_beside(ask: Request, name: str) -> None:
    """Raises BadInput where another option would be passed over."""
    for other in ask.options:
        if other != name and ask.text(other):
            raise BadInput(problem=ask.words("option.not_both", one=name, other=other))


async def edit(ask: Request, deps: Dependencies) -> Reply:
    return await examples.edit_form(ask, store=deps.store)


async def withdraw(ask: Request, deps: Dependencies) -> Reply:
    return await examples.withdraw(ask, store=deps.store, surfaces=deps.surfaces)


async def restore(ask: Request, deps: Dependencies) -> Reply:
    return await examples.undo(ask, store=deps.store, surfaces=deps.surfaces)


async def models(ask: Request, deps: Dependencies) -> Reply:
    """All of them, or where one of them comes from."""
    name = ask.argument or ask.text("lineage")
    if name:
        access.require(ask.role, Role.CURATOR, ask.words)
        return await lineage.of_model(ask, name, store=deps.store)
    return await deployments.models(ask, store=deps.store)


async def import_file(ask: Request, deps: Dependencies) -> Reply:
    named = ask.text("starter")
    if named and ask.attachment is not None:
        raise BadInput(problem=ask.words("option.not_both", one="starter", other="file"))
    if named:
        _refuse_beside(ask, "starter")
        return await starter(replace(ask, argument=named), deps)
    if ask.attachment is None and ask.workspace.platform != "local":
        return datasets.import_form(ask.words)
    return await datasets.import_file(ask, store=deps.store, surface=_holding(ask, deps))


async def import_whole(ask: Request, deps: Dependencies) -> Reply:
    """With every refused row named, for a surface that has room for them."""
    return await datasets.import_file(
        ask, store=deps.store, surface=_holding(ask, deps), shown=_PROBLEMS_WITH_ROOM
    )


def _holding(ask: Request, deps: Dependencies) -> Surface:
    """Where the file lies: who runs the studio brings it into any workspace."""
    platform = ask.attachment.platform if ask.attachment else ""
    return deps.surfaces.of(WorkspaceId(platform) if platform else ask.id)


async def starter(ask: Request, deps: Dependencies) -> Reply:
    return await datasets.import_starter(
        ask, ask.argument, starters=deps.starters, store=deps.store
    )


async def side_by_side(ask: Request, deps: Dependencies) -> Reply:
    return await comparison.side_by_side(ask, ask.options, deps)


async def tour(ask: Request, deps: Dependencies) -> Reply:
    return await overview.tour(ask, store=deps.store, starters=deps.starters)


async def context(ask: Request, deps: Dependencies) -> Reply:
    surface = deps.surfaces.of(ask.id)
    return await examples.context(ask, store=deps.store, surface=surface)


async def judge(ask: Request, deps: Dependencies, state: ExampleState) -> Reply:
    return await examples.judge(ask, state, store=deps.store, surfaces=deps.surfaces)


async def review(ask: Request, deps: Dependencies) -> Reply:
    return await examples.review(ask, store=deps.store, surfaces=deps.surfaces)


async def skip(ask: Request, deps: Dependencies) -> Reply:
    return await examples.skip(ask, store=deps.store, surfaces=deps.surfaces)


async def confirm(ask: Request, deps: Dependencies, *, is_sure: bool = False) -> Reply:
    reply = await confirmation.confirm(ask, store=deps.store, is_sure=is_sure)
    deps.wake()
    return reply


async def requested_action(ask: Request, deps: Dependencies, wanted: RequestedAction) -> Reply:
    reply = await control.requested_action(ask, wanted, store=deps.store, hosts=deps.hosts)
    deps.wake()
    return reply


async def forget(ask: Request, deps: Dependencies) -> Reply:
    reply = await privacy.forget(ask, store=deps.store, room=deps.surfaces.of(LOCAL))
    deps.wake()
    return reply


async def joined(ask: Request, deps: Dependencies) -> Reply:
    """Where the app was removed and comes again, everything is there."""
    await _removals(deps).settle(ask.id)
    async with deps.store.reading() as records:
        workspace = await records.workspaces.find(ask.id)
    if workspace is None or workspace.closed_at is not None:
        return NoReply()
    return await welcome(ask, deps)


async def left(ask: Request, deps: Dependencies) -> Reply:
    await _removals(deps).report(ask.id)
    deps.wake()
    return NoReply()


async def show_closed(ask: Request, deps: Dependencies) -> Reply:
    return await removal.show(ask, store=deps.store, erase_after=deps.erase_after)


async def extend(ask: Request, deps: Dependencies) -> Reply:
    return await removal.extend(ask, store=deps.store, erase_after=deps.erase_after)


async def erase_workspace(ask: Request, deps: Dependencies) -> Reply:
    reply = await removal.erase_now(ask, store=deps.store)
    deps.wake()
    return reply


def _removals(deps: Dependencies) -> removal.Removals:
    return removal.Removals(
        store=deps.store,
        surfaces=deps.surfaces,
        clock=deps.clock,
        erase_after=deps.erase_after,
    )


def marked(ask: Request) -> Message:
    if ask.message is None:
        raise NotNow(problem=ask.words("message.gone"))
    return ask.message


async def propose(ask: Request, deps: Dependencies) -> Reply:
    if asks := await feedback.instead_of_refusal(ask, marked(ask).id, store=deps.store):
        return asks
    surface = deps.surfaces.of(ask.id)
    return await examples.propose(ask, marked(ask), store=deps.store, surface=surface)


async def save_form(ask: Request, message: Message, deps: Dependencies) -> Reply:
    if asks := await feedback.instead_of_refusal(ask, message.id, store=deps.store):
        return asks
    surface = deps.surfaces.of(ask.id)
    return await examples.save_form(ask, message, store=deps.store, surface=surface)


async def save_again(ask: Request, deps: Dependencies) -> Reply:
    message = await examples.named_message(ask, ask.argument, deps.surfaces.of(ask.id))
    return await save_form(ask, message, deps)


async def saved(ask: Request, deps: Dependencies) -> Reply:
    surface = deps.surfaces.of(ask.id)
    return await examples.saved(ask, ask.options, store=deps.store, surface=surface)


async def feedback_given(ask: Request, deps: Dependencies) -> Reply:
    surface = deps.surfaces.of(ask.id)
    return await feedback.submitted(ask, ask.options, store=deps.store, surface=surface)


async def approve(ask: Request, deps: Dependencies) -> Reply:
    if asks := await feedback.instead_of_refusal(ask, marked(ask).id, store=deps.store):
        return asks
    surface = deps.surfaces.of(ask.id)
    return await examples.approve_marked(ask, marked(ask), store=deps.store, surface=surface)


async def stop(ask: Request, deps: Dependencies) -> Reply:
    message = ask.clicked
    if message is None:
        return NoReply()
    return await chat.stop(ask, message, store=deps.store, running=deps.running)


async def answer(ask: Request, deps: Dependencies) -> Reply:
    what = ask.event.what
    if not isinstance(what, MessageReceived):
        return NoReply()
    if not what.message.text.strip():
        return Text(ask.words("chat.empty"))
    return await chat.answer(
        ask,
        what.message,
        store=deps.store,
        hosts=deps.hosts,
        surface=deps.surfaces.of(ask.id),
        clock=deps.clock,
        running=deps.running,
        tokens=deps.tokens,
    )


async def source_edited(ask: Request, deps: Dependencies) -> Reply:
    what = ask.event.what
    if not isinstance(what, MessageEdited):
        return NoReply()
    gone = await examples.source_edited(
        ask, what.message, what.text, store=deps.store, surface=deps.surfaces.of(ask.id)
    )
    reply = await privacy.nothing_left(ask, gone, store=deps.store)
    deps.wake()
    return reply


async def place_deleted(ask: Request, deps: Dependencies) -> Reply:
    reply = await privacy.place_deleted(ask, store=deps.store)
    deps.wake()
    return reply


async def source_deleted(ask: Request, deps: Dependencies) -> Reply:
    what = ask.event.what
    if isinstance(what, MessagesDeleted):
        return await privacy.source_deleted(ask, what.messages, store=deps.store)
    return NoReply()


async def delete_model(ask: Request, deps: Dependencies) -> Reply:
    reply = await host_resources.delete_model(ask, store=deps.store, hosts=deps.hosts)
    deps.wake()
    return reply


async def delete_file(ask: Request, deps: Dependencies) -> Reply:
    reply = await host_resources.delete_file(ask, store=deps.store, hosts=deps.hosts)
    deps.wake()
    return reply
