"""How servers differ in `/chat/completions`, each rule with the page that documents it.

Checked in 2026-11. `page` is the page of the server kind. A rule from another place has a
comment with its URL; for a rule that no page documents, the comment says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = dict[str, Any]


def openai_error(message: str, **more: object) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **more}}


def forbidden_extra(name: str) -> Json:
    return {
        "type": "extra_forbidden",
        "loc": ["body", name],
        "msg": "Extra inputs are not permitted",
    }


@dataclass(frozen=True)
class ChatDialect:
    """What one kind of server refuses, and how it writes the answer "Yes." after reasoning.

    `refuses` maps a parameter to the status and body of the refusal; `first` are extra first
    chunks of the stream.
    """

    name: str
    page: str
    refuses: Mapping[str, tuple[int, Json | str]] = field(default_factory=dict)
    system: tuple[int, Json] | None = None
    thought: Json = field(default_factory=dict)
    answer: Json = field(default_factory=lambda: {"content": "Yes."})
    comment: str = ""
    first: Sequence[Json] = ()
    finish: str = "stop"
    usage_beside: bool = False
    loading: tuple[int, Json] | None = None
    no_path: tuple[int, Json | str] = (404, {"detail": "Not Found"})
    no_model: tuple[int, Json] = (404, openai_error("The model `gone` does not exist."))
    is_stream: bool = True


# vLLM called the field `reasoning_content` until 0.11.
VLLM = "https://docs.vllm.ai/en/v0.26.0/features/reasoning_outputs/"
PARAMETERS = "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
MISTRAL = {"object": "error", "type": "invalid_request_error"}

DIALECTS = (
    ChatDialect("vllm", VLLM, thought={"reasoning": "Hm."}),
    ChatDialect(
        "vllm, a template without a system role",
        "https://docs.vllm.ai/en/v0.26.0/serving/openai_compatible_server/",
        system=(400, openai_error("System role not supported", code=400)),
    ),
    ChatDialect(
        "vllm, as it told errors until 2025",
        "https://github.com/vllm-project/vllm/pull/2964",
        system=(
            400,
            {
                "object": "error",
                "message": "System role not supported",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
        ),
    ),
    ChatDialect(
        "ollama",
        "https://docs.ollama.com/api/openai-compatibility",
        thought={"reasoning": "Hm."},
        no_path=(404, "404 page not found"),
        no_model=(404, openai_error('model "gone" not found', type="not_found_error")),
    ),
    ChatDialect(
        "lm studio",
        "https://lmstudio.ai/docs/developer/openai-compat",
        thought={"content": "<think>Hm.</think>\n\n"},
        # https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/618: with a 200.
        no_path=(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
    ),
    ChatDialect(
        "llama.cpp",
        # Both errors: tools/server/server-http.cpp there.
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        thought={"reasoning_content": "Hm."},
        loading=(
            503,
            {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        ),
        no_path=(
            404,
            {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}},
        ),
    ),
    ChatDialect(
        "tgi",
        "https://huggingface.co/docs/text-generation-inference/messages_api",
        # https://github.com/huggingface/text-generation-inference/issues/3198 has the error's form.
        system=(
            422,
            {
                "error": "Template error: syntax error: System role not supported (in <string>:1)",
                "error_type": "template_error",
            },
        ),
        no_path=(404, ""),
    ),
    ChatDialect(
        "openrouter",
        "https://openrouter.ai/docs/api/reference/streaming",
        comment=": OPENROUTER PROCESSING\n\n",
        thought={"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text"}]},
        no_path=(404, "<!DOCTYPE html><html><title>Not Found</title></html>"),
    ),
    ChatDialect(
        "azure",
        "https://learn.microsoft.com/azure/foundry/openai/how-to/reasoning",
        refuses={
            "max_tokens": (
                400,
                openai_error(
                    f"{PARAMETERS} 'max_completion_tokens' instead.",
                    param="max_tokens",
                    code="unsupported_parameter",
                ),
            ),
            "temperature": (
                400,
                openai_error(
                    "Unsupported value: 'temperature' does not support 0.2 with this model."
                    " Only the default (1) value is supported.",
                    param="temperature",
                    code="unsupported_value",
                ),
            ),
        },
        first=({"choices": [], "prompt_filter_results": []},),
        no_path=(404, {"error": {"code": "404", "message": "Resource not found"}}),
        no_model=(
            404,
            openai_error("The API deployment for this resource does not exist.", code="x"),
        ),
    ),
    ChatDialect(
        "together",
        "https://docs.together.ai/docs/deepseek-r1",
        thought={"content": "<think>\nHm.\n</think>\n"},
        usage_beside=True,
    ),
    ChatDialect(
        "fireworks",
        "https://docs.fireworks.ai/guides/reasoning",
        # https://github.com/FlowiseAI/Flowise/issues/2866, of 2024.
        refuses={
            "stream_options": (
                400,
                {"error": {"message": "Extra inputs are not permitted, field: 'stream_options'"}},
            )
        },
        thought={"reasoning_content": "Hm."},
        usage_beside=True,
        no_path=(404, {"error": "Not found"}),
    ),
    ChatDialect(
        "nebius",
        "https://docs.tokenfactory.nebius.com/api-reference/introduction",
    ),
    ChatDialect(
        "mistral",
        "https://docs.mistral.ai/inference/conversations/reasoning",
        # Two forms: https://github.com/nomtek/mistralai_client_dart/issues/44 of 2024,
        # https://github.com/partITech/php-mistral/issues/76 of 2025.
        refuses={
            "stream_options": (
                422,
                {**MISTRAL, "message": {"detail": [forbidden_extra("stream_options")]}},
            ),
            "reasoning_effort": (
                422,
                {
                    **MISTRAL,
                    "detail": [forbidden_extra("reasoning_effort")],
                    "message": [forbidden_extra("reasoning_effort")],
                    "code": 3001,
                },
            ),
        },
        thought={"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        answer={"content": [{"type": "text", "text": "Yes."}]},
        usage_beside=True,
    ),
    ChatDialect(
        "deepseek",
        # The comment: /quick_start/rate_limit there; the refusal:
        # https://github.com/ConardLi/easy-dataset/issues/9.
        "https://api-docs.deepseek.com/guides/reasoning_model",
        comment=": keep-alive\n\n",
        thought={"reasoning_content": "Hm.", "content": None},
        no_model=(400, openai_error("Model Not Exist", code="invalid_request_error")),
    ),
    ChatDialect(
        "openai, streaming not allowed",
        "https://github.com/lobehub/lobehub/issues/9385",
        refuses={
            "stream": (
                400,
                openai_error(
                    "Your organization must be verified to stream this model.",
                    param="stream",
                    code="unsupported_value",
                ),
            )
        },
    ),
)


class ScriptedHost:
    """Answers `/v1/chat/completions` in a dialect; `bodies` are the received requests."""

    def __init__(self, dialect: ChatDialect) -> None:
        self.dialect = dialect
        self.url = ""
        self.bodies: list[Json] = []
        self.requests: list[web.BaseRequest] = []
        self._is_loading = dialect.loading is not None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        if request.path != "/v1/chat/completions":
            return _error_response(self.dialect.no_path)
        body: Json = await request.json()
        self.bodies.append(body)
        refusal = self._refusal(body)
        if refusal is not None:
            return _error_response(refusal)
        if not body.get("stream"):
            choice = {"message": self.dialect.answer, "finish_reason": "stop"}
            return web.json_response({"id": "1", "choices": [choice], "usage": USAGE})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for line in self._lines(body):
            await response.write(line.encode())
        return response

    def _refusal(self, body: Json) -> tuple[int, Json | str] | None:
        dialect = self.dialect
        if self._is_loading:
            self._is_loading = False
            return dialect.loading
        if dialect.system and any(message["role"] == "system" for message in body["messages"]):
            return dialect.system
        if body["model"] != "base":
            return dialect.no_model
        return next((dialect.refuses[name] for name in body if name in dialect.refuses), None)

    def _lines(self, body: Json) -> list[str]:
        dialect = self.dialect
        deltas = [delta for delta in (dialect.thought, dialect.answer) if delta]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        chunks: list[Json] = [*dialect.first, *({"choices": [choice]} for choice in choices)]
        end: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": dialect.finish}]}
        wants_usage = "stream_options" in body or dialect.usage_beside
        if dialect.usage_beside:
            chunks.append({**end, "usage": USAGE})
        else:
            chunks += [end, *([{"choices": [], "usage": USAGE}] if wants_usage else [])]
        events = [f"data: {json.dumps({'id': '1', **chunk})}\n\n" for chunk in chunks]
        return [dialect.comment, *events, "data: [DONE]\n\n"]


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def _error_response(refusal: tuple[int, Json | str]) -> web.Response:
    status, body = refusal
    if isinstance(body, str):
        kind = "text/html" if body.startswith("<") else "text/plain"
        return web.Response(status=status, text=body, content_type=kind)
    return web.json_response(body, status=status)


@asynccontextmanager
async def scripted_host(dialect: ChatDialect) -> AsyncIterator[ScriptedHost]:
    host = ScriptedHost(dialect)
    runner = web.ServerRunner(web.Server(host.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    host.url = f"http://127.0.0.1:{port}"
    try:
        yield host
    finally:
        await runner.cleanup()
