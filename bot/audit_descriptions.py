"""What an entry of the audit log says in words: the action, and its details one by one."""

from __future__ import annotations

from collections.abc import Mapping

from bot import mentions_and_times
from bot.domain import AuditEntry
from bot.ports.store import ALL_CHANNELS
from bot.words import Words, format_dollars

_INTERNAL = frozenset({"event", "turn"})
_NAMED = {
    "sources": "learning",
    "role": "role",
    "allowed": "exclusion",
    "why": "audit.why",
}
"""Details whose values are names in the code: the beginning of the keys of their words."""

_AMOUNTS = frozenset({"share", "price", "training"})
"""A share, a price, and the cap on training in US dollars a month."""
_COUNTS = frozenset({"count", "examples", "known", "new", "refused", "rows", "turns"})


def describe_action(entry: AuditEntry, words: Words) -> str:
    """Returns the description of an entry's action, or the action's name if there is none."""
    key = f"audit.{entry.what}"
    return words(key) if words.has_sentence(key) else entry.what


def describe_details(
    entry: AuditEntry, words: Words, model_names: Mapping[str, str]
) -> tuple[str, ...]:
    """Returns a phrase for each detail; `model_names` are short names by the id of the model."""
    details = raw_details(entry)
    if "model" in details:
        details["model"] = model_names.get(str(details["model"]), details["model"])
    return tuple(
        _describe(name, value, words)
        for name, value in details.items()
        if name not in _INTERNAL and _tells_something(name, value, words)
    )


def raw_details(entry: AuditEntry) -> dict[str, object]:
    return {name: value for name, value in entry.details.items() if name != "event"}


def _tells_something(name: str, value: object, words: Words) -> bool:
    """Whether a detail is worth a phrase: an empty text or list, or a count of zero, is not."""
    if value is None:
        return words.has_sentence(f"audit.detail.{name}.none")
    return value not in ("", []) and not (name in _COUNTS and value == 0)


def _describe(name: str, value: object, words: Words) -> str:
    key = f"audit.detail.{name}"
    if value is None:
        return words(f"{key}.none")
    if not words.has_sentence(key):
        return f"{name} {value}"
    if name == "channel" and value == ALL_CHANNELS:
        return words("audit.detail.everywhere")
    if value is False and words.has_sentence(f"{key}.off"):
        return words(f"{key}.off")
    if isinstance(value, list):
        value = len(value)
    if isinstance(value, int) and name not in _AMOUNTS:
        return words(key, count=value, value=f"{value:,}")
    return words(key, value=_in_words(name, value, words))


def _in_words(name: str, value: object, words: Words) -> object:
    match name, value:
        case "user_id", _:
            return mentions_and_times.person_reference(str(value))
        case "channel", _:
            return mentions_and_times.channel_reference(str(value))
        case "share", int() | float():
            return f"{value:.0%}"
        case "price", int() | float():
            return words.price_text(value)
        case "training", int() | float():
            return format_dollars(value)
    if name not in _NAMED:
        return value
    keys = [f"{_NAMED[name]}.{part}" for part in str(value).split(",")]
    return ", ".join(
        words(key) if words.has_sentence(key) else key.rpartition(".")[2] for key in keys
    )
