"""Draws replies as messages with embeds, buttons and modals; pure functions.

Text of the core is escaped, so that nothing in it is markup; only a model's answer is markdown.
Mentions ping only the people in `Payload.pings`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from adapters.discord.api_port import File, Json
from adapters.discord.text_escaping import (
    MAX_TEXT_LENGTH,
    escape,
    sanitize,
    shorten,
    split_for_inputs,
)
from adapters.discord.wire_names import (
    FIRST_MESSAGE_SEPARATOR,
    INPUT_NUMBER_SEPARATOR,
    SELECT_MENU_ID,
)
from adapters.message_splitting import split_messages, utf16_length
from adapters.plain_text import progress_bar, reply_text
from bot.domain import MessageId
from bot.mentions_and_times import with_names_for_references
from bot.replies import (
    Button,
    Card,
    Column,
    Drawn,
    Fact,
    Field,
    FieldKind,
    Form,
    Listing,
    ListingRow,
    Text,
    Tone,
)

NO_MENTIONS: Json = {"parse": [], "replied_user": False}
EPHEMERAL_FLAG, SILENT_FLAG, NO_EMBEDS_FLAG = 1 << 6, 1 << 12, 1 << 2

# https://docs.discord.com/developers/resources/message#embed-object-embed-limits
_TITLE_LENGTH, _DESCRIPTION_LENGTH, _FOOTER_LENGTH, _EMBEDS_LENGTH = 256, 4096, 2048, 5800
_FIELD_NAME_LENGTH, _FIELD_LENGTH, _MAX_FIELDS = 256, 1024, 25
# https://docs.discord.com/developers/components/reference
_LABEL_LENGTH, _ROW_BUTTONS, _MAX_ROWS, _MAX_OPTIONS, _ACTION_LENGTH = 80, 5, 5, 25, 100
_MODAL_TITLE_LENGTH, _INPUT_LENGTH, _INPUT_LABEL_LENGTH, _HINT_LENGTH = 45, 4000, 45, 100
_MAX_MODAL_PARTS = 5
_MAX_BUTTONS, _MAX_PINGED = 10, 20
_COLOURS = {
    Tone.PLAIN: 0x64748B,
    Tone.GOOD: 0x10B981,
    Tone.BAD: 0xEF4444,
    Tone.BUSY: 0x2563EB,
}
_PRIMARY, _SECONDARY, _DANGER, _LINK = 1, 2, 4, 5
_CHART = "chart.png"
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters, which a modal may return changed."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The content of a message; an edit removes what is empty here."""

    content: str = ""
    embeds: tuple[Json, ...] = ()
    components: tuple[Json, ...] = ()
    files: tuple[File, ...] = field(default=(), repr=False)
    flags: int = 0
    pings: tuple[str, ...] = ()
    """Ids of the users that the message pings."""

    def body(self, *, flags: int = 0) -> Json:
        """Returns the body of a request that posts or edits the message."""
        body: Json = {
            "content": self.content,
            "embeds": list(self.embeds),
            "components": list(self.components),
            "allowed_mentions": {**NO_MENTIONS, "users": list(self.pings)}
            if self.pings
            else NO_MENTIONS,
        }
        if self.flags | flags:
            body["flags"] = self.flags | flags
        if self.files:
            body["attachments"] = [
                {"id": str(number), "filename": file.name, "description": file.description[:1024]}
                for number, file in enumerate(self.files)
            ]
        return body


def reply_payloads(reply: Drawn, picture: bytes | None = None) -> list[Payload]:
    """Returns the messages of a reply, several if Discord's limits are too small for one."""
    first, *more = _payloads(reply, picture)
    return [_with_pings(first, reply), *more]


def _with_pings(payload: Payload, reply: Drawn) -> Payload:
    """Puts the mentions in front of the text: Discord pings only people whom it mentions."""
    pings = () if isinstance(reply, Listing) else reply.pings[:_MAX_PINGED]
    mentions = " ".join(f"<@{user}>" for user in pings if user.isdecimal())
    if not mentions:
        return payload
    content = f"{mentions} {payload.content}".strip()[:MAX_TEXT_LENGTH]
    return replace(payload, content=content, pings=tuple(filter(str.isdecimal, pings)))


