"""The link that invites the bot into a server, and the permissions that it asks for."""

from __future__ import annotations

from urllib.parse import urlencode

BOT_PERMISSIONS = {
    "Add Reactions": 1 << 6,
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Embed Links": 1 << 14,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Send Messages in Threads": 1 << 38,
}
"""The permissions that the bot needs, by the names that Discord shows."""
THREAD_PERMISSIONS = {
    "Create Public Threads": 1 << 35,
    "Send Messages in Threads": BOT_PERMISSIONS["Send Messages in Threads"],
}
"""The permissions that a thread for each question needs; the invite link requests them too."""
OAUTH_SCOPES = ("bot", "applications.commands")


def invite_link(application: str) -> str:
    """Returns the link that adds the bot to a guild."""
    query = {
        "client_id": application,
        "scope": " ".join(OAUTH_SCOPES),
        "permissions": sum((BOT_PERMISSIONS | THREAD_PERMISSIONS).values()),
    }
    return f"https://discord.com/oauth2/authorize?{urlencode(query)}"


def missing_permissions(granted: int) -> list[str]:
    """Returns the names of the permissions that are missing; an administrator lacks none."""
    if granted & (1 << 3):
        return []
    return [name for name, bit in BOT_PERMISSIONS.items() if not granted & bit]
