"""The slash commands of the console itself, and their usage."""

from __future__ import annotations

from collections.abc import Mapping

USAGES: Mapping[str, str] = {
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
    """What a line says cannot be done; the sentence is a key and its details."""

    def __init__(self, key: str, /, **details: object) -> None:
        self.key = key
        self.details = details
        super().__init__(key)


def usage_error(word: str) -> LineError:
    """The line does not say what is needed."""
    return LineError("console.usage", usage=USAGES[word])
