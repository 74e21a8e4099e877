"""Roles over all that the catalogue holds: whoever is below one never reaches its handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bot.command_catalogue import CATALOGUE
from bot.commands import Action, Catalogue, Command, Handler
from bot.dispatch import Dispatch
from bot.domain import LOCAL, Message, MessageId, Place, Role, User, UserId
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    EventContent,
    FormSubmitted,
    ReactionChanged,
    ShortcutUsed,
)
from bot.ports.dependencies import Dependencies
from bot.replies import NoReply, Reply
from bot.request import Request
from tests.scene import GENERAL, Scene
from tests.stores import NOW

SAID = MessageId("1")
PEOPLE = {role: User(UserId(role.name), role.name) for role in Role} | {
    Role.STRANGER: User(UserId("guest"), "guest", is_guest=True),
    Role.OPERATOR: User(UserId("operator"), "operator", is_operator=True),
}


def recording(reached: list[str], name: str) -> Handler:
    async def run(request: Request, deps: Dependencies) -> Reply:
        reached.append(name)
        return NoReply()

    return run


def recorded(catalogue: Catalogue, reached: list[str]) -> Catalogue:
    """The catalogue with handlers that only note that they were reached."""

    def actions(kind: tuple[Action, ...]) -> tuple[Action, ...]:
        return tuple(replace(one, run=recording(reached, one.name)) for one in kind)

    return replace(
        catalogue,
        commands=tuple(replace(c, run=recording(reached, c.path)) for c in catalogue.commands),
        buttons=actions(catalogue.buttons),
        forms=actions(catalogue.forms),
        reactions=actions(catalogue.reactions),
        removed_reactions=actions(catalogue.removed_reactions),
        shortcuts=actions(catalogue.shortcuts),
    )


def ways() -> Iterator[tuple[Command | Action, Role, EventContent]]:
    """Each entry and each option with a role of its own: that role, and an event that wants it."""
    for command in CATALOGUE.commands:
        yield command, command.role, CommandInvoked(_line(command))
        for option in command.options:
            if option.required_role is not None:
                value = option.choices[0] if option.choices else "1"
                yield (
                    command,
                    option.required_role,
                    CommandInvoked(f"{command.path} {option.name}:{value}"),
                )
    said = Message(Place(LOCAL, GENERAL), SAID, PEOPLE[Role.MEMBER], "x", NOW)
    kinds: Sequence[tuple[Sequence[Action], Callable[[str], EventContent]]] = (
        (CATALOGUE.buttons, lambda name: ButtonClicked(f"{name}:1", SAID)),
        (CATALOGUE.forms, lambda name: FormSubmitted(f"{name}:1", {})),
        (CATALOGUE.reactions, lambda name: ReactionChanged(SAID, name)),
        (CATALOGUE.removed_reactions, lambda name: ReactionChanged(SAID, name, is_removed=True)),
        (CATALOGUE.shortcuts, lambda name: ShortcutUsed(name, said)),
    )
    for actions, event in kinds:
        yield from ((action, action.role, event(action.name)) for action in actions)


def _name(entry: Command | Action) -> str:
    return entry.path if isinstance(entry, Command) else entry.name


def _line(command: Command) -> str:
    needed = [f"{option.name}:1" for option in command.options if option.required]
    return " ".join([command.path, *needed])


async def let_in(scene: Scene) -> list[str]:
    """What is reached, from now on; everybody has the role that they are named after."""
    await scene.command("help")
    for role in (Role.CURATOR, Role.TRAINER, Role.ADMIN):
        await scene.grant(role.name, role)
    reached: list[str] = []
    usual = scene.app.dispatch
    recording_all = Dispatch(
        deps=usual._deps,
        catalogue=recorded(CATALOGUE, reached),
        answers=usual._answers,
        spawn=usual._spawn,
    )
    scene.app = replace(scene.app, dispatch=recording_all)
    return reached


async def test_who_is_below_a_role_reaches_no_handler(scene: Scene) -> None:
    reached = await let_in(scene)

    for number, (entry, needed, what) in enumerate(ways()):
        for role, person in PEOPLE.items():
            reached.clear()
            await scene.app.handle_for_page(scene.event(what, key=f"{number}.{role}", by=person))
            assert reached == ([_name(entry)] if role >= needed else []), (what, role)


async def test_what_is_for_pages_is_reached_from_no_chat(scene: Scene) -> None:
    reached = await let_in(scene)

    for number, (entry, _, what) in enumerate(ways()):
        if isinstance(entry, Action):
            reached.clear()
            await scene.handle(scene.event(what, key=f"e{number}", by=PEOPLE[Role.OPERATOR]))
            assert reached == ([] if entry.is_for_pages else [entry.name]), what
