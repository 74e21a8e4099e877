"""Objects of a fake host, and their JSON in OpenAI's shapes."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

from tests.fakes.openai_rules import Body

DAWN = 1_800_000_000
OVER = ("succeeded", "failed", "cancelled")

Json = dict[str, object]


@dataclass(slots=True)
class FakeFile:
    """An uploaded file or a result file."""

    id: str
    name: str
    content: bytes
    created_at: int
    listings_before: int
    purpose: str = "fine-tune"


@dataclass(slots=True)
class FakeJob:
    """A job; `life` holds its remaining statuses, of which each retrieval takes the next."""

    id: str
    body: Body
    created_at: int
    listings_before: int
    life: deque[str]
    status: str
    step: int = 0
    events: list[Json] = field(default_factory=list)
    model: str | None = None
    error: Json | None = None
    results: list[str] = field(default_factory=list)


def file_json(file: FakeFile) -> Json:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": file.created_at,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }


def job_json(job: FakeJob, now: int) -> Json:
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": job.created_at,
        "finished_at": now if job.status in OVER else None,
        "estimated_finish": None,
        "model": job.body["model"],
        "fine_tuned_model": job.model,
        "organization_id": "org-fake",
        "status": job.status,
        "trained_tokens": 1000 if job.model else None,
        "training_file": job.body["training_file"],
        "validation_file": job.body.get("validation_file"),
        "result_files": job.results,
        "seed": job.body.get("seed", 0),
        "hyperparameters": {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8},
        "method": job.body.get("method"),
        "metadata": job.body.get("metadata"),
        "error": job.error,
    }


def event_json(identifier: str, now: int, message: str, data: Json | None) -> Json:
    return {
        "id": identifier,
        "object": "fine_tuning.job.event",
        "created_at": now,
        "level": "info",
        "message": message,
        "type": "metrics" if data else "message",
        "data": data,
    }


def checkpoint_json(job: FakeJob) -> Json:
    return {
        "id": f"ftckpt-{job.id}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": job.created_at,
        "fine_tuning_job_id": job.id,
        "fine_tuned_model_checkpoint": f"{job.model}:ckpt-step-{job.step}",
        "step_number": job.step,
        "metrics": {"step": job.step, "train_loss": 0.5, "valid_loss": None},
    }


def model_json(name: str) -> Json:
    return {"id": name, "object": "model", "created": DAWN, "owned_by": "team"}


def piece_chunk(piece: str, *fields: str) -> bytes:
    """Returns a stream chunk with a text as content, or in other fields (`refusal`)."""
    delta = dict.fromkeys(fields or ("content",), piece)
    return chunk([{"index": 0, "delta": delta, "finish_reason": None}])


def chunk(choices: list[Json], **more: object) -> bytes:
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": DAWN, "model": "m"}
    return f"data: {json.dumps({**body, 'choices': choices, **more})}\n\n".encode()


def usage_json(asked: int, answered: int) -> Json:
    total = asked + answered
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": total}
