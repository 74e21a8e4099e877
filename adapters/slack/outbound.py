"""Replies in Slack's blocks; pure.

What the core says is drawn as plain text, in which nothing is special;
only a model's answer is markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from adapters.message_splitting import chunks, length
from adapters.rendering import bar, reply_text
from adapters.slack.api import Json
from adapters.slack.inbound import FIRST, PART, SEVERAL, place_to_json
from adapters.slack.texts import escape, is_typable, sanitize, split_for_inputs
from adapters.text_chart import legend, plot
from bot.domain import MessageId, Place
from bot.replies import (
    VOTE,
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

METADATA = "attune_post"
_BLOCKS, _SECTION, _HEADER, _BUTTONS = 50, 3000, 150, 25
_FIELD, _FIELDS, _LABEL, _INPUT = 2000, 10, 75, 3000
_FALLBACK = 3800
_MODAL_BLOCKS, _MODAL_BYTES = 100, 200_000
_OPTIONS, _GROUPS, _TICKS, _VALUE = 100, 100, 10, 150
_MOST_PINGED = 20
_PERSON = re.compile(r"[UW][A-Z0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Payload:
    """One message: its blocks, and the text for notifications and search."""

    text: str
    blocks: list[Json]


def payloads(reply: Drawn) -> list[Payload]:
    """One message, or several where Slack's limits are too small for one."""
    blocks = [*_called(reply), *_blocks(reply)]
    text = next(chunks(escape(reply_text(reply)), _FALLBACK))
    pages = [blocks[at : at + _BLOCKS] for at in range(0, len(blocks), _BLOCKS)]
    return [Payload(text, page) for page in pages]


def private_payloads(reply: Drawn) -> list[Payload]:
    """As `payloads`, with a chart in characters: no file can be shown to one person alone."""
    shown = payloads(reply)
    if isinstance(reply, Card) and reply.chart and (lines := plot(reply.chart)):
        drawn = escape("\n".join([*lines, legend(reply.chart)]))
        text = {"type": "mrkdwn", "text": f"```{drawn}```"}
        shown.append(Payload(reply.chart.summary, [{"type": "section", "text": text}]))
    return shown


def _called(reply: Drawn) -> Iterator[Json]:
    """Those whom a message wakes, and nobody else."""
    pings = () if isinstance(reply, Listing) else reply.pings
    named = " ".join(f"<@{user}>" for user in pings[:_MOST_PINGED] if _PERSON.fullmatch(user))
    if named:
        yield {"type": "section", "text": {"type": "mrkdwn", "text": named}}


def metadata(key: str) -> Json:
    """By which a post is found again; readable by other apps, so it holds nothing but the key."""
    return {"event_type": METADATA, "event_payload": {"key": key}}


def key_of(message: Json) -> str | None:
    held = message.get("metadata") or {}
    if held.get("event_type") != METADATA:
        return None
    return str((held.get("event_payload") or {}).get("key"))


def feedback(buttons: Sequence[Button], first: MessageId | None) -> list[Json]:
    """Slack's own pair of thumbs, and other buttons below it.

    `first` is the message by which the answer is known; without it the thumbs stand in that very
    message.
    """
    block = f"{FIRST}{first}/0" if first else "feedback"
    votes = [button for button in buttons if button.action.startswith(VOTE)]
    others = [button for button in buttons if button not in votes]
    if len(votes) < 2:
        return list(_actions(others))
    good, bad = ({"text": _plain(one.label, _LABEL), "value": one.action} for one in votes)
    element: Json = {"type": "feedback_buttons", "action_id": "feedback"}
    element |= {"positive_button": good, "negative_button": bad}
    return [
        {"type": "context_actions", "block_id": block, "elements": [element]},
        *_actions(others),
    ]


def modal(form: Form, place: Place, *, close: str) -> Json:
    blocks: list[Json] = [_section(part) for part in chunks(form.note, _SECTION) if part]
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


