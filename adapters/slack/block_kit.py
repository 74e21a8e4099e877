"""Draws replies as messages with Block Kit, modals and the home tab; pure functions.

Text of the core is drawn as plain text, in which nothing is markup; only a model's answer is
markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from adapters.message_splitting import split_at_words, utf16_length
from adapters.plain_text import progress_bar, reply_text
from adapters.slack.api_port import Json
from adapters.slack.payload_parsing import (
    FIRST_MESSAGE_PREFIX,
    INPUT_NUMBER_SEPARATOR,
    MULTIPLE_VALUES_ID,
    place_to_json,
)
from adapters.slack.text_escaping import escape, is_typable, sanitize, split_for_inputs
from adapters.text_chart import legend, plot_lines
from bot.domain import MessageId, Place
from bot.replies import (
    VOTE_BUTTON_PREFIX,
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
)

METADATA_EVENT_TYPE = "attune_post"
_MAX_BLOCKS, _SECTION_LENGTH, _HEADER_LENGTH, _MAX_BUTTONS = 50, 3000, 150, 25
_FIELD_LENGTH, _MAX_FIELDS, _LABEL_LENGTH, _INPUT_LENGTH = 2000, 10, 75, 3000
_FALLBACK_LENGTH = 3800
_MAX_MODAL_BLOCKS, _MODAL_BYTES = 100, 200_000
_MAX_OPTIONS, _MAX_GROUPS, _MAX_CHECKBOXES, _VALUE_LENGTH = 100, 100, 10, 150
_MAX_PINGED = 20
_PERSON = re.compile(r"[UW][A-Z0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Payload:
    """A message: its blocks, and the text for notifications and search."""

    text: str
    blocks: list[Json]


def reply_payloads(reply: Drawn) -> list[Payload]:
    """Returns the messages of a reply, several if Slack's limits are too small for one."""
    blocks = [*_pings(reply), *_reply_blocks(reply)]
    text = next(split_at_words(escape(reply_text(reply)), _FALLBACK_LENGTH))
    pages = [blocks[start : start + _MAX_BLOCKS] for start in range(0, len(blocks), _MAX_BLOCKS)]
    return [Payload(text, page) for page in pages]


def private_reply_payloads(reply: Drawn) -> list[Payload]:
    """Returns the messages with a chart in characters, as no file can be shown to one user only."""
    messages = reply_payloads(reply)
    if isinstance(reply, Card) and reply.chart and (lines := plot_lines(reply.chart)):
        chart = escape("\n".join([*lines, legend(reply.chart)]))
        text = {"type": "mrkdwn", "text": f"```{chart}```"}
        messages.append(Payload(reply.chart.summary, [{"type": "section", "text": text}]))
    return messages


def _pings(reply: Drawn) -> Iterator[Json]:
    """Yields a section that mentions the people whom the message pings."""
    pings = () if isinstance(reply, Listing) else reply.pings
    mentions = " ".join(f"<@{user}>" for user in pings[:_MAX_PINGED] if _PERSON.fullmatch(user))
    if mentions:
        yield {"type": "section", "text": {"type": "mrkdwn", "text": mentions}}


def post_metadata(key: str) -> Json:
    """Returns metadata by which a post is found again.

    Other apps can read it, so it has only the key.
    """
    return {"event_type": METADATA_EVENT_TYPE, "event_payload": {"key": key}}


def post_key_of(message: Json) -> str | None:
    """Returns the key in a message's metadata, None if it has none of ours."""
    stored = message.get("metadata") or {}
    if stored.get("event_type") != METADATA_EVENT_TYPE:
        return None
    return str((stored.get("event_payload") or {}).get("key"))


def feedback_blocks(buttons: Sequence[Button], first: MessageId | None) -> list[Json]:
    """Returns Slack's feedback buttons for the votes, and the other buttons below them.

    `first` is the answer's first message, which identifies it; without `first` the buttons are in
    that message.
    """
    block = f"{FIRST_MESSAGE_PREFIX}{first}/0" if first else "feedback"
    votes = [button for button in buttons if button.action.startswith(VOTE_BUTTON_PREFIX)]
    others = [button for button in buttons if button not in votes]
    if len(votes) < 2:
        return list(_actions(others))
    good, bad = (
        {"text": _plain(vote.label, _LABEL_LENGTH), "value": vote.action} for vote in votes
    )
    element: Json = {"type": "feedback_buttons", "action_id": "feedback"}
    element |= {"positive_button": good, "negative_button": bad}
    return [
        {"type": "context_actions", "block_id": block, "elements": [element]},
        *_actions(others),
    ]


