"""The Together AI API: jobs at `/v1/fine-tunes`, deployments at `/v2/projects/…/endpoints`.

Paths, fields and states are from the host's package (`together` 3.1.1) and from
https://docs.together.ai/docs/fine-tuning/overview; nothing was tested against the host.
"""

from __future__ import annotations

import hashlib
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
from bot.errors import HostNotFound, HostRefused
from bot.ports.model_hosts import JobRequest, RemoteDeployment, RemoteFile, RemoteJob
from bot.rows import Method

DEFAULT_LEARNING_RATE = 1e-5
"""Default learning rate of the host, to which a learning rate multiplier is applied."""
_MAX_CHECKPOINTS = 3
_PRICE_SLACK = 1.25
_CENT = 0.01
_CHUNK_BYTES = 64 * 1024
_MOVED = (302, 303, 307, 308)
_METRIC_NAMES: Mapping[str, str] = {
    "train/loss": "train_loss",
    "train/accuracy": "train_mean_token_accuracy",
    "eval/loss": "full_valid_loss",
    "eval/accuracy": "full_valid_mean_token_accuracy",
}


class TogetherHost(RestHost):
    """Together AI; files are uploaded to a redirect's URL, deployments are paid by the minute."""

    _cached_project = ""

    async def _check_jobs(self) -> None:
        await self._list("fine-tunes")

    async def upload(self, name: str, lines: Iterable[bytes]) -> RemoteFile:
        """Uploads a file without retries: the caller first looks whether it exists."""
        with SpooledTemporaryFile(max_size=MAX_IN_MEMORY_BYTES) as spool:
            request_fields.write_training_rows(spool, lines, byte_order_mark=False)
            async with self._request_scope(self._timeouts.whole_upload):
                return await self._upload(name, spool)

    async def _upload(self, name: str, spool: IO[bytes]) -> RemoteFile:
        """Requests an upload URL, uploads the file to it, and calls `preprocess`."""
        fields = {
            "purpose": "fine-tune",
            "file_name": name,
            "file_type": "jsonl",
            "checksum": _checksum(spool),
        }
        try:
            await self._write_client.post(
                "/files",
                cast_to=httpx2.Response,
                body=fields,
                options={"headers": MULTIPART_HEADERS, "follow_redirects": False},
            )
        except openai.APIStatusError as answer:
            if answer.status_code in _MOVED:
                return await self._send(answer.response.headers, spool)
            if is_conflict(answer):
                return await self._file_with_these_rows(
                    response_parsing.parse_json_object(answer.response), name
                )
            raise
        raise ProtocolViolation("The host does not say where the file goes.")

    async def _send(self, headers: Mapping[str, str], spool: IO[bytes]) -> RemoteFile:
        """Uploads the file to the redirect's URL, which must be HTTPS if the base URL is."""
        url, file = headers.get("location", ""), headers.get("x-together-file-id", "")
        is_plain = str(self._read_client.base_url).startswith("http://")
        if not file or not url.startswith(("http://", "https://") if is_plain else "https://"):
            raise ProtocolViolation("The host does not say where the file goes.")
        size = spool.seek(0, 2)
        response = await self._http.put(
            url,
            content=_pieces(spool),
            headers={"Content-Length": str(size)},
            timeout=self._timeout(self._timeouts.upload),
        )
        if not response.is_success:
            raise ProtocolViolation(f"The file was not taken: HTTP {response.status_code}.")
        return _file(await self._post(f"files/{url_segment(file)}/preprocess", {}))

    async def _file_with_these_rows(self, refusal: Json, name: str) -> RemoteFile:
        """Returns the existing file, as the host refuses a file with the same content.

        Raises HostRefused if the file has another name and thus belongs to another training.
        """
        row = await self._get(f"files/{url_segment(string_or_empty(refusal.get('file_id')))}")
        if row.get("filename") != name:
            words = f"The same rows are there already as {row.get('filename')}."
            raise HostRefused(host=self.name, message=words, code="file_exists")
        return _file(row)

    async def files(self) -> AsyncIterator[RemoteFile]:
        with self._translate_errors():
            for row in await self._list("files"):
                if row.get("purpose") == "fine-tune":
                    yield _file(row)

    async def delete_file(self, file: str) -> None:
        async with self._request_scope():
            await self._delete(f"files/{url_segment(file)}")

    async def _file_row(self, file: str) -> Json:
        row = await self._get(f"files/{url_segment(file)}")
        report = row.get("validation_report")
        why = report.get("error") if isinstance(report, dict) else None
        return {"status": row.get("processing_status"), "status_details": why}

    async def create_job(self, request: JobRequest) -> RemoteJob:
        """Creates a job without retries: the caller first looks whether it exists.

        Raises HostRefused, without creating a job, if the host's price is clearly higher than the
        confirmed one or than the account's credit.
        """
        async with self._request_scope():
            await self._wait_for_files(request)
            fields = {**await self._fields(request), **self._extra}
            await self._refuse_price(fields, request.price)
            answer = await self._post_job("/fine-tunes", fields)
            return _job(response_parsing.parse_json_object(answer))

    async def _fields(self, request: JobRequest) -> dict[str, object]:
        hyperparameters = request.hyperparameters
        epochs, rate = hyperparameters.n_epochs or 1, hyperparameters.learning_rate_multiplier
        method: dict[str, object] = {"method": "sft", "train_on_inputs": "auto"}
        if request.method is Method.DPO:
            method = {"method": "dpo", "dpo_beta": hyperparameters.beta}
        optional = {
            "validation_file": request.validation_file,
            "batch_size": hyperparameters.batch_size,
            "learning_rate": DEFAULT_LEARNING_RATE * rate if rate else None,
            "suffix": request.suffix,
            "random_seed": request.seed,
            "n_evals": epochs if request.validation_file else None,
        }
        return {
            "from_checkpoint" if await self._is_tuned(request.base) else "model": request.base,
            "training_file": request.training_file,
            "n_epochs": epochs,
            "n_checkpoints": min(epochs, _MAX_CHECKPOINTS),
            "training_method": {n: value for n, value in method.items() if value is not None},
            **{n: value for n, value in optional.items() if value not in (None, "")},
        }

    async def _is_tuned(self, base: ModelName) -> bool:
        if base in self.bases:
            return False
        rows = await self._list("fine-tunes")
        return any(row.get("model_output_name") == base for row in rows)

    async def _refuse_price(self, fields: Json, confirmed: float | None) -> None:
        """Raises HostRefused if the host's price for its own token count is too high."""
        names = ("training_file", "validation_file", "model", "from_checkpoint", "n_epochs")
        body = {n: fields[n] for n in (*names, "n_evals", "training_method") if n in fields}
        try:
            estimate = await self._post("fine-tunes/estimate-price", body)
        except openai.APIStatusError:
            return  # creating the job will fail with the same error
        price = response_parsing.to_number(estimate.get("estimated_total_price"))
        if estimate.get("allowed_to_proceed") is False:
            words = f"It asks for {_dollars(price)}, and the account has not so much."
            raise HostRefused(host=self.name, message=words, code="insufficient_funds")
        if price is None or confirmed is None:
            return
        if price > _PRICE_SLACK * confirmed + _CENT:
            words = f"It asks for {_dollars(price)}, and {_dollars(confirmed)} was confirmed."
            remedy = "Correct `prices` in the hosts file, then start again."
            raise HostRefused(host=self.name, message=f"{words} {remedy}", code="price")

    async def jobs(self) -> AsyncGenerator[RemoteJob, None]:
        with self._translate_errors():
            rows = await self._list("fine-tunes")
            for row in sorted(
                rows, key=lambda row: string_or_empty(row.get("created_at")), reverse=True
            ):
                yield _job(row)

    async def job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            return _job(await self._get(f"fine-tunes/{url_segment(job)}"))

    async def cancel_job(self, job: str) -> RemoteJob:
        async with self._request_scope():
            return _job(await self._post(f"fine-tunes/{url_segment(job)}/cancel", {}))

    async def job_events(self, job: str, seen_ids: frozenset[str]) -> Sequence[JobEvent]:
        """Returns the host's events, and an event for each row of its table of metrics."""
        path = f"fine-tunes/{url_segment(job)}"
        async with self._request_scope():
            rows = await self._list(f"{path}/events")
            metrics = (await self._get(f"{path}/metrics")).get("metrics")
        events = [response_parsing.to_job_event(_event(row)) for row in rows]
        events += [
            response_parsing.to_job_event(_metrics_event(row))
            for row in (metrics if isinstance(metrics, list) else [])
            if isinstance(row, dict)
        ]
        new = {event.id: event for event in events if event.id not in seen_ids}
        return sorted(new.values(), key=lambda event: (event.at, event.step or 0))

    async def checkpoints(self, job: str) -> Sequence[Checkpoint]:
        async with self._request_scope():
            rows = await self._list(f"fine-tunes/{url_segment(job)}/checkpoints")
        parsed = [response_parsing.to_checkpoint(_checkpoint(job, row), ("name",)) for row in rows]
        return sorted((c for c in parsed if c), key=lambda checkpoint: checkpoint.step)

    async def delete_model(self, model: ModelName) -> None:
        """Deletes the job that made the model, which deletes its weights too."""
        async with self._request_scope():
            for row in await self._list("fine-tunes"):
                if row.get("model_output_name") == model:
                    return await self._delete(
                        f"fine-tunes/{url_segment(string_or_empty(row.get('id')))}"
                    )
        raise HostNotFound(host=self.name, message=f"There is no model {model}.")

    async def deploy(
        self, job: str, model: ModelName, *, base: ModelName, name: str
    ) -> ModelName | None:
        """Deploys the model unless it is deployed; returns its name when ready.

        Looks first, so that a retry after a lost response does not deploy twice.
        """
        async with self._request_scope():
            project = await self._project()
            listed = [endpoint async for endpoint in self._endpoints(project)]
            endpoint = next(
                (e for e in listed if string_or_empty(e.get("name")).endswith(f"/{name}")), None
            )
            if endpoint is None:
                endpoint = await self._post(f"../v2/projects/{project}/endpoints", {"name": name})
            existing = _objects(endpoint, "deployments")
            row = existing[0] if existing else await self._deploy(project, endpoint, job, name)
            status = row.get("status")
            reason = status.get("message") if isinstance(status, dict) else None
            return self._when_ready(_deployment(row, None), reason)

    async def _deploy(self, project: str, endpoint: Json, job: str, name: str) -> Json:
        job_row = await self._get(f"fine-tunes/{url_segment(job)}")
        model = string_or_empty(job_row.get("adapter_object_id")) or string_or_empty(
            job_row.get("model_object_id")
        )
        if not model:
            raise ProtocolViolation("The job does not say where its weights are.")
        models = f"../v2/projects/{project}/models/{url_segment(model)}"
        reference = string_or_empty((await self._get(models)).get("baseModelId")) or model
        configs = [
            row
            async for row in self._rows(
                f"../v2/projects/{project}/configs", referenceModelId=reference
            )
        ]
        body: dict[str, object] = {
            "name": name,
            "model": f"projects/{project}/models/{model}",
            "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
        }
        if configs:
            first = configs[0]
            body["config"] = f"projects/{first.get('projectId')}/configs/{first.get('id')}"
        path = (
            f"../v2/projects/{project}/endpoints/{url_segment(string_or_empty(endpoint.get('id')))}"
        )
        return await self._post(f"{path}/deployments", body)

    async def deployments(self) -> Sequence[RemoteDeployment]:
        async with self._request_scope():
            project = await self._project()
            endpoints = [endpoint async for endpoint in self._endpoints(project)]
            prices = await self._machine_prices() if endpoints else {}
            return [
                _deployment(row, prices.get(string_or_empty(row.get("hardware"))))
                for endpoint in endpoints
                for row in _objects(endpoint, "deployments")
            ]

    async def undeploy(self, name: ModelName) -> None:
        """Scales a deployment to zero and deletes it; the host refuses to delete a running one."""
        async with self._request_scope():
            project = await self._project()
            async for endpoint in self._endpoints(project):
                for row in _objects(endpoint, "deployments"):
                    if row.get("name") == name:
                        return await self._delete_deployment(project, endpoint, row)
        raise HostNotFound(host=self.name, message=f"There is no deployment {name}.")

    async def _delete_deployment(self, project: str, endpoint: Json, row: Json) -> None:
        path = (
            f"../v2/projects/{project}/endpoints/{url_segment(string_or_empty(endpoint.get('id')))}"
        )
        deployment = f"{path}/deployments/{url_segment(string_or_empty(row.get('id')))}"
        no_replicas = {"autoscaling": {"minReplicas": 0, "maxReplicas": 0}}
        await self._write_client.patch(
            self._url(deployment),
            cast_to=httpx2.Response,
            body=no_replicas,
            options={"params": {"updateMask": "autoscaling"}},
        )
        await self._delete(deployment)
        await self._delete(path)

    async def _endpoints(self, project: str) -> AsyncIterator[Json]:
        async for row in self._rows(f"../v2/projects/{project}/endpoints"):
            yield row

    async def _machine_prices(self) -> Mapping[str, float]:
        """Returns the US dollars per hour of each instance type, by its id and by its name."""
        prices: dict[str, float] = {}
        async for row in self._rows("../v2/public/inference-instance-types"):
            cents = response_parsing.to_number(row.get("priceCentsPerHour"))
            if cents is not None:
                prices |= {string_or_empty(row.get(name)): cents / 100 for name in ("id", "name")}
        return prices

    async def _project(self) -> str:
        """Returns the id of the key's project. Raises HostRefused if the key has none."""
        if self._cached_project:
            return self._cached_project
        project = (await self._get("../v3/whoami")).get("project")
        if not isinstance(project, dict) or not string_or_empty(project.get("id")):
            words = "The key belongs to no project. Make one for a project at Together."
            raise HostRefused(host=self.name, message=words, code="no_project")
        self._cached_project = url_segment(string_or_empty(project.get("id")))
        return self._cached_project


