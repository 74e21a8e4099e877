"""Names of commands, menu entries and markers in ids, used by both directions."""

from __future__ import annotations

COMMAND_GROUP = "tune"
ASK_COMMAND = "ask"
MESSAGE_COMMANDS = {
    "save": "Save as example",
    "several": "Save several messages",
    "thread": "Save whole thread",
    "improve": "Improve this reply",
}
"""Message commands as a message's menu lists them; at most 32 characters."""

ROLE_ID_PREFIX = "&"
"""Prefix of a server role's id, as in the mention `<@&1>`.

Roles can be granted to a role's members.
"""
SELECT_MENU_ID = "choose"
"""Id of a select menu whose values are actions."""
INPUT_NUMBER_SEPARATOR = "#"
"""Separates a field's name from the number of an input: `answer#0`, `answer#1`.

A text that is longer than one input is split over several.
"""
FIRST_MESSAGE_SEPARATOR = "~"
"""Separates an action from the first message of the answer that the action is about."""
