"""The routes of models."""

from fastapi import APIRouter, Request

from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.request_body import REFUSES_LARGE_BODY
from tuner.engine import Base
from tuner.errors import ApiError
from tuner.job_folder import remove_path
from tuner.store.jobs import base_of_model_name
from tuner.store.models import StoredModel

router = APIRouter()

BASE_CREATED_AT = 1_767_225_600  # 2026-01-01; the real date of a base is unknown


@router.get("/models", dependencies=[REFUSES_LARGE_BODY])
def list_models(request: Request) -> dict[str, object]:
    deps = dependencies_of(request)
    bases = [_base_object(base) for base in deps.engines.bases.values()]
    aliases = [_alias_object(name, model) for name, model in deps.aliases.items()]
    return {"object": "list", "data": [*bases, *aliases, *map(_model_object, deps.models.all())]}


# Model names have no slash, but a client may send one. The converter `path` accepts it, so that the
# answer is about an unknown model instead of an unknown URL.
@router.get("/models/{model:path}", dependencies=[REFUSES_LARGE_BODY])
def retrieve_model(request: Request, model: str) -> dict[str, object]:
    deps = dependencies_of(request)
    if base := deps.engines.bases.get(model):
        return _base_object(base)
    if model in deps.aliases:
        return _alias_object(model, deps.aliases[model])
    return _model_object(deps.models.get(model))


@router.delete("/models/{model:path}", dependencies=[REFUSES_LARGE_BODY])
def delete_model(request: Request, model: str) -> dict[str, object]:
    deps = dependencies_of(request)
    if model in deps.engines.bases:
        raise ApiError(f"'{model}' is a base model and cannot be deleted.", param="model")
    if model in deps.aliases:
        raise ApiError(
            f"'{model}' is another name for '{deps.aliases[model]}'; delete that model, or start"
            " the server without the alias.",
            param="model",
        )
    _delete_model_files(deps, model)
    return {"id": model, "object": "model", "deleted": True}


def base_of(deps: ApiDependencies, model: str) -> Base:
    """Returns the base of this name, or of the tuned model of this name. Raises ApiError.

    Only bases that the server was started with are found: a name never leads to a file.
    """
    name = base_of_model_name(model)
    if base := deps.engines.bases.get(name):
        return base
    raise ApiError(
        f"'{model}' was made of '{name}', which this server was not started with.",
        param="model",
        code="model_not_available",
    )


def _delete_model_files(deps: ApiDependencies, model_id: str) -> None:
    for model in deps.models.remove(model_id):
        path = deps.runner.folder_of(model.job).weights(model.step)
        remove_path(path)
        deps.engines.on_weights_deleted(path)
        deps.runner.clean_folder(model.job)


def _base_object(base: Base) -> dict[str, object]:
    return {"id": base.id, "object": "model", "created": BASE_CREATED_AT, "owned_by": base.owned_by}


def _alias_object(name: str, model: str) -> dict[str, object]:
    owner = f"alias of {model}"
    return {"id": name, "object": "model", "created": BASE_CREATED_AT, "owned_by": owner}


def _model_object(model: StoredModel) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": "attune",
    }
