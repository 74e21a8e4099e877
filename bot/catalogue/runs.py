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
from bot.commands import Ask, Command
from bot.errors import BadInput, NotNow
from bot.events import Deleted, Edited, Joined, Spoken
from bot.model import LOCAL, ChannelKind, ExampleState, JobWish, Role, Said, WorkspaceId
from bot.ports.surface import CanSwitchWorkspace, Surface
from bot.ports.world import World
from bot.replies import Reply, Silence, Text
from bot.tuning import confirming, control, hosted, lineage

_PROBLEMS_WITH_ROOM = 500


async def welcome(ask: Ask, world: World) -> Reply:
    """A server is known by its name from now on."""
    what = ask.event.what
    if isinstance(what, Joined) and what.name:
        async with world.store.writing() as records:
            await records.workspaces.rename(ask.id, what.name)
    note = workspaces.waiting_note(ask.workspace, world.hosts, ask.words)
    return home.welcome(ask, note)


async def helped(ask: Ask, world: World, commands: Sequence[Command]) -> Reply:
    """In a direct message it begins with the workspace that answers there."""
    surface = world.surfaces.of(ask.id)
    note = None
    if isinstance(surface, CanSwitchWorkspace) and ask.place.kind is ChannelKind.DIRECT:
        note = await surface.workspace_note(ask.event)
    return await overview.helped(ask, commands, note)


async def teach_form(ask: Ask) -> Reply:
    return examples.teach_form(ask.words)


async def taught(ask: Ask, world: World) -> Reply:
    return await examples.teach(ask, store=world.store)


async def write(ask: Ask, world: World) -> Reply:
    return await examples.write(ask, store=world.store, links=world.links)


async def write_page(ask: Ask, world: World) -> Reply:
    return await examples.write_page(ask, store=world.store, links=world.links)


async def written(ask: Ask, world: World) -> Reply:
    return await examples.written(ask, store=world.store, links=world.links)


async def find_examples(ask: Ask, world: World) -> Reply:
    """`edit:` and `withdraw:` need a curator and stand alone, looking does not."""
    for name, change in {"edit": edit, "withdraw": withdraw}.items():
        number = ask.text(name)
        if number:
            _refuse_beside(ask, name)
            access.require(ask.role, Role.CURATOR, ask.words)
            return await change(replace(ask, argument=number), world)
    return await examples.listing(ask, store=world.store)


def _refuse_beside(ask: Ask, name: str) -> None:
    """Raises BadInput where another option would be passed over."""
    for other in ask.options:
        if other != name and ask.text(other):
            raise BadInput(problem=ask.words("option.not_both", one=name, other=other))


async def edit(ask: Ask, world: World) -> Reply:
    return await examples.edit_form(ask, store=world.store)


async def withdraw(ask: Ask, world: World) -> Reply:
    return await examples.withdraw(ask, store=world.store, surfaces=world.surfaces)


async def restore(ask: Ask, world: World) -> Reply:
    return await examples.undo(ask, store=world.store, surfaces=world.surfaces)


async def models(ask: Ask, world: World) -> Reply:
    """All of them, or where one of them comes from."""
    name = ask.argument or ask.text("lineage")
    if name:
        access.require(ask.role, Role.CURATOR, ask.words)
        return await lineage.of_model(ask, name, store=world.store)
    return await deployments.models(ask, store=world.store)


async def import_file(ask: Ask, world: World) -> Reply:
    named = ask.text("starter")
    if named and ask.attachment is not None:
        raise BadInput(problem=ask.words("option.not_both", one="starter", other="file"))
    if named:
        _refuse_beside(ask, "starter")
        return await starter(replace(ask, argument=named), world)
    if ask.attachment is None and ask.workspace.platform != "local":
        return datasets.import_form(ask.words)
    return await datasets.import_file(ask, store=world.store, surface=_holding(ask, world))


async def import_whole(ask: Ask, world: World) -> Reply:
    """With every refused row named, for a surface that has room for them."""
    return await datasets.import_file(
        ask, store=world.store, surface=_holding(ask, world), shown=_PROBLEMS_WITH_ROOM
    )


def _holding(ask: Ask, world: World) -> Surface:
    """Where the file lies: who runs the studio brings it into any workspace."""
    platform = ask.attachment.platform if ask.attachment else ""
    return world.surfaces.of(WorkspaceId(platform) if platform else ask.id)


async def starter(ask: Ask, world: World) -> Reply:
    return await datasets.import_starter(
        ask, ask.argument, starters=world.starters, store=world.store
    )


async def side_by_side(ask: Ask, world: World) -> Reply:
    return await comparison.side_by_side(
        ask, ask.options, store=world.store, hosts=world.hosts, clock=world.clock
    )


async def tour(ask: Ask, world: World) -> Reply:
    return await overview.tour(ask, store=world.store, starters=world.starters)


async def context(ask: Ask, world: World) -> Reply:
    surface = world.surfaces.of(ask.id)
    return await examples.context(ask, store=world.store, surface=surface)


async def judge(ask: Ask, world: World, state: ExampleState) -> Reply:
    return await examples.judge(ask, state, store=world.store, surfaces=world.surfaces)


