"""Routes about models."""

from fastapi import APIRouter, Request

from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.request_body import BODILESS
from tuner.engine import Base
from tuner.errors import ApiError
from tuner.folder import remove
from tuner.store.jobs import named_base
from tuner.store.models import StoredModel

router = APIRouter()

BASE_CREATED = 1_767_225_600  # 2026-01-01: a base is not made by anyone here


@router.get("/models", dependencies=[BODILESS])
def list_models(request: Request) -> dict[str, object]:
    place = dependencies_of(request)
    bases = [_shown_base(base) for base in place.engines.bases.values()]
    aliases = [_shown_alias(name, model) for name, model in place.aliases.items()]
    return {"object": "list", "data": [*bases, *aliases, *map(_shown, place.models.all())]}


# A name may hold any character but a slash, yet a client may send one: `path` lets it through
# to the sentence about models instead of the one about addresses.
@router.get("/models/{model:path}", dependencies=[BODILESS])
def retrieve_model(request: Request, model: str) -> dict[str, object]:
    place = dependencies_of(request)
    if base := place.engines.bases.get(model):
        return _shown_base(base)
    if model in place.aliases:
        return _shown_alias(model, place.aliases[model])
    return _shown(place.models.get(model))


@router.delete("/models/{model:path}", dependencies=[BODILESS])
def delete_model(request: Request, model: str) -> dict[str, object]:
    place = dependencies_of(request)
    if model in place.engines.bases:
        raise ApiError(f"'{model}' is a base model and cannot be deleted.", param="model")
    if model in place.aliases:
        raise ApiError(
            f"'{model}' is another name for '{place.aliases[model]}'; delete that model, or start"
            " the server without the alias.",
            param="model",
        )
    _remove(place, model)
    return {"id": model, "object": "model", "deleted": True}


def base_of(place: ApiDependencies, model: str) -> Base:
    """The base that this name stands for, or that the model behind it was made of.

    Only bases that the server was started with can be found: a name never leads to a file.
    """
    name = named_base(model)
    if base := place.engines.bases.get(name):
        return base
    raise ApiError(
        f"'{model}' was made of '{name}', which this server was not started with.",
        param="model",
        code="model_not_available",
    )


def _remove(place: ApiDependencies, model_id: str) -> None:
    for gone in place.models.remove(model_id):
        path = place.runner.folder_of(gone.job).weights(gone.step)
        remove(path)
        place.engines.on_weights_deleted(path)
        place.runner.clean_folder(gone.job)


def _shown_base(base: Base) -> dict[str, object]:
    return {"id": base.id, "object": "model", "created": BASE_CREATED, "owned_by": base.owned_by}


def _shown_alias(name: str, model: str) -> dict[str, object]:
    owner = f"alias of {model}"
    return {"id": name, "object": "model", "created": BASE_CREATED, "owned_by": owner}


def _shown(model: StoredModel) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": "attune",
    }
