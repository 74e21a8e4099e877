"""How long a host is waited for, and what an operator adds to its requests."""

from __future__ import annotations

from collections.abc import (
    Mapping,
)
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait: to connect, for a poll, for an upload, for the next piece of an answer.

    `first` is for the first piece: a server may have to load 140 GB of weights before it.
    `whole` bounds a poll with all its tries, `whole_upload` a file on its way: a host that sends
    a byte now and then keeps nobody longer.
    """

    connect: float = 5.0
    poll: float = 30.0
    upload: float = 600.0
    first_piece: float = 300.0
    piece: float = 60.0
    whole_poll: float = 120.0
    whole_upload: float = 3600.0


@dataclass(frozen=True, slots=True)
class RequestAdditions:
    """What an operator adds to the requests of a host; `{key}` in a header is the host's key.

    `served_as` are bases that answer under another name than the one they are tuned by.
    """

    extra_body: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    first_word_seconds: float | None = None
    served_as: Mapping[str, str] = field(default_factory=dict)

    def adjust_timeouts(self, timeouts: Timeouts) -> Timeouts:
        return replace(timeouts, first_piece=self.first_word_seconds or timeouts.first_piece)

    def headers_with(self, key: str) -> Mapping[str, str]:
        return {name: value.replace("{key}", key) for name, value in self.headers.items()}