def holds(form: Form) -> bool:
    """Whether a form shows every value whole, and Slack gives each back as it was.

    https://docs.slack.dev/reference/views: so many blocks, and so many bytes in all.
    """
    notes = [part for part in chunks(form.note, _SECTION) if part]
    parts = [split_for_inputs(field.value, _INPUT) or [""] for field in form.fields]
    if len(notes) + sum(map(len, parts)) > _MODAL_BLOCKS or not all(map(_is_held, form.fields)):
        return False
    return sum(len(field.value.encode()) for field in form.fields) <= _MODAL_BYTES


def _is_held(field: Field) -> bool:
    match field.kind:
        case FieldKind.CHOICE | FieldKind.CHOICES:
            most = _OPTIONS * _GROUPS
            return len(field.choices) <= most and all(len(v) <= _VALUE for v, _ in field.choices)
        case FieldKind.TEXT:
            parts = split_for_inputs(field.value, _INPUT)
            is_whole = parts is not None and len(parts) > 1
            fits = is_whole or length(field.value) <= field.max_length
        case _:
            fits = length(field.value) <= min(field.max_length, _INPUT)
    return fits and split_for_inputs(field.value, _INPUT) is not None and is_typable(field.value)


def notice(title: str, text: str, *, close: str) -> Json:
    """A form without inputs: something to read."""
    return {
        "type": "modal",
        "title": _plain(title, 24),
        "close": _plain(close, 24),
        "blocks": [_section(part) for part in chunks(sanitize(text), _SECTION)][:100],
    }


def home(reply: Drawn) -> Json:
    return {"type": "home", "blocks": list(_blocks(reply))[:100]}


def _blocks(reply: Drawn) -> Iterator[Json]:
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
        yield _section(bar(card.progress))
    for at in range(0, len(card.facts), _FIELDS):
        yield {"type": "section", "fields": [_fact(fact) for fact in card.facts[at : at + _FIELDS]]}
    for column in card.columns:
        yield from _column(column)
    if card.chart and card.chart.summary:
        yield _context(card.chart.summary)
    yield from _actions(card.buttons)


def _listing(listing: Listing) -> Iterator[Json]:
    yield from _title(listing.title)
    if not listing.lines and listing.empty:
        yield _section(listing.empty)
    for line in listing.lines:
        yield from _line(line)
    if listing.note:
        yield _context(listing.note)
    if last := [one for one in (listing.more, listing.share) if one]:
        yield from _actions(last)


def _line(line: ListingRow) -> Iterator[Json]:
    text = line.text if line.id in ("", line.text) else f"{line.id}  {line.text}"
    if len(line.buttons) == 0 and len(text) + len(line.note) < _SECTION:
        yield _section(f"{text}\n{line.note}" if line.note else text)
        return
    yield from _sections(text)
    if line.note:
        yield _context(line.note)
    yield from _actions(line.buttons)


def _title(title: str) -> Iterator[Json]:
    """A title that is too long for a header is said in full below."""
    if len(title) <= _HEADER:
        yield {"type": "header", "text": _plain(title or "–", _HEADER)}
    else:
        yield from _sections(title)


def _column(column: Column) -> Iterator[Json]:
    title = f"{column.title} ({column.note})" if column.note else column.title
    yield {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_bold(title)}*"}}
    yield from _sections(column.text)


def _fact(fact: Fact) -> Json:
    value = next(chunks(escape(fact.value or "–"), _FIELD - 300))
    return {"type": "mrkdwn", "text": f"*{_bold(fact.label)[:250]}*\n{value}"}


def _bold(text: str) -> str:
    return next(chunks(escape(text.replace("*", "∗")), 2900))


def _sections(text: str) -> Iterator[Json]:
    for part in chunks(sanitize(text), _SECTION):
        if part.strip():
            yield _section(part)


def _section(text: str) -> Json:
    return {"type": "section", "text": _plain(text or "–", _SECTION)}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [_plain(text, 2000)]}


def _actions(buttons: Sequence[Button]) -> Iterator[Json]:
    for at in range(0, len(buttons), _BUTTONS):
        yield {
            "type": "actions",
            "elements": [_button(button) for button in buttons[at : at + _BUTTONS]],
        }


