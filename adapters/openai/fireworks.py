"""Fireworks AI: everything under `/v1/accounts/{account}`, named by ids that the caller may choose.

Paths, fields and states are those of its own package (`fireworks-ai` 1.2.30) and of
https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api; nothing was tried against the host.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO

import httpx2
import openai

from adapters.openai import request_fields, response_parsing
from adapters.openai.client import IN_MEMORY_BYTES
from adapters.openai.errors import ProtocolViolation
from adapters.openai.response_parsing import Json
from adapters.openai.rest import MULTIPART, RestHost, is_conflict, segment, text
from adapters.openai.statuses import meaning_of
from bot.domain import Checkpoint, JobEvent, ModelName
from bot.errors import HostRefused
from bot.ports.provider import JobRequest, RemoteDeployment, RemoteFile, RemoteJob
from bot.rows import Method

_SUPERVISED, _PREFERENCES = "supervisedFineTuningJobs", "dpoJobs"
_ACCOUNT = re.compile(r"/accounts/[^/]+/?$")
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9-]+")
_LONGEST_ID = 63
_IDLE = "3600s"
"""After so long without a question a deployment costs nothing, until the next one wakes it."""


class FireworksHost(RestHost):
    """A job is known by its collection and id: `dpoJobs/attune-…`."""

    _account_found = ""

    async def _check_jobs(self) -> None:
        await self._get(await self._path(_SUPERVISED), pageSize="1")

    async def _path(self, rest: str) -> str:
        """Below the account, which the address may name already."""
        if _ACCOUNT.search(str(self._reading.base_url)):
            return rest
        return f"{await self._account()}/{rest}"

    async def _account(self) -> str:
        """`accounts/NAME`: the end of the address, else the only one that the key opens."""
        address = str(self._reading.base_url)
        if _ACCOUNT.search(address):
            return address.rstrip("/")[address.index("/accounts/") + 1 :]
        if not self._account_found:
            found = [text(row.get("name")) async for row in self._rows("accounts", "accounts")]
            if len(found) != 1:
                words = f"The key opens {len(found)} accounts. Let base_url end in /accounts/NAME."
                raise HostRefused(host=self.name, message=words, code="no_account")
            self._account_found = found[0]
        return self._account_found

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Never retries by itself; a dataset that an earlier try has made is filled."""
        with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
            count = request_fields.write_rows(spool, lines, byte_order_mark=False)
            async with self._asked(self._timeouts.whole_upload):
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
        await self._acting.post(
            self._url(f"{path}/{dataset}:upload"),
            cast_to=httpx2.Response,
            files={"file": (name, spool, "application/jsonl")},
            options={"headers": MULTIPART, "timeout": self._timeouts.upload},
        )
        await self._call(f"{path}/{dataset}:validateUpload")
        return RemoteFile(dataset, name, size, response_parsing.LONG_AGO)

    async def files(self) -> AsyncIterator[RemoteFile]:
        with self._translated():
            async for row in self._rows(await self._path("datasets"), "datasets"):
                yield _file(row)

    async def delete_file(self, file: str) -> None:
        async with self._asked():
            await self._delete(await self._path(f"datasets/{segment(file)}"))

    async def read_file(self, file: str) -> bytes:
        raise HostRefused(host=self.name, message="It gives no files back.")

    async def _file_row(self, file: str) -> Json:
        row = await self._get(await self._path(f"datasets/{segment(file)}"))
        trouble = _trouble(row)
        status = "failed" if trouble else row.get("state")
        return {"status": status, "status_details": trouble.get("message")}

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Under an id of the start, so that a second try finds the first one's job."""
        job = f"attune-{request.idempotency_key}"
        async with self._asked():
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
        chosen = request.hyperparameters
        is_base = request.base in self.bases or "/fireworks/models/" in request.base
        account = await self._account()
        suffix = f"-{_id_of(request.suffix)}" if request.suffix else ""
        model = _id_of(f"attune-{request.idempotency_key}{suffix}")
        training: dict[str, object] = {
            "baseModel" if is_base else "warmStartFrom": request.base,
            "outputModel": f"{account}/models/{model}",
            "epochs": chosen.n_epochs,
            "batchSizeSamples": chosen.batch_size,
        }
        training = {name: value for name, value in training.items() if value is not None}
        shared = {
            "dataset": f"{account}/datasets/{request.training_file}",
            "displayName": f"attune-{request.idempotency_key}",
        }
        if request.method is Method.DPO:
            loss: dict[str, object] = {"method": "DPO"}
            if chosen.beta is not None:
                loss["dpo"] = {"beta": chosen.beta}
            return {**shared, "trainingConfig": training, "lossConfig": loss}
        if request.validation_file:
            training["evaluationDataset"] = f"{account}/datasets/{request.validation_file}"
        return {**shared, **training}

    async def jobs(self) -> AsyncGenerator[RemoteJob, None]:
        with self._translated():
            for kind in (_SUPERVISED, _PREFERENCES):
                path = await self._path(kind)
                async for row in self._rows(path, kind, orderBy="createTime desc"):
                    yield _job(row)

    async def job(self, job: str) -> RemoteJob:
        async with self._asked():
            return _job(await self._get(await self._path(job)))

    async def cancel_job(self, job: str) -> RemoteJob:
        return await self._change_job(job, "cancel")

    async def resume_job(self, job: str) -> RemoteJob:
        return await self._change_job(job, "resume")

    async def _change_job(self, job: str, method: str) -> RemoteJob:
        async with self._asked():
            path = await self._path(job)
            await self._call(f"{path}:{method}")
            return _job(await self._get(path))

    async def _call(self, path: str) -> None:
        """A method of a resource, as `…:cancel`; its answer may be empty."""
        await self._acting.post(self._url(path), cast_to=httpx2.Response, body={})

    async def job_events(self, job: str, seen: frozenset[str]) -> Sequence[JobEvent]:
        """It tells no events, only how much is done, in hundredths."""
        async with self._asked():
            row = await self._get(await self._path(job))
        progress = row.get("jobProgress")
        percent = (
            response_parsing.as_whole(progress.get("percent"))
            if isinstance(progress, dict)
            else None
        )
        if not percent or f"percent-{percent}" in seen:
            return ()
        steps = {"step": percent, "total_steps": 100}
        told = {"id": f"percent-{percent}", "created_at": row.get("updateTime"), "data": steps}
        return (response_parsing.job_event(told),)

    async def checkpoints(self, job: str) -> Sequence[Checkpoint]:
        """It keeps one model of a job."""
        return ()

    async def delete_model(self, model: ModelName) -> None:
        async with self._asked():
            await self._delete(await self._path(f"models/{segment(model.rpartition('/')[2])}"))

    async def serve(
        self, job: str, model: ModelName, *, base: ModelName, name: str
    ) -> ModelName | None:
        """A deployment of its own, with the weights merged; nobody pays while it sleeps."""
        body = {
            "displayName": name,
            "baseModel": model,
            "minReplicaCount": 0,
            "maxReplicaCount": 1,
            "deploymentShape": "default",
            "autoscalingPolicy": {"scaleToZeroWindow": _IDLE},
        }
        async with self._asked():
            path = await self._path("deployments")
            try:
                row = await self._get(f"{path}/{name}")
            except openai.NotFoundError:
                row = await self._post(path, body, deploymentId=name)
            return self._when_ready(_deployment(row), _trouble(row).get("message"))

    async def deployments(self) -> Sequence[RemoteDeployment]:
        async with self._asked():
            path = await self._path("deployments")
            found = [_deployment(row) async for row in self._rows(path, "deployments")]
        return [one for one in found if one.status not in ("deleting", "deleted")]

    async def undeploy(self, name: ModelName) -> None:
        async with self._asked():
            path = await self._path(f"deployments/{segment(name.rpartition('/')[2])}")
            await self._delete(path, ignoreChecks="true")