def _payloads(reply: Drawn, picture: bytes | None) -> list[Payload]:
    match reply:
        case Text():
            texts = list(split_messages(escape(reply.text) or "–", MAX_TEXT_LENGTH))
            last = Payload(texts[-1], (), _button_rows(reply.buttons), flags=NO_EMBEDS_FLAG)
            return [*(Payload(text, flags=NO_EMBEDS_FLAG) for text in texts[:-1]), last]
        case Card():
            return _card(reply, picture)
        case Listing():
            return _listing(reply)
        case _:
            assert_never(reply)


def plain_reply_payloads(reply: Drawn) -> list[Payload]:
    """Returns a reply as plain text, for channels without the permission to embed links."""
    texts = list(split_messages(escape(reply_text(reply)) or "–", MAX_TEXT_LENGTH))
    with_embeds = reply_payloads(reply)
    last = Payload(texts[-1], (), with_embeds[-1].components, flags=NO_EMBEDS_FLAG)
    first, *more = [*(Payload(text, flags=NO_EMBEDS_FLAG) for text in texts[:-1]), last]
    return [_with_pings(first, reply), *more]


def answer_payload(
    text: str, buttons: Sequence[Button] = (), first: MessageId | None = None
) -> Payload:
    """Returns a part of a model's answer.

    `first` is the answer's first message, which identifies it.
    """
    actions = buttons
    if first is not None:
        actions = [
            replace(button, action=f"{button.action}{FIRST_MESSAGE_SEPARATOR}{first}")
            for button in buttons
        ]
    return Payload(sanitize(text), (), _button_rows(actions), flags=NO_EMBEDS_FLAG)


def differs_from_posted(posted: Json, payload: Payload) -> bool:
    """Whether the message found under a nonce differs from the payload.

    Embeds that are missing altogether do not count.
    """
    if str(posted.get("content") or "").strip() != payload.content.strip():
        return True
    titles = [embed.get("title") for embed in posted.get("embeds") or ()]
    texts = [embed.get("description") for embed in posted.get("embeds") or ()]
    if not titles and payload.embeds:
        return False
    expected = [(embed.get("title"), embed.get("description")) for embed in payload.embeds]
    return list(zip(titles, texts, strict=True)) != expected


def post_nonce(key: str) -> str:
    """Returns the nonce of a post, at most 25 characters, from the key of the post."""
    return hashlib.blake2b(key.encode(), digest_size=12).hexdigest()


def to_modal(form: Form) -> Json:
    """Returns a form as a modal; the submission has the same `custom_id`."""
    parts = [part for form_field in form.fields for part in _inputs(form_field)]
    note = _note(form.note) if form.note and len(parts) < _MAX_MODAL_PARTS else ()
    return {
        "custom_id": form.id[:_ACTION_LENGTH],
        "title": shorten(sanitize(form.title) or "–", _MODAL_TITLE_LENGTH),
        "components": [*note, *parts][:_MAX_MODAL_PARTS],
    }


def fits_in_modal(form: Form) -> bool:
    """Whether a form can show every value whole, and Discord returns each one unchanged."""
    parts = [part for form_field in form.fields for part in _inputs(form_field)]
    return len(parts) <= _MAX_MODAL_PARTS and all(map(_fits_field, form.fields))


def _fits_field(form_field: Field) -> bool:
    if form_field.kind in (FieldKind.CHOICE, FieldKind.CHOICES):
        return len(form_field.choices) <= _MAX_OPTIONS
    is_split = form_field.kind is FieldKind.TEXT
    most = min(form_field.max_length, _INPUT_LENGTH)
    return (
        (is_split or utf16_length(form_field.value) <= most)
        and not _CONTROL_CHARACTERS.search(form_field.value)
        and split_for_inputs(form_field.value, _INPUT_LENGTH) is not None
    )


def _card(card: Card, picture: bytes | None) -> list[Payload]:
    lines = list(card.lines)
    if card.progress:
        lines.append(progress_bar(card.progress))
    facts = [_fact(fact) for fact in card.facts]
    if all(utf16_length(escape(column.text)) <= _FIELD_LENGTH for column in card.columns):
        facts += [_column(column) for column in card.columns]
    else:
        # A column that is too long for an embed field goes to the description.
        lines += [f"{_column_title(column)}\n{column.text}" for column in card.columns]
    embeds = list(_embeds(card.title, "\n".join(lines), facts, _COLOURS[card.tone]))
    files: tuple[File, ...] = ()
    if card.chart is not None and card.chart.summary:
        embeds[-1]["footer"] = {"text": shorten(sanitize(card.chart.summary), _FOOTER_LENGTH)}
    if card.chart is not None and picture is not None:
        embeds[-1]["image"] = {"url": f"attachment://{_CHART}"}
        files = (File(_CHART, picture, "image/png", card.chart.summary),)
    return _messages(embeds, _button_rows(card.buttons), files)


