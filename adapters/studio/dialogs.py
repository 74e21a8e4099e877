"""Dialogs, and handlers that still work after their button was deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from nicegui import ui

Arguments = ParamSpec("Arguments")


@contextmanager
def open_dialog(props: str) -> Iterator[ui.dialog]:
    """Creates a dialog, opens it at the end of the block, and deletes it once it is closed.

    NiceGUI adds elements to the parent of the element whose handler runs, so a dialog opened from
    another dialog would be deleted with that dialog; this one is added to the page itself.
    """
    with ui.context.client, ui.dialog().props(props) as dialog:
        yield dialog
    # Registered after the handlers of the block, so that none runs on a deleted element.
    dialog.on("hide", dialog.delete)
    dialog.open()


def in_page(act: Callable[Arguments, Awaitable[None]]) -> Callable[Arguments, Awaitable[None]]:
    """Returns a handler that runs in the page's context.

    A refresh may delete the handler's button before the handler ends.
    """
    client = ui.context.client

    async def act_in_page(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        with client:
            await act(*args, **kwargs)

    return act_in_page


def close_then(
    dialog: ui.dialog, act: Callable[Arguments, Awaitable[None]]
) -> Callable[Arguments, Awaitable[None]]:
    """Returns a handler that closes the dialog and then runs `act` in the page's context."""

    async def close_and_act(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        dialog.close()
        await act(*args, **kwargs)

    return in_page(close_and_act)
