"""Names the right URL for requests to one that this server does not have.

Which URL replaced which: https://developers.openai.com/api/docs/deprecations.
"""

from collections.abc import Mapping

_JOBS = "Fine-tuning jobs are at /v1/fine_tuning/jobs."
_CHAT = "Ask at /v1/chat/completions, /v1/completions or /v1/responses."
_UPLOAD = "Upload rows in one piece at /v1/files."
_TEXT_ONLY = "This server trains and answers in text only."

_BY_FIRST_PART: Mapping[str, str] = {
    "fine-tunes": f"It was replaced by /v1/fine_tuning/jobs. {_JOBS}",
    "fine-tuning": _JOBS,
    "fine_tunes": _JOBS,
    "fine_tuning": f"{_JOBS} Graders and sharing of checkpoints are not offered here.",
    "fine_tuning_jobs": _JOBS,
    "finetunes": _JOBS,
    "engines": f"Engines are called models now: /v1/models lists them. {_CHAT}",
    "edits": f"It was replaced by /v1/chat/completions. {_CHAT}",
    "answers": f"It was replaced by /v1/chat/completions. {_CHAT}",
    "classifications": f"It was replaced by /v1/chat/completions. {_CHAT}",
    "search": "It was replaced by /v1/embeddings.",
    "assistants": f"Assistants and threads are not offered here. {_CHAT}",
    "threads": f"Assistants and threads are not offered here. {_CHAT}",
    "conversations": f"Answers are not stored: send the conversation with each question. {_CHAT}",
    "responses": f"Answers are not stored here. {_CHAT}",
    "chat": "The address is /v1/chat/completions, and answers are not stored.",
    "completion": "The address is /v1/completions.",
    "embedding": "The address is /v1/embeddings.",
    "uploads": f"Uploads in parts are not offered. {_UPLOAD}",
    "file": _UPLOAD,
    "batches": f"Batches are not offered; send the questions one by one. {_CHAT}",
    "vector_stores": "Vector stores are not offered.",
    "moderations": "Moderation is not offered.",
    "audio": _TEXT_ONLY,
    "images": _TEXT_ONLY,
    "videos": _TEXT_ONLY,
    "realtime": _TEXT_ONLY,
    "messages": f"This is OpenAI's protocol. {_CHAT}",
}
_WITHOUT_VERSION = frozenset(
    ("chat", "completions", "embeddings", "files", "fine_tuning", "models", "responses")
)


def successor_of(path: str) -> str | None:
    """Returns a sentence with the URL that was probably meant; None for an unknown one."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "The API is below /v1, and /v1/models is a first question to it."
    if parts[0] == "v1" and len(parts) > 1:
        if parts[1] == "v1":
            return f"Write /v1 once: /{'/'.join(parts[1:])}."
        return _BY_FIRST_PART.get(parts[1])
    if parts[0] in _WITHOUT_VERSION:
        return f"Set the client's base URL to end in /v1: /v1/{'/'.join(parts)}."
    if parts[0] in ("api", "openai"):
        return f"The API is below /v1. {_CHAT}"
    return None
