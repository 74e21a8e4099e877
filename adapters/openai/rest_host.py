"""Base class of hosts with OpenAI's chat API and a REST API of their own for training.

`TogetherHost` and `FireworksHost` inherit from it. Chat, time limits, retries and the translation
of errors are inherited from `OpenAIHost`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote, urljoin

import httpx2
import openai

from adapters.openai import response_parsing
from adapters.openai.errors import ProtocolViolation
from adapters.openai.nebius_deployments import name_when_ready
from adapters.openai.openai_host import OpenAIHost
from adapters.openai.paging import MAX_PAGES
from adapters.openai.response_parsing import Json
from bot.domain import ModelName
from bot.errors import HostRefused
from bot.ports.model_hosts import RemoteDeployment, RemoteJob

MULTIPART_HEADERS: Mapping[str, str] = {"Content-Type": "multipart/form-data"}
_READY = ("ready", "scaling", "updating", "active")


class RestHost(OpenAIHost):
    """A host with a REST API; only GET requests are retried, paths are relative to the base URL."""

    async def pause_job(self, job: str) -> RemoteJob:
        raise HostRefused(host=self.name, message="It pauses no training; it can be cancelled.")

    async def resume_job(self, job: str) -> RemoteJob:
        raise HostRefused(host=self.name, message="It resumes no training.")

    def _url(self, path: str) -> str:
        """Returns the URL of a path, which may leave the base path (`../v2/…`)."""
        return urljoin(f"{str(self._read_client.base_url).rstrip('/')}/", path)

    async def _get(self, path: str, **query: str) -> Json:
        answer = await self._read_client.get(
            self._url(path), cast_to=httpx2.Response, options={"params": query}
        )
        return response_parsing.parse_json_object(answer)

    async def _post(self, path: str, body: Json, **query: str) -> Json:
        answer = await self._write_client.post(
            self._url(path), cast_to=httpx2.Response, body=dict(body), options={"params": query}
        )
        return response_parsing.parse_json_object(answer)

    async def _delete(self, path: str, **query: str) -> None:
        await self._write_client.delete(
            self._url(path), cast_to=httpx2.Response, options={"params": query}
        )

    async def _rows(self, path: str, noun: str = "data", **query: str) -> AsyncIterator[Json]:
        """Yields every row of a list whose pages have a token of the next page.

        Raises ProtocolViolation for a page without the field `noun`, unless it has no other
        fields either: some hosts leave out an empty list.
        """
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            body = await self._get(path, **query)
            if noun not in body and body.keys() - {"nextPageToken", "totalSize"}:
                raise ProtocolViolation(f"The list has no {noun}.")
            for row in response_parsing.read_page({"data": body.get(noun)})[0]:
                yield row
            following = str(body.get("nextPageToken") or body.get("next_cursor") or "")
            if not following or following in seen:
                return
            seen.add(following)
            query |= {"pageToken" if body.get("nextPageToken") else "after": following}

    async def _list(self, path: str) -> Sequence[Json]:
        """Returns the rows of a list without pages."""
        return response_parsing.read_page(await self._get(path))[0]

    def _when_ready(self, deployment: RemoteDeployment, reason: object) -> ModelName | None:
        """Returns the name of a deployment, or None until it is ready.

        Raises HostRefused for a failed deployment.
        """
        return name_when_ready(self.name, deployment, reason, _READY)


def is_conflict(error: openai.APIStatusError) -> bool:
    """Whether the error says that the resource exists already."""
    return error.status_code == 409 or "already exists" in error.response.text.lower()


def url_segment(name: str) -> str:
    """Returns a name quoted as one segment of a path."""
    return quote(name, safe="")


def string_or_empty(value: object) -> str:
    """Returns a string as it is, and "" for any other value."""
    return value if isinstance(value, str) else ""
