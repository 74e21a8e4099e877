"""Media types of pictures, known by their first bytes."""

from __future__ import annotations

MAGIC_BYTES = 12
"""So many tell what a picture is."""

_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def picture_type(content: bytes) -> str | None:
    """PNG, JPEG, GIF and WebP, which models and browsers read; None for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begun, kind in _PICTURES if content.startswith(begun)), None)