def to_modal(form: Form, place: Place, *, close: str) -> Json:
    """Returns a form as a modal; the private metadata say where the form was opened."""
    blocks: list[Json] = [
        _section(part) for part in split_at_words(form.note, _SECTION_LENGTH) if part
    ]
    for field in form.fields:
        blocks += _inputs(field)
    return {
        "type": "modal",
        "callback_id": form.id,
        "private_metadata": place_to_json(place),
        "title": _plain(form.title, 24),
        "submit": _plain(form.submit_label, 24),
        "close": _plain(close, 24),
        "blocks": blocks,
    }


def fits_in_modal(form: Form) -> bool:
    """Whether a form can show every value whole, and Slack returns each one unchanged.

    https://docs.slack.dev/reference/views: the number of blocks and of bytes is limited.
    """
    notes = [part for part in split_at_words(form.note, _SECTION_LENGTH) if part]
    parts = [split_for_inputs(field.value, _INPUT_LENGTH) or [""] for field in form.fields]
    if len(notes) + sum(map(len, parts)) > _MAX_MODAL_BLOCKS or not all(
        map(_fits_input, form.fields)
    ):
        return False
    return sum(len(field.value.encode()) for field in form.fields) <= _MODAL_BYTES


def _fits_input(field: Field) -> bool:
    match field.kind:
        case FieldKind.CHOICE | FieldKind.CHOICES:
            most = _MAX_OPTIONS * _MAX_GROUPS
            return len(field.choices) <= most and all(
                len(v) <= _VALUE_LENGTH for v, _ in field.choices
            )
        case FieldKind.TEXT:
            parts = split_for_inputs(field.value, _INPUT_LENGTH)
            is_whole = parts is not None and len(parts) > 1
            fits = is_whole or utf16_length(field.value) <= field.max_length
        case _:
            fits = utf16_length(field.value) <= min(field.max_length, _INPUT_LENGTH)
    return (
        fits
        and split_for_inputs(field.value, _INPUT_LENGTH) is not None
        and is_typable(field.value)
    )


def notice_modal(title: str, text: str, *, close: str) -> Json:
    """Returns a modal without inputs, with a text to read."""
    return {
        "type": "modal",
        "title": _plain(title, 24),
        "close": _plain(close, 24),
        "blocks": [_section(part) for part in split_at_words(sanitize(text), _SECTION_LENGTH)][
            :100
        ],
    }


def home_view(reply: Drawn) -> Json:
    """Returns the home tab."""
    return {"type": "home", "blocks": list(_reply_blocks(reply))[:100]}


def _reply_blocks(reply: Drawn) -> Iterator[Json]:
    match reply:
        case Text():
            yield from _sections(reply.text)
            yield from _actions(reply.buttons)
        case Card():
            yield from _card(reply)
        case Listing():
            yield from _listing(reply)
        case _:
            assert_never(reply)


def _card(card: Card) -> Iterator[Json]:
    yield from _title(card.title)
    for line in card.lines:
        yield from _sections(line)
    if card.progress:
        yield _section(progress_bar(card.progress))
    for start in range(0, len(card.facts), _MAX_FIELDS):
        yield {
            "type": "section",
            "fields": [_fact(fact) for fact in card.facts[start : start + _MAX_FIELDS]],
        }
    for column in card.columns:
        yield from _column(column)
    if card.chart and card.chart.summary:
        yield _context(card.chart.summary)
    yield from _actions(card.buttons)


def _listing(listing: Listing) -> Iterator[Json]:
    yield from _title(listing.title)
    if not listing.lines and listing.empty:
        yield _section(listing.empty)
    for row in listing.lines:
        yield from _row(row)
    if listing.note:
        yield _context(listing.note)
    if last := [button for button in (listing.more, listing.share) if button]:
        yield from _actions(last)


def _row(row: ListingRow) -> Iterator[Json]:
    text = row.text if row.id in ("", row.text) else f"{row.id}  {row.text}"
    if len(row.buttons) == 0 and len(text) + len(row.note) < _SECTION_LENGTH:
        yield _section(f"{text}\n{row.note}" if row.note else text)
        return
    yield from _sections(text)
    if row.note:
        yield _context(row.note)
    yield from _actions(row.buttons)


def _title(title: str) -> Iterator[Json]:
    """Yields a header, or sections for a title that is too long for a header."""
    if len(title) <= _HEADER_LENGTH:
        yield {"type": "header", "text": _plain(title or "–", _HEADER_LENGTH)}
    else:
        yield from _sections(title)


def _column(column: Column) -> Iterator[Json]:
    title = f"{column.title} ({column.note})" if column.note else column.title
    yield {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_bold(title)}*"}}
    yield from _sections(column.text)


def _fact(fact: Fact) -> Json:
    value = next(split_at_words(escape(fact.value or "–"), _FIELD_LENGTH - 300))
    return {"type": "mrkdwn", "text": f"*{_bold(fact.label)[:250]}*\n{value}"}


