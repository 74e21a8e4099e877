"""Rules of Slack as constants and checks, each with the page it comes from.

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
    # reference/methods/<method>, "Required scopes"; any of them suffices.
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
"""interactivity/handling-user-interaction: a trigger_id is valid for 3 s and for one call."""
ACK_SECONDS = 3.0
"""interactivity/handling-user-interaction and apis/events-api."""
STREAM_SECONDS = 300.0
"""A stream ends by itself about five minutes after it began (measured: 306 s)."""
RESPONSES = 5
"""interactivity/handling-user-interaction: a response_url takes five answers in 30 minutes."""
SOCKETS = 10
"""apis/events-api/using-socket-mode"""

# messaging/formatting-message-text: mentions that notify users.
_MENTION = re.compile(r"<(?:!(?:here|channel|everyone|subteam\^)|@[UW])[^>]*>")
_PLAIN_MENTION = re.compile(r"@(?:here|channel|everyone)\b")


class RefusedError(Exception):
    """A call that Slack refuses; `code` is Slack's error code."""

    def __init__(self, code: str, **more: object) -> None:
        self.code = code
        self.more = more
        super().__init__(code)


class Tiers:
    """Rate limits: calls per method and minute, and one post a second in a channel."""

    def __init__(self) -> None:
        self.is_on = True
        # apis/web-api/rate-limits: short bursts are allowed, hence slightly less than a second.
        self.seconds_between_posts = 0.9
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)
        self._posts: dict[str, float] = {}

    def retry_after(self, method: str, channel: str | None) -> int:
        """Returns the seconds until the call is allowed again; 0 allows it."""
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
    """Checks blocks by slack_sdk's models, and limits that these do not check."""
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
    names = [block["block_id"] for block in blocks if block.get("block_id")]
    if len(names) != len(set(names)):
        raise RefusedError("invalid_blocks")


def check_view(view: object, kind: str) -> None:
    """Checks reference/views: a modal needs a title, and a submit button if it has inputs."""
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
    """Returns the mentions in a message that notify users."""
    mentions = list(_MENTION.findall(str(message.get("text") or "")))
    if message.get("link_names") or message.get("parse") == "full":
        mentions += _PLAIN_MENTION.findall(str(message.get("text") or ""))
    for text in _texts(message.get("blocks") or ()):
        mentions += _MENTION.findall(text) + _PLAIN_MENTION.findall(text)
    return mentions


def _texts(blocks: Sequence[Any]) -> list[str]:
    """Returns the texts that Slack parses: markdown and mrkdwn, not plain_text."""
    texts = []
    for block in blocks:
        if block.get("type") == "markdown":
            texts.append(block["text"])
        parts = (block.get("text"), *(block.get("fields") or ()))
        texts += [p["text"] for p in parts if isinstance(p, dict) and p.get("type") == "mrkdwn"]
    return texts


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
    """Checks reference/block-kit/block-elements: lengths, and unique action_ids in a block."""
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
    """Checks reference/block-kit/composition-objects: 100 options, 100 groups, 10 checkboxes."""
    groups = element.get("option_groups") or []
    boxes = 10 if element.get("type") == "checkboxes" else 100
    lists = [element.get("options") or [], *(group["options"] for group in groups)]
    if len(groups) > 100 or any(len(options) > (100 if groups else boxes) for options in lists):
        raise RefusedError("invalid_blocks", why="too many options")
    if groups and element.get("options"):
        raise RefusedError("invalid_blocks", why="options and option_groups")


def _check_buttons(block: Json) -> None:
    elements = block.get("elements") or ()
    actions = [element.get("action_id") for element in elements if isinstance(element, dict)]
    names = [action for action in actions if action]
    if len(names) != len(set(names)):
        raise RefusedError("invalid_blocks", why="an action_id stands twice")
    for element in elements:
        if element.get("type") == "button":
            _check_button(element)


def _check_button(button: Json) -> None:
    lengths = ((button["text"]["text"], 75), (button.get("value", ""), 2000))
    if any(len(text) > limit for text, limit in lengths):
        raise RefusedError("invalid_blocks", why="a button over its limits")
    if len(button.get("action_id", "")) > 255:
        raise RefusedError("invalid_blocks", why="an action_id over 255")
