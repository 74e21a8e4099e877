"""Deployments, where a host wants a call before a tuned model answers.

The shape is that of Nebius Token Factory: `POST /v0/models` with the source
`JOB:CHECKPOINT`, which goes from `validating` to `active`, and answers to a
name that the host makes up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote, urljoin

from openai import AsyncOpenAI

from adapters.openai import response_parsing
from adapters.openai.errors import ProtocolViolation
from adapters.openai.response_parsing import Json
from adapters.openai.statuses import meaning_of
from bot.domain import HostName, ModelName
from bot.errors import HostRefused
from bot.ports.provider import RemoteDeployment

_READY = ("active", "deployed", "ready", "running", "succeeded")
_BROKEN = ("failed", "cancelled")


class Deployments:
    """Those of one host; `path` is seen from its base address, None where it has none."""

    def __init__(
        self, host: HostName, reading: AsyncOpenAI, acting: AsyncOpenAI, path: str | None
    ) -> None:
        self._host, self._reading, self._acting = host, reading, acting
        base = f"{str(reading.base_url).rstrip('/')}/"
        self._url = urljoin(base, path) if path else None

    async def all(self) -> Sequence[RemoteDeployment]:
        return [_deployment(row) for row in await self._rows()]

    async def serve(self, job: str, base: ModelName, name: str) -> ModelName | None:
        """Looks before it acts, so that a lost answer is no second deployment."""
        for row in await self._rows():
            if str(row.get("source", "")).partition(":")[0] == job:
                return self._name_when_ready(row)
        source = f"{job}:{await self._last_checkpoint(job)}"
        body = {"source": source, "base_model": base, "name": name}
        answer = await self._acting.post(self._url or "", cast_to=object, body=body)
        return self._name_when_ready(_object(answer))

    async def delete(self, name: ModelName) -> None:
        await self._acting.delete(f"{self._url}/{quote(name, safe='')}", cast_to=object)

    async def _rows(self) -> Sequence[Json]:
        if self._url is None:
            return ()
        found = _object(await self._reading.get(self._url, cast_to=object))
        rows, _ = response_parsing.page(found)
        return rows

    def _name_when_ready(self, row: Json) -> ModelName | None:
        """Raises HostRefused for a deployment that will never be ready."""
        return name_when_ready(self._host, _deployment(row), row.get("status_reason"))

    async def _last_checkpoint(self, job: str) -> str:
        listed = self._reading.fine_tuning.jobs.checkpoints.with_raw_response.list
        rows, _ = response_parsing.page(
            response_parsing.parse_json_object((await listed(job)).http_response)
        )
        last = max(
            rows, key=lambda row: response_parsing.as_whole(row.get("step_number")) or 0, default={}
        )
        found = response_parsing.identity(last)
        if found is None:
            raise ProtocolViolation("The job has left no checkpoint to deploy.")
        return found


def _deployment(row: Json) -> RemoteDeployment:
    return RemoteDeployment(
        name=ModelName(str(row.get("name") or response_parsing.identity(row) or "")),
        status=str(row.get("status") or "unknown").lower(),
    )


def _object(value: object) -> Json:
    if not isinstance(value, Mapping):
        raise ProtocolViolation("The answer is not a JSON object.")
    return value


def name_when_ready(
    host: HostName,
    found: RemoteDeployment,
    reason: object,
    ready: Collection[str] = _READY,
) -> ModelName | None:
    """Raises HostRefused for a deployment that will never be ready."""
    if meaning_of(found.status) in _BROKEN:
        message = str(reason or found.status)
        raise HostRefused(host=host, message=message, code="deployment_failed")
    return found.name if found.status in ready else None
