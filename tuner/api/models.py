"""Routes about models."""

from fastapi import APIRouter, Request

from tuner.api.place import Place, place_of
from tuner.errors import Refusal
from tuner.store.models import StoredModel

router = APIRouter()

BASE = "sandbox"
BASE_OWNER = "sandbox: picks from your examples"
BASE_CREATED = 1_767_225_600  # 2026-01-01: a base is not made by anyone here


@router.get("/models")
def list_models(request: Request) -> dict[str, object]:
    models = [_shown(model) for model in place_of(request).models.all()]
    return {"object": "list", "data": [_base(), *models]}


# A name may hold any character but a slash, yet a client may send one: `path` lets it through
# to the sentence about models instead of the one about addresses.
@router.get("/models/{model:path}")
def retrieve_model(request: Request, model: str) -> dict[str, object]:
    if model == BASE:
        return _base()
    return _shown(place_of(request).models.get(model))


@router.delete("/models/{model:path}")
def delete_model(request: Request, model: str) -> dict[str, object]:
    if model == BASE:
        raise Refusal(f"'{BASE}' is a base model and cannot be deleted.", param="model")
    _remove(place_of(request), model)
    return {"id": model, "object": "model", "deleted": True}


def _remove(place: Place, model_id: str) -> None:
    for gone in place.models.remove(model_id):
        path = place.runner.folder_of(gone.job).weights(gone.step)
        path.unlink(missing_ok=True)
        place.answers.forget(path)
        place.runner.tidy(gone.job)


def _base() -> dict[str, object]:
    return {"id": BASE, "object": "model", "created": BASE_CREATED, "owned_by": BASE_OWNER}


def _shown(model: StoredModel) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": "attune",
    }
