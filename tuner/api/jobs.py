"""The routes of fine-tuning jobs."""

import secrets
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from bot.rows import Method
from tuner import classification_metrics
from tuner.api.classification_params import add_classification_params
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.list_paging import list_object, page_of, with_first_and_last_id
from tuner.api.models import base_of
from tuner.api.request_body import REFUSES_LARGE_BODY, json_body, read_as
from tuner.api.schemas import MAX_SEED, CreateJob, SupervisedHyperparameters
from tuner.errors import ApiError, NotFound
from tuner.job_file_checks import require_min_rows
from tuner.store import jobs, models
from tuner.store.events import Event, events_page
from tuner.store.files import StoredFile
from tuner.store.jobs import Job, JobRequest, base_of_model_name
from tuner.store.models import StoredModel

router = APIRouter(prefix="/fine_tuning/jobs")

MAX_METADATA_PAIRS = 16
_COMMON_HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")


@router.post("")
async def create_job(request: Request) -> dict[str, object]:
    body = await json_body(request)
    return await run_in_threadpool(_create, dependencies_of(request), body)


@router.get("", dependencies=[REFUSES_LARGE_BODY])
def list_jobs(request: Request) -> dict[str, object]:
    pairs = _metadata_pairs(request)
    page = page_of(
        request, default_limit=20, others=("metadata", *(f"metadata[{key}]" for key in pairs))
    )
    rows = dependencies_of(request).jobs.page(
        after=page.after,
        limit=page.limit_plus_one,
        metadata=pairs,
        is_without_metadata=request.query_params.get("metadata") == "null",
    )
    return list_object([job_object(job) for job in rows], page)


@router.get("/{job_id}", dependencies=[REFUSES_LARGE_BODY])
def retrieve_job(request: Request, job_id: str) -> dict[str, object]:
    return job_object(dependencies_of(request).jobs.get(job_id))


@router.post("/{job_id}/cancel", dependencies=[REFUSES_LARGE_BODY])
def cancel_job(request: Request, job_id: str) -> dict[str, object]:
    deps = dependencies_of(request)
    answer = _transition(request, deps.jobs.cancel, job_id)
    deps.runner.clean_folder(job_id)
    return answer


@router.post("/{job_id}/pause", dependencies=[REFUSES_LARGE_BODY])
def pause_job(request: Request, job_id: str) -> dict[str, object]:
    return _transition(request, dependencies_of(request).jobs.pause, job_id)


@router.post("/{job_id}/resume", dependencies=[REFUSES_LARGE_BODY])
def resume_job(request: Request, job_id: str) -> dict[str, object]:
    return _transition(request, dependencies_of(request).jobs.resume, job_id)


@router.get("/{job_id}/events", dependencies=[REFUSES_LARGE_BODY])
def list_events(request: Request, job_id: str) -> dict[str, object]:
    page, deps = page_of(request, default_limit=20), dependencies_of(request)
    job = deps.jobs.get(job_id)
    rows = events_page(deps.database, job.id, after=page.after, limit=page.limit_plus_one)
    return list_object([_event_object(row) for row in rows], page)


@router.get("/{job_id}/checkpoints", dependencies=[REFUSES_LARGE_BODY])
def list_checkpoints(request: Request, job_id: str) -> dict[str, object]:
    page, deps = page_of(request, default_limit=10), dependencies_of(request)
    job = deps.jobs.get(job_id)
    rows = deps.models.checkpoints(job.id, after=page.after, limit=page.limit_plus_one)
    return with_first_and_last_id(
        list_object([_checkpoint_object(row) for row in rows], page), empty=None
    )


def _transition(request: Request, action: Callable[[str], Job], job_id: str) -> dict[str, object]:
    job = action(job_id)
    dependencies_of(request).runner.wake()
    return job_object(job)