def _button(button: Button) -> Json:
    drawn: Json = {"type": "button", "text": _plain(button.label, _LABEL)}
    if button.link:
        # Slack reports these clicks too; without a value they mean nothing to us.
        drawn |= {"action_id": "link", "url": button.link}
    else:
        drawn |= {"action_id": button.action, "value": button.action}
    if button.is_primary or button.is_danger:
        drawn["style"] = "danger" if button.is_danger else "primary"
    return drawn


def _inputs(field: Field) -> list[Json]:
    """A value longer than an input is asked for in several."""
    parts = split_for_inputs(field.value, _INPUT) or [field.value]
    if field.kind is not FieldKind.TEXT or len(parts) == 1:
        return [_input(field, field.name, field.label, field.value)]
    later = replace(field, required=False)
    return [
        _input(
            later if n else field,
            f"{field.name}{PART}{n}",
            f"{field.label} ({n + 1}/{len(parts)})",
            part,
        )
        for n, part in enumerate(parts)
    ]


def _input(field: Field, block: str, label: str, value: str) -> Json:
    drawn: Json = {
        "type": "input",
        "block_id": block,
        "label": _plain(label, 2000),
        "optional": not field.required,
        "element": {"action_id": "input", **_element(field, value)},
    }
    if field.hint:
        drawn["hint"] = _plain(field.hint, 2000)
    return drawn


def _element(field: Field, value: str) -> Json:
    match field.kind:
        case FieldKind.CHOICE:
            options = [_option(label, known) for known, label in field.choices]
            chosen = [option for option in options if option["value"] == value]
            first: Json = {"initial_option": chosen[0]} if chosen else {}
            return {"type": "static_select", **_offered(options), **first}
        case FieldKind.CHOICES:
            options = [_option(label, known) for known, label in field.choices]
            on = [option for option in options if option["value"] in value.split(",")]
            ticked: Json = {"initial_options": on} if on else {}
            if len(options) > _TICKS:
                several: Json = {"type": "multi_static_select", "action_id": SEVERAL}
                return {**several, **_offered(options), **ticked}
            return {"type": "checkboxes", "options": options, "action_id": SEVERAL, **ticked}
        case FieldKind.TOGGLE:
            options = [_option(field.label, "yes")]
            turned: Json = {"initial_options": options} if value == "yes" else {}
            return {"type": "checkboxes", "options": options, **turned}
        case FieldKind.FILE:
            return {"type": "file_input", "max_files": 1}
        case FieldKind.NUMBER:
            element: Json = {"type": "number_input", "is_decimal_allowed": True}
        case _:
            is_long = field.kind is FieldKind.TEXT
            most = min(field.max_length, _INPUT)
            element = {"type": "plain_text_input", "multiline": is_long, "max_length": most}
    return {**element, "initial_value": value} if value else element


def _offered(options: list[Json]) -> Json:
    """Slack searches in a menu as one types; a longer one stands in groups of a hundred.

    https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element
    """
    if len(options) <= _OPTIONS:
        return {"options": options}
    groups = [options[at : at + _OPTIONS] for at in range(0, len(options), _OPTIONS)]
    return {
        "option_groups": [
            {"label": _plain(f"{at * _OPTIONS + 1}–{at * _OPTIONS + len(one)}", 75), "options": one}
            for at, one in enumerate(groups[:_GROUPS])
        ]
    }


def _option(label: str, value: str) -> Json:
    return {"text": _plain(label, 75), "value": value[:150]}


def _plain(text: str, most: int) -> Json:
    shown = sanitize(text) or "–"
    shown = shown if len(shown) <= most else shown[: most - 1] + "…"
    return {"type": "plain_text", "text": shown, "emoji": True}


__all__ = [
    "METADATA",
    "Payload",
    "feedback",
    "holds",
    "home",
    "key_of",
    "metadata",
    "modal",
    "notice",
    "payloads",
    "private_payloads",
]
