"""Prompts, titles and the channel beside it: what Slack shows around a talk with the app."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from adapters.slack.api import Api, Json, error_code
from adapters.thread_titles import title_of
from bot.domain import ChannelId
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

PROMPTS = ("help", "status", "teach", "my_data")
"""At most four; each has a title and a message among the sentences."""
_THREAD_EVENTS = ("assistant_thread_started", "assistant_thread_context_changed")
_TITLE = 60
_MOST_KEPT = 10_000


class AgentView:
    """https://docs.slack.dev/ai/migrating-to-agent-messaging.

    Where somebody looks is in memory alone: Slack tells it again when they open the app.
    """

    def __init__(self, api: Api, say: Callable[..., str]) -> None:
        self._api = api
        self._say = say
        self._channels: OrderedDict[str, ChannelId] = OrderedDict()

    def note_viewed_channel(self, event: Mapping[str, Any]) -> None:
        """Takes what an event says of the channel that its person looks at; nothing from most."""
        told: Mapping[str, Any] = event
        if event.get("type") in _THREAD_EVENTS:
            told = event.get("assistant_thread") or {}
        context, user = told.get("context"), told.get("user_id") or told.get("user")
        if not isinstance(context, Mapping) or not user:
            return
        self._channels.pop(str(user), None)
        channel = _channel_in(context)
        if channel:
            self._channels[str(user)] = ChannelId(channel)
            while len(self._channels) > _MOST_KEPT:
                self._channels.popitem(last=False)

    def channel_of(self, user: str) -> ChannelId | None:
        """The channel that somebody looks at beside the conversation, as far as Slack told."""
        return self._channels.get(user)

    async def suggest(self, event: Mapping[str, Any], locale: str) -> None:
        """Prompts for whoever has opened the conversation.

        https://docs.slack.dev/reference/methods/assistant.threads.setSuggestedPrompts: a thread
        is named by the older assistant's events alone; where there is none it must not be given.
        """
        told: Mapping[str, Any] = event.get("assistant_thread") or {}
        prompts = [
            {
                "title": self._say(f"slack.prompt.{name}", locale),
                "message": self._say(f"slack.prompt.{name}.message", locale),
            }
            for name in PROMPTS
        ]
        args: Json = {"channel_id": told.get("channel_id") or event.get("channel")}
        args |= {"title": self._say("slack.prompts", locale), "prompts": prompts}
        if told.get("thread_ts"):
            args["thread_ts"] = told["thread_ts"]
        await self._call("assistant.threads.setSuggestedPrompts", args)

    async def set_title(self, channel: str, thread: str, question: str) -> None:
        """A conversation is called what it began with."""
        title = title_of(question, _TITLE)
        if title:
            args = {"channel_id": channel, "thread_ts": thread, "title": title}
            await self._call("assistant.threads.setTitle", args)

    async def _call(self, method: str, args: Mapping[str, object]) -> None:
        """A courtesy: without its scope, or where this Slack knows no such call, it is off."""
        try:
            await self._api.call(method, args, patience=0)
        except SurfaceError as error:
            log.info("The agent view stays as it is", extra={"why": error_code(error)})


def is_opening(event: Mapping[str, Any]) -> bool:
    """Whether somebody has opened the conversation with the app."""
    is_tab = event.get("type") == "app_home_opened" and event.get("tab") == "messages"
    return is_tab or event.get("type") == "assistant_thread_started"


def opened_by(event: Mapping[str, Any]) -> str:
    told: Mapping[str, Any] = event.get("assistant_thread") or {}
    return str(told.get("user_id") or event.get("user") or "")


def _channel_in(context: Mapping[str, Any]) -> str:
    """The most relevant one; of the older assistant's context there is only one."""
    if context.get("channel_id"):
        return str(context["channel_id"])
    for entity in context.get("entities") or ():
        value = entity.get("value")
        if entity.get("type") == "slack#/types/channel_id":
            return str(value)
        if entity.get("type") == "slack#/types/message_context" and isinstance(value, Mapping):
            return str(value.get("channel_id") or "")
    return ""