def _listing(listing: Listing) -> list[Payload]:
    text = "\n".join(_line(line) for line in listing.lines) or escape(listing.empty)
    embeds = list(_embeds(listing.title, text, [], _COLOURS[Tone.PLAIN], is_escaped=True))
    if listing.note:
        embeds[-1]["footer"] = {"text": shorten(sanitize(listing.note), _FOOTER_LENGTH)}
    return _messages(embeds, _listing_rows(listing), ())


def _messages(embeds: list[Json], rows: tuple[Json, ...], files: tuple[File, ...]) -> list[Payload]:
    """Packs embeds into messages within the limits of ten embeds and of the sum of characters."""
    packed: list[list[Json]] = [[]]
    remaining = _EMBEDS_LENGTH
    for embed in embeds:
        size = _size(embed)
        if packed[-1] and (size > remaining or len(packed[-1]) == 10):
            packed.append([])
            remaining = _EMBEDS_LENGTH
        packed[-1].append(embed)
        remaining -= size
    last = Payload("", tuple(packed[-1]), rows, files)
    return [*(Payload("", tuple(group)) for group in packed[:-1]), last]


def _embeds(
    title: str, text: str, facts: list[Json], colour: int, *, is_escaped: bool = False
) -> Iterator[Json]:
    """Yields the embeds of a text; a title that is too long is repeated in full in the text."""
    description = text if is_escaped else escape(text)
    heading = escape(with_names_for_references(title))
    if utf16_length(heading) > _TITLE_LENGTH:
        description = f"{escape(title)}\n{description}"
    bodies = [
        part for part in split_messages(description, _DESCRIPTION_LENGTH) if part.strip()
    ] or [""]
    for number, body in enumerate(bodies):
        embed: Json = {"color": colour}
        if number == 0:
            embed["title"] = shorten(heading or "–", _TITLE_LENGTH)
        if body:
            embed["description"] = body
        if number == len(bodies) - 1 and facts:
            embed["fields"] = facts[:_MAX_FIELDS]
        yield embed
    for start in range(_MAX_FIELDS, len(facts), _MAX_FIELDS):
        yield {"color": colour, "fields": facts[start : start + _MAX_FIELDS]}


def _size(embed: Json) -> int:
    texts = [embed.get("title", ""), embed.get("description", "")]
    texts += [embed.get("footer", {}).get("text", "")]
    texts += [one[name] for one in embed.get("fields", ()) for name in ("name", "value")]
    return sum(utf16_length(text) for text in texts) + _FOOTER_LENGTH // 10


def _fact(fact: Fact) -> Json:
    value = shorten(escape(fact.value) or "–", _FIELD_LENGTH)
    return {
        "name": shorten(escape(with_names_for_references(fact.label)) or "–", _FIELD_NAME_LENGTH),
        "value": value,
        "inline": True,
    }


def _column(column: Column) -> Json:
    title = shorten(
        escape(with_names_for_references(_column_title(column))) or "–", _FIELD_NAME_LENGTH
    )
    return {"name": title, "value": escape(column.text) or "–", "inline": False}


def _column_title(column: Column) -> str:
    return f"{column.title} ({column.note})" if column.note else column.title


def _line(line: ListingRow) -> str:
    text = escape(line.text if line.id in ("", line.text) else f"{line.id}  {line.text}")
    return f"{text}\n-# {escape(line.note)}" if line.note else text


def _button_rows(buttons: Sequence[Button]) -> tuple[Json, ...]:
    """Returns buttons as rows; a custom_id may be used only once in a message."""
    by_id = {button.action or button.link: button for button in buttons}
    drawn = [_button(button) for button in by_id.values()][: _ROW_BUTTONS * _MAX_ROWS]
    starts = range(0, len(drawn), _ROW_BUTTONS)
    return tuple(_row(drawn[start : start + _ROW_BUTTONS]) for start in starts)


def _row(components: list[Json]) -> Json:
    return {"type": 1, "components": components}


