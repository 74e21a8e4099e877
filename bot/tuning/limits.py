"""What a host cannot do is said before anything is sent there, let alone paid for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from bot.domain import Example, Hyperparameters, ModelName, Row
from bot.errors import BadInput, BadRow, TrainingClosed
from bot.ports.provider import Host, Serving
from bot.request import Request
from bot.rows import Method
from bot.tuning.notices import said_price

_OPTIONS = {"n_epochs": "epochs", "learning_rate_multiplier": "learning_rate"}
_CLOSING_DAYS = 90


def refuse_method(ask: Request, host: Host, method: Method) -> None:
    if method not in host.profile.methods:
        told = ask.words(f"method.{method}")
        raise BadInput(problem=ask.words("start.method", host=host.name, method=told))


async def refuse_closed(ask: Request, host: Host, base: ModelName) -> None:
    """Raises TrainingClosed where the account, or everybody, may not train there any more."""
    closes_on = host.profile.closes_on
    if closes_on is not None and ask.now.date() >= closes_on:
        raise TrainingClosed(host=host.name)
    if host.profile.checks_eligibility:
        await host.check_training(base)


def refuse_settings(ask: Request, host: Host, asked: Hyperparameters) -> None:
    """A number that the host does not take, or not so high."""
    profile = host.profile
    for name in Hyperparameters.__dataclass_fields__:
        if getattr(asked, name) is not None and name not in profile.settings:
            option = _OPTIONS.get(name, name)
            raise BadInput(problem=ask.words("start.setting", host=host.name, option=option))
    if (asked.n_epochs or 0) > profile.max_epochs:
        raise BadInput(problem=ask.words("start.epochs", host=host.name, most=profile.max_epochs))
    least, most = profile.batch_sizes
    if asked.batch_size is not None and not least <= asked.batch_size <= most:
        problem = ask.words("start.batch_size", host=host.name, least=least, most=most)
        raise BadInput(problem=problem)


def refuse_row(ask: Request, host: Host, example: Example) -> None:
    """Raises BadRow for what this host would train wrongly or not at all."""
    row = example.row or {}
    if is_weighted(row) and not host.profile.takes_weight:
        raise BadRow(example=example.id, reason=ask.words("start.no_weight", host=host.name))
    if _has_tools(row) and not host.profile.takes_tools:
        raise BadRow(example=example.id, reason=ask.words("start.no_tools", host=host.name))


def refuse_size(ask: Request, host: Host, *, rows: int, size: int) -> None:
    most_rows, most_bytes = host.profile.max_rows, host.profile.max_bytes
    if most_rows is not None and rows > most_rows:
        raise BadInput(problem=ask.words("start.too_many", host=host.name, most=f"{most_rows:,}"))
    if most_bytes is not None and size > most_bytes:
        most = f"{most_bytes / 2**20:,.3g}"
        raise BadInput(problem=ask.words("start.too_large", host=host.name, most=most))


def suffix_of(ask: Request, host: Host) -> str | None:
    """The word that was asked for, checked; else the assistant's name as far as it fits."""
    profile, asked = host.profile, ask.text("suffix")
    if asked is None:
        return _plain(ask.assistant.name)[: profile.max_suffix] or None
    if len(asked) > profile.max_suffix:
        raise BadInput(problem=ask.words("start.suffix", most=profile.max_suffix))
    if not re.fullmatch(profile.suffix_pattern, asked):
        raise BadInput(problem=ask.words("start.suffix_letters", host=host.name))
    return asked


def warnings(ask: Request, host: Host) -> Iterator[str]:
    """What one should know of a host before saying yes."""
    words, profile = ask.words, host.profile
    if profile.label:
        yield profile.label
    if not profile.is_tried:
        yield words("start.untried", profile=profile.name)
    if profile.closes_on and (profile.closes_on - ask.now.date()).days < _CLOSING_DAYS:
        yield words("start.closes", host=host.name, date=profile.closes_on.isoformat())
    if profile.serving is Serving.BY_HAND:
        yield words("start.by_hand", page=profile.serving_page or host.name)
    yield from _hosting(ask, host)
    if profile.idle_days is not None:
        yield words("start.idle", days=profile.idle_days)


def without_weights(row: Row) -> Row:
    """For a host that does not know the word; only rows where it changes nothing come here."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        return row
    return {**row, "messages": [_without_weight(message) for message in messages]}


def is_weighted(row: Mapping[str, object]) -> bool:
    """Whether some answer is not to be learned from."""
    return any(message.get("weight") == 0 for message in _messages(row))


def _hosting(ask: Request, host: Host) -> Iterator[str]:
    """What a model costs by the hour is another bill than its training."""
    price = host.price(ask.assistant.base).hosting
    if price is not None and price > 0:
        yield ask.words("start.hosting", price=said_price(price, ask.words))
    elif price is None and host.profile.serving is not Serving.AT_ONCE:
        yield ask.words("start.hosting_unknown")


def _messages(row: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    source = row.get("input") if "messages" not in row else row
    listed = source.get("messages") if isinstance(source, Mapping) else None
    return [m for m in listed if isinstance(m, Mapping)] if isinstance(listed, list) else ()


def _has_tools(row: Mapping[str, object]) -> bool:
    source = row.get("input") if "messages" not in row else row
    has_list = isinstance(source, Mapping) and bool(source.get("tools"))
    return has_list or any(message.get("tool_calls") for message in _messages(row))


def _without_weight(message: object) -> object:
    if not isinstance(message, Mapping):
        return message
    return {name: value for name, value in message.items() if name != "weight"}


def _plain(name: str) -> str:
    return "".join(
        c for c in name.lower().replace(" ", "-") if c.isascii() and (c.isalnum() or c == "-")
    )