def _checksum(spool: IO[bytes]) -> str:
    """Returns the SHA-256 of the file, by which the host recognises the same content."""
    spool.seek(0)
    digest = hashlib.sha256()
    while piece := spool.read(_CHUNK_BYTES):
        digest.update(piece)
    return digest.hexdigest()


async def _pieces(spool: IO[bytes]) -> AsyncIterator[bytes]:
    spool.seek(0)
    while piece := spool.read(_CHUNK_BYTES):
        yield piece


def _dollars(price: float | None) -> str:
    return "more" if price is None else f"${price:.2f}"


def _objects(row: Json, name: str) -> Sequence[Json]:
    values = row.get(name)
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _file(row: Json) -> RemoteFile:
    """Returns a file; it is not whole if it was registered without an upload."""
    file = response_parsing.to_remote_file(row)
    is_whole = bool(row.get("processing_status") or row.get("bytes"))
    return RemoteFile(file.id, file.name, file.bytes, file.created_at, is_whole)


def _job(row: Json) -> RemoteJob:
    status = string_or_empty(row.get("status"))
    is_done = openai_status_of(status) == "succeeded"
    progress = row.get("progress")
    seconds_left = progress.get("seconds_remaining") if isinstance(progress, dict) else None
    settings = ("n_epochs", "batch_size", "learning_rate")
    shaped = {
        **row,
        "fine_tuned_model": row.get("model_output_name") if is_done else None,
        "trained_tokens": row.get("token_count") if is_done else None,
        "hyperparameters": {name: row.get(name) for name in settings},
        "error": _error(row) if openai_status_of(status) == "failed" else None,
    }
    return response_parsing.to_remote_job(
        shaped, seconds_left=response_parsing.to_number(seconds_left)
    )


