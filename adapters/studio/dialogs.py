"""Dialogs, and handlers that outlive the button they began at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from nicegui import ui

Arguments = ParamSpec("Arguments")


@contextmanager
def open_dialog(props: str) -> Iterator[ui.dialog]:
    """A dialog in the page itself, opened at the end of the block and deleted once it is closed.

    NiceGUI draws an element inside the one whose handler runs: a dialog that a button of another
    dialog opens would be deleted together with that one.
    """
    with ui.context.client, ui.dialog().props(props) as dialog:
        yield dialog
    # After the handlers of the block: none is called on an element that was deleted.
    dialog.on("hide", dialog.delete)
    dialog.open()


def in_page(act: Callable[Arguments, Awaitable[None]]) -> Callable[Arguments, Awaitable[None]]:
    """A handler that draws into the page: a refresh may delete its button before it ends."""
    client = ui.context.client

    async def act_in_page(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        with client:
            await act(*args, **kwargs)

    return act_in_page


def close_then(
    dialog: ui.dialog, act: Callable[Arguments, Awaitable[None]]
) -> Callable[Arguments, Awaitable[None]]:
    """Closes the dialog, then acts in the page."""

    async def close_and_act(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        dialog.close()
        await act(*args, **kwargs)

    return in_page(close_and_act)
