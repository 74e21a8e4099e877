"""The slash commands of the console, with their usage and the error for faulty lines."""

from __future__ import annotations

from collections.abc import Mapping

USAGE_BY_COMMAND: Mapping[str, str] = {
    "tune": "/tune COMMAND",
    "reply": "/reply N TEXT",
    "click": "/click N LABEL",
    "react": "/react N EMOJI [off]",
    "edit": "/edit N TEXT",
    "delete": "/delete N",
    "fill": "/fill FIELD TEXT",
    "submit": "/submit",
    "dismiss": "/dismiss",
    "wait": "/wait",
    "as": "/as NAME",
    "quit": "/quit",
}


class LineError(Exception):
    """A line that cannot be run; `key` and `details` make its sentence of `bot/words`."""

    def __init__(self, key: str, /, **details: object) -> None:
        self.key = key
        self.details = details
        super().__init__(key)


def usage_error(word: str) -> LineError:
    """Returns the error for a line that lacks an argument, with the command's usage."""
    return LineError("console.usage", usage=USAGE_BY_COMMAND[word])
