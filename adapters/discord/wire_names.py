"""Names of commands, menu entries and markers in ids, used by both directions."""

from __future__ import annotations

COMMAND = "tune"
ASK = "ask"
MENUS = {
    "save": "Save as example",
    "several": "Save several messages",
    "thread": "Save whole thread",
    "improve": "Improve this reply",
}
"""Message commands as a message's menu lists them; at most 32 characters."""

ROLE = "&"
"""Prefix of a server role's id, as in the mention `<@&1>`.

Roles can be granted to a role's members.
"""
CHOOSE = "choose"
"""Id of a select menu whose values are actions."""
PART = "#"
"""Separates a field's name from the number of an input: `answer#0`, `answer#1`.

A text that is longer than one input is split over several.
"""
FIRST = "~"
"""Separates an action from the first message of the answer that the action is about."""
