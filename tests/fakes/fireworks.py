"""Fireworks' API on the state of a `FaultyHost`, as strict as its package (1.2.30) describes.

Faults are planned under the names of OpenAI's routes, as for Together.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.routing import Route

from tests.fakes import openai_rules
from tests.fakes.faults import refusal
from tests.fakes.openai_rules import RejectedError, between, check, is_text
from tests.fakes.openai_shapes import FakeFile, FakeJob, Json

if TYPE_CHECKING:
    from tests.fakes.faulty_host import FaultyHost

_ACCOUNT = "accounts/team"
_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
_KINDS = ("supervisedFineTuningJobs", "dpoJobs")
_OPENAI_FIELDS = ("training_file", "model")
STATES = {
    "validating_files": "VALIDATING",
    "queued": "PENDING",
    "succeeded": "COMPLETED",
}
_TRAINING: Mapping[str, openai_rules.Rule] = {
    "baseModel": is_text,
    "warmStartFrom": is_text,
    "outputModel": lambda value: str(value).startswith(f"{_ACCOUNT}/models/"),
    "epochs": between(1, 50, whole=True),
    "batchSizeSamples": between(1, 256, whole=True),
}
_SHARED: Mapping[str, openai_rules.Rule] = {"dataset": is_text, "displayName": is_text}
_DEPLOYMENT: Mapping[str, openai_rules.Rule] = {
    "displayName": is_text,
    "baseModel": lambda value: f"{_ACCOUNT}/models/" in str(value),
    "minReplicaCount": lambda value: value == 0,
    "maxReplicaCount": lambda value: value == 1,
    "deploymentShape": lambda value: value == "default",
    "autoscalingPolicy": lambda value: value == {"scaleToZeroWindow": "3600s"},
}


class Fireworks:
    """Datasets, jobs and deployments of one account."""

    def __init__(self, host: FaultyHost) -> None:
        self.host = host
        self.names: dict[str, str] = {}
        """Fireworks' ids of jobs, by their ids in `FaultyHost.jobs`."""
        self.accounts: list[str] = [_ACCOUNT]

    def routes(self) -> list[Route]:
        route, root = self.host.route, f"/v1/{_ACCOUNT}"
        routes = [
            route("GET /accounts", self._list_accounts, "/v1/accounts"),
            route("POST /files", self._make_dataset, f"{root}/datasets"),
            route("GET /files", self._list_datasets, f"{root}/datasets"),
            route("POST /files/{id}", self._upload_or_validate, f"{root}/datasets/{{id}}"),
            route("GET /files/{id}", self._show_dataset, f"{root}/datasets/{{id}}"),
            route("DELETE /files/{id}", self._delete_dataset, f"{root}/datasets/{{id}}"),
            route("GET /v0/models", self._list_deployments, f"{root}/deployments"),
            route("GET /v0/models/{id}", self._show_deployment, f"{root}/deployments/{{id}}"),
            route("POST /v0/models", self._deploy, f"{root}/deployments"),
            route("DELETE /v0/models/{id}", self._undeploy, f"{root}/deployments/{{id}}"),
            route("DELETE /models/{id}", self._delete_model, f"{root}/models/{{id}}"),
            route("POST /chat/completions", self.host.chat, "/inference/v1/chat/completions"),
            route("GET /models", self.host.list_models, "/inference/v1/models"),
        ]
        for kind in _KINDS:
            routes += [
                route("POST /fine_tuning/jobs", self._create(kind), f"{root}/{kind}"),
                route("GET /fine_tuning/jobs", self._list_jobs(kind), f"{root}/{kind}"),
                route("GET /fine_tuning/jobs/{id}", self._show_job, f"{root}/{kind}/{{id}}"),
                route("POST /fine_tuning/jobs/{id}", self._turn, f"{root}/{kind}/{{id}}"),
            ]
        return routes

    async def _list_accounts(self, request: Request) -> Response:
        return JSONResponse({"accounts": [{"name": name} for name in self.accounts]})

    async def _make_dataset(self, request: Request) -> Response:
        body = await request.json()
        dataset = body["dataset"]
        if set(body) != {"datasetId", "dataset"} or not _ID.fullmatch(body["datasetId"]):
            raise RejectedError("Invalid dataset id.", "datasetId")
        if set(dataset) != {"displayName", "exampleCount", "userUploaded"}:
            raise RejectedError("Unexpected fields.", "dataset")
        if body["datasetId"] in self.host.files:
            return refusal(409, "Dataset already exists.")
        file = self.host.new_file(dataset["displayName"], b"", identity=body["datasetId"])
        return JSONResponse(self._dataset(file))

    async def _upload_or_validate(self, request: Request) -> Response:
        identity, _, verb = request.path_params["id"].partition(":")
        file = self.host.files[identity]
        if verb == "upload":
            async with request.form() as form:
                part = form.get("file")
                if not isinstance(part, UploadFile) or set(form) != {"file"}:
                    raise RejectedError("Missing file.", "file")
                content = await part.read()
            openai_rules.check_upload("fine-tune", file.name, content)
            file.content = content
        elif verb != "validateUpload" or await request.json() != {}:
            raise RejectedError(f"Unknown verb {verb}.")
        return JSONResponse({})

    async def _list_datasets(self, request: Request) -> Response:
        return self._page(request, "datasets", [self._dataset(f) for f in self.host.listed_files()])

    async def _show_dataset(self, request: Request) -> Response:
        return JSONResponse(self._dataset(self.host.files[request.path_params["id"]]))

    async def _delete_dataset(self, request: Request) -> Response:
        self.host.files.pop(request.path_params["id"])
        return JSONResponse({})

    def _dataset(self, file: FakeFile) -> Json:
        state = "READY" if file.content else "UPLOADING"
        name = f"{_ACCOUNT}/datasets/{file.id}"
        return {"name": name, "displayName": file.name, "state": state, "status": {"code": "OK"}}

    def _create(self, kind: str) -> Callable[[Request], Awaitable[Response]]:
        async def create(request: Request) -> Response:
            identity = request.query_params[f"{kind[:-1]}Id"]
            if identity in self.names.values():
                return refusal(409, "Job already exists.")
            body = await request.json()
            training = self._checked_training(body, kind)
            dataset = str(body["dataset"]).rpartition("/")[2]
            base = training.get("baseModel", training.get("warmStartFrom"))
            openai_fields = {
                "training_file": dataset,
                "model": base,
                "outputModel": training["outputModel"],
            }
            job = self.host.new_job({**body, **openai_fields})
            self.names[job.id] = identity
            return JSONResponse(self._job(job, kind))

        return create

    def _checked_training(self, body: Json, kind: str) -> Json:
        if kind == _KINDS[0]:
            evaluation: Mapping[str, openai_rules.Rule] = {"evaluationDataset": is_text}
            check(body, {**_SHARED, **_TRAINING, **evaluation}, required=("dataset", "epochs"))
            return body
        inner: openai_rules.Rule = lambda value: isinstance(value, dict)  # noqa: E731
        check(body, {**_SHARED, "trainingConfig": inner, "lossConfig": inner})
        loss, training = body["lossConfig"], body["trainingConfig"]
        assert isinstance(loss, dict)
        assert isinstance(training, dict)
        check(loss, {"method": lambda value: value == "DPO", "dpo": inner})
        check(training, _TRAINING, required=("epochs",))
        return training

    def _list_jobs(self, kind: str) -> Callable[[Request], Awaitable[Response]]:
        async def listed(request: Request) -> Response:
            jobs = [job for job in self.host.listed_jobs() if self._kind(job) == kind]
            return self._page(request, kind, [self._job(job, kind) for job in jobs])

        return listed

    async def _show_job(self, request: Request) -> Response:
        job = self._job_with_id(request.path_params["id"])
        self.host.age(job)
        return JSONResponse(self._job(job, self._kind(job)))

    async def _turn(self, request: Request) -> Response:
        identity, _, verb = request.path_params["id"].partition(":")
        job = self._job_with_id(identity)
        job.status = {"cancel": "cancelled", "resume": "queued"}[verb]
        return JSONResponse({})

    def _job_with_id(self, identity: str) -> FakeJob:
        for job, name in self.names.items():
            if name == identity and job in self.host.jobs:
                return self.host.jobs[job]
        raise KeyError(identity)

    def _kind(self, job: FakeJob) -> str:
        return _KINDS["lossConfig" in job.body]

    def _job(self, job: FakeJob, kind: str) -> Json:
        state = STATES.get(job.status, job.status.upper())
        status = {"code": "INTERNAL", "message": "Out of luck."} if state == "FAILED" else {}
        return {
            **{name: job.body[name] for name in job.body if name not in _OPENAI_FIELDS},
            "name": f"{_ACCOUNT}/{kind}/{self.names[job.id]}",
            "state": f"JOB_STATE_{state}",
            "status": status,
            "createTime": "2027-01-15T08:00:00Z",
            "updateTime": "2027-01-15T08:01:00Z",
            "jobProgress": {"percent": 30 * job.step},
        }

    async def _list_deployments(self, request: Request) -> Response:
        rows = [self._deployment(deployment) for deployment in self.host.deployments]
        return self._page(request, "deployments", rows)

    async def _show_deployment(self, request: Request) -> Response:
        self.host.age_deployments()
        return JSONResponse(self._deployment(self._deployment_with_id(request.path_params["id"])))

    async def _deploy(self, request: Request) -> Response:
        body = await request.json()
        check(body, _DEPLOYMENT, required=tuple(_DEPLOYMENT))
        name = f"{_ACCOUNT}/deployments/{request.query_params['deploymentId']}"
        new: Json = {**body, "name": name, "status": "validating"}
        self.host.deployments.append(new)
        return JSONResponse(self._deployment(new))

    async def _undeploy(self, request: Request) -> Response:
        self.host.deployments.remove(self._deployment_with_id(request.path_params["id"]))
        return JSONResponse({})

    def _deployment_with_id(self, identity: str) -> Json:
        for deployment in self.host.deployments:
            if str(deployment["name"]).endswith(f"/{identity}"):
                return deployment
        raise KeyError(identity)

    def _deployment(self, deployment: Json) -> Json:
        state = {"active": "READY", "error": "FAILED"}.get(str(deployment["status"]), "CREATING")
        reason = deployment.get("status_reason")
        status = {"code": "INTERNAL", "message": reason} if state == "FAILED" else {"code": "OK"}
        name, base = deployment["name"], deployment["baseModel"]
        return {"name": name, "baseModel": base, "state": state, "status": status}

    async def _delete_model(self, request: Request) -> Response:
        name = f"{_ACCOUNT}/models/{request.path_params['id']}"
        self.host.tuned.remove(name)
        return JSONResponse({})

    def _page(self, request: Request, noun: str, rows: list[Json]) -> Response:
        """Returns a page, by default of two rows; an empty list is omitted."""
        start = int(request.query_params.get("pageToken", "0"))
        size = int(request.query_params.get("pageSize", "2"))
        next_token = str(start + size) if start + size < len(rows) else ""
        page: Json = {"nextPageToken": next_token, "totalSize": len(rows)}
        if page_rows := rows[start : start + size]:
            page[noun] = page_rows
        return JSONResponse(page)
