"""Replies in Discord's frames, buttons and forms; pure.

What the core says is drawn so that nothing in it is markup; only a model's
answer is markdown. No message can ping, whatever it says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from adapters.discord.api import File, Json
from adapters.discord.names import CHOOSE, FIRST, PART
from adapters.discord.texts import LONGEST, escape, sanitize, shorten, split_for_inputs
from adapters.message_splitting import length, split
from adapters.rendering import bar, reply_text
from bot.domain import MessageId
from bot.references import plain_text
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

NOBODY: Json = {"parse": [], "replied_user": False}
EPHEMERAL_FLAG, SILENT_FLAG, NO_EMBEDS_FLAG = 1 << 6, 1 << 12, 1 << 2

# https://docs.discord.com/developers/resources/message#embed-object-embed-limits
_TITLE, _DESCRIPTION, _FIELDS, _FIELD_NAME, _FIELD, _FOOTER = 256, 4096, 25, 256, 1024, 2048
_EMBED_SUM = 5800
# https://docs.discord.com/developers/components/reference
_LABEL, _ROW, _ROWS, _OPTIONS, _ACTION = 80, 5, 5, 25, 100
_MODAL_TITLE, _MODAL_PARTS, _INPUT, _INPUT_LABEL, _HINT = 45, 5, 4000, 45, 100
_MOST_BUTTONS, _MOST_PINGED = 10, 20
_COLOURS = {
    Tone.PLAIN: 0x64748B,
    Tone.GOOD: 0x10B981,
    Tone.BAD: 0xEF4444,
    Tone.BUSY: 0x2563EB,
}
_PRIMARY, _SECONDARY, _DANGER, _LINK = 1, 2, 4, 5
_CHART = "chart.png"
_UNTYPABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Characters that no keyboard types, and of which nobody says what a form makes of them."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One message, whole: what is empty here is taken away by an edit."""

    content: str = ""
    embeds: tuple[Json, ...] = ()
    components: tuple[Json, ...] = ()
    files: tuple[File, ...] = field(default=(), repr=False)
    flags: int = 0
    pings: tuple[str, ...] = ()
    """Ids of those whom it wakes, and nobody else."""

    def body(self, *, flags: int = 0) -> Json:
        drawn: Json = {
            "content": self.content,
            "embeds": list(self.embeds),
            "components": list(self.components),
            "allowed_mentions": {**NOBODY, "users": list(self.pings)} if self.pings else NOBODY,
        }
        if self.flags | flags:
            drawn["flags"] = self.flags | flags
        if self.files:
            drawn["attachments"] = [
                {"id": str(number), "filename": file.name, "description": file.description[:1024]}
                for number, file in enumerate(self.files)
            ]
        return drawn


def payloads(reply: Drawn, picture: bytes | None = None) -> list[Payload]:
    """One message, or several where Discord's limits are too small for one."""
    first, *more = _payloads(reply, picture)
    return [_calling(first, reply), *more]


def _calling(payload: Payload, reply: Drawn) -> Payload:
    """In front of the words: who is pinged must be named in them."""
    pings = () if isinstance(reply, Listing) else reply.pings[:_MOST_PINGED]
    named = " ".join(f"<@{user}>" for user in pings if user.isdecimal())
    if not named:
        return payload
    content = f"{named} {payload.content}".strip()[:LONGEST]
    return replace(payload, content=content, pings=tuple(filter(str.isdecimal, pings)))


def _payloads(reply: Drawn, picture: bytes | None) -> list[Payload]:
    match reply:
        case Text():
            texts = list(split(escape(reply.text) or "–", LONGEST))
            last = Payload(texts[-1], (), _rows(reply.buttons), flags=NO_EMBEDS_FLAG)
            return [*(Payload(text, flags=NO_EMBEDS_FLAG) for text in texts[:-1]), last]
        case Card():
            return _card(reply, picture)
        case Listing():
            return _listing(reply)
        case _:
            assert_never(reply)


def plain_payloads(reply: Drawn) -> list[Payload]:
    """For places where the bot may not show frames."""
    texts = list(split(escape(reply_text(reply)) or "–", LONGEST))
    drawn = payloads(reply)
    last = Payload(texts[-1], (), drawn[-1].components, flags=NO_EMBEDS_FLAG)
    first, *more = [*(Payload(text, flags=NO_EMBEDS_FLAG) for text in texts[:-1]), last]
    return [_calling(first, reply), *more]


def answer(text: str, buttons: Sequence[Button] = (), first: MessageId | None = None) -> Payload:
    """A part of a model's answer; `first` is the message by which the answer is known."""
    named = buttons
    if first is not None:
        named = [replace(one, action=f"{one.action}{FIRST}{first}") for one in buttons]
    return Payload(sanitize(text), (), _rows(named), flags=NO_EMBEDS_FLAG)


def differs_from_posted(posted: Json, payload: Payload) -> bool:
    """Whether what stands under a nonce is what an earlier run had to say."""
    if str(posted.get("content") or "").strip() != payload.content.strip():
        return True
    titles = [embed.get("title") for embed in posted.get("embeds") or ()]
    texts = [embed.get("description") for embed in posted.get("embeds") or ()]
    if not titles and payload.embeds:
        return False
    wanted = [(embed.get("title"), embed.get("description")) for embed in payload.embeds]
    return list(zip(titles, texts, strict=True)) != wanted


