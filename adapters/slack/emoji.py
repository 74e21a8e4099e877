"""The emoji that have a function in Attune, by Slack's names."""

from __future__ import annotations

_EMOJI_BY_NAME = {
    "mortar_board": "🎓",
    "white_check_mark": "✅",
    "heavy_check_mark": "✅",
    "+1": "👍",
    "thumbsup": "👍",
    "-1": "👎",
    "thumbsdown": "👎",
    "x": "❌",
}
_NAME_BY_EMOJI = {"🎓": "mortar_board", "✅": "white_check_mark", "👍": "+1", "👎": "-1", "❌": "x"}


def emoji_of_name(name: str) -> str | None:
    """Returns the emoji of a name with any skin tone; None if the emoji has no function."""
    return _EMOJI_BY_NAME.get(name.partition("::")[0])


def name_of_emoji(emoji: str) -> str | None:
    """Returns Slack's name of an emoji, None if the emoji has no function."""
    return _NAME_BY_EMOJI.get(emoji)
