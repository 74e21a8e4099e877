"""What Slack allows, as rules that can be asked; each with the page it comes from.

Pages are below https://docs.slack.dev/ unless another host is named.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

Json = dict[str, Any]

SCOPES: Mapping[str, tuple[str, ...]] = {
    # reference/methods/<method>, "Required scopes"; any one of them is enough.
    "auth.test": (),
    "apps.connections.open": ("connections:write",),
    "assistant.threads.setStatus": ("assistant:write", "chat:write"),
    "assistant.threads.setSuggestedPrompts": ("assistant:write",),
    "assistant.threads.setTitle": ("assistant:write",),
    "auth.teams.list": (),
    "chat.appendStream": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.startStream": ("chat:write",),
    "chat.stopStream": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.history": ("channels:history", "groups:history", "im:history", "mpim:history"),
    "conversations.info": ("channels:read", "groups:read", "im:read"),
    "conversations.open": ("im:write",),
    "conversations.replies": ("channels:history", "groups:history", "im:history", "mpim:history"),
    "files.completeUploadExternal": ("files:write",),
    "files.getUploadURLExternal": ("files:write",),
    "files.info": ("files:read",),
    "reactions.add": ("reactions:write",),
    "usergroups.list": ("usergroups:read",),
    "users.info": ("users:read",),
    "users.list": ("users:read",),
    "views.open": (),
    "views.publish": (),
    "views.update": (),
}

TIERS: Mapping[str, int] = {
    # apis/web-api/rate-limits and each method's page: calls per minute.
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.appendStream": 100,
    "chat.update": 50,
    "chat.postEphemeral": 100,
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.open": 50,
    "conversations.replies": 50,
    "files.completeUploadExternal": 100,
    "files.getUploadURLExternal": 100,
    "reactions.add": 50,
    "usergroups.list": 20,
    "users.info": 100,
    "users.list": 20,
    "views.open": 100,
    "views.publish": 100,
    "views.update": 100,
}

FORM_ONLY = (
    # apis/web-api#post-bodies: methods that read take no JSON.
    "conversations.history",
    "conversations.info",
    "conversations.replies",
    "files.getUploadURLExternal",
    "auth.teams.list",
    "files.info",
    "usergroups.list",
    "users.info",
    "users.list",
)

EVENT_SCOPES: Mapping[str, tuple[str, ...]] = {
    # reference/events/<event>
    "app_mention": ("app_mentions:read",),
    "message": ("channels:history", "groups:history", "im:history", "mpim:history"),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "subteam_members_changed": ("usergroups:read",),
}

MARKDOWN = 12_000
"""reference/block-kit/blocks/markdown-block: over all markdown blocks of a message."""
TEXT = 40_000
"""reference/methods/chat.postMessage: longer texts are cut."""
TRIGGER_SECONDS = 3.0
"""interactivity/handling-user-interaction: a trigger lives three seconds, and is used once."""
ACK_SECONDS = 3.0
"""interactivity/handling-user-interaction and apis/events-api."""
STREAM_SECONDS = 300.0
"""A stream ends by itself about five minutes after it began (measured: 306 s)."""
RESPONSES = 5
"""interactivity/handling-user-interaction: a response_url takes five answers in 30 minutes."""
SOCKETS = 10
"""apis/events-api/using-socket-mode"""

# messaging/formatting-message-text: what wakes people.
_LIVE = re.compile(r"<(?:!(?:here|channel|everyone|subteam\^)|@[UW])[^>]*>")
_CALLS = re.compile(r"@(?:here|channel|everyone)\b")


class RefusedError(Exception):
    """A call that Slack turns down; `code` is its own word."""

    def __init__(self, code: str, **more: object) -> None:
        self.code = code
        self.more = more
        super().__init__(code)


class Tiers:
    """Calls per method and minute, and one post a second in a channel."""

    def __init__(self) -> None:
        self.is_on = True
        # apis/web-api/rate-limits: short bursts pass, so a little less than a second is kept.
        self.seconds_between_posts = 0.9
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)
        self._posts: dict[str, float] = {}

    def retry_after(self, method: str, channel: str | None) -> int:
        """Seconds until the call may be made again; 0 lets it through."""
        if not self.is_on:
            return 0
        now, calls = time.monotonic(), self._calls[method]
        while calls and calls[0] <= now - 60:
            calls.popleft()
        if len(calls) >= TIERS.get(method, 600):
            return max(1, round(calls[0] + 60 - now))
        posting = method in ("chat.postMessage", "chat.postEphemeral", "chat.startStream")
        if posting and channel is not None:
            if now - self._posts.get(channel, 0.0) < self.seconds_between_posts:
                return 1
            self._posts[channel] = now
        calls.append(now)
        return 0


def check_blocks(blocks: object, *, most: int = 50) -> None:
    """Blocks by the vendor's own models, and the sums that those do not know."""
    if blocks is None:
        return
    if not isinstance(blocks, list) or len(blocks) > most:
        raise RefusedError("invalid_blocks")
    markdown = 0
    for block in blocks:
        _check_block(block)
        if block["type"] == "markdown":
            markdown += len(block["text"])
    if markdown > MARKDOWN:
        raise RefusedError("msg_blocks_too_long")
    names = [one.get("block_id") for one in blocks if one.get("block_id")]
    if len(names) != len(set(names)):
        raise RefusedError("invalid_blocks")


