"""The few emoji that mean something to us, by Slack's names."""

from __future__ import annotations

_NAMES = {
    "mortar_board": "🎓",
    "white_check_mark": "✅",
    "heavy_check_mark": "✅",
    "+1": "👍",
    "thumbsup": "👍",
    "-1": "👎",
    "thumbsdown": "👎",
    "x": "❌",
}
_BACK = {"🎓": "mortar_board", "✅": "white_check_mark", "👍": "+1", "👎": "-1", "❌": "x"}


def meaning(name: str) -> str | None:
    """The emoji of a name, whatever its skin; None where it means nothing to us."""
    return _NAMES.get(name.partition("::")[0])


def name_of(emoji: str) -> str | None:
    return _BACK.get(emoji)
