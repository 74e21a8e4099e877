"""Forms on the console, which are filled in field by field and then submitted."""

from __future__ import annotations

from adapters.console.command_hints import LineError
from adapters.console.files import attachment_at
from adapters.plain_text import Say, draw_field, draw_form
from bot.domain import Attachment, Place
from bot.events import Event, FormSubmitted
from bot.replies import Field, FieldKind, Form


class OpenForm:
    """A form with the values that are filled in so far."""

    def __init__(self, form: Form, event: Event) -> None:
        self._form = form
        self._event = event
        self._values = {field.name: field.value for field in form.fields}
        self._attachment: Attachment | None = None

    @property
    def place(self) -> Place:
        return self._event.place

    @property
    def names(self) -> list[str]:
        return list(self._values)

    def draw(self, say: Say) -> str:
        return draw_form(self._form, self._values, say)

    def fill(self, name: str, text: str, say: Say) -> str:
        """Fills in a field and returns the field as text. Raises LineError."""
        field = self._field(name)
        value = _value(field, text)
        if field.kind is FieldKind.FILE:
            self._attachment = attachment_at(value)
            value = self._attachment.name
        self._values[field.name] = value
        return draw_field(field, value, say)

    def to_submission(self) -> FormSubmitted:
        """Returns the submission of the form. Raises LineError if a required field is empty."""
        missing = [
            field.name
            for field in self._form.fields
            if field.required and not self._values[field.name].strip()
        ]
        if missing:
            raise LineError("console.missing_fields", fields=", ".join(missing))
        return FormSubmitted(self._form.id, dict(self._values), self._attachment)

    def _field(self, name: str) -> Field:
        for field in self._form.fields:
            if field.name.casefold() == name.casefold():
                return field
        raise LineError("console.no_field", field=name, fields=", ".join(self._values))


def _value(field: Field, text: str) -> str:
    value = text.replace("\\n", "\n")
    if len(value) > field.max_length:
        raise LineError("console.too_long", field=field.name, most=field.max_length)
    if field.kind is FieldKind.CHOICES:
        return ",".join(_choice(field, choice) for choice in value.split(",") if choice.strip())
    return _choice(field, value) if field.choices else value


def _choice(field: Field, text: str) -> str:
    for value, label in field.choices:
        if text.strip().casefold() in (value.casefold(), label.casefold()):
            return value
    choices = ", ".join(value for value, _ in field.choices)
    raise LineError("console.no_choice", value=text, field=field.name, choices=choices)
