"""Exports of chats as their vendors write them, for tests."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

USERS = (
    {"id": "U2", "team_id": "T1", "name": "ann", "profile": {"display_name": "Ann"}},
    {"id": "U3", "team_id": "T1", "name": "ben", "real_name": "Ben", "profile": {}},
    {"id": "U4", "team_id": "T1", "name": "cy", "profile": {"display_name": "Cy"}},
    {"id": "U5", "team_id": "T1", "name": "gone", "deleted": True, "profile": {}},
    {"id": "U6", "team_id": "T1", "name": "guest", "is_restricted": True, "profile": {}},
    {"id": "B1", "team_id": "T1", "name": "robot", "is_bot": True, "profile": {}},
)
CHANNELS = ({"id": "C1", "name": "general", "is_archived": False},)


def slack_message(user: str, ts: str, text: str, thread: str = "", **more: object) -> Json:
    told: Json = {"type": "message", "user": user, "ts": ts, "text": text, "team": "T1", **more}
    return {**told, "thread_ts": thread} if thread else told


def slack_zip(
    days: Mapping[str, Sequence[object] | bytes],
    *,
    users: Sequence[Json] = USERS,
    root: str = "",
    flag: int = 0,
    **lists: Sequence[Json],
) -> bytes:
    """`days` by path, as `general/2026-01-01`; `lists` as `groups`, `dms`, `mpims`."""
    files: dict[str, object] = {"users": users, "channels": CHANNELS, **lists, **days}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            archive.writestr(f"{root}{name}.json", data)
    return held.getvalue()


def discord_message(
    author: str, number: str, text: str, reply_to: str = "", /, *, at: int = 0, **more: object
) -> Json:
    moment = datetime.fromtimestamp(1_767_225_600 + (at or int(number)), UTC)
    told: Json = {
        "id": number,
        "type": "Reply" if reply_to else "Default",
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "timestampEdited": None,
        "content": text,
        "author": {"id": author, "name": f"name-{author}", "nickname": "", "isBot": False},
        "attachments": [],
        "mentions": [],
        **more,
    }
    if reply_to:
        told["reference"] = {"messageId": reply_to, "channelId": "20", "guildId": "10"}
    return told


def discord_json(messages: Sequence[Json], *, guild: str = "10", **channel: str) -> bytes:
    told = {"id": "20", "type": "GuildTextChat", "categoryId": "9", "name": "general", **channel}
    whole = {
        "guild": {"id": guild, "name": "Guild", "iconUrl": ""},
        "channel": told,
        "dateRange": {"after": None, "before": None},
        "exportedAt": "2026-02-01T00:00:00+00:00",
        "messages": list(messages),
        "messageCount": len(messages),
    }
    return b"\xef\xbb\xbf" + json.dumps(whole, indent=2, ensure_ascii=False).encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()
