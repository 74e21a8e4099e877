"""Routes about fine-tuning jobs."""

import secrets
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from bot.rows import Method
from tuner import classification
from tuner.api.classification_fields import with_classification
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.models import base_of
from tuner.api.paging import envelope, page_of, with_first_and_last_id
from tuner.api.request_body import BODILESS, json_body, read_as
from tuner.api.schemas import LARGEST_SEED, CreateJob, SupervisedNumbers
from tuner.errors import ApiError, NotFound
from tuner.job_file_checks import refuse_few
from tuner.store import jobs, models
from tuner.store.events import Event, events_page
from tuner.store.files import StoredFile
from tuner.store.jobs import Job, JobRequest, named_base
from tuner.store.models import StoredModel

router = APIRouter(prefix="/fine_tuning/jobs")

MOST_PAIRS = 16
_EVERYWHERE = ("n_epochs", "batch_size", "learning_rate_multiplier")


@router.post("")
async def create_job(request: Request) -> dict[str, object]:
    body = await json_body(request)
    return await run_in_threadpool(_create, dependencies_of(request), body)


@router.get("", dependencies=[BODILESS])
def list_jobs(request: Request) -> dict[str, object]:
    pairs = _metadata_pairs(request)
    page = page_of(
        request, default_limit=20, others=("metadata", *(f"metadata[{key}]" for key in pairs))
    )
    found = dependencies_of(request).jobs.page(
        after=page.after,
        limit=page.limit_plus_one,
        metadata=pairs,
        is_without_metadata=request.query_params.get("metadata") == "null",
    )
    return envelope([job_object(job) for job in found], page)


@router.get("/{job_id}", dependencies=[BODILESS])
def retrieve_job(request: Request, job_id: str) -> dict[str, object]:
    return job_object(dependencies_of(request).jobs.get(job_id))


@router.post("/{job_id}/cancel", dependencies=[BODILESS])
def cancel_job(request: Request, job_id: str) -> dict[str, object]:
    place = dependencies_of(request)
    answer = _steer(request, place.jobs.cancel, job_id)
    place.runner.clean_folder(job_id)
    return answer


@router.post("/{job_id}/pause", dependencies=[BODILESS])
def pause_job(request: Request, job_id: str) -> dict[str, object]:
    return _steer(request, dependencies_of(request).jobs.pause, job_id)


@router.post("/{job_id}/resume", dependencies=[BODILESS])
def resume_job(request: Request, job_id: str) -> dict[str, object]:
    return _steer(request, dependencies_of(request).jobs.resume, job_id)


@router.get("/{job_id}/events", dependencies=[BODILESS])
def list_events(request: Request, job_id: str) -> dict[str, object]:
    page, place = page_of(request, default_limit=20), dependencies_of(request)
    job = place.jobs.get(job_id)
    rows = events_page(place.database, job.id, after=page.after, limit=page.limit_plus_one)
    return envelope([_shown_event(row) for row in rows], page)


@router.get("/{job_id}/checkpoints", dependencies=[BODILESS])
def list_checkpoints(request: Request, job_id: str) -> dict[str, object]:
    page, place = page_of(request, default_limit=10), dependencies_of(request)
    job = place.jobs.get(job_id)
    rows = place.models.checkpoints(job.id, after=page.after, limit=page.limit_plus_one)
    return with_first_and_last_id(
        envelope([_shown_checkpoint(row) for row in rows], page), empty=None
    )


def _steer(request: Request, action: Callable[[str], Job], job_id: str) -> dict[str, object]:
    job = action(job_id)
    dependencies_of(request).runner.wake()
    return job_object(job)


