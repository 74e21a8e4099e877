"""The app manifest for Slack with the scopes and events that the app needs, from the catalogue."""

from __future__ import annotations

from adapters.slack.api_port import Json
from bot.commands import Catalogue

BOT_SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "im:history",
    "im:read",
    "im:write",
    "reactions:read",
    "users:read",
)
OPTIONAL_SCOPES = (
    "files:read",
    "groups:history",
    "groups:read",
    "mpim:history",
    "mpim:read",
    "reactions:write",
    "usergroups:read",
)
BOT_EVENTS = (
    "agent_session_stopped",
    "app_context_changed",
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "channel_deleted",
    "channel_shared",
    "channel_unshared",
    "group_deleted",
    "member_joined_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
    "subteam_members_changed",
    "subteam_updated",
    "tokens_revoked",
    "user_change",
)
EVENTS_PATH = "/slack/events"
_HINT_LENGTH = 1000
_SHORTCUTS = {
    "save": ("Save as example", "Propose this exchange as a lesson"),
    "several": ("Save several messages", "Choose what was said before this, as one lesson"),
    "thread": ("Save whole thread", "Propose all of this thread as one lesson"),
    "improve": ("Improve this reply", "Say what the answer should have been"),
}


def manifest(catalogue: Catalogue, *, public_url: str = "", is_http: bool = False) -> Json:
    """Returns the manifest to paste at api.slack.com/apps; HTTP mode needs the public URL."""
    urls: Json = {"request_url": f"{public_url.rstrip('/')}{EVENTS_PATH}"} if is_http else {}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": "Attune",
            "description": "Teach your team's own assistant without leaving Slack.",
            "background_color": "#1f2937",
        },
        "features": _features(catalogue, urls),
        "oauth_config": {
            "scopes": {
                "bot": sorted((*BOT_SCOPES, *OPTIONAL_SCOPES)),
                "bot_optional": sorted(OPTIONAL_SCOPES),
            }
        },
        "settings": {
            "event_subscriptions": {**urls, "bot_events": list(BOT_EVENTS)},
            "interactivity": {"is_enabled": True, **urls},
            "org_deploy_enabled": True,
            "socket_mode_enabled": not is_http,
            "token_rotation_enabled": False,
        },
    }


def _features(catalogue: Catalogue, urls: Json) -> Json:
    command = {
        "command": "/tune",
        "description": "Teach, train and choose your assistant.",
        "usage_hint": _usage(catalogue),
        "should_escape": True,
    }
    if urls:
        command["url"] = urls["request_url"]
    return {
        "app_home": {
            "home_tab_enabled": True,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
        "bot_user": {"display_name": "Attune", "always_online": True},
        "agent_view": {
            "agent_description": (
                "Answers in your team's own voice. Nothing is learned from without permission."
            ),
            "suggested_prompts": [{"title": "What can you do?", "message": "tune help"}],
        },
        "slash_commands": [command],
        "shortcuts": _shortcuts(catalogue),
    }


def _usage(catalogue: Catalogue) -> str:
    names = dict.fromkeys(command.path.partition(" ")[0] for command in catalogue.commands)
    return " | ".join(names)[:_HINT_LENGTH]


def _shortcuts(catalogue: Catalogue) -> list[Json]:
    shortcuts: list[Json] = [
        {"name": name, "type": "message", "callback_id": shortcut.name, "description": description}
        for shortcut in catalogue.shortcuts
        if shortcut.name in _SHORTCUTS
        for name, description in [_SHORTCUTS[shortcut.name]]
    ]
    if any(command.path == "teach" for command in catalogue.commands):
        shortcuts.append(
            {
                "name": "New example",
                "type": "global",
                "callback_id": "teach",
                "description": "Write a lesson: a question and the right answer",
            }
        )
    return shortcuts
