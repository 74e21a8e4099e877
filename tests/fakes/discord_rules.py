"""Rules of Discord as constants and checks, each with the page it comes from.

Pages are below https://docs.discord.com/developers/ unless another is named.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

CONTENT = 2000
"""resources/message#create-message: content, up to 2000 characters."""
NONCE = 25
"""resources/message#create-message: nonce."""
NONCE_SECONDS = 300.0
"""resources/message#create-message: enforce_nonce checks "the past few minutes"."""
FIRST_SECONDS = 3.0
"""interactions/receiving-and-responding: the first response within three seconds."""
TOKEN_SECONDS = 15 * 60.0
"""interactions/receiving-and-responding: tokens are valid for fifteen minutes."""
GLOBAL = 50
"""topics/rate-limits#global-rate-limit: fifty requests a second."""
IDENTIFY_TIMEOUT = 4009
GATEWAY_SENDS = 120
"""events/gateway#rate-limiting: 120 events in 60 seconds, else close code 4008."""

GUILDS, MEMBERS, MESSAGES, REACTIONS = 1 << 0, 1 << 1, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
KNOWN_INTENTS = (1 << 26) - 1
"""events/gateway#list-of-intents; others are refused with 4013."""
CONTENT_FLAG, MEMBERS_FLAG = 1 << 19, 1 << 15
"""resources/application#application-object-application-flags: limited content and members."""

VIEW, SEND, EMBED, ATTACH, HISTORY = 1 << 10, 1 << 11, 1 << 14, 1 << 15, 1 << 16
ADD_REACTIONS, ADMINISTRATOR, MANAGE_GUILD = 1 << 6, 1 << 3, 1 << 5
"""topics/permissions#permissions-bitwise-permission-flags."""

BUCKETS: Mapping[str, tuple[str, int, float]] = {
    # topics/rate-limits: buckets are per route and major parameter, and clients must read them from
    # the headers; the numbers are those that Discord is known to send (5 in 5 s for messages).
    "POST /channels/{channel}/messages": ("post", 5, 5.0),
    "PATCH /channels/{channel}/messages/{message}": ("edit", 5, 5.0),
    "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me": ("react", 1, 0.25),
    "POST /channels/{channel}/typing": ("typing", 5, 5.0),
}

_EMBED_TEXTS = {"title": 256, "description": 4096}
"""resources/message#embed-object-embed-limits, 6000 characters over all embeds of a message."""
_EVERYONE = re.compile(r"@(?:everyone|here)")
_USER, _ROLE = re.compile(r"<@!?(\d+)>"), re.compile(r"<@&(\d+)>")


class RefusedError(Exception):
    """A call that Discord refuses; `code` is Discord's error code."""

    def __init__(self, status: int, code: int, message: str = "") -> None:
        self.status = status
        self.code = code
        self.message = message or f"error {code}"
        super().__init__(self.message)


class Limits:
    """Rate limits: fifty requests a second overall, and buckets per route and channel."""

    def __init__(self) -> None:
        self.is_on = True
        self._all: deque[float] = deque()
        self._windows: dict[str, tuple[float, int]] = {}

    def over(self) -> float:
        """Returns the seconds until the next request of any kind; 0 allows this one."""
        now = time.monotonic()
        while self._all and self._all[0] <= now - 1.0:
            self._all.popleft()
        if self.is_on and len(self._all) >= GLOBAL:
            return self._all[0] + 1.0 - now
        self._all.append(now)
        return 0.0

    def take(self, route: str, major: str) -> tuple[Json, float]:
        """Returns the headers of the bucket, and the seconds until it allows a request again."""
        name, limit, seconds = BUCKETS.get(route, (route, 50, 1.0))
        now = time.monotonic()
        window_start, used = self._windows.get(f"{name}:{major}", (now, 0))
        if now >= window_start + seconds:
            window_start, used = now, 0
        seconds_left = window_start + seconds - now
        if self.is_on and used >= limit:
            return self._headers(name, limit, 0, seconds_left), seconds_left
        self._windows[f"{name}:{major}"] = (window_start, used + 1)
        return self._headers(name, limit, limit - used - 1, seconds_left), 0.0

    def _headers(self, name: str, limit: int, remaining: int, seconds_left: float) -> Json:
        if not self.is_on:
            return {}
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset-After": f"{seconds_left:.3f}",
            "X-RateLimit-Reset": f"{time.time() + seconds_left:.3f}",
            "X-RateLimit-Bucket": name.replace(" ", "-"),
        }


