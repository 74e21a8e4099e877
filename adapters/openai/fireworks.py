"""The Fireworks AI API: resources under `/v1/accounts/{account}` with ids chosen by the caller.

Paths, fields and states are from the host's package (`fireworks-ai` 1.2.30) and from
https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api; nothing was tested against the host.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO

import httpx2
import openai

from adapters.openai import request_fields, response_parsing
from adapters.openai.errors import ProtocolViolation
from adapters.openai.job_statuses import openai_status_of
from adapters.openai.openai_host import MAX_IN_MEMORY_BYTES
from adapters.openai.response_parsing import Json
from adapters.openai.rest_host import (
    MULTIPART_HEADERS,
    RestHost,
    is_conflict,
    string_or_empty,
    url_segment,
)
from bot.domain import Checkpoint, JobEvent, ModelName
from bot.errors import HostRefused
from bot.ports.model_hosts import JobRequest, RemoteDeployment, RemoteFile, RemoteJob
from bot.rows import Method

_SUPERVISED, _PREFERENCES = "supervisedFineTuningJobs", "dpoJobs"
_ACCOUNT = re.compile(r"/accounts/[^/]+/?$")
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9-]+")
_MAX_ID_LENGTH = 63
_IDLE = "3600s"
"""Time without requests after which a deployment is scaled to zero and costs nothing."""


class FireworksHost(RestHost):
    """Fireworks AI; the id of a job contains its collection, such as `dpoJobs/attune-…`."""

    _cached_account = ""

    async def _check_jobs(self) -> None:
        await self._get(await self._path(_SUPERVISED), pageSize="1")

    async def _path(self, rest: str) -> str:
        """Returns the path of a resource below the account, relative to the base URL."""
        if _ACCOUNT.search(str(self._read_client.base_url)):
            return rest
        return f"{await self._account()}/{rest}"

    async def _account(self) -> str:
        """Returns `accounts/NAME`: the end of the base URL, else the only account of the key.

        Raises HostRefused if the key has no account or several.
        """
        address = str(self._read_client.base_url)
        if _ACCOUNT.search(address):
            return address.rstrip("/")[address.index("/accounts/") + 1 :]
        if not self._cached_account:
            names = [
                string_or_empty(row.get("name")) async for row in self._rows("accounts", "accounts")
            ]
            if len(names) != 1:
                words = f"The key opens {len(names)} accounts. Let base_url end in /accounts/NAME."
                raise HostRefused(host=self.name, message=words, code="no_account")
            self._cached_account = names[0]
        return self._cached_account

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Uploads a dataset without retries; one that an earlier attempt created is filled."""
        with SpooledTemporaryFile(max_size=MAX_IN_MEMORY_BYTES) as spool:
            count = request_fields.write_training_rows(spool, lines, byte_order_mark=False)
            async with self._request_scope(self._timeouts.whole_upload):
                return await self._upload(name, spool, count)

    async def _upload(self, name: str, spool: IO[bytes], count: int) -> RemoteFile:
        dataset, path = _id_of(name), await self._path("datasets")
        about = {"displayName": name, "exampleCount": str(count), "userUploaded": {}}
        try:
            await self._post(path, {"datasetId": dataset, "dataset": about})
        except openai.APIStatusError as error:
            if not is_conflict(error):
                raise
        size = spool.tell()
        spool.seek(0)
        await self._write_client.post(
            self._url(f"{path}/{dataset}:upload"),
            cast_to=httpx2.Response,
            files={"file": (name, spool, "application/jsonl")},
            options={"headers": MULTIPART_HEADERS, "timeout": self._timeouts.upload},
        )
        await self._call(f"{path}/{dataset}:validateUpload")
        return RemoteFile(dataset, name, size, response_parsing.EPOCH)

    async def files(self) -> AsyncIterator[RemoteFile]:
        with self._translate_errors():
            async for row in self._rows(await self._path("datasets"), "datasets"):
                yield _file(row)

    async def delete_file(self, file: str) -> None:
        async with self._request_scope():
            await self._delete(await self._path(f"datasets/{url_segment(file)}"))

    async def read_file(self, file: str) -> bytes:
        raise HostRefused(host=self.name, message="It gives no files back.")

    async def _file_row(self, file: str) -> Json:
        row = await self._get(await self._path(f"datasets/{url_segment(file)}"))
        error = _error_status(row)
        status = "failed" if error else row.get("state")
        return {"status": status, "status_details": error.get("message")}

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Creates a job with the idempotency key as its id; a second attempt returns that job."""
        job = f"attune-{request.idempotency_key}"
        async with self._request_scope():
            await self._wait_for_files(request)
            fields = {**await self._fields(request), **self._extra}
            kind = _PREFERENCES if request.method is Method.DPO else _SUPERVISED
            name = "dpoJobId" if request.method is Method.DPO else "supervisedFineTuningJobId"
            url = self._url(await self._path(kind))
            try:
                answer = await self._post_job(url, fields, **{name: job})
            except openai.APIStatusError as error:
                if not is_conflict(error):
                    raise
                return _job(await self._get(await self._path(f"{kind}/{job}")))
            return _job(response_parsing.parse_json_object(answer))

    async def _fields(self, request: JobRequest) -> dict[str, object]:
        hyperparameters = request.hyperparameters
        is_base = request.base in self.bases or "/fireworks/models/" in request.base
        account = await self._account()
        suffix = f"-{_id_of(request.suffix)}" if request.suffix else ""
        model = _id_of(f"attune-{request.idempotency_key}{suffix}")
        training: dict[str, object] = {
            "baseModel" if is_base else "warmStartFrom": request.base,
            "outputModel": f"{account}/models/{model}",
            "epochs": hyperparameters.n_epochs,
            "batchSizeSamples": hyperparameters.batch_size,
        }
        training = {name: value for name, value in training.items() if value is not None}
        shared = {
            "dataset": f"{account}/datasets/{request.training_file}",
            "displayName": f"attune-{request.idempotency_key}",
        }
        if request.method is Method.DPO:
            loss: dict[str, object] = {"method": "DPO"}
            if hyperparameters.beta is not None:
                loss["dpo"] = {"beta": hyperparameters.beta}
            return {**shared, "trainingConfig": training, "lossConfig": loss}
        if request.validation_file:
            training["evaluationDataset"] = f"{account}/datasets/{request.validation_file}"
        return {**shared, **training}

    async def jobs(self) -> AsyncGenerator[RemoteJob, None]:
        with self._translate_errors():
            for kind in (_SUPERVISED, _PREFERENCES):
                path = await self._path(kind)
                async for row in self._rows(path, kind, orderBy="createTime desc"):
                    yield _job(row)

    async def job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            return _job(await self._get(await self._path(job)))

    async def cancel_job(self, job: str) -> RemoteJob:
        return await self._change_job(job, "cancel")

    async def resume_job(self, job: str) -> RemoteJob:
        return await self._change_job(job, "resume")

    async def _change_job(self, job: str, method: str) -> RemoteJob:
        async with self._request_scope():
            path = await self._path(job)
            await self._call(f"{path}:{method}")
            return _job(await self._get(path))

    async def _call(self, path: str) -> None:
        """Calls a custom method such as `…:cancel`, whose response may be empty."""
        await self._write_client.post(self._url(path), cast_to=httpx2.Response, body={})

    async def job_events(self, job: str, seen_ids: frozenset[str]) -> Sequence[JobEvent]:
        """Returns an event with the percentage done, as the host has no list of events."""
        async with self._request_scope():
            row = await self._get(await self._path(job))
        progress = row.get("jobProgress")
        percent = (
            response_parsing.to_count(progress.get("percent"))
            if isinstance(progress, dict)
            else None
        )
        if not percent or f"percent-{percent}" in seen_ids:
            return ()
        steps = {"step": percent, "total_steps": 100}
        event = {"id": f"percent-{percent}", "created_at": row.get("updateTime"), "data": steps}
        return (response_parsing.to_job_event(event),)

    async def checkpoints(self, job: str) -> Sequence[Checkpoint]:
        """Returns no checkpoints, as the host stores one model of a job."""
        return ()

    async def delete_model(self, model: ModelName) -> None:
        async with self._request_scope():
            await self._delete(await self._path(f"models/{url_segment(model.rpartition('/')[2])}"))

    async def deploy(
        self, job: str, model: ModelName, *, base: ModelName, name: str
    ) -> ModelName | None:
        """Deploys the model by itself with merged weights; scaled to zero it costs nothing."""
        body = {
            "displayName": name,
            "baseModel": model,
            "minReplicaCount": 0,
            "maxReplicaCount": 1,
            "deploymentShape": "default",
            "autoscalingPolicy": {"scaleToZeroWindow": _IDLE},
        }
        async with self._request_scope():
            path = await self._path("deployments")
            try:
                row = await self._get(f"{path}/{name}")
            except openai.NotFoundError:
                row = await self._post(path, body, deploymentId=name)
            return self._when_ready(_deployment(row), _error_status(row).get("message"))

    async def deployments(self) -> Sequence[RemoteDeployment]:
        async with self._request_scope():
            path = await self._path("deployments")
            listed = [_deployment(row) async for row in self._rows(path, "deployments")]
        return [d for d in listed if d.status not in ("deleting", "deleted")]

    async def undeploy(self, name: ModelName) -> None:
        async with self._request_scope():
            path = await self._path(f"deployments/{url_segment(name.rpartition('/')[2])}")
            await self._delete(path, ignoreChecks="true")


def _id_of(name: str) -> str:
    """Returns an id made from a name: lower-case letters, digits and hyphens."""
    plain = _NOT_IN_AN_ID.sub("-", name.lower().removesuffix(".jsonl")).strip("-")
    return plain[:_MAX_ID_LENGTH].rstrip("-")


def _error_status(row: Json) -> Mapping[str, object]:
    """Returns the google.rpc.Status of a failed resource; empty for `OK` or none."""
    status = row.get("status")
    if not isinstance(status, dict) or status.get("code") in (None, "OK", 0):
        return {}
    return status


def _file(row: Json) -> RemoteFile:
    """Returns a dataset; it is not whole until its file was uploaded."""
    identity = string_or_empty(row.get("name")).rpartition("/")[2]
    if not identity:
        raise ProtocolViolation("The dataset has no name.")
    created_at = response_parsing.to_datetime(row.get("createTime")) or response_parsing.EPOCH
    is_whole = row.get("state") == "READY"
    return RemoteFile(identity, string_or_empty(row.get("displayName")), 0, created_at, is_whole)


def _job(row: Json) -> RemoteJob:
    """Returns a job with the id `dpoJobs/x` for the name `accounts/a/dpoJobs/x`.

    The row names the model already before the job has made it, so it is only read at the end.
    """
    parts = string_or_empty(row.get("name")).split("/")
    if len(parts) < 2:
        raise ProtocolViolation("The job has no name.")
    training = row.get("trainingConfig")
    config = training if isinstance(training, dict) else row
    state = string_or_empty(row.get("state"))
    is_done = openai_status_of(state) == "succeeded"
    settings = {"n_epochs": config.get("epochs"), "batch_size": config.get("batchSizeSamples")}
    return response_parsing.to_remote_job(
        {
            "id": "/".join(parts[-2:]),
            "status": state,
            "training_file": string_or_empty(row.get("dataset")).rpartition("/")[2],
            "fine_tuned_model": config.get("outputModel") if is_done else None,
            "created_at": row.get("createTime"),
            "hyperparameters": settings,
            "error": _error_status(row) if openai_status_of(state) == "failed" else None,
        }
    )


def _deployment(row: Json) -> RemoteDeployment:
    return RemoteDeployment(
        name=ModelName(string_or_empty(row.get("name"))),
        status=string_or_empty(row.get("state")).lower() or "unknown",
    )
