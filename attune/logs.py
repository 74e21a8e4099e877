"""Structured logs: a constant sentence, then its data; never message text, never a token."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TextIO

_OURS = ("attune", "adapters", "bot", "storage", "tuner")
# They bring a handler of their own unless a level is set: python-socketio, python-engineio.
_WITH_HANDLERS = ("engineio.server", "engineio.client", "socketio.server", "socketio.client")
_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what a record carries in `extra` becomes its fields.

    A library's own words may hold what people wrote, so only their place in its source is told.
    """

    def format(self, record: logging.LogRecord) -> str:
        is_ours = record.name.partition(".")[0] in _OURS
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "where": record.name,
            **(_told(record) if is_ours else _place(record)),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = _story(record)
        return json.dumps(line, default=str, ensure_ascii=False)


def _told(record: logging.LogRecord) -> dict[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _OWN}
    return {"what": record.getMessage(), **fields}


def _place(record: logging.LogRecord) -> dict[str, object]:
    return {"what": "A library reports something", "at": f"{record.pathname}:{record.lineno}"}


def _story(record: logging.LogRecord) -> list[str]:
    """Types and places of an exception, without its words: those may hold message text."""
    assert record.exc_info
    kind, _, trace = record.exc_info
    story = [kind.__name__ if kind else ""]
    while trace is not None:
        story.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return story


def _is_news(record: logging.LogRecord) -> bool:
    """A server that is stopped while it starts says so at length; whoever stopped it says why."""
    error = record.exc_info[1] if record.exc_info else None
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return not isinstance(error, asyncio.CancelledError)


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Our own modules at the wished level, libraries from warnings on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
    for name in _WITH_HANDLERS:
        logging.getLogger(name).setLevel(logging.WARNING)
