"""Finds messages that were posted before a crash, by the key in their metadata."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from adapters.slack.api import Api, Json
from adapters.slack.inbound import Bot
from adapters.slack.outbound import key_of

_LOOK_BACK = 200
_MOST_PAGES = 5
_MOST_KNOWN = 10_000


class PostedMessages:
    """Finds our messages again, by the key in their metadata."""

    def __init__(self, api: Api, bot: Callable[[], Bot]) -> None:
        self._api = api
        self._bot = bot
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def find(
        self, channel: str, thread: str | None, key: str, *, after: str | None = None
    ) -> str | None:
        """A stream has no metadata before its end: after a question, one of ours without is it."""
        strays = []
        async for message in self.messages(channel, thread):
            ts = str(message.get("ts"))
            if key_of(message) == key:
                return self.keep(channel, ts)
            if after is not None and self._is_stray(message, after):
                strays.append(ts)
        unknown = [ts for ts in strays if (channel, ts) not in self._known]
        return self.keep(channel, min(unknown, key=float)) if unknown else None

    async def has_file(self, channel: str, thread: str, *, after: str) -> bool:
        """Whether a file of ours stands below a message."""
        async for message in self.messages(channel, thread):
            if (
                message.get("files")
                and self._is_own(message)
                and float(message["ts"]) > float(after)
            ):
                return True
        return False

    def keep(self, channel: str, ts: str) -> str:
        """Records the ts of a message, so that later searches skip it."""
        self._known[channel, ts] = None
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return ts

    async def messages(self, channel: str, thread: str | None) -> AsyncIterator[Json]:
        """A thread, or the newest of a channel."""
        args: dict[str, object] = {
            "channel": channel,
            "limit": _LOOK_BACK,
            "include_all_metadata": True,
        }
        if thread is not None:
            args["ts"] = thread
        method = "conversations.history" if thread is None else "conversations.replies"
        async for message in pages(self._api, method, args):
            yield message

    def _is_stray(self, message: Json, after: str) -> bool:
        is_bare = not message.get("metadata") and not message.get("files")
        return self._is_own(message) and is_bare and float(message["ts"]) > float(after)

    def _is_own(self, message: Json) -> bool:
        bot = self._bot()
        return message.get("user") == bot.user or (
            bool(bot.bot) and message.get("bot_id") == bot.bot
        )


@dataclass(frozen=True, slots=True)
class PostedParts:
    """The posted_messages of one answer."""

    posted_messages: PostedMessages
    channel: str
    thread: str | None
    question_ts: str | None

    async def find_part(self, key: str) -> str | None:
        return await self.posted_messages.find(
            self.channel, self.thread, key, after=self.question_ts
        )

    def keep(self, ts: str) -> str:
        return self.posted_messages.keep(self.channel, ts)


async def pages(
    api: Api, method: str, args: Mapping[str, object], *, listed: str = "messages"
) -> AsyncIterator[Json]:
    """The messages, or what else is `listed`, page after page."""
    cursor = ""
    for _ in range(_MOST_PAGES):
        more = {"cursor": cursor} if cursor else {}
        answer = await api.call(method, {**args, **more})
        for one in answer.get(listed) or ():
            yield one
        cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return