def _bold(text: str) -> str:
    return next(split_at_words(escape(text.replace("*", "∗")), 2900))


def _sections(text: str) -> Iterator[Json]:
    for part in split_at_words(sanitize(text), _SECTION_LENGTH):
        if part.strip():
            yield _section(part)


def _section(text: str) -> Json:
    return {"type": "section", "text": _plain(text or "–", _SECTION_LENGTH)}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [_plain(text, 2000)]}


def _actions(buttons: Sequence[Button]) -> Iterator[Json]:
    for start in range(0, len(buttons), _MAX_BUTTONS):
        yield {
            "type": "actions",
            "elements": [_button(button) for button in buttons[start : start + _MAX_BUTTONS]],
        }


def _button(button: Button) -> Json:
    element: Json = {"type": "button", "text": _plain(button.label, _LABEL_LENGTH)}
    if button.link:
        # Slack reports clicks on links too; without a value they are ignored.
        element |= {"action_id": "link", "url": button.link}
    else:
        element |= {"action_id": button.action, "value": button.action}
    if button.is_primary or button.is_danger:
        element["style"] = "danger" if button.is_danger else "primary"
    return element


def _inputs(field: Field) -> list[Json]:
    """Returns the inputs of a field, several for a text longer than one input allows."""
    parts = split_for_inputs(field.value, _INPUT_LENGTH) or [field.value]
    if field.kind is not FieldKind.TEXT or len(parts) == 1:
        return [_input(field, field.name, field.label, field.value)]
    optional = replace(field, required=False)
    return [
        _input(
            optional if number else field,
            f"{field.name}{INPUT_NUMBER_SEPARATOR}{number}",
            f"{field.label} ({number + 1}/{len(parts)})",
            part,
        )
        for number, part in enumerate(parts)
    ]


def _input(field: Field, block: str, label: str, value: str) -> Json:
    input_block: Json = {
        "type": "input",
        "block_id": block,
        "label": _plain(label, 2000),
        "optional": not field.required,
        "element": {"action_id": "input", **_element(field, value)},
    }
    if field.hint:
        input_block["hint"] = _plain(field.hint, 2000)
    return input_block


def _element(field: Field, value: str) -> Json:
    match field.kind:
        case FieldKind.CHOICE:
            options = [_option(label, option_value) for option_value, label in field.choices]
            chosen = [option for option in options if option["value"] == value]
            initial: Json = {"initial_option": chosen[0]} if chosen else {}
            return {"type": "static_select", **_select_options(options), **initial}
        case FieldKind.CHOICES:
            options = [_option(label, option_value) for option_value, label in field.choices]
            selected_options = [option for option in options if option["value"] in value.split(",")]
            initial = {"initial_options": selected_options} if selected_options else {}
            if len(options) > _MAX_CHECKBOXES:
                select: Json = {"type": "multi_static_select", "action_id": MULTIPLE_VALUES_ID}
                return {**select, **_select_options(options), **initial}
            return {
                "type": "checkboxes",
                "options": options,
                "action_id": MULTIPLE_VALUES_ID,
                **initial,
            }
        case FieldKind.TOGGLE:
            options = [_option(field.label, "yes")]
            initial = {"initial_options": options} if value == "yes" else {}
            return {"type": "checkboxes", "options": options, **initial}
        case FieldKind.FILE:
            return {"type": "file_input", "max_files": 1}
        case FieldKind.NUMBER:
            element: Json = {"type": "number_input", "is_decimal_allowed": True}
        case _:
            is_long = field.kind is FieldKind.TEXT
            most = min(field.max_length, _INPUT_LENGTH)
            element = {"type": "plain_text_input", "multiline": is_long, "max_length": most}
    return {**element, "initial_value": value} if value else element


def _select_options(options: list[Json]) -> Json:
    """Returns the options of a menu, in groups of a hundred if there are more.

    https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element
    """
    if len(options) <= _MAX_OPTIONS:
        return {"options": options}
    starts = range(0, len(options), _MAX_OPTIONS)
    groups = [(start, options[start : start + _MAX_OPTIONS]) for start in starts]
    return {
        "option_groups": [
            {"label": _plain(f"{start + 1}–{start + len(group)}", 75), "options": group}
            for start, group in groups[:_MAX_GROUPS]
        ]
    }


def _option(label: str, value: str) -> Json:
    return {"text": _plain(label, 75), "value": value[:150]}


def _plain(text: str, most: int) -> Json:
    shown = sanitize(text) or "–"
    shown = shown if len(shown) <= most else shown[: most - 1] + "…"
    return {"type": "plain_text", "text": shown, "emoji": True}