def _error(row: Json) -> Json:
    """Returns the message of a job's last error event, as the job has no field for it."""
    errors = [
        e
        for e in _objects(row, "events")
        if "err" in string_or_empty(e.get("level")) + string_or_empty(e.get("type"))
    ]
    return {"message": errors[-1].get("message")} if errors else {}


def _checkpoint(job: str, row: Json) -> Json:
    step = row.get("step")
    return {**row, "step_number": step, "name": row.get("object_name") or f"{job}:{step}"}


def _event(row: Json) -> Json:
    steps = {"step": row.get("step"), "total_steps": row.get("total_steps")}
    kind = string_or_empty(row.get("level")).removeprefix("legacy_").lstrip("i") or "info"
    level = {"nfo": "info", "warning": "warn"}.get(kind, kind)
    return {**row, "id": None, "level": level, "data": steps}


def _metrics_event(row: Json) -> Json:
    """Returns a row of the table of metrics as an event without a message."""
    step = row.get("train/global_step")
    values = {name: row[key] for key, name in _METRIC_NAMES.items() if key in row}
    return {
        "id": f"metrics-{step}-{'eval' if 'eval/loss' in row else 'train'}",
        "created_at": row.get("timestamp"),
        "data": {"step": step, **values},
    }


def _deployment(row: Json, dollars: float | None) -> RemoteDeployment:
    status = row.get("status")
    state = status.get("state") if isinstance(status, dict) else row.get("state")
    return RemoteDeployment(
        name=ModelName(string_or_empty(row.get("name"))),
        status=string_or_empty(state).removeprefix("DEPLOYMENT_STATE_").lower() or "unknown",
        dollars_an_hour=dollars,
    )
