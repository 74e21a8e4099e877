"""How one gets into the studio: by the operator's password, else by a token in its address."""

from __future__ import annotations

from pathlib import Path

from adapters.studio.sessions import SessionFile, Sessions
from attune.folder import private_folder
from attune.settings import Settings
from bot.ports.store import Clock


def sessions(settings: Settings, clock: Clock) -> Sessions:
    """With a password they end with the process; a token and its sessions outlive it."""
    if settings.studio_password is not None:
        return Sessions(settings.studio_password.get_secret_value(), clock)
    file = _file(settings)
    return Sessions(SessionFile.read(file).token, clock, file=file)


def with_token(address: str, settings: Settings) -> str:
    """The address that lets in, to be shown to whoever started the service."""
    if settings.studio_password is not None:
        return address
    return f"{address}/?token={SessionFile.read(_file(settings)).token}"


def address(settings: Settings) -> str:
    """Where a service with these settings is reached. Raises SettingsError."""
    private_folder(settings.data_dir)
    host = settings.studio_host
    shown = f"[{host}]" if ":" in host else host
    return with_token(f"http://{shown}:{settings.studio_port}", settings)


def _file(settings: Settings) -> Path:
    return settings.data_dir / "studio.json"
