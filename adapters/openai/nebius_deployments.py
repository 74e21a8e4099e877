"""Deployments at hosts on which a tuned model must be deployed by an API call.

The API is that of Nebius Token Factory: `POST /v0/models` with the source `JOB:CHECKPOINT`. The
deployment's status goes from `validating` to `active`, and its name is chosen by the host.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote, urljoin

from openai import AsyncOpenAI

from adapters.openai import response_parsing
from adapters.openai.errors import ProtocolViolation
from adapters.openai.job_statuses import openai_status_of
from adapters.openai.response_parsing import Json
from bot.domain import HostName, ModelName
from bot.errors import HostRefused
from bot.ports.model_hosts import RemoteDeployment

_READY = ("active", "deployed", "ready", "running", "succeeded")
_FAILED = ("failed", "cancelled")


class NebiusDeployments:
    """The deployments of one host; `path` is relative to the base URL, None without deployments.

    `reading` retries its requests, `acting` does not.
    """

    def __init__(
        self, host: HostName, reading: AsyncOpenAI, acting: AsyncOpenAI, path: str | None
    ) -> None:
        self._host, self._read_client, self._write_client = host, reading, acting
        base = f"{str(reading.base_url).rstrip('/')}/"
        self._url = urljoin(base, path) if path else None

    async def all(self) -> Sequence[RemoteDeployment]:
        return [_deployment(row) for row in await self._rows()]

    async def serve(self, job: str, base: ModelName, name: str) -> ModelName | None:
        """Deploys the last checkpoint of a job unless it is deployed; returns the name when ready.

        Looks first, so that a retry after a lost response does not deploy twice.
        """
        for row in await self._rows():
            if str(row.get("source", "")).partition(":")[0] == job:
                return self._name_when_ready(row)
        source = f"{job}:{await self._last_checkpoint(job)}"
        body = {"source": source, "base_model": base, "name": name}
        answer = await self._write_client.post(self._url or "", cast_to=object, body=body)
        return self._name_when_ready(_object(answer))

    async def delete(self, name: ModelName) -> None:
        await self._write_client.delete(f"{self._url}/{quote(name, safe='')}", cast_to=object)

    async def _rows(self) -> Sequence[Json]:
        if self._url is None:
            return ()
        body = _object(await self._read_client.get(self._url, cast_to=object))
        rows, _ = response_parsing.read_page(body)
        return rows

    def _name_when_ready(self, row: Json) -> ModelName | None:
        return name_when_ready(self._host, _deployment(row), row.get("status_reason"))

    async def _last_checkpoint(self, job: str) -> str:
        list_page = self._read_client.fine_tuning.jobs.checkpoints.with_raw_response.list
        rows, _ = response_parsing.read_page(
            response_parsing.parse_json_object((await list_page(job)).http_response)
        )
        last = max(
            rows, key=lambda row: response_parsing.to_count(row.get("step_number")) or 0, default={}
        )
        checkpoint = response_parsing.id_of_row(last)
        if checkpoint is None:
            raise ProtocolViolation("The job has left no checkpoint to deploy.")
        return checkpoint


def _deployment(row: Json) -> RemoteDeployment:
    return RemoteDeployment(
        name=ModelName(str(row.get("name") or response_parsing.id_of_row(row) or "")),
        status=str(row.get("status") or "unknown").lower(),
    )


def _object(value: object) -> Json:
    if not isinstance(value, Mapping):
        raise ProtocolViolation("The answer is not a JSON object.")
    return value


def name_when_ready(
    host: HostName,
    deployment: RemoteDeployment,
    reason: object,
    ready: Collection[str] = _READY,
) -> ModelName | None:
    """Returns the name of a deployment, or None while its status is not in `ready`.

    Raises HostRefused for a failed deployment.
    """
    if openai_status_of(deployment.status) in _FAILED:
        message = str(reason or deployment.status)
        raise HostRefused(host=host, message=message, code="deployment_failed")
    return deployment.name if deployment.status in ready else None
