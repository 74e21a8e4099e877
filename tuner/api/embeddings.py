"""The route for vectors of texts: the mean of a base's last hidden states, of length 1."""

import base64
import struct
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from tuner.api.answering import refuse_token_ids
from tuner.api.dependencies import dependencies_of
from tuner.api.models import base_of
from tuner.api.request_body import json_body, read_as
from tuner.api.schemas import CreateEmbedding
from tuner.engine import Embedding
from tuner.errors import ApiError

router = APIRouter()


@router.post("/embeddings")
async def create_embeddings(request: Request) -> dict[str, object]:
    """The base of the model makes them, also where a tuned model was named; `model` says which."""
    place = dependencies_of(request)
    wanted = _read(await json_body(request))
    model = place.model_named(wanted.model)
    if model not in place.engines.bases:
        await run_in_threadpool(place.models.get, model)
    base = base_of(place, model)
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    found = await place.engines.embed(base, texts)
    if wanted.dimensions not in (None, len(found[0].vector)):
        raise ApiError(
            f"The vectors of '{base.id}' have {len(found[0].vector)} numbers and no fewer.",
            param="dimensions",
        )
    tokens = sum(each.tokens for each in found)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _shown(each, wanted)}
            for index, each in enumerate(found)
        ],
        "model": base.id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _read(body: dict[str, object]) -> CreateEmbedding:
    refuse_token_ids(body, "input", hint=" (LangChain: check_embedding_ctx_length=False.)")
    return read_as(CreateEmbedding, body)


def _shown(found: Embedding, wanted: CreateEmbedding) -> Sequence[float] | str:
    """As numbers, or as bytes of 32-bit floats, which the official client asks for by itself."""
    if wanted.encoding_format != "base64":
        return found.vector
    return base64.b64encode(struct.pack(f"<{len(found.vector)}f", *found.vector)).decode()
