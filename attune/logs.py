"""Structured logs: a constant sentence, then its data; never message text, never a token."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TextIO

_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "taskName"}


class Lines(logging.Formatter):
    """One JSON object a line; what a record carries in `extra` becomes its fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "where": record.name,
            "what": record.getMessage(),
            **fields,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = _story(record)
        return json.dumps(line, default=str, ensure_ascii=False)


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
    handler.setFormatter(Lines())
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("attune", "adapters", "bot", "storage", "tuner"):
        logging.getLogger(name).setLevel(level.upper())
