"""Runs buttons and commands of a page and shows the reply: a form, file, dialog or note."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.dialogs import close_then, open_dialog
from adapters.studio.downloads import start_download
from adapters.studio.forms import open_form
from adapters.studio.notifications import notify_reply
from adapters.studio.page_session import PageSession
from adapters.studio.safe_html import quoted_prop
from bot import events
from bot.commands import Command, Option
from bot.replies import Card, Document, Field, FieldKind, Form, Listing, Refused, Reply

_MULTILINE = frozenset({"instructions"})
# Greater limits are technical, so the hint of a field omits them.
_MAX_SHOWN = 1_000_000


class PageActions:
    """Runs buttons and commands for a page, and calls `refresh` afterwards."""

    def __init__(self, session: PageSession, refresh: Callable[[], Awaitable[None]]) -> None:
        self._session = session
        self._refresh = refresh

    async def click(self, action: str) -> None:
        await self.show(await self._session.click(action))

    async def run(self, words: str, options: Mapping[str, str] | None = None) -> None:
        await self.show(await self._session.command(words, options))

    async def show(self, reply: Reply) -> None:
        """Shows a reply according to its type, then refreshes the page.

        Forms and cards with buttons refresh it only after the next action.
        """
        match reply:
            case Form():
                self._open(reply)
                return
            case Document():
                path = await self._session.studio.room.write_file(reply)
                start_download(path, reply.name)
            case Card() if reply.buttons and not reply.replaces:
                self._show_dialog(reply)
                return
            case Card() if reply.columns or reply.facts:
                self._show_dialog(reply)
            case Listing():
                self._show_dialog(reply)
            case _:
                self.tell(reply)
        await self._refresh()

    def tell(self, reply: Reply) -> bool:
        """Shows a note with the reply and its undo button; returns False if it is a refusal."""
        return notify_reply(reply, self.click)

    def fill_in(
        self,
        path: str,
        *,
        title: str,
        names: Sequence[str],
        values: Mapping[str, str] | None = None,
        choices: Mapping[str, Mapping[str, str]] | None = None,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """Opens a dialog with options of a command; `fixed` options are sent but not shown."""
        say = self._session.translate
        options = {option.name: option for option in self._command(path).options}
        fields = tuple(
            _field(
                options[name], say(f"option.{name}"), (values or {}).get(name, ""), choices or {}
            )
            for name in names
        )
        form = Form(path, title, fields, say("example.save"))

        async def submit(submitted: Mapping[str, str]) -> str:
            old = values or {}
            changed = {name: text for name, text in submitted.items() if text != old.get(name, "")}
            reply = await self._session.command(path, {**(fixed or {}), **changed})
            return await self._finish(reply)

        open_form(self._session, form, submit)

    def _command(self, path: str) -> Command:
        return next(c for c in self._session.studio.catalogue.commands if c.path == path)

    def _open(self, form: Form) -> None:
        async def submit(values: Mapping[str, str]) -> str:
            what = events.FormSubmitted(form.id, values)
            return await self._finish(await self._session.ask(what))

        open_form(self._session, form, submit)

    async def _finish(self, reply: Reply) -> str:
        if isinstance(reply, Refused):
            return reply.text
        await self.show(reply)
        return ""

    def _show_dialog(self, reply: Card | Listing) -> None:
        """Shows a card or listing in a dialog above the page."""
        with (
            open_dialog(f"aria-label={quoted_prop(reply.title)}") as dialog,
            ui.element("div").classes("asking"),
        ):
            reply_drawing.draw(reply, close_then(dialog, self.click))


def _field(
    option: Option, label: str, value: str, choices: Mapping[str, Mapping[str, str]]
) -> Field:
    text = option.name.replace("_", " ").capitalize()
    about = f"{label[:1].upper()}{label[1:]}"
    offered = choices.get(option.name) or {choice: choice for choice in option.choices}
    if offered:
        listed = tuple(offered.items())
        return Field(
            option.name,
            text,
            FieldKind.CHOICE,
            value,
            hint=about,
            choices=listed,
            required=option.required,
        )
    kind = FieldKind.TEXT if option.name in _MULTILINE else FieldKind.LINE
    if option.minimum is not None and option.maximum is not None and option.maximum < _MAX_SHOWN:
        about = f"{about} ({option.minimum:g} … {option.maximum:g})"
    return Field(option.name, text, kind, value, hint=about, required=option.required)
