"""Forms as dialogs, which stay open with the typed values if the submission is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.value_element import ValueElement

from adapters.studio.dialogs import in_page, open_dialog
from adapters.studio.page_session import PEOPLE_FIELD_CLASS, PageSession
from adapters.studio.safe_html import quoted_prop
from bot.replies import Field, FieldKind, Form

_PERSON_FIELDS = ("user", "person")

# Submits the values; returns an error text, or "" if the form may close.
SubmitForm = Callable[[Mapping[str, str]], Awaitable[str]]


def open_form(session: PageSession, form: Form, submit: SubmitForm) -> None:
    """Opens a form as a dialog, which closes when `submit` returns "".

    Forms with a file field are not supported: the room opens the import dialog instead.
    """
    _FormDialog(session, form, submit).open()


class _FormDialog:
    def __init__(self, session: PageSession, form: Form, submit: SubmitForm) -> None:
        self._session = session
        self._form = form
        self._submit = submit
        self._inputs: dict[str, ValueElement[Any]] = {}

    def open(self) -> None:
        with (
            open_dialog('aria-labelledby="form-title"') as dialog,
            ui.card().classes("form-card"),
        ):
            self._dialog = dialog
            ui.label(self._form.title).classes("form-title").props(
                "id=form-title role=heading aria-level=2"
            )
            if self._form.note:
                ui.label(self._form.note).classes("fine")
            for index, field in enumerate(self._form.fields):
                self._draw(field, is_first=index == 0)
            self._problem = ui.label().classes("problem").props("role=alert")
            self._problem.set_visibility(False)
            with ui.row().classes("form-buttons"):
                ui.button(self._session.translate("studio.cancel"), on_click=self._close).props(
                    "flat"
                )
                self._button = ui.button(
                    self._form.submit_label, on_click=in_page(self._submit_values)
                )
                self._button.props("unelevated").mark("form-submit")
            dialog.on("keydown.enter.ctrl", in_page(self._submit_values))
            dialog.on("keydown.enter.meta", in_page(self._submit_values))

    def _draw(self, field: Field, *, is_first: bool) -> None:
        element = _element(field)
        element.classes("w-full").mark(f"field-{field.name}")
        if is_first:
            element.props("autofocus")
        if field.hint:
            element.props(f"hint={quoted_prop(field.hint)}")
        self._inputs[field.name] = element

    def _close(self) -> None:
        self._dialog.close()

    async def _submit_values(self) -> None:
        values = {name: _as_text(element.value) for name, element in self._inputs.items()}
        required = (field for field in self._form.fields if field.required)
        missing = [field.label for field in required if not values[field.name].strip()]
        if missing:
            self._show_problem(
                self._session.translate("console.missing_fields", fields=", ".join(missing))
            )
            return
        self._button.props("loading")
        try:
            problem = await self._submit(values)
        finally:
            self._button.props(remove="loading")
        if problem:
            self._show_problem(problem)
        else:
            self._dialog.close()

    def _show_problem(self, problem: str) -> None:
        self._problem.set_text(problem)
        self._problem.set_visibility(True)


def _element(field: Field) -> ValueElement[Any]:
    match field.kind:
        case FieldKind.TEXT:
            area = ui.textarea(field.label, value=field.value)
            return area.props(f"outlined autogrow maxlength={max(field.max_length, 20_000)}")
        case FieldKind.CHOICE:
            choices = dict(field.choices)
            value = field.value if field.value in choices else None
            chosen = ui.select(choices, label=field.label, value=value)
            return chosen.props("outlined" if field.required else "outlined clearable")
        case FieldKind.CHOICES:
            several = ui.select(
                dict(field.choices),
                label=field.label,
                value=[choice for choice in field.value.split(",") if choice],
                multiple=True,
            )
            return several.props("outlined use-chips")
        case FieldKind.TOGGLE:
            return ui.switch(field.label, value=field.value == "yes")
        case _:
            line = ui.input(field.label, value=field.value)
            if field.name in _PERSON_FIELDS:
                line.classes(PEOPLE_FIELD_CLASS)
            return line.props(f"outlined maxlength={field.max_length}")


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