def _metadata_pairs(request: Request) -> dict[str, str]:
    """As many as a job can have: https://platform.openai.com/docs/api-reference/fine-tuning."""
    pairs = {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if len(pairs) > MOST_PAIRS:
        raise ApiError(f"Filter by at most {MOST_PAIRS} pairs of metadata.", param="metadata")
    return pairs


def _create(place: ApiDependencies, body: dict[str, object]) -> dict[str, object]:
    _refuse_reinforcement(body)
    wanted = read_as(CreateJob, body)
    wanted.model = place.model_named(wanted.model)
    # What an engine takes beside the protocol's own; a model that is not here is refused below.
    engine = place.engines.find(wanted.model)
    method, numbers = _method_of(wanted, engine.extra_hyperparameters if engine else frozenset())
    numbers = with_classification(wanted, method, numbers)
    order = JobRequest(
        model=wanted.model,
        training_file=wanted.training_file,
        validation_file=wanted.validation_file,
        method=method,
        hyperparameters=numbers,
        suffix=wanted.suffix,
        seed=secrets.randbelow(LARGEST_SEED) if wanted.seed is None else wanted.seed,
        metadata=wanted.metadata,
    )
    # One transaction: no file or model can be deleted between the look and the job.
    with place.database.writing() as connection:
        _check(place, connection, order)
        job = jobs.create(connection, order, base=named_base(order.model))
    place.runner.wake()
    return job_object(job)


def _refuse_reinforcement(body: Mapping[str, object]) -> None:
    method = body.get("method")
    if isinstance(method, dict) and method.get("type") == "reinforcement":
        raise ApiError(
            "Reinforcement fine-tuning is not offered here; use 'supervised' or 'dpo'.",
            param="method.type",
            code="unsupported_method",
        )


def _method_of(wanted: CreateJob, extras: frozenset[str]) -> tuple[Method, dict[str, object]]:
    """The method, and its numbers as asked for: "auto" where nothing else is said."""
    if wanted.method is None:
        return Method.SUPERVISED, _numbers(
            wanted.hyperparameters, Method.SUPERVISED, extras, "hyperparameters"
        )
    if wanted.hyperparameters is not None:
        raise ApiError(
            "Give the hyperparameters under 'method' or at the top level, not both.",
            param="hyperparameters",
        )
    method = Method(wanted.method.type)
    other = "dpo" if method is Method.SUPERVISED else "supervised"
    if getattr(wanted.method, other) is not None:
        raise ApiError(f"'{other}' does not belong to the method '{method}'.", param="method")
    given = wanted.method.supervised if method is Method.SUPERVISED else wanted.method.dpo
    where = f"method.{method}.hyperparameters"
    return method, _numbers(given.hyperparameters if given else None, method, extras, where)


def _numbers(
    given: SupervisedNumbers | None, method: Method, extras: frozenset[str], where: str
) -> dict[str, object]:
    names = [*_EVERYWHERE]
    if method is Method.DPO:
        names.append("beta")
    else:
        extras |= set(classification.FIELDS)
    asked = given.model_dump(exclude_none=True) if given else {}
    for name in sorted(asked.keys() - {*names, *extras}):
        raise ApiError(
            f"Unrecognized request argument supplied: {where}.{name}",
            param=f"{where}.{name}",
            code="unknown_parameter",
        )
    own = {name: value for name, value in asked.items() if name in extras}
    return {**{name: asked.get(name, "auto") for name in names}, **own}


def _check(place: ApiDependencies, connection: Connection, order: JobRequest) -> None:
    """What can be known without reading the files; the rest is found while validating them."""
    _check_model(place, connection, order.model)
    training = _file_of(place, connection, order.training_file, param="training_file")
    _check_file(training, order, param="training_file")
    refuse_few(training.rows or 0, least=place.min_examples)
    if order.validation_file is not None:
        validation = _file_of(place, connection, order.validation_file, param="validation_file")
        _check_file(validation, order, param="validation_file")
        if validation.id == training.id:
            raise ApiError(
                "The validation file is the training file; the same rows must not be in both.",
                param="validation_file",
                code="overlapping_examples",
            )


def _check_model(place: ApiDependencies, connection: Connection, model: str) -> None:
    if model in place.engines.bases:
        return
    try:
        models.get_within(connection, model)
    except NotFound as error:
        known = " or ".join(f"'{base}'" for base in place.engines.bases)
        raise ApiError(
            f"The model '{model}' is not available for fine-tuning; use {known} or a model that"
            f" was tuned here. Whoever runs this server can start it with --alias {model}=….",
            param="model",
            code="model_not_available",
        ) from error
    base_of(place, model)


def _file_of(
    place: ApiDependencies, connection: Connection, file_id: str, *, param: str
) -> StoredFile:
    try:
        return place.files.get_within(connection, file_id)
    except NotFound as error:
        raise ApiError(f"invalid {param}: {file_id}", param=param, code="file_not_found") from error


def _check_file(stored: StoredFile, order: JobRequest, *, param: str) -> None:
    if stored.purpose != "fine-tune":
        raise ApiError(f"{stored.id} has the purpose '{stored.purpose}'.", param=param)
    if stored.method is not None and stored.method != order.method:
        raise ApiError(
            f"{stored.id} holds rows for the method '{stored.method}', not '{order.method}'.",
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
        "hyperparameters": {k: job.hyperparameters.get(k, "auto") for k in _EVERYWHERE},
        "method": {"type": job.method, job.method: {"hyperparameters": job.hyperparameters}},
        "integrations": [],
        "metadata": job.metadata,
        "error": job.error,
        "user_provided_suffix": job.suffix,
    }


def _shown_event(event: Event) -> dict[str, object]:
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


def _shown_checkpoint(model: StoredModel) -> dict[str, object]:
    return {
        "id": model.checkpoint,
        "object": "fine_tuning.job.checkpoint",
        "created_at": model.created_at,
        "fine_tuning_job_id": model.job,
        "fine_tuned_model_checkpoint": model.id,
        "step_number": model.step,
        "metrics": model.metrics,
    }