async def review(ask: Ask, world: World) -> Reply:
    return await examples.review(ask, store=world.store, surfaces=world.surfaces)


async def skip(ask: Ask, world: World) -> Reply:
    return await examples.skip(ask, store=world.store, surfaces=world.surfaces)


async def confirm(ask: Ask, world: World, *, is_sure: bool = False) -> Reply:
    reply = await confirming.confirm(ask, store=world.store, is_sure=is_sure)
    world.wake()
    return reply


async def wish(ask: Ask, world: World, wanted: JobWish) -> Reply:
    reply = await control.wish(ask, wanted, store=world.store, hosts=world.hosts)
    world.wake()
    return reply


async def forget(ask: Ask, world: World) -> Reply:
    reply = await privacy.forget(ask, store=world.store, room=world.surfaces.of(LOCAL))
    world.wake()
    return reply


async def joined(ask: Ask, world: World) -> Reply:
    """Where the app was removed and comes again, everything is there."""
    await _removals(world).settle(ask.id)
    async with world.store.reading() as records:
        workspace = await records.workspaces.find(ask.id)
    if workspace is None or workspace.closed_at is not None:
        return Silence()
    return await welcome(ask, world)


async def left(ask: Ask, world: World) -> Reply:
    await _removals(world).report(ask.id)
    world.wake()
    return Silence()


async def show_closed(ask: Ask, world: World) -> Reply:
    return await removal.show(ask, store=world.store, erase_after=world.erase_after)


async def extend(ask: Ask, world: World) -> Reply:
    return await removal.extend(ask, store=world.store, erase_after=world.erase_after)


async def erase_workspace(ask: Ask, world: World) -> Reply:
    reply = await removal.erase_now(ask, store=world.store)
    world.wake()
    return reply


def _removals(world: World) -> removal.Removals:
    return removal.Removals(
        store=world.store,
        surfaces=world.surfaces,
        clock=world.clock,
        erase_after=world.erase_after,
    )


def marked(ask: Ask) -> Said:
    if ask.message is None:
        raise NotNow(problem=ask.words("message.gone"))
    return ask.message


async def propose(ask: Ask, world: World) -> Reply:
    if asks := await feedback.instead_of_refusal(ask, marked(ask).id, store=world.store):
        return asks
    surface = world.surfaces.of(ask.id)
    return await examples.propose(ask, marked(ask), store=world.store, surface=surface)


async def save_form(ask: Ask, message: Said, world: World) -> Reply:
    if asks := await feedback.instead_of_refusal(ask, message.id, store=world.store):
        return asks
    surface = world.surfaces.of(ask.id)
    return await examples.save_form(ask, message, store=world.store, surface=surface)


async def save_again(ask: Ask, world: World) -> Reply:
    message = await examples.named_message(ask, ask.argument, world.surfaces.of(ask.id))
    return await save_form(ask, message, world)


async def saved(ask: Ask, world: World) -> Reply:
    surface = world.surfaces.of(ask.id)
    return await examples.saved(ask, ask.options, store=world.store, surface=surface)


async def feedback_given(ask: Ask, world: World) -> Reply:
    surface = world.surfaces.of(ask.id)
    return await feedback.submitted(ask, ask.options, store=world.store, surface=surface)


async def approve(ask: Ask, world: World) -> Reply:
    if asks := await feedback.instead_of_refusal(ask, marked(ask).id, store=world.store):
        return asks
    surface = world.surfaces.of(ask.id)
    return await examples.approve_marked(ask, marked(ask), store=world.store, surface=surface)


async def stop(ask: Ask, world: World) -> Reply:
    message = ask.clicked
    if message is None:
        return Silence()
    return await chat.stop(ask, message, store=world.store, running=world.running)


async def answer(ask: Ask, world: World) -> Reply:
    what = ask.event.what
    if not isinstance(what, Spoken):
        return Silence()
    if not what.message.text.strip():
        return Text(ask.words("chat.empty"))
    return await chat.answer(
        ask,
        what.message,
        store=world.store,
        hosts=world.hosts,
        surface=world.surfaces.of(ask.id),
        clock=world.clock,
        running=world.running,
    )


async def source_edited(ask: Ask, world: World) -> Reply:
    what = ask.event.what
    if not isinstance(what, Edited):
        return Silence()
    gone = await examples.source_edited(
        ask, what.message, what.text, store=world.store, surface=world.surfaces.of(ask.id)
    )
    reply = await privacy.nothing_left(ask, gone, store=world.store)
    world.wake()
    return reply


async def place_deleted(ask: Ask, world: World) -> Reply:
    reply = await privacy.place_deleted(ask, store=world.store)
    world.wake()
    return reply


async def source_deleted(ask: Ask, world: World) -> Reply:
    what = ask.event.what
    if isinstance(what, Deleted):
        return await privacy.source_deleted(ask, what.messages, store=world.store)
    return Silence()


async def delete_model(ask: Ask, world: World) -> Reply:
    reply = await hosted.delete_model(ask, store=world.store, hosts=world.hosts)
    world.wake()
    return reply


async def delete_file(ask: Ask, world: World) -> Reply:
    reply = await hosted.delete_file(ask, store=world.store, hosts=world.hosts)
    world.wake()
    return reply