def check_message(body: Json, *, has_files: bool, is_edit: bool = False) -> None:
    """Checks the limits of a message (resources/message and components/reference)."""
    content = body.get("content") or ""
    if len(content) > CONTENT:
        raise RefusedError(400, 50035, "content: Must be 2000 or fewer in length.")
    if len(str(body.get("nonce") or "")) > NONCE:
        raise RefusedError(400, 50035, "nonce: Must be 25 or fewer in length.")
    embeds = body.get("embeds") or []
    for embed in embeds:
        _check_embed(embed)
    if len(embeds) > 10 or sum(map(_embed_size, embeds)) > 6000:
        raise RefusedError(400, 50035, "embeds: too large")
    check_components(body.get("components") or [])
    if not is_edit and not content.strip() and not embeds and not has_files:
        raise RefusedError(400, 50006, "Cannot send an empty message")


def check_components(rows: list[Json]) -> None:
    """Checks components/reference: five rows, five buttons in a row, unique ids in a message."""
    if len(rows) > 5:
        raise RefusedError(400, 50035, "components: at most 5 rows")
    names: list[str] = []
    for row in rows:
        if row.get("type") != 1 or not 1 <= len(row.get("components") or []) <= 5:
            raise RefusedError(400, 50035, "components: a row holds 1 to 5")
        for component in row["components"]:
            _check_component(component)
            if "custom_id" in component:
                names.append(component["custom_id"])
    if len(names) != len(set(names)):
        raise RefusedError(400, 50035, "Component custom id cannot be duplicated")


def check_modal(data: Json) -> None:
    """Checks components/reference#modal: a title of 45 characters, 1 to 5 parts, ids of 100."""
    parts = data.get("components") or []
    if not 1 <= len(parts) <= 5 or not 1 <= len(data.get("title") or "") <= 45:
        raise RefusedError(400, 50035, "modal: title 45, 1 to 5 components")
    if not 1 <= len(data.get("custom_id") or "") <= 100:
        raise RefusedError(400, 50035, "modal: custom_id")
    for part in parts:
        if part["type"] == 18:
            _check_label(part)


def check_commands(commands: list[Json]) -> None:
    """Checks interactions/application-commands: names, options, choices and their limits."""
    kinds: defaultdict[int, list[str]] = defaultdict(list)
    for command in commands:
        kinds[command.get("type", 1)].append(command["name"])
        if command.get("type", 1) == 1:
            _check_chat_command(command)
        if sum(_command_texts(command)) > 8000:
            raise RefusedError(400, 50035, "a command over 8000 characters")
    for kind, limit in ((1, 100), (2, 15), (3, 15)):
        if len(kinds[kind]) > limit or len(set(kinds[kind])) != len(kinds[kind]):
            raise RefusedError(400, 50035, "too many commands, or one name twice")


def pings(body: Json, *, answers: str | None = None) -> list[str]:
    """Returns the ids that a message notifies (resources/message#allowed-mentions-object)."""
    allowed, content = body.get("allowed_mentions"), str(body.get("content") or "")
    parse = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []
    ids = _EVERYONE.findall(content) if "everyone" in parse else []
    ids += _USER.findall(content) if "users" in parse else (allowed or {}).get("users") or []
    ids += _ROLE.findall(content) if "roles" in parse else (allowed or {}).get("roles") or []
    if answers and (allowed is None or allowed.get("replied_user")):
        ids.append(answers)
    return [str(id_) for id_ in ids]