def _metadata_pairs(request: Request) -> dict[str, str]:
    """Returns the metadata filters, at most 16: the maximum of pairs on a job.

    https://platform.openai.com/docs/api-reference/fine-tuning
    """
    pairs = {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if len(pairs) > MAX_METADATA_PAIRS:
        raise ApiError(
            f"Filter by at most {MAX_METADATA_PAIRS} pairs of metadata.", param="metadata"
        )
    return pairs


def _create(deps: ApiDependencies, body: dict[str, object]) -> dict[str, object]:
    _refuse_reinforcement(body)
    params = read_as(CreateJob, body)
    params.model = deps.model_named(params.model)
    # Hyperparameters that only some engines take; an unknown model is refused below.
    engine = deps.engines.find(params.model)
    method, numbers = _method_of(params, engine.extra_hyperparameters if engine else frozenset())
    numbers = add_classification_params(params, method, numbers)
    job_request = JobRequest(
        model=params.model,
        training_file=params.training_file,
        validation_file=params.validation_file,
        method=method,
        hyperparameters=numbers,
        suffix=params.suffix,
        seed=secrets.randbelow(MAX_SEED) if params.seed is None else params.seed,
        metadata=params.metadata,
    )
    # One transaction, so that no file or model is deleted between the check and the insert.
    with deps.database.writing() as connection:
        _check(deps, connection, job_request)
        job = jobs.create_job(connection, job_request, base=base_of_model_name(job_request.model))
    deps.runner.wake()
    return job_object(job)


def _refuse_reinforcement(body: Mapping[str, object]) -> None:
    method = body.get("method")
    if isinstance(method, dict) and method.get("type") == "reinforcement":
        raise ApiError(
            "Reinforcement fine-tuning is not offered here; use 'supervised' or 'dpo'.",
            param="method.type",
            code="unsupported_method",
        )


def _method_of(params: CreateJob, extras: frozenset[str]) -> tuple[Method, dict[str, object]]:
    """Returns the method and its hyperparameters; missing ones are "auto". Raises ApiError."""
    if params.method is None:
        return Method.SUPERVISED, _hyperparameters(
            params.hyperparameters, Method.SUPERVISED, extras, "hyperparameters"
        )
    if params.hyperparameters is not None:
        raise ApiError(
            "Give the hyperparameters under 'method' or at the top level, not both.",
            param="hyperparameters",
        )
    method = Method(params.method.type)
    other = "dpo" if method is Method.SUPERVISED else "supervised"
    if getattr(params.method, other) is not None:
        raise ApiError(f"'{other}' does not belong to the method '{method}'.", param="method")
    method_params = params.method.supervised if method is Method.SUPERVISED else params.method.dpo
    where = f"method.{method}.hyperparameters"
    return method, _hyperparameters(
        method_params.hyperparameters if method_params else None, method, extras, where
    )


def _hyperparameters(
    params: SupervisedHyperparameters | None, method: Method, extras: frozenset[str], where: str
) -> dict[str, object]:
    names = [*_COMMON_HYPERPARAMETERS]
    if method is Method.DPO:
        names.append("beta")
    else:
        extras |= set(classification_metrics.CLASSIFICATION_FIELDS)
    requested = params.model_dump(exclude_none=True) if params else {}
    for name in sorted(requested.keys() - {*names, *extras}):
        raise ApiError(
            f"Unrecognized request argument supplied: {where}.{name}",
            param=f"{where}.{name}",
            code="unknown_parameter",
        )
    engine_specific = {name: value for name, value in requested.items() if name in extras}
    return {**{name: requested.get(name, "auto") for name in names}, **engine_specific}


def _check(deps: ApiDependencies, connection: Connection, job_request: JobRequest) -> None:
    """Checks what is known without reading the files; the worker validates their rows."""
    _check_model(deps, connection, job_request.model)
    training = _file_of(deps, connection, job_request.training_file, param="training_file")
    _check_file(training, job_request, param="training_file")
    require_min_rows(training.rows or 0, least=deps.min_examples)
    if job_request.validation_file is not None:
        validation = _file_of(
            deps, connection, job_request.validation_file, param="validation_file"
        )
        _check_file(validation, job_request, param="validation_file")
        if validation.id == training.id:
            raise ApiError(
                "The validation file is the training file; the same rows must not be in both.",
                param="validation_file",
                code="overlapping_examples",
            )


def _check_model(deps: ApiDependencies, connection: Connection, model: str) -> None:
    if model in deps.engines.bases:
        return
    try:
        models.get_model_in(connection, model)
    except NotFound as error:
        bases = " or ".join(f"'{base}'" for base in deps.engines.bases)
        raise ApiError(
            f"The model '{model}' is not available for fine-tuning; use {bases} or a model that"
            f" was tuned here. Whoever runs this server can start it with --alias {model}=….",
            param="model",
            code="model_not_available",
        ) from error
    base_of(deps, model)


def _file_of(
    deps: ApiDependencies, connection: Connection, file_id: str, *, param: str
) -> StoredFile:
    try:
        return deps.files.get_within(connection, file_id)
    except NotFound as error:
        raise ApiError(f"invalid {param}: {file_id}", param=param, code="file_not_found") from error


def _check_file(stored: StoredFile, job_request: JobRequest, *, param: str) -> None:
    if stored.purpose != "fine-tune":
        raise ApiError(f"{stored.id} has the purpose '{stored.purpose}'.", param=param)
    if stored.method is not None and stored.method != job_request.method:
        raise ApiError(
            f"{stored.id} holds rows for the method '{stored.method}', not '{job_request.method}'.",
            param=param,
            code="wrong_method",
        )


def job_object(job: Job) -> dict[str, object]:
    has_model = job.status is jobs.Status.SUCCEEDED
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "estimated_finish": job.estimated_finish,
        "status": job.status,
        "model": job.model,
        "fine_tuned_model": job.model_name if has_model else None,
        "organization_id": "attune",
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "result_files": [job.result_file] if job.result_file else [],
        "trained_tokens": job.trained_tokens,
        "seed": job.seed,
        "hyperparameters": {k: job.hyperparameters.get(k, "auto") for k in _COMMON_HYPERPARAMETERS},
        "method": {"type": job.method, job.method: {"hyperparameters": job.hyperparameters}},
        "integrations": [],
        "metadata": job.metadata,
        "error": job.error,
        "user_provided_suffix": job.suffix,
    }


def _event_object(event: Event) -> dict[str, object]:
    body: dict[str, object] = {
        "id": event.id,
        "object": "fine_tuning.job.event",
        "created_at": event.created_at,
        "level": event.level,
        "message": event.message,
        "type": "metrics" if event.data else "message",
        "data": event.data or {},
    }
    return body


def _checkpoint_object(model: StoredModel) -> dict[str, object]:
    return {
        "id": model.checkpoint,
        "object": "fine_tuning.job.checkpoint",
        "created_at": model.created_at,
        "fine_tuning_job_id": model.job,
        "fine_tuned_model_checkpoint": model.id,
        "step_number": model.step,
        "metrics": model.metrics,
    }