def nonce(key: str) -> str:
    """By which Discord knows a post again; at most 25 characters."""
    return hashlib.blake2b(key.encode(), digest_size=12).hexdigest()


def modal(form: Form) -> Json:
    """A form; `custom_id` comes back with what was typed."""
    parts = [part for shown in form.fields for part in _inputs(shown)]
    note = _note(form.note) if form.note and len(parts) < _MODAL_PARTS else ()
    return {
        "custom_id": form.id[:_ACTION],
        "title": shorten(sanitize(form.title) or "–", _MODAL_TITLE),
        "components": [*note, *parts][:_MODAL_PARTS],
    }


def holds(form: Form) -> bool:
    """Whether a form shows every value whole, and Discord gives each back as it was."""
    parts = [part for shown in form.fields for part in _inputs(shown)]
    return len(parts) <= _MODAL_PARTS and all(map(_is_held, form.fields))


def _is_held(shown: Field) -> bool:
    if shown.kind in (FieldKind.CHOICE, FieldKind.CHOICES):
        return len(shown.choices) <= _OPTIONS
    most = min(shown.max_length, _INPUT) if shown.kind is not FieldKind.TEXT else None
    fits = most is None or length(shown.value) <= most
    return (
        fits
        and not _UNTYPABLE.search(shown.value)
        and split_for_inputs(shown.value, _INPUT) is not None
    )


def _card(card: Card, picture: bytes | None) -> list[Payload]:
    lines = list(card.lines)
    if card.progress:
        lines.append(bar(card.progress))
    facts = [_fact(fact) for fact in card.facts]
    if all(length(escape(one.text)) <= _FIELD for one in card.columns):
        facts += [_column(one) for one in card.columns]
    else:
        # What no field holds is said in full.
        lines += [f"{_column_title(one)}\n{one.text}" for one in card.columns]
    embeds = list(_embeds(card.title, "\n".join(lines), facts, _COLOURS[card.tone]))
    files: tuple[File, ...] = ()
    if card.chart is not None and card.chart.summary:
        embeds[-1]["footer"] = {"text": shorten(sanitize(card.chart.summary), _FOOTER)}
    if card.chart is not None and picture is not None:
        embeds[-1]["image"] = {"url": f"attachment://{_CHART}"}
        files = (File(_CHART, picture, "image/png", card.chart.summary),)
    return _messages(embeds, _rows(card.buttons), files)


def _listing(listing: Listing) -> list[Payload]:
    text = "\n".join(_line(line) for line in listing.lines) or escape(listing.empty)
    embeds = list(_embeds(listing.title, text, [], _COLOURS[Tone.PLAIN], is_escaped=True))
    if listing.note:
        embeds[-1]["footer"] = {"text": shorten(sanitize(listing.note), _FOOTER)}
    return _messages(embeds, _listing_rows(listing), ())


def _messages(embeds: list[Json], rows: tuple[Json, ...], files: tuple[File, ...]) -> list[Payload]:
    """As many frames in a message as its sum of characters allows."""
    packed: list[list[Json]] = [[]]
    room = _EMBED_SUM
    for embed in embeds:
        size = _size(embed)
        if packed[-1] and (size > room or len(packed[-1]) == 10):
            packed.append([])
            room = _EMBED_SUM
        packed[-1].append(embed)
        room -= size
    last = Payload("", tuple(packed[-1]), rows, files)
    return [*(Payload("", tuple(one)) for one in packed[:-1]), last]


def _embeds(
    title: str, text: str, facts: list[Json], colour: int, *, is_escaped: bool = False
) -> Iterator[Json]:
    """A title that is too long is said in full below it."""
    drawn = text if is_escaped else escape(text)
    heading = escape(plain_text(title))
    if length(heading) > _TITLE:
        drawn = f"{escape(title)}\n{drawn}"
    bodies = [one for one in split(drawn, _DESCRIPTION) if one.strip()] or [""]
    for number, body in enumerate(bodies):
        embed: Json = {"color": colour}
        if number == 0:
            embed["title"] = shorten(heading or "–", _TITLE)
        if body:
            embed["description"] = body
        if number == len(bodies) - 1 and facts:
            embed["fields"] = facts[:_FIELDS]
        yield embed
    for at in range(_FIELDS, len(facts), _FIELDS):
        yield {"color": colour, "fields": facts[at : at + _FIELDS]}


def _size(embed: Json) -> int:
    texts = [embed.get("title", ""), embed.get("description", "")]
    texts += [embed.get("footer", {}).get("text", "")]
    texts += [one[name] for one in embed.get("fields", ()) for name in ("name", "value")]
    return sum(length(text) for text in texts) + _FOOTER // 10


def _fact(fact: Fact) -> Json:
    value = shorten(escape(fact.value) or "–", _FIELD)
    return {
        "name": shorten(escape(plain_text(fact.label)) or "–", _FIELD_NAME),
        "value": value,
        "inline": True,
    }