def _id_of(name: str) -> str:
    """An id made of a name: small letters, digits and dashes."""
    plain = _NOT_IN_AN_ID.sub("-", name.lower().removesuffix(".jsonl")).strip("-")
    return plain[:_LONGEST_ID].rstrip("-")


def _trouble(row: Json) -> Mapping[str, object]:
    """What went wrong, in the form of google.rpc.Status; `OK` is nothing."""
    status = row.get("status")
    if not isinstance(status, dict) or status.get("code") in (None, "OK", 0):
        return {}
    return status


def _file(row: Json) -> RemoteFile:
    """One that was made and never filled is not whole."""
    identity = text(row.get("name")).rpartition("/")[2]
    if not identity:
        raise ProtocolViolation("The dataset has no name.")
    made = response_parsing.moment(row.get("createTime")) or response_parsing.LONG_AGO
    is_whole = row.get("state") == "READY"
    return RemoteFile(identity, text(row.get("displayName")), 0, made, is_whole)


def _job(row: Json) -> RemoteJob:
    """`accounts/a/dpoJobs/x` is `dpoJobs/x` here; it names its model before there is one."""
    parts = text(row.get("name")).split("/")
    if len(parts) < 2:
        raise ProtocolViolation("The job has no name.")
    training = row.get("trainingConfig")
    config = training if isinstance(training, dict) else row
    state = text(row.get("state"))
    is_done = meaning_of(state) == "succeeded"
    settings = {"n_epochs": config.get("epochs"), "batch_size": config.get("batchSizeSamples")}
    return response_parsing.remote_job(
        {
            "id": "/".join(parts[-2:]),
            "status": state,
            "training_file": text(row.get("dataset")).rpartition("/")[2],
            "fine_tuned_model": config.get("outputModel") if is_done else None,
            "created_at": row.get("createTime"),
            "hyperparameters": settings,
            "error": _trouble(row) if meaning_of(state) == "failed" else None,
        }
    )


def _deployment(row: Json) -> RemoteDeployment:
    return RemoteDeployment(
        name=ModelName(text(row.get("name"))),
        status=text(row.get("state")).lower() or "unknown",
    )
