"""Access to the studio: by the operator's password, or by a token in the address without one."""

from __future__ import annotations

from pathlib import Path

from adapters.studio.login_sessions import SessionFile, Sessions
from attune.data_folder import private_folder
from attune.settings import Settings
from bot.ports.store import Clock


def studio_sessions(settings: Settings, clock: Clock) -> Sessions:
    """Returns the studio's sessions.

    With a password the sessions end with the process. Without one, the token and its sessions are
    stored in a file.
    """
    if settings.studio_password is not None:
        return Sessions(settings.studio_password.get_secret_value(), clock)
    file = _file(settings)
    return Sessions(SessionFile.read(file).token, clock, file=file)


def address_with_token(address: str, settings: Settings) -> str:
    """Returns the studio's address, with its token if there is no password."""
    if settings.studio_password is not None:
        return address
    return f"{address}/?token={SessionFile.read(_file(settings)).token}"


def studio_address(settings: Settings) -> str:
    """Returns the studio's address by the settings. Raises SettingsError."""
    private_folder(settings.data_dir)
    host = settings.studio_host
    url_host = f"[{host}]" if ":" in host else host
    return address_with_token(f"http://{url_host}:{settings.studio_port}", settings)


def _file(settings: Settings) -> Path:
    return settings.data_dir / "studio.json"
