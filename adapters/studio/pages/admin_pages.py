"""The administration pages: workspaces, assistants, hosts, roles, privacy, spending, audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from fastapi import Request
from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.dialogs import in_page
from adapters.studio.forms import open_form
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import (
    DIRECT,
    GENERAL,
    PEOPLE_FIELD_CLASS,
    PageSession,
    Studio,
    set_browser_cookie,
)
from adapters.studio.pages.list_controls import ListAddress, ListControls
from adapters.studio.shell import Page, draw_page, state_pill
from bot import events
from bot.domain import LOCAL, ChannelId, Place
from bot.replies import (
    Button,
    Card,
    Field,
    FieldKind,
    Form,
    Listing,
    ListingRow,
    Refused,
    Reply,
    Tone,
)

_ASSISTANT_OPTIONS = (
    "instructions",
    "base",
    "chat_host",
    "training_host",
    "language",
    "temperature",
    "max_tokens",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "stop",
    "history",
    "threads",
    "few_shot",
    "reviewers",
    "offer_after_examples",
    "offer_after_preferences",
    "judge_model",
    "judge_host",
    "judge_criteria",
)


# Prefixes of audit actions, for the filter.
AUDITED_SUBJECTS = ("example", "job", "model", "assistant", "role", "budget", "sources", "consent")


class AdminPage(Page):
    """A page that is made of replies of the app, and redrawn only when a reply has changed."""

    columns: ClassVar[Mapping[str, str]] = {}
    """Columns by which the first list can be sorted, with the keys of their labels."""

    def __init__(self, session: PageSession, request: Request) -> None:
        self.session = session
        self.actions = PageActions(session, self.refresh)
        self._controls = ListControls(session, request, self.columns)
        self._drawn_replies: list[Reply] = []

    def draw_top(self) -> None:
        """Draws the page's buttons at the right of the top bar."""

    def draw(self) -> None:
        self._controls.draw(self.relist)
        self._body = ui.element("div").classes("stack")

    async def relist(self) -> None:
        self._drawn_replies = []
        await self.refresh()

    async def load_replies(self) -> list[Reply]:
        """Returns the replies that the page is made of."""
        raise NotImplementedError

    def draw_reply(self, reply: Reply) -> None:
        if isinstance(reply, Card | Listing):
            reply_drawing.draw(reply, self.actions.click)
        elif isinstance(reply, Refused):
            ui.label(reply.text).classes("problem")

    async def refresh(self) -> None:
        replies = await self.load_replies()
        if replies == self._drawn_replies:
            return
        self._drawn_replies = replies
        self._body.clear()
        with self._body:
            for index, reply in enumerate(replies):
                if index == 0 and self.columns and isinstance(reply, Listing):
                    reply = self._filtered(reply)
                self.draw_reply(reply)

    def _filtered(self, listing: Listing) -> Listing:
        lines = tuple(self._controls.filter_and_sort(listing.lines))
        empty = self.session.translate("studio.nothing_found") if listing.lines else listing.empty
        return replace(listing, lines=lines, empty=empty)

    def button(
        self, key: str, icon: str, act: Callable[[], Awaitable[None]], *, is_primary: bool = True
    ) -> None:
        button = ui.button(self.session.translate(key), icon=icon, on_click=act)
        button.props("unelevated" if is_primary else "flat").mark(key.removeprefix("studio."))
        button.classes("only-icon-on-phones")


RunPage = type[AdminPage]


async def run_page(studio: Studio, request: Request, name: str, page: RunPage) -> None:
    await draw_page(studio, request, name, lambda session: page(session, request))


class Workspaces(AdminPage):
    """The served workspaces, one of which is selected for the other pages."""

    columns: ClassVar[Mapping[str, str]] = {"text": "studio.name"}

    async def load_replies(self) -> list[Reply]:
        return [await self.session.query_button("workspaces")]

    def draw_reply(self, reply: Reply) -> None:
        if not isinstance(reply, Listing):
            super().draw_reply(reply)
            return
        with ui.element("section").classes("card plain"), ui.element("ul").classes("lines"):
            for line in reply.lines:
                self._draw_workspace(line)

    def _draw_workspace(self, line: ListingRow) -> None:
        def switch() -> None:
            set_browser_cookie("assistant", "")
            set_browser_cookie("workspace", line.id)
            ui.navigate.reload()

        with ui.element("li").classes("line-row"):
            with ui.element("div").classes("line-body"):
                ui.label(line.text).classes("choice-title")
                ui.label(line.note).classes("problem" if line.tone is Tone.BAD else "fine")
            for button in line.buttons:
                self._draw_action(button)
            if line.id == self.session.workspace:
                state_pill(self.session.translate("studio.here"), Tone.GOOD)
            else:
                ui.button(self.session.translate("studio.switch"), on_click=switch).props(
                    "outline dense"
                )

    def _draw_action(self, button: Button) -> None:
        @in_page
        async def act() -> None:
            await self.actions.click(button.action)
            await self.refresh()

        drawn = ui.button(button.label, on_click=act).mark(button.action.partition(":")[0])
        drawn.props("unelevated dense" if button.is_primary else "flat dense")


