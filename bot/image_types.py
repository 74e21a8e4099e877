"""Detects the media type of an image by its first bytes."""

from __future__ import annotations

MAGIC_BYTE_COUNT = 12
"""Number of bytes that `picture_type` needs."""

_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def image_media_type(content: bytes) -> str | None:
    """Returns the media type of a PNG, JPEG, GIF or WebP image; None for another file."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _PICTURES if content.startswith(magic)), None)
