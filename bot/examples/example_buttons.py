"""Buttons of an example; their actions contain its id, revision and state when shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bot.domain import Example, ExampleId, ExampleState
from bot.replies import Button, Drawn, Listing
from bot.request import Request
from bot.words import Words

_DECIDING = re.compile(r"example\.(?:approve|reject|skip|drop|undo|write|mask|keep):((\d+)\S*)")


def example_state_token(example: Example) -> str:
    """Returns a token like `12.r3.proposed`, with which an outdated click is refused."""
    return f"{example.id}.r{example.revision}.{example.state}"


def is_unchanged_since_shown(request: Request, example: Example) -> bool:
    """Whether a clicked button shows the current revision and state; True for typed commands."""
    return not request.is_click or request.argument == example_state_token(example)


def is_repeated_decision(request: Request, example: Example, state: ExampleState) -> bool:
    """Whether the user made the same decision before, by a first click or before a crash."""
    is_same = is_shown_revision(request, example)
    return is_same and example.state is state and example.decided_by == request.user_id


def is_shown_revision(request: Request, example: Example) -> bool:
    """Whether the button shows the current revision."""
    return request.argument.startswith(f"{example.id}.r{example.revision}.")


def message_button(link: str | None, words: Words) -> tuple[Button, ...]:
    """Returns a link button to a message, if its platform has permalinks."""
    return (Button(words("button.open_message"), link=link),) if link else ()


def review_buttons(example: Example, words: Words) -> tuple[Button, ...]:
    return (
        *_approval_buttons(example, words),
        *masking_buttons(example, words),
        Button(
            words("button.reject"), f"example.reject:{example_state_token(example)}", is_danger=True
        ),
        Button(words("button.skip"), f"example.skip:{example_state_token(example)}"),
    )


def _approval_buttons(example: Example, words: Words) -> tuple[Button, ...]:
    """Returns the buttons to approve and edit; for a pointer the one to write its text."""
    if example.row is None:
        return (write_text_button(example.id, words),)
    return (
        Button(
            words("button.approve"),
            f"example.approve:{example_state_token(example)}",
            is_primary=True,
        ),
        Button(words("button.edit"), f"example.edit:{example.id}"),
    )


def masking_buttons(example: Example, words: Words) -> tuple[Button, ...]:
    """Returns the buttons to mask and, while undecided, to keep private text."""
    if not example.private_text:
        return ()
    mask = Button(words("button.mask"), f"example.mask:{example_state_token(example)}")
    keep = Button(words("button.keep_private"), f"example.keep:{example_state_token(example)}")
    return (mask, keep) if example.awaits_masking else (mask,)


def write_text_button(example: ExampleId, words: Words) -> Button:
    return Button(words("button.write"), f"example.write:{example}")


def examples_in_buttons(reply: Drawn) -> Mapping[ExampleId, str]:
    """Returns the examples of a message's decision buttons, each with the button's argument."""
    arguments: dict[ExampleId, str] = {}
    for button in _buttons(reply):
        if match := _DECIDING.fullmatch(button.action):
            arguments.setdefault(ExampleId(int(match[2])), match[1])
    return arguments


def _buttons(reply: Drawn) -> Iterator[Button]:
    if isinstance(reply, Listing):
        yield from (button for line in reply.lines for button in line.buttons)
    else:
        yield from reply.buttons