class Assistants(AdminPage):
    """The assistants with their settings and their channels."""

    columns: ClassVar[Mapping[str, str]] = {"text": "studio.name", "note": "fact.model"}

    def draw_top(self) -> None:
        self.button("studio.bind", "tag", self._bind, is_primary=False)
        self.button("studio.new_assistant", "add", self._create)

    async def load_replies(self) -> list[Reply]:
        return [
            await self.session.query_command("assistant list"),
            await self.session.query_button("bindings"),
        ]

    def draw_reply(self, reply: Reply) -> None:
        if isinstance(reply, Listing) and reply.lines and reply.lines[0].id.isdecimal():
            with ui.element("section").classes("card plain"), ui.element("ul").classes("lines"):
                for line in reply.lines:
                    self._draw_assistant(line)
        else:
            super().draw_reply(reply)

    def _draw_assistant(self, line: ListingRow) -> None:
        say, name = self.session.translate, line.text

        @in_page
        async def show() -> None:
            await self.actions.run("assistant show", {"name": name})

        @in_page
        async def edit() -> None:
            await self._edit(name)

        def work() -> None:
            set_browser_cookie("assistant", name)
            ui.navigate.to("/examples")

        with ui.element("li").classes("line-row"):
            with ui.element("div").classes("line-body"):
                ui.label(name).classes("choice-title")
                ui.label(line.note).classes("fine")
            with ui.element("div").classes("line-buttons"):
                ui.button(say("studio.show"), on_click=show).props("outline dense").mark("show")
                ui.button(say("button.edit"), on_click=edit).props("outline dense").mark("edit")
                ui.button(say("studio.work_with"), on_click=work).props("flat dense")

    async def _edit(self, name: str) -> None:
        card = await self.session.query_command("assistant show", {"name": name})
        facts = reply_drawing.facts_by_name(card) if isinstance(card, Card) else {}
        none = self.session.translate("none")
        values = {name: facts.get(name, "") for name in _ASSISTANT_OPTIONS}
        values |= {"history": "", "language": ""}
        if values["instructions"] == none:
            values["instructions"] = ""
        self.actions.fill_in(
            "assistant edit",
            title=self.session.translate("assistant.title", name=name),
            names=_ASSISTANT_OPTIONS,
            values=values,
            choices=await self._hosts(),
            fixed={"name": name},
        )

    async def _create(self) -> None:
        self.actions.fill_in(
            "assistant create",
            title=self.session.translate("studio.new_assistant"),
            names=("name", *_ASSISTANT_OPTIONS),
            choices=await self._hosts(),
        )

    async def _hosts(self) -> Mapping[str, Mapping[str, str]]:
        listing = await self.session.query_button("hosts")
        hosts = {line.id: line.id for line in listing.lines} if isinstance(listing, Listing) else {}
        return {"chat_host": hosts, "training_host": hosts}

    async def _bind(self) -> None:
        say = self.session.translate
        listing = await self.session.query_command("assistant list")
        names = [line.text for line in listing.lines] if isinstance(listing, Listing) else []
        form = Form(
            "bind",
            say("studio.bind"),
            (
                Field(
                    "name",
                    say("noun.assistant").capitalize(),
                    FieldKind.CHOICE,
                    names[0] if names else "",
                    choices=tuple((name, name) for name in names),
                ),
                await self._channel(),
                Field("always", say("option.always"), FieldKind.TOGGLE, required=False),
            ),
            say("example.save"),
        )

        async def submit(values: Mapping[str, str]) -> str:
            options = {"name": values["name"], "always": values["always"]}
            channel = ChannelId(values["channel"].strip().lstrip("#"))
            what = events.CommandInvoked("assistant bind", options)
            reply = await self.session.ask(what, Place(self.session.workspace, channel))
            if isinstance(reply, Refused):
                return reply.text
            await self.actions.show(reply)
            return ""

        open_form(self.session, form, submit)

    async def _channel(self) -> Field:
        """Returns the field for a channel: a choice for the local room, else a text field.

        The platform checks a typed channel.
        """
        label = self.session.translate("studio.channel")
        if self.session.workspace != LOCAL:
            return Field("channel", label)
        channels = await self.session.studio.room.channels()
        names = dict.fromkeys([GENERAL, *(name for name in channels if name != DIRECT)])
        choices = tuple((name, name) for name in names)
        return Field("channel", label, FieldKind.CHOICE, GENERAL, choices=choices)


