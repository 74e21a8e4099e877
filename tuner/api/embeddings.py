"""The route for embeddings: the mean of a base's last hidden states, normalised to length 1."""

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
    """Answers with embeddings of the model's base, which `model` names in the answer."""
    deps = dependencies_of(request)
    params = _read(await json_body(request))
    model = deps.model_named(params.model)
    if model not in deps.engines.bases:
        await run_in_threadpool(deps.models.get, model)
    base = base_of(deps, model)
    texts = [params.input] if isinstance(params.input, str) else params.input
    embeddings = await deps.engines.embed(base, texts)
    if params.dimensions not in (None, len(embeddings[0].vector)):
        raise ApiError(
            f"The vectors of '{base.id}' have {len(embeddings[0].vector)} numbers and no fewer.",
            param="dimensions",
        )
    tokens = sum(embedding.tokens for embedding in embeddings)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector_field(embedding, params)}
            for index, embedding in enumerate(embeddings)
        ],
        "model": base.id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _read(body: dict[str, object]) -> CreateEmbedding:
    refuse_token_ids(body, "input", hint=" (LangChain: check_embedding_ctx_length=False.)")
    return read_as(CreateEmbedding, body)


def _vector_field(embedding: Embedding, params: CreateEmbedding) -> Sequence[float] | str:
    """Returns the vector as numbers, or as base64 of 32-bit floats: the client's default."""
    if params.encoding_format != "base64":
        return embedding.vector
    return base64.b64encode(struct.pack(f"<{len(embedding.vector)}f", *embedding.vector)).decode()