def check_view(view: object, kind: str) -> None:
    """reference/views: a modal needs a title, and a submit button where it has inputs."""
    if not isinstance(view, dict) or view.get("type") != kind:
        raise RefusedError("invalid_arguments")
    check_blocks(view.get("blocks"), most=100)
    if kind == "modal" and not view.get("title"):
        raise RefusedError("invalid_arguments")
    has_inputs = any(block["type"] == "input" for block in view["blocks"])
    if kind == "modal" and has_inputs and not view.get("submit"):
        raise RefusedError("invalid_arguments")
    try:
        View(**view).validate_json()
    except SlackObjectFormationError as error:
        raise RefusedError("invalid_arguments", why=str(error)) from error


def live(message: Mapping[str, Any]) -> list[str]:
    """What in a message would ping somebody."""
    found = list(_LIVE.findall(str(message.get("text") or "")))
    if message.get("link_names") or message.get("parse") == "full":
        found += _CALLS.findall(str(message.get("text") or ""))
    for text in _texts(message.get("blocks") or ()):
        found += _LIVE.findall(text) + _CALLS.findall(text)
    return found


def _texts(blocks: Sequence[Any]) -> list[str]:
    """Every text that Slack would parse: markdown and mrkdwn, not plain text."""
    found = []
    for block in blocks:
        if block.get("type") == "markdown":
            found.append(block["text"])
        parts = (block.get("text"), *(block.get("fields") or ()))
        found += [p["text"] for p in parts if isinstance(p, dict) and p.get("type") == "mrkdwn"]
    return found


def _check_block(block: object) -> None:
    if not isinstance(block, dict):
        raise RefusedError("invalid_blocks")
    try:
        parsed = Block.parse(block)
        if parsed is None:
            raise RefusedError("invalid_blocks", why=f"unknown type {block.get('type')}")
        parsed.validate_json()
        for element in getattr(parsed, "elements", None) or ():
            if hasattr(element, "validate_json"):
                element.validate_json()
    except (SlackObjectFormationError, TypeError) as error:
        raise RefusedError("invalid_blocks", why=str(error)) from error
    _check_elements(block)


def _check_elements(block: Json) -> None:
    """reference/block-kit/block-elements: lengths, and an action_id once in a block."""
    _check_buttons(block)
    for text in (block.get("text"), *(block.get("fields") or ())):
        if isinstance(text, dict) and not text.get("text"):
            raise RefusedError("invalid_blocks", why="an empty text")
    for field in block.get("fields") or ():
        if len(field["text"]) > 2000:
            raise RefusedError("invalid_blocks", why="a field over 2000")
    element = block.get("element")
    _check_options(element or {})
    if element and len(element.get("initial_value", "")) > element.get("max_length", 3000):
        raise RefusedError("invalid_blocks", why="initial_value over max_length")


def _check_options(element: Json) -> None:
    """reference/block-kit/composition-objects: 100 options, or 100 groups of 100; ten boxes."""
    groups = element.get("option_groups") or []
    boxes = 10 if element.get("type") == "checkboxes" else 100
    lists = [element.get("options") or [], *(one["options"] for one in groups)]
    if len(groups) > 100 or any(len(one) > (100 if groups else boxes) for one in lists):
        raise RefusedError("invalid_blocks", why="too many options")
    if groups and element.get("options"):
        raise RefusedError("invalid_blocks", why="options and option_groups")


def _check_buttons(block: Json) -> None:
    elements = block.get("elements") or ()
    names = [one.get("action_id") for one in elements if isinstance(one, dict)]
    names = [one for one in names if one]
    if len(names) != len(set(names)):
        raise RefusedError("invalid_blocks", why="an action_id stands twice")
    for element in elements:
        if element.get("type") == "button":
            _check_button(element)


def _check_button(button: Json) -> None:
    lengths = ((button["text"]["text"], 75), (button.get("value", ""), 2000))
    if any(len(text) > most for text, most in lengths):
        raise RefusedError("invalid_blocks", why="a button over its limits")
    if len(button.get("action_id", "")) > 255:
        raise RefusedError("invalid_blocks", why="an action_id over 255")
