"""Finds messages that were posted before a crash, by the key in their metadata."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from adapters.slack.api_port import Api, Json
from adapters.slack.block_kit import post_key_of
from adapters.slack.payload_parsing import Bot

_PAGE_SIZE = 200
_MAX_PAGES = 5
_CAPACITY = 10_000


class PostedMessages:
    """Finds messages of this bot by the key in their metadata."""

    def __init__(self, api: Api, bot: Callable[[], Bot]) -> None:
        self._api = api
        self._bot = bot
        self._recorded: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def find(
        self, channel: str, thread: str | None, key: str, *, after: str | None = None
    ) -> str | None:
        """Returns the ts of the message with the key, None if there is none.

        A stream has no metadata before its end; with `after`, the oldest unrecorded message of the
        bot without metadata after that ts counts as the stream.
        """
        strays = []
        async for message in self.messages(channel, thread):
            ts = str(message.get("ts"))
            if post_key_of(message) == key:
                return self.keep(channel, ts)
            if after is not None and self._is_stray(message, after):
                strays.append(ts)
        unrecorded = [ts for ts in strays if (channel, ts) not in self._recorded]
        return self.keep(channel, min(unrecorded, key=float)) if unrecorded else None

    async def has_file(self, channel: str, thread: str, *, after: str) -> bool:
        """Whether the bot has posted a file after a message of a thread."""
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
        self._recorded[channel, ts] = None
        while len(self._recorded) > _CAPACITY:
            self._recorded.popitem(last=False)
        return ts

    async def messages(self, channel: str, thread: str | None) -> AsyncIterator[Json]:
        """Yields the messages of a thread, or the newest ones of a channel."""
        args: dict[str, object] = {
            "channel": channel,
            "limit": _PAGE_SIZE,
            "include_all_metadata": True,
        }
        if thread is not None:
            args["ts"] = thread
        method = "conversations.history" if thread is None else "conversations.replies"
        async for message in list_items(self._api, method, args):
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
    """Finds the posted messages of one answer."""

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


async def list_items(
    api: Api, method: str, args: Mapping[str, object], *, listed: str = "messages"
) -> AsyncIterator[Json]:
    """Yields the items of a list method, page after page; `listed` is the list's name."""
    cursor = ""
    for _ in range(_MAX_PAGES):
        more = {"cursor": cursor} if cursor else {}
        response = await api.call(method, {**args, **more})
        for item in response.get(listed) or ():
            yield item
        cursor = str((response.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return
