"""Together's API on the state of a `FaultyHost`, as strict as its package (3.1.1) describes.

Faults are planned under the names of OpenAI's routes: `POST /files`, `GET
/fine_tuning/jobs/{id}`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from tests.fakes import openai_rules
from tests.fakes.faults import refusal
from tests.fakes.openai_rules import RejectedError, between, check, is_text
from tests.fakes.openai_shapes import FakeFile, FakeJob, Json

if TYPE_CHECKING:
    from tests.fakes.faulty_host import FaultyHost

STATES = {
    "validating_files": "pending",
    "succeeded": "completed",
    "failed": "error",
    "paused": "queued",
}
_METHODS: Mapping[str, Mapping[str, openai_rules.Rule]] = {
    "sft": {"method": is_text, "train_on_inputs": lambda value: value in ("auto", True, False)},
    "dpo": {"method": is_text, "dpo_beta": between(1e-9, 10)},
}
_JOB: Mapping[str, openai_rules.Rule] = {
    "training_file": is_text,
    "validation_file": is_text,
    "model": is_text,
    "from_checkpoint": is_text,
    "n_epochs": between(1, 20, whole=True),
    "n_checkpoints": between(1, 10, whole=True),
    "n_evals": between(0, 100, whole=True),
    "batch_size": between(1, 256, whole=True),
    "learning_rate": between(1e-9, 1),
    "suffix": lambda value: isinstance(value, str) and 1 <= len(value) <= 40,
    "random_seed": between(0, 2**31 - 1, whole=True),
    "training_method": lambda value: isinstance(value, dict),
}
_PROJECT = "/v2/projects/prj_1"


class Together:
    """Files, jobs and endpoints; `dollars` is the estimated price of a job."""

    def __init__(self, host: FaultyHost) -> None:
        self.host = host
        self.dollars = 0.0
        self.has_credit = True
        self.file_looks = 0
        """Number of retrievals for which a file is still being validated."""
        self.file_error: str | None = None

    def routes(self) -> list[Route]:
        route = self.host.route
        jobs_path, endpoints_path = "/v1/fine-tunes", f"{_PROJECT}/endpoints"
        return [
            route("POST /files", self._announce, "/v1/files"),
            Route("/store/{id}", self._store, methods=["PUT"]),
            route("POST /files/{id}/preprocess", self._preprocess, "/v1/files/{id}/preprocess"),
            route("GET /files", self._list_files, "/v1/files"),
            route("GET /files/{id}", self._show_file, "/v1/files/{id}"),
            route("DELETE /files/{id}", self.host.delete_file, "/v1/files/{id}"),
            route("POST /fine-tunes/estimate-price", self._estimate, f"{jobs_path}/estimate-price"),
            route("POST /fine_tuning/jobs", self._create, jobs_path),
            route("GET /fine_tuning/jobs", self._list_jobs, jobs_path),
            route("GET /fine_tuning/jobs/{id}", self._show_job, f"{jobs_path}/{{id}}"),
            route("POST /fine_tuning/jobs/{id}/cancel", self._cancel, f"{jobs_path}/{{id}}/cancel"),
            route("GET /fine_tuning/jobs/{id}/events", self._events, f"{jobs_path}/{{id}}/events"),
            route(
                "GET /fine_tuning/jobs/{id}/metrics", self._metrics, f"{jobs_path}/{{id}}/metrics"
            ),
            route(
                "GET /fine_tuning/jobs/{id}/checkpoints",
                self._checkpoints,
                f"{jobs_path}/{{id}}/checkpoints",
            ),
            route("DELETE /models/{id}", self._delete_job, f"{jobs_path}/{{id}}"),
            route("POST /chat/completions", self.host.chat, "/v1/chat/completions"),
            route("GET /models", self._models, "/v1/models"),
            route("GET /whoami", self._whoami, "/v3/whoami"),
            route("GET /v2/models", self._registered, f"{_PROJECT}/models/{{id}}"),
            route("GET /v2/configs", self._configs, f"{_PROJECT}/configs"),
            route("GET /v2/machines", self._machines, "/v2/public/inference-instance-types"),
            route("GET /v0/models", self._endpoints, endpoints_path),
            route("POST /v2/endpoints", self._make_endpoint, endpoints_path),
            route("POST /v0/models", self._deploy, f"{endpoints_path}/{{id}}/deployments"),
            route(
                "PATCH /v2/deployments",
                self._scale,
                f"{endpoints_path}/{{id}}/deployments/{{name}}",
            ),
            route(
                "DELETE /v0/models", self._undeploy, f"{endpoints_path}/{{id}}/deployments/{{name}}"
            ),
            route("DELETE /v2/endpoints", self._drop_endpoint, f"{endpoints_path}/{{id}}"),
        ]

    async def _announce(self, request: Request) -> Response:
        async with request.form() as form:
            fields = {name: str(value) for name, value in form.items()}
        if set(fields) != {"purpose", "file_name", "file_type", "checksum"}:
            raise RejectedError(f"Unexpected fields: {sorted(fields)}")
        for file in self.host.files.values():
            if hashlib.sha256(file.content).hexdigest() == fields["checksum"]:
                return JSONResponse({"file_id": file.id}, 409)
        new = self.host.new_file(fields["file_name"], b"")
        location = f"{self.host.url.removesuffix('/v1')}/together/store/{new.id}"
        return Response(
            status_code=302, headers={"location": location, "x-together-file-id": new.id}
        )

    async def _store(self, request: Request) -> Response:
        """Stores the file at another provider's URL, which must not receive the API key."""
        if "authorization" in request.headers:
            return refusal(400, "Only one auth mechanism allowed.")
        self.host.files[request.path_params["id"]].content = await request.body()
        return Response()

    async def _preprocess(self, request: Request) -> Response:
        file = self.host.files[request.path_params["id"]]
        openai_rules.check_upload("fine-tune", file.name, file.content)
        return JSONResponse(self._file(file))

    async def _list_files(self, request: Request) -> Response:
        return JSONResponse({"data": [self._file(file) for file in self.host.listed_files()]})

    async def _show_file(self, request: Request) -> Response:
        self.file_looks -= 1
        return JSONResponse(self._file(self.host.files[request.path_params["id"]]))

    def _file(self, file: FakeFile) -> Json:
        state = "PENDING" if self.file_looks > 0 else "COMPLETED"
        state = "INVALID_FORMAT" if self.file_error else state
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.content),
            "created_at": file.created_at,
            "filename": file.name,
            "FileType": "jsonl",
            "purpose": file.purpose,
            "processing_status": state if file.content else None,
            "validation_report": {"valid": not self.file_error, "error": self.file_error},
        }

    async def _estimate(self, request: Request) -> Response:
        body = await request.json()
        names = ("training_file", "validation_file", "model", "n_epochs", "n_evals")
        check(body, {name: _JOB[name] for name in (*names, "training_method", "from_checkpoint")})
        return JSONResponse(
            {
                "estimation_available": True,
                "allowed_to_proceed": self.has_credit,
                "estimated_total_price": self.dollars,
            }
        )

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        check(body, _JOB, required=("training_file", "n_epochs", "training_method"))
        method = body["training_method"]
        check(method, _METHODS[str(method.get("method"))], inside="training_method.")
        if ("model" in body) == ("from_checkpoint" in body):
            raise RejectedError("Either model or from_checkpoint.", "model")
        model = body.get("model", body.get("from_checkpoint"))
        return JSONResponse(self._job(self.host.new_job({**body, "model": model})))

    async def _list_jobs(self, request: Request) -> Response:
        """Lists jobs oldest first: the API promises no order."""
        return JSONResponse({"data": [self._job(job) for job in self.host.listed_jobs()[::-1]]})

    async def _show_job(self, request: Request) -> Response:
        return JSONResponse(self._job(self.host.seen_job(request)))

    async def _cancel(self, request: Request) -> Response:
        await self.host.turn("cancelled")(request)
        return JSONResponse(self._job(self.host.jobs[request.path_params["id"]]))

    def _job(self, job: FakeJob) -> Json:
        error = {"level": "error", "type": "job_error", "message": "Out of luck.", "object": "e"}
        return {
            "id": job.id,
            "status": STATES.get(job.status, job.status),
            "user_id": "u",
            "created_at": f"2027-01-15T08:00:{int(job.id[-2:]):02}Z",
            "training_file": job.body["training_file"],
            "model": job.body["model"],
            "model_output_name": self._model_name(job),
            "adapter_object_id": f"ml_{job.id}",
            "n_epochs": job.body["n_epochs"],
            "batch_size": job.body.get("batch_size", "max"),
            "token_count": 1000,
            "progress": {"estimate_available": True, "seconds_remaining": 90},
            "events": [error] if job.status == "failed" else [],
        }

    def _model_name(self, job: FakeJob) -> object:
        """Returns the name of the model, which exists before the model does."""
        return job.model or f"ft:{job.body['model']}:team:soon"

    async def _events(self, request: Request) -> Response:
        events = self.host.jobs[request.path_params["id"]].events
        rows = [
            {
                "object": "fine-tune-event",
                "created_at": f"2027-01-15T08:00:{number:02}Z",
                "message": event["message"],
                "type": "job_pending",
                "level": "legacy_info",
                "total_steps": 3,
            }
            for number, event in enumerate(events)
        ]
        return JSONResponse({"data": rows})

    async def _metrics(self, request: Request) -> Response:
        job = self.host.jobs[request.path_params["id"]]
        rows = [
            {"train/global_step": step, "train/loss": 2 / step, "timestamp": 1.8e9 + step}
            for step in range(1, job.step + 1)
        ]
        return JSONResponse({"metrics": rows})

    async def _checkpoints(self, request: Request) -> Response:
        job = self.host.jobs[request.path_params["id"]]
        row = {"checkpoint_type": "Final", "created_at": "", "path": "s3://x", "step": job.step}
        return JSONResponse({"data": [{**row, "object_name": job.model}] if job.model else []})

    async def _delete_job(self, request: Request) -> Response:
        job = self.host.jobs[request.path_params["id"]]
        self.host.tuned.remove(job.model or "")
        return JSONResponse({"message": "deleted"})

    async def _models(self, request: Request) -> Response:
        """Returns a bare array without tuned models."""
        return JSONResponse([{"id": name, "object": "model"} for name in self.host.bases])

    async def _whoami(self, request: Request) -> Response:
        project = {"id": "prj_1", "name": "P", "slug": "team"}
        return JSONResponse({"type": "project_api_key", "project": project})

    async def _registered(self, request: Request) -> Response:
        return JSONResponse({"id": request.path_params["id"], "baseModelId": "ml_base"})

    async def _configs(self, request: Request) -> Response:
        if request.query_params.get("referenceModelId") != "ml_base":
            raise RejectedError("Unknown reference.", "referenceModelId")
        return JSONResponse({"data": [{"id": "cr_1", "projectId": "prj_0"}], "next_cursor": ""})

    async def _machines(self, request: Request) -> Response:
        machine = {"id": "it_1", "name": "1xnvidia-h100-80gb", "priceCentsPerHour": 399}
        return JSONResponse({"data": [machine]})

    async def _endpoints(self, request: Request) -> Response:
        self.host.age_deployments()
        return JSONResponse(
            {"data": [self._endpoint(deployment) for deployment in self.host.deployments]}
        )

    def _endpoint(self, deployment: Json) -> Json:
        fields = {
            "id": "dep_1",
            "name": deployment["name"],
            "model": deployment.get("model"),
            "hardware": "1xnvidia-h100-80gb",
            "state": "DEPLOYMENT_STATE_READY"
            if deployment["status"] == "active"
            else "DEPLOYMENT_STATE_FAILED"
            if deployment["status"] == "error"
            else "DEPLOYMENT_STATE_PROVISIONING",
        }
        deployments = [fields] if deployment.get("model") else []
        return {"id": deployment["id"], "name": deployment["endpoint"], "deployments": deployments}

    async def _make_endpoint(self, request: Request) -> Response:
        body = await request.json()
        check(body, {"name": is_text}, required=("name",))
        name = f"team/{body['name']}"
        new: Json = {"id": f"ep_{len(self.host.deployments)}", "endpoint": name, "name": ""}
        self.host.deployments.append({**new, "status": "empty"})
        return JSONResponse({"id": new["id"], "name": name, "deployments": []})

    async def _deploy(self, request: Request) -> Response:
        body = await request.json()
        names = {"name", "model", "autoscaling", "config"}
        if set(body) != names or body["config"] != "projects/prj_0/configs/cr_1":
            raise RejectedError("Invalid deployment.", "config")
        if body["autoscaling"] != {"minReplicas": 1, "maxReplicas": 1}:
            raise RejectedError("Invalid autoscaling.", "autoscaling")
        deployment = self._deployment_of(request)
        name = f"{deployment['endpoint']}/{body['name']}"
        deployment |= {"name": name, "model": body["model"], "status": "validating"}
        state = {"state": "DEPLOYMENT_STATE_PROVISIONING", "message": "Waiting for a GPU."}
        return JSONResponse({"id": "dep_1", "name": name, "model": body["model"], "status": state})

    async def _scale(self, request: Request) -> Response:
        body = await request.json()
        if body != {"autoscaling": {"minReplicas": 0, "maxReplicas": 0}}:
            raise RejectedError("Invalid autoscaling.", "autoscaling")
        self._deployment_of(request)["status"] = "stopped"
        return JSONResponse({"id": "dep_1"})

    async def _undeploy(self, request: Request) -> Response:
        deployment = self._deployment_of(request)
        if deployment["status"] != "stopped":
            raise RejectedError("The deployment runs.")
        deployment.pop("model")
        return JSONResponse({})

    async def _drop_endpoint(self, request: Request) -> Response:
        deployment = self._deployment_of(request)
        if deployment.get("model"):
            raise RejectedError("The endpoint has deployments.")
        self.host.deployments.remove(deployment)
        return JSONResponse({})

    def _deployment_of(self, request: Request) -> Json:
        endpoint_id = request.path_params["id"]
        return next(
            deployment for deployment in self.host.deployments if deployment["id"] == endpoint_id
        )
