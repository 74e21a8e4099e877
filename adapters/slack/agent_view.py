"""Slack's agent view: suggested prompts, thread titles and the channel that a person views."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from adapters.slack.api_port import Api, Json, error_code
from adapters.thread_titles import title_of
from bot.domain import ChannelId
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

SUGGESTED_PROMPTS = ("help", "status", "teach", "my_data")
"""Names of at most four prompts; each has a title and a message in bot/words."""
_THREAD_EVENTS = ("assistant_thread_started", "assistant_thread_context_changed")
_TITLE_LENGTH = 60
_MAX_USERS = 10_000


class AgentView:
    """Suggests prompts, sets titles and remembers which channel a person views.

    The channels are in memory only: Slack sends them again when a person opens the app.
    https://docs.slack.dev/ai/migrating-to-agent-messaging
    """

    def __init__(self, api: Api, say: Callable[..., str]) -> None:
        self._api = api
        self._say = say
        self._channels: OrderedDict[str, ChannelId] = OrderedDict()

    def note_viewed_channel(self, event: Mapping[str, Any]) -> None:
        """Stores the channel that the event's user views.

        Does nothing for events without a context.
        """
        source: Mapping[str, Any] = event
        if event.get("type") in _THREAD_EVENTS:
            source = event.get("assistant_thread") or {}
        context, user = source.get("context"), source.get("user_id") or source.get("user")
        if not isinstance(context, Mapping) or not user:
            return
        self._channels.pop(str(user), None)
        channel = _channel_of_context(context)
        if channel:
            self._channels[str(user)] = ChannelId(channel)
            while len(self._channels) > _MAX_USERS:
                self._channels.popitem(last=False)

    def channel_of(self, user: str) -> ChannelId | None:
        """Returns the channel that a user last viewed, None if Slack has not sent one."""
        return self._channels.get(user)

    async def suggest(self, event: Mapping[str, Any], locale: str) -> None:
        """Suggests prompts to the user who opened the conversation.

        https://docs.slack.dev/reference/methods/assistant.threads.setSuggestedPrompts: `thread_ts`
        is given only if the event has one, as the events of the older assistant do.
        """
        assistant_thread: Mapping[str, Any] = event.get("assistant_thread") or {}
        prompts = [
            {
                "title": self._say(f"slack.prompt.{name}", locale),
                "message": self._say(f"slack.prompt.{name}.message", locale),
            }
            for name in SUGGESTED_PROMPTS
        ]
        args: Json = {"channel_id": assistant_thread.get("channel_id") or event.get("channel")}
        args |= {"title": self._say("slack.prompts", locale), "prompts": prompts}
        if assistant_thread.get("thread_ts"):
            args["thread_ts"] = assistant_thread["thread_ts"]
        await self._call("assistant.threads.setSuggestedPrompts", args)

    async def set_title(self, channel: str, thread: str, question: str) -> None:
        """Sets the title of a conversation from its first question."""
        title = title_of(question, _TITLE_LENGTH)
        if title:
            args = {"channel_id": channel, "thread_ts": thread, "title": title}
            await self._call("assistant.threads.setTitle", args)

    async def _call(self, method: str, args: Mapping[str, object]) -> None:
        """Calls an optional method; an error, such as a missing scope, is only logged."""
        try:
            await self._api.call(method, args, patience=0)
        except SurfaceError as error:
            log.info("The agent view stays as it is", extra={"why": error_code(error)})


def is_conversation_opened(event: Mapping[str, Any]) -> bool:
    """Whether the event says that a user opened the conversation with the app."""
    is_tab = event.get("type") == "app_home_opened" and event.get("tab") == "messages"
    return is_tab or event.get("type") == "assistant_thread_started"


def user_who_opened(event: Mapping[str, Any]) -> str:
    """Returns the user who opened the conversation, empty if the event names none."""
    assistant_thread: Mapping[str, Any] = event.get("assistant_thread") or {}
    return str(assistant_thread.get("user_id") or event.get("user") or "")


def _channel_of_context(context: Mapping[str, Any]) -> str:
    """Returns the most relevant channel of a context, empty if it has none."""
    if context.get("channel_id"):
        return str(context["channel_id"])
    for entity in context.get("entities") or ():
        value = entity.get("value")
        if entity.get("type") == "slack#/types/channel_id":
            return str(value)
        if entity.get("type") == "slack#/types/message_context" and isinstance(value, Mapping):
            return str(value.get("channel_id") or "")
    return ""
