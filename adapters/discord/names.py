"""What things are called at Discord, on both ways."""

from __future__ import annotations

COMMAND = "tune"
ASK = "ask"
MENUS = {
    "save": "Save as example",
    "several": "Save several messages",
    "thread": "Save whole thread",
    "improve": "Improve this reply",
}
"""Shortcuts as Discord lists them in a message's menu; at most 32 characters."""

ROLE = "&"
"""Before the id of a server role, as in the mention `<@&1>`: a role can be granted to it."""
CHOOSE = "choose"
"""The id of a menu whose values are the actions themselves."""
PART = "#"
"""A text longer than one input is asked for in several: `answer#0`, `answer#1`."""
FIRST = "~"
"""Between an action and the first message of the answer it is about."""
