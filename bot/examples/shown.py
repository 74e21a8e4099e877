"""What a button says of an example: its number, and the revision and state it was drawn for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bot.domain import Example, ExampleId, ExampleState
from bot.events import CommandInvoked, MessageReceived
from bot.replies import Button, Drawn, Listing
from bot.request import Request

_DECIDING = re.compile(r"example\.(?:approve|reject|skip|drop|undo|write):((\d+)\S*)")


def stamp(example: Example) -> str:
    """`12.r3.proposed`: a decision about this is refused once it is no longer so."""
    return f"{example.id}.r{example.revision}.{example.state}"


def is_as_shown(request: Request, example: Example) -> bool:
    """Who typed a command saw no card; a button is for the state that it was drawn for."""
    return not is_button(request) or request.argument == stamp(example)


def is_button(request: Request) -> bool:
    return not isinstance(request.event.what, CommandInvoked | MessageReceived)


def is_done_already(request: Request, example: Example, state: ExampleState) -> bool:
    """Whether the same person has decided the same, by a second click or before a crash."""
    is_same_text = request.argument.startswith(f"{example.id}.r{example.revision}.")
    return is_same_text and example.state is state and example.decided_by == request.by


def examples_on(reply: Drawn) -> Mapping[ExampleId, str]:
    """The examples that the buttons of a message decide about, as the buttons know them."""
    found: dict[ExampleId, str] = {}
    for button in _buttons(reply):
        if match := _DECIDING.fullmatch(button.action):
            found.setdefault(ExampleId(int(match[2])), match[1])
    return found


def _buttons(reply: Drawn) -> Iterator[Button]:
    if isinstance(reply, Listing):
        yield from (button for line in reply.lines for button in line.buttons)
    else:
        yield from reply.buttons