def without_content(message: Json) -> Json:
    """Empties the fields that need the intent (events/gateway#message-content-intent)."""
    return {**message, "content": "", "embeds": [], "attachments": [], "components": []}


def _check_embed(embed: Json) -> None:
    for name, limit in _EMBED_TEXTS.items():
        if len(embed.get(name) or "") > limit:
            raise RefusedError(400, 50035, f"embed {name}")
    if (
        len(embed.get("fields") or []) > 25
        or len((embed.get("footer") or {}).get("text", "")) > 2048
    ):
        raise RefusedError(400, 50035, "embed fields or footer")
    for embed_field in embed.get("fields") or []:
        if not 1 <= len(embed_field["name"]) <= 256 or not 1 <= len(embed_field["value"]) <= 1024:
            raise RefusedError(400, 50035, "embed field")
    if not any(embed.get(name) for name in ("title", "description", "fields", "image")):
        raise RefusedError(400, 50035, "embed: empty")


def _embed_size(embed: Json) -> int:
    texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    texts += [field[name] for field in embed.get("fields") or [] for name in ("name", "value")]
    return sum(len(text or "") for text in texts)


def _check_component(component: Json) -> None:
    if component["type"] == 2:
        _check_button(component)
    elif component["type"] == 3:
        options = component.get("options") or []
        values = [option["value"] for option in options]
        if not 1 <= len(options) <= 25 or len(set(values)) != len(values):
            raise RefusedError(400, 50035, "select: 1 to 25 options, each value once")
        if any(not 1 <= len(option["label"]) <= 100 for option in options):
            raise RefusedError(400, 50035, "select: label")
    else:
        raise RefusedError(400, 50035, f"component type {component['type']}")
    if component.get("style") != 5 and not 1 <= len(component.get("custom_id") or "") <= 100:
        raise RefusedError(400, 50035, "custom_id: 1 to 100")


def _check_button(button: Json) -> None:
    if not 1 <= len(button.get("label") or "") <= 80:
        raise RefusedError(400, 50035, "button: a label of 1 to 80")
    if (button.get("style") == 5) is not ("url" in button) or (
        "url" in button and "custom_id" in button
    ):
        raise RefusedError(400, 50035, "button: an address or an id")


def _check_label(part: Json) -> None:
    component = part["component"]
    if not 1 <= len(part.get("label") or "") <= 45 or len(part.get("description") or "") > 100:
        raise RefusedError(400, 50035, "label 45, description 100")
    if component["type"] == 4 and len(component.get("value") or "") > min(
        4000, component.get("max_length", 4000)
    ):
        raise RefusedError(400, 50035, "text input: value")


_NAME = re.compile(r"[-_'\w]{1,32}")


def _check_chat_command(command: Json) -> None:
    for part in _command_and_options(command):
        if not _NAME.fullmatch(part["name"]) or part["name"] != part["name"].lower():
            raise RefusedError(400, 50035, f"name {part['name']}")
        if not 1 <= len(part.get("description") or "") <= 100:
            raise RefusedError(400, 50035, f"description of {part['name']}")
        options = part.get("options") or []
        if len(options) > 25 or len({option["name"] for option in options}) != len(options):
            raise RefusedError(400, 50035, f"options of {part['name']}")
        required = [bool(option.get("required")) for option in options]
        if required != sorted(required, reverse=True):
            raise RefusedError(400, 50035, "required options come first")
        if len(part.get("choices") or []) > 25 or (
            part.get("choices") and part.get("autocomplete")
        ):
            raise RefusedError(400, 50035, "choices")


def _command_and_options(command: Json) -> Iterator[Json]:
    yield command
    for option in command.get("options") or []:
        yield from _command_and_options(option)


def _command_texts(command: Json) -> Iterator[int]:
    """Yields the length of each text; the longest translation counts."""
    for part in _command_and_options(command):
        for name in ("name", "description"):
            texts = [part.get(name) or "", *(part.get(f"{name}_localizations") or {}).values()]
            yield max(map(len, texts))
        for choice in part.get("choices") or []:
            yield len(choice["name"]) + len(str(choice["value"]))