def _button(button: Button) -> Json:
    label = shorten(sanitize(button.label).strip() or "–", _LABEL_LENGTH)
    if button.link:
        return {"type": 2, "style": _LINK, "label": label, "url": button.link}
    style = _DANGER if button.is_danger else _PRIMARY if button.is_primary else _SECONDARY
    return {"type": 2, "style": style, "label": label, "custom_id": button.action[:_ACTION_LENGTH]}


def _listing_rows(listing: Listing) -> tuple[Json, ...]:
    """Returns up to ten buttons of the rows below a list, more of them as select menus."""
    row_buttons = [
        (row, button) for row in listing.lines for button in row.buttons if button.action
    ]
    list_buttons = [button for button in (listing.more, listing.share) if button]
    if len(row_buttons) <= _MAX_BUTTONS:
        rows = len(listing.lines)
        named = [replace(button, label=_label(row, button, rows)) for row, button in row_buttons]
        return _button_rows([*named, *list_buttons])
    menus = [
        _row([_menu(number, row_buttons[start : start + _MAX_OPTIONS])])
        for number, start in enumerate(range(0, len(row_buttons), _MAX_OPTIONS))
    ]
    return (*menus[: _MAX_ROWS - 1], *_button_rows(list_buttons))


def _menu(number: int, row_buttons: Sequence[tuple[ListingRow, Button]]) -> Json:
    options = {
        button.action: {
            "label": shorten(sanitize(_label(row, button, 2)).strip() or "–", 100),
            "value": button.action[:_ACTION_LENGTH],
        }
        for row, button in row_buttons
    }
    return {
        "type": 3,
        "custom_id": f"{SELECT_MENU_ID}:{number}",
        "placeholder": "…",
        "options": list(options.values()),
    }


def _label(row: ListingRow, button: Button, rows: int) -> str:
    return button.label if rows == 1 or not row.id else f"{row.id} · {button.label}"


def _note(text: str) -> tuple[Json, ...]:
    return ({"type": 10, "content": shorten(escape(text), MAX_TEXT_LENGTH)},)


def _inputs(form_field: Field) -> list[Json]:
    """Returns the inputs of a field, several for a value longer than one input allows."""
    value = form_field.value
    parts = split_for_inputs(value, _INPUT_LENGTH) or [value]
    if form_field.kind is not FieldKind.TEXT or len(parts) == 1:
        component = _component(form_field, form_field.name, value)
        return [_labelled(form_field, form_field.label, component)]
    return [
        _labelled(
            form_field,
            f"{form_field.label} ({number + 1}/{len(parts)})",
            _component(form_field, f"{form_field.name}{INPUT_NUMBER_SEPARATOR}{number}", part),
        )
        for number, part in enumerate(parts)
    ]


def _labelled(form_field: Field, label: str, component: Json) -> Json:
    labelled: Json = {"type": 18, "label": shorten(label or "–", _INPUT_LABEL_LENGTH)}
    hint = form_field.hint or (label if utf16_length(label) > _INPUT_LABEL_LENGTH else "")
    if hint:
        labelled["description"] = shorten(hint, _HINT_LENGTH)
    return {**labelled, "component": component}


def _component(form_field: Field, name: str, value: str) -> Json:
    match form_field.kind:
        case FieldKind.CHOICE:
            return _select(form_field, name, [value], form_field.choices)
        case FieldKind.CHOICES:
            chosen = value.split(",")
            select = _select(form_field, name, chosen, form_field.choices)
            return select | {"min_values": 0, "max_values": len(select["options"])}
        case FieldKind.TOGGLE:
            return {"type": 23, "custom_id": name, "default": value == "yes"}
        case FieldKind.FILE:
            return {"type": 19, "custom_id": name, "required": form_field.required}
        case _:
            is_long = form_field.kind is FieldKind.TEXT
            max_length = _INPUT_LENGTH if is_long else min(form_field.max_length, _INPUT_LENGTH)
            component: Json = {"type": 4, "custom_id": name, "style": 2 if is_long else 1}
            component |= {"required": form_field.required, "max_length": max_length}
            return {**component, "value": value} if value else component


def _select(
    form_field: Field, name: str, chosen: Sequence[str], choices: Sequence[tuple[str, str]]
) -> Json:
    options = [
        {
            "label": shorten(label or value, 100),
            "value": value[:100],
            "default": value in chosen,
        }
        for value, label in choices[:_MAX_OPTIONS]
    ]
    return {"type": 3, "custom_id": name, "required": form_field.required, "options": options}
