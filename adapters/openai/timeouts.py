"""Timeouts of requests to a host, and what an operator adds to the requests."""

from __future__ import annotations

from collections.abc import (
    Mapping,
)
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds.

    `poll` and `upload` limit each read and write of an attempt, `connect` its connection.
    `first_piece` is for the first piece of an answer, before which a server may have to load 140 GB
    of weights, and `piece` for each later one. `whole_poll` limits a poll with all its retries and
    `whole_upload` an upload, also at a host that sends a byte now and then.
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
    """Additions of an operator to the requests of a host.

    `{key}` in a header is replaced by the host's key. `served_as` maps bases to the names by which
    they answer, where these differ.
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
