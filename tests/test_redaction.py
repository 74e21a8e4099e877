"""What should never be taught is found, and what only looks like it is not."""

from __future__ import annotations

import pytest

from bot.redaction import findings


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Pay with 4111 1111 1111 1111.", "card"),
        ("Her key is sk-abcdefghijklmnop1234.", "secret"),
        ("xoxb-1234567890-abcdef", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret"),
        ("Write to ann@example.org, or to ann@example.org.", "email"),
        ("Call +49 30 1234567", "phone"),
        ("Call +49 30 1234567.", "phone"),
    ],
)
def test_personal_and_secret_text_is_found_by_its_kind_once(text: str, kind: str) -> None:
    assert list(findings(text)).count(kind) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Pay with 4111 1111 1111 1112.", "card"),
        ("The order is 0000 0000 0000 0000.", "card"),
        ("We open at nine, and close at 17:30.", "phone"),
        ("The server is 192.168.100.200.", "phone"),
        ("Ask @ann in example.org.", "email"),
    ],
)
def test_what_only_looks_like_it_is_not_found(text: str, kind: str) -> None:
    assert kind not in findings(text)
