"""Structured logs: a constant sentence with data; never the text of messages and never tokens."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TextIO

_OWN_PACKAGES = ("attune", "adapters", "bot", "storage", "tuner")
# python-socketio and python-engineio add a handler of their own unless a level is set.
_WITH_HANDLERS = ("engineio.server", "engineio.client", "socketio.server", "socketio.client")
_RECORD_FIELDS = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "taskName",
}


class JsonFormatter(logging.Formatter):
    """Formats a record as a line of JSON with the values of `extra` as fields.

    The messages of libraries may contain text of people, so only their source lines are logged.
    """

    def format(self, record: logging.LogRecord) -> str:
        is_ours = record.name.partition(".")[0] in _OWN_PACKAGES
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "where": record.name,
            **(_message(record) if is_ours else _source_line(record)),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = _traceback(record)
        return json.dumps(line, default=str, ensure_ascii=False)


def _message(record: logging.LogRecord) -> dict[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
    return {"what": record.getMessage(), **fields}


def _source_line(record: logging.LogRecord) -> dict[str, object]:
    return {"what": "A library reports something", "at": f"{record.pathname}:{record.lineno}"}


def _traceback(record: logging.LogRecord) -> list[str]:
    """Returns the type and source lines of an exception; its message may contain text of people."""
    assert record.exc_info
    kind, _, trace = record.exc_info
    lines = [kind.__name__ if kind else ""]
    while trace is not None:
        lines.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return lines


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Whether a record is logged: not the traceback of a server stopped during its start."""
    error = record.exc_info[1] if record.exc_info else None
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return not isinstance(error, asyncio.CancelledError)


def configure_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Logs Attune's own modules from the given level on, and libraries from warnings on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_is_no_cancellation)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OWN_PACKAGES:
        logging.getLogger(name).setLevel(level.upper())
    for name in _WITH_HANDLERS:
        logging.getLogger(name).setLevel(logging.WARNING)
