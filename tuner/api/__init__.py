"""The HTTP API of the tuner: OpenAI's protocol, a module per kind of object."""

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from tuner.api import chat, completions, embeddings, files, jobs, models, responses
from tuner.api.api_keys import require_key
from tuner.api.dependencies import ApiDependencies
from tuner.api.middleware import ResponseMiddleware
from tuner.api.unknown_urls import successor_of
from tuner.errors import ApiError, DiskFull, MethodNotAllowed, NotFound, TooLarge
from tuner.job_folder import is_disk_full

__all__ = ["ApiDependencies", "build"]


def build_api(deps: ApiDependencies) -> FastAPI:
    """Builds the ASGI application."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.deps = deps
    api = APIRouter(prefix="/v1", dependencies=[Depends(require_key)], redirect_slashes=False)
    for module in (files, jobs, models, chat, completions, responses, embeddings):
        api.include_router(module.router)
    app.include_router(api)
    app.add_api_route("/healthz", healthz, methods=["GET", "HEAD"])
    app.add_exception_handler(ApiError, answer_api_error)
    app.add_exception_handler(OSError, answer_disk_full)
    app.add_exception_handler(OperationalError, answer_disk_full)
    app.add_exception_handler(HTTPException, answer_framework_error)
    app.add_exception_handler(RequestValidationError, answer_framework_error)
    if deps.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=deps.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "openai-processing-ms"],
        )
    app.add_middleware(ResponseMiddleware)
    return app


def healthz() -> dict[str, str]:
    """Answers that the server is running."""
    return {"status": "ok"}


def answer_api_error(_request: Request, error: Exception) -> JSONResponse:
    refusal = error if isinstance(error, ApiError) else ApiError()
    return JSONResponse(refusal.body(), status_code=refusal.status)


def answer_disk_full(request: Request, error: Exception) -> JSONResponse:
    """Answers an error of a full disk with a sentence; raises other errors again."""
    if not is_disk_full(error):
        raise error
    return answer_api_error(request, DiskFull())


def answer_framework_error(request: Request, error: Exception) -> JSONResponse:
    """Answers errors that FastAPI raises itself in the protocol's form."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    address = f"{request.method} {request.url.path}"
    match status:
        case 404:
            hint = successor_of(request.url.path)
            sentence = f"Unknown request URL: {address}" + (f". {hint}" if hint else "")
            refusal: ApiError = NotFound(sentence, code="unknown_url")
        case 405:
            refusal = MethodNotAllowed(f"Not allowed: {address}")
        case 413:
            refusal = TooLarge()
        case _:
            refusal = ApiError()
    return answer_api_error(request, refusal)
