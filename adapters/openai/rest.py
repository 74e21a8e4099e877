"""The calls of a host that answers as OpenAI does, and trains by a REST API of its own.

`TogetherHost` and `FireworksHost` stand on it: each says what differs, and chat, time limits,
retries and the translation of errors are those of `OpenAIHost`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote, urljoin

import httpx2
import openai

from adapters.openai import response_parsing
from adapters.openai.client import OpenAIHost
from adapters.openai.deploying import name_when_ready
from adapters.openai.errors import ProtocolViolation
from adapters.openai.paging import MOST_PAGES
from adapters.openai.response_parsing import Json
from bot.domain import ModelName
from bot.errors import HostRefused
from bot.ports.provider import RemoteDeployment, RemoteJob

MULTIPART: Mapping[str, str] = {"Content-Type": "multipart/form-data"}
_READY = ("ready", "scaling", "updating", "active")


class RestHost(OpenAIHost):
    """GETs are retried, other requests are sent once; paths are relative to the base URL."""

    async def pause_job(self, job: str) -> RemoteJob:
        raise HostRefused(host=self.name, message="It pauses no training; it can be cancelled.")

    async def resume_job(self, job: str) -> RemoteJob:
        raise HostRefused(host=self.name, message="It resumes no training.")

    def _url(self, path: str) -> str:
        """An absolute address for a path that leads out of the base (`../v2/…`)."""
        return urljoin(f"{str(self._reading.base_url).rstrip('/')}/", path)

    async def _get(self, path: str, **query: str) -> Json:
        answer = await self._reading.get(
            self._url(path), cast_to=httpx2.Response, options={"params": query}
        )
        return response_parsing.parse_json_object(answer)

    async def _post(self, path: str, body: Json, **query: str) -> Json:
        answer = await self._acting.post(
            self._url(path), cast_to=httpx2.Response, body=dict(body), options={"params": query}
        )
        return response_parsing.parse_json_object(answer)

    async def _delete(self, path: str, **query: str) -> None:
        await self._acting.delete(
            self._url(path), cast_to=httpx2.Response, options={"params": query}
        )

    async def _rows(self, path: str, noun: str = "data", **query: str) -> AsyncIterator[Json]:
        """Every row of a list; each page names the next by a token, the last one does not.

        An empty list may be left out of its page, but nothing else may stand in its place.
        """
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            body = await self._get(path, **query)
            if noun not in body and body.keys() - {"nextPageToken", "totalSize"}:
                raise ProtocolViolation(f"The list has no {noun}.")
            for row in response_parsing.page({"data": body.get(noun)})[0]:
                yield row
            following = str(body.get("nextPageToken") or body.get("next_cursor") or "")
            if not following or following in seen:
                return
            seen.add(following)
            query |= {"pageToken" if body.get("nextPageToken") else "after": following}

    async def _list(self, path: str) -> Sequence[Json]:
        """The rows of a list that has one page."""
        return response_parsing.page(await self._get(path))[0]

    def _when_ready(self, found: RemoteDeployment, reason: object) -> ModelName | None:
        """Raises HostRefused for a deployment that will never be ready."""
        return name_when_ready(self.name, found, reason, _READY)


def is_conflict(error: openai.APIStatusError) -> bool:
    """Whether what was to be made is there already."""
    return error.status_code == 409 or "already exists" in error.response.text.lower()


def segment(name: str) -> str:
    """One segment of a path, whatever is in it."""
    return quote(name, safe="")


def text(value: object) -> str:
    return value if isinstance(value, str) else ""