def _column(column: Column) -> Json:
    title = shorten(escape(plain_text(_column_title(column))) or "–", _FIELD_NAME)
    return {"name": title, "value": escape(column.text) or "–", "inline": False}


def _column_title(column: Column) -> str:
    return f"{column.title} ({column.note})" if column.note else column.title


def _line(line: ListingRow) -> str:
    text = escape(line.text if line.id in ("", line.text) else f"{line.id}  {line.text}")
    return f"{text}\n-# {escape(line.note)}" if line.note else text


def _rows(buttons: Sequence[Button]) -> tuple[Json, ...]:
    """An id may stand only once in a message."""
    drawn = [
        _button(button) for button in {one.action or one.link: one for one in buttons}.values()
    ]
    drawn = drawn[: _ROW * _ROWS]
    return tuple(_row(drawn[at : at + _ROW]) for at in range(0, len(drawn), _ROW))


def _row(components: list[Json]) -> Json:
    return {"type": 1, "components": components}


def _button(button: Button) -> Json:
    label = shorten(sanitize(button.label).strip() or "–", _LABEL)
    if button.link:
        return {"type": 2, "style": _LINK, "label": label, "url": button.link}
    style = _DANGER if button.is_danger else _PRIMARY if button.is_primary else _SECONDARY
    return {"type": 2, "style": style, "label": label, "custom_id": button.action[:_ACTION]}


def _listing_rows(listing: Listing) -> tuple[Json, ...]:
    """Few buttons stand below the list, many in a menu."""
    owned = [(line, one) for line in listing.lines for one in line.buttons if one.action]
    more = [one for one in (listing.more, listing.share) if one]
    if len(owned) <= _MOST_BUTTONS:
        named = [replace(one, label=_named(line, one, len(listing.lines))) for line, one in owned]
        return _rows([*named, *more])
    menus = [
        _row([_menu(number, owned[at : at + _OPTIONS])])
        for number, at in enumerate(range(0, len(owned), _OPTIONS))
    ]
    return (*menus[: _ROWS - 1], *_rows(more))


def _menu(number: int, owned: Sequence[tuple[ListingRow, Button]]) -> Json:
    options = {
        button.action: {
            "label": shorten(sanitize(_named(line, button, 2)).strip() or "–", 100),
            "value": button.action[:_ACTION],
        }
        for line, button in owned
    }
    return {
        "type": 3,
        "custom_id": f"{CHOOSE}:{number}",
        "placeholder": "…",
        "options": list(options.values()),
    }


def _named(line: ListingRow, button: Button, lines: int) -> str:
    return button.label if lines == 1 or not line.id else f"{line.id} · {button.label}"


def _note(text: str) -> tuple[Json, ...]:
    return ({"type": 10, "content": shorten(escape(text), LONGEST)},)


def _inputs(shown: Field) -> list[Json]:
    """Several inputs for a value longer than one; `can_hold_form` says where that is possible."""
    parts = split_for_inputs(shown.value, _INPUT) or [shown.value]
    if shown.kind is not FieldKind.TEXT or len(parts) == 1:
        return [_labelled(shown, shown.label, _component(shown, shown.name, shown.value))]
    return [
        _labelled(
            shown,
            f"{shown.label} ({number + 1}/{len(parts)})",
            _component(shown, f"{shown.name}{PART}{number}", part),
        )
        for number, part in enumerate(parts)
    ]


def _labelled(shown: Field, label: str, component: Json) -> Json:
    drawn: Json = {"type": 18, "label": shorten(label or "–", _INPUT_LABEL)}
    hint = shown.hint or (label if length(label) > _INPUT_LABEL else "")
    if hint:
        drawn["description"] = shorten(hint, _HINT)
    return {**drawn, "component": component}


def _component(shown: Field, name: str, value: str) -> Json:
    match shown.kind:
        case FieldKind.CHOICE:
            return _select(shown, name, [value], shown.choices)
        case FieldKind.CHOICES:
            chosen = value.split(",")
            several = _select(shown, name, chosen, shown.choices)
            return several | {"min_values": 0, "max_values": len(several["options"])}
        case FieldKind.TOGGLE:
            return {"type": 23, "custom_id": name, "default": value == "yes"}
        case FieldKind.FILE:
            return {"type": 19, "custom_id": name, "required": shown.required}
        case _:
            is_long = shown.kind is FieldKind.TEXT
            most = _INPUT if is_long else min(shown.max_length, _INPUT)
            drawn: Json = {"type": 4, "custom_id": name, "style": 2 if is_long else 1}
            drawn |= {"required": shown.required, "max_length": most}
            return {**drawn, "value": value} if value else drawn


def _select(
    shown: Field, name: str, chosen: Sequence[str], choices: Sequence[tuple[str, str]]
) -> Json:
    options = [
        {
            "label": shorten(label or known, 100),
            "value": known[:100],
            "default": known in chosen,
        }
        for known, label in choices[:_OPTIONS]
    ]
    return {"type": 3, "custom_id": name, "required": shown.required, "options": options}