class TeachNext(AdminPage):
    """Groups of similar questions without a good answer, each of which can be answered here."""

    columns: ClassVar[Mapping[str, str]] = {"text": "part.question", "count": "unanswered.count"}

    async def load_replies(self) -> list[Reply]:
        return [await self.session.query_command("assistant teach-next")]


class Hosts(AdminPage):
    """The hosts that answer and train, each with a connection test."""

    columns: ClassVar[Mapping[str, str]] = {"id": "studio.name"}

    async def load_replies(self) -> list[Reply]:
        return [await self.session.query_button("hosts"), await self.session.query_button("engine")]


class Roles(AdminPage):
    """The roles of people."""

    columns: ClassVar[Mapping[str, str]] = {"id": "studio.person", "text": "studio.role"}

    def draw_top(self) -> None:
        self.button("studio.grant", "person_add", self._grant)

    async def load_replies(self) -> list[Reply]:
        return [await self.session.query_command("admin roles")]

    async def _grant(self) -> None:
        self.actions.fill_in(
            "admin roles", title=self.session.translate("studio.grant"), names=("user", "role")
        )


class Privacy(AdminPage):
    """The permitted sources of training data, and the consents of people."""

    columns: ClassVar[Mapping[str, str]] = {
        "id": "studio.person",
        "text": "fact.state",
        "note": "fact.date",
    }

    def draw_top(self) -> None:
        self.button("studio.change_sources", "verified_user", self._change)

    async def load_replies(self) -> list[Reply]:
        return [await self.session.query_button("consents")]

    async def _change(self) -> None:
        await self.actions.run("admin sources")


class Spending(AdminPage):
    """The tokens used today, and their limits."""

    def draw_top(self) -> None:
        self.button("studio.set_caps", "savings", self._cap)

    async def load_replies(self) -> list[Reply]:
        return [await self.session.query_command("admin budget")]

    async def _cap(self) -> None:
        self.actions.fill_in(
            "admin budget",
            title=self.session.translate("studio.set_caps"),
            names=("person", "workspace"),
        )


class Audit(AdminPage):
    """The audit log with its filters and its export."""

    def __init__(self, session: PageSession, request: Request) -> None:
        super().__init__(session, request)
        self._address = ListAddress(request, {"what": AUDITED_SUBJECTS, "user": None})

    def draw_top(self) -> None:
        self.button("studio.export", "download", self._export, is_primary=False)

    async def _export(self) -> None:
        what = events.FormSubmitted("audit.export", self._address.values)
        await self.actions.show(await self.session.ask(what))

    def draw(self) -> None:
        with ui.element("div").classes("bar"):
            say = self.session.translate
            offered = {"": say("studio.any")} | {
                name: say(f"studio.audit.{name}") for name in AUDITED_SUBJECTS
            }
            what = ui.select(offered, label=say("studio.what"), value=self._address.get("what"))
            what.on_value_change(self._address.field_handler("what", self.refresh))
            what.props("outlined dense").classes("narrow").mark("what")
            who = ui.input(say("studio.person"), value=self._address.get("user"))
            who.on_value_change(self._address.field_handler("user", self.refresh))
            who.props("outlined dense debounce=250 clearable")
            who.classes(f"narrow {PEOPLE_FIELD_CLASS}").mark("user")
        super().draw()

    async def load_replies(self) -> list[Reply]:
        return [
            await self.session.query_command(
                "admin audit", {**self._address.values, "limit": "200"}
            )
        ]


ADMIN_PAGES: Mapping[str, RunPage] = {
    "teach-next": TeachNext,
    "workspaces": Workspaces,
    "assistants": Assistants,
    "hosts": Hosts,
    "roles": Roles,
    "privacy": Privacy,
    "spending": Spending,
    "audit": Audit,
}
