"""All settings, read once from the environment and `.env`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.domain import WorkspaceId
from bot.errors import SettingsError

_REMEDIES = {
    "SLACK_MODE": "Write socket or http.",
    "ATTUNE_STUDIO_PORT": "Write a number from 0 to 65535.",
    "ATTUNE_ERASE_AFTER_DAYS": "Write a number of days, 0 or more.",
    "ATTUNE_START_PATIENCE_HOURS": "Write a number of hours, such as 0.5.",
    "ATTUNE_JOB_PATIENCE_HOURS": "Write a number of hours, such as 72.",
    "ATTUNE_KEEP_DAYS_EVENTS": "Write a number of days, or 0 to keep them for ever.",
    "ATTUNE_KEEP_DAYS_ANSWERS": "Write a number of days, or 0 to keep them for ever.",
    "ATTUNE_KEEP_DAYS_AUDIT": "Write a number of days, or 0 to keep them for ever.",
    "ATTUNE_HOSTS": "Write the path of a TOML file.",
    "ATTUNE_DISCORD_SERVERS": "Write the servers' ids, like 123456789012345678,223456789012345678.",
    "ATTUNE_SECRET_KEY": "Write what `openssl rand -hex 32` prints.",
    "ATTUNE_TRUSTED_PROXIES": "Write a list like 127.0.0.1,10.0.0.0/8.",
    "ATTUNE_ADMINS": "Write a list like slack:U123,discord:456.",
}


_MIN_KEY_CHARACTERS = 32


class Settings(BaseSettings):
    """The settings; the alias of a field is the name of its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    data_dir: Path = Field(
        default=Path("data"),
        alias="ATTUNE_DATA_DIR",
        description="The folder in which everything is kept; made when it is missing.",
    )
    database_url: str = Field(
        default="",
        alias="DATABASE_URL",
        description="Where the database is, if not in the data folder: `sqlite+aiosqlite:///PATH`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning",
        alias="ATTUNE_LOG_LEVEL",
        description="How much is logged; message text and keys never are.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        alias="OPENAI_API_KEY",
        description="The key of the host called `default`.",
    )
    openai_base_url: str = Field(
        default="",
        alias="OPENAI_BASE_URL",
        description="The address of the host called `default`; empty means OpenAI itself.",
    )
    base_model: str = Field(
        default="",
        alias="ATTUNE_BASE_MODEL",
        description="The model that assistants on the host `default` start from.",
    )
    hosts: Path | None = Field(
        default=None,
        alias="ATTUNE_HOSTS",
        description="A TOML file that names further hosts.",
    )
    torch_index: str = Field(
        default="https://download.pytorch.org/whl/cpu",
        alias="ATTUNE_TORCH_INDEX",
        description=(
            "Where a build of torch for CPUs is taken from if pip's own indexes have none; `none`"
            " for nowhere."
        ),
    )
    erase_after_days: float = Field(
        default=7,
        ge=0,
        le=3650,
        alias="ATTUNE_ERASE_AFTER_DAYS",
        description=(
            "Days between the removal of the app from a workspace and the erasure of what was kept "
            "of it; 0 erases at once."
        ),
    )
    start_patience: float = Field(
        default=1.0,
        gt=0,
        le=240,
        alias="ATTUNE_START_PATIENCE_HOURS",
        description="For how many hours a host may answer without sense before a start is given up;"
        " six times as long where it is busy or away.",
    )
    job_patience: float = Field(
        default=72.0,
        gt=0,
        le=2400,
        alias="ATTUNE_JOB_PATIENCE_HOURS",
        description="For how many hours a host may fail, without a break, before a running"
        " training is given up.",
    )
    keep_days_events: float = Field(
        default=365,
        ge=0,
        alias="ATTUNE_KEEP_DAYS_EVENTS",
        description=(
            "Days after which the keys of handled events and delivered notices are removed; "
            "0 keeps them for ever."
        ),
    )
    keep_days_answers: float = Field(
        default=365,
        ge=0,
        alias="ATTUNE_KEEP_DAYS_ANSWERS",
        description=(
            "Days after which questions and the bot's replies are removed with their votes; "
            "0 keeps them for ever. Examples made of them stay."
        ),
    )
    keep_days_audit: float = Field(
        default=365,
        ge=0,
        alias="ATTUNE_KEEP_DAYS_AUDIT",
        description="Days after which audit lines are removed; 0 keeps them for ever.",
    )
    admins: str = Field(
        default="",
        alias="ATTUNE_ADMINS",
        description="People who are admins wherever they write: `slack:U123,discord:456`.",
    )
    studio_host: str = Field(
        default="127.0.0.1",
        alias="ATTUNE_STUDIO_HOST",
        description="The address on which `attune run` listens.",
    )
    studio_port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        alias="ATTUNE_STUDIO_PORT",
        description="The port on which `attune run` listens.",
    )
    studio_password: SecretStr | None = Field(
        default=None,
        alias="ATTUNE_STUDIO_PASSWORD",
        description="Needed to listen on an address that others can reach.",
    )
    public_url: str = Field(
        default="",
        alias="ATTUNE_PUBLIC_URL",
        description="The address under which people reach this installation from outside.",
    )
    trusted_proxies: str = Field(
        default="",
        alias="ATTUNE_TRUSTED_PROXIES",
        description="Addresses of the proxies whose X-Forwarded-For and -Proto are believed:"
        " `127.0.0.1,10.0.0.0/8`.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        alias="ATTUNE_SECRET_KEY",
        description="Signs the links that people are given, at least 32 characters; without one"
        " they end with the service.",
    )
    slack_bot_token: SecretStr | None = Field(
        default=None, alias="SLACK_BOT_TOKEN", description="The bot's token, `xoxb-…`."
    )
    slack_app_token: SecretStr | None = Field(
        default=None,
        alias="SLACK_APP_TOKEN",
        description="The app's token, `xapp-…`, for Socket Mode.",
    )
    slack_signing_secret: SecretStr | None = Field(
        default=None,
        alias="SLACK_SIGNING_SECRET",
        description="Proves that a request comes from Slack, for HTTP mode.",
    )
    slack_mode: Literal["socket", "http"] = Field(
        default="socket",
        alias="SLACK_MODE",
        description="How Slack reaches the bot: through a socket it opens, or by HTTP.",
    )
    slack_api_url: str = Field(
        default="https://slack.com/api/",
        alias="SLACK_API_URL",
        description="Where Slack's API is; another one for tests.",
    )
    discord_token: SecretStr | None = Field(
        default=None, alias="DISCORD_TOKEN", description="The bot's token."
    )
    discord_api_url: str = Field(
        default="",
        alias="DISCORD_API_URL",
        description="Where Discord's API is; another one for tests.",
    )
    discord_gateway_url: str = Field(
        default="",
        alias="DISCORD_GATEWAY_URL",
        description="Where Discord's gateway is; another one for tests.",
    )

    discord_servers: str = Field(
        default="",
        alias="ATTUNE_DISCORD_SERVERS",
        description=(
            "Ids of Discord servers that may use the configured hosts, with commas between. Others "
            "have the sandbox alone until you allow them in the studio."
        ),
    )
    discord_guild: str = Field(
        default="",
        alias="DISCORD_GUILD",
        description="For development: the one server in which commands are registered, at once.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Mapping[str, object]) -> Mapping[str, object]:
        """Removes values of blanks, which would be a password or key that anybody could guess."""
        return {
            name: value
            for name, value in given.items()
            if not isinstance(value, str) or value.strip()
        }

    @property
    def database(self) -> str:
        """URL of the database; SQLite in the data folder unless another is set."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.absolute()}/attune.db"

    @property
    def local_url(self) -> str:
        """URL of a studio that only this machine can reach; "" for any other or a port of 0."""
        is_local = self.studio_port > 0 and self.studio_host in ("127.0.0.1", "localhost")
        return f"http://{self.studio_host}:{self.studio_port}" if is_local else ""

    @property
    def allowed_workspaces(self) -> frozenset[WorkspaceId]:
        """Workspaces of the Discord servers that may use the configured hosts."""
        servers = (server.strip() for server in self.discord_servers.split(","))
        return frozenset(WorkspaceId(f"discord:{server}") for server in servers if server)

    @property
    def admin_keys(self) -> frozenset[str]:
        """The `platform:user` entries of ATTUNE_ADMINS."""
        return frozenset(entry.strip() for entry in self.admins.split(",") if entry.strip())


def read_settings() -> Settings:
    """Returns the settings. Raises SettingsError with the variable's name and the remedy."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise _settings_error(error) from error
    _check_admins(settings)
    _check_servers(settings)
    _check_secret_key(settings)
    _check_proxies(settings)
    return settings


def child_environment() -> dict[str, str]:
    """Returns the environment for child processes, without the secrets of the settings."""
    secrets = {
        field.alias
        for field in Settings.model_fields.values()
        if field.annotation is not None and "SecretStr" in str(field.annotation)
    }
    return {name: value for name, value in os.environ.items() if name not in secrets}


def _settings_error(error: ValidationError) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    variable = str(first["loc"][0])
    remedy = _REMEDIES.get(variable, "Correct it in the environment or in .env.")
    return SettingsError(variable=variable, problem=_lower(first["msg"]), remedy=remedy)


def _check_admins(settings: Settings) -> None:
    for entry in settings.admin_keys:
        if ":" not in entry:
            raise SettingsError(
                variable="ATTUNE_ADMINS",
                problem=f"“{entry}” names no platform",
                remedy=_REMEDIES["ATTUNE_ADMINS"],
            )


def _check_servers(settings: Settings) -> None:
    for workspace in settings.allowed_workspaces:
        server = workspace.removeprefix("discord:")
        if not server.isdecimal():
            raise SettingsError(
                variable="ATTUNE_DISCORD_SERVERS",
                problem=f"“{server}” is no server's id",
                remedy=_REMEDIES["ATTUNE_DISCORD_SERVERS"],
            )


def _check_secret_key(settings: Settings) -> None:
    key = settings.secret_key
    if key is not None and len(key.get_secret_value()) < _MIN_KEY_CHARACTERS:
        raise SettingsError(
            variable="ATTUNE_SECRET_KEY",
            problem=f"it has fewer than {_MIN_KEY_CHARACTERS} characters and could be guessed",
            remedy=_REMEDIES["ATTUNE_SECRET_KEY"],
        )


def _check_proxies(settings: Settings) -> None:
    for entry in filter(None, settings.trusted_proxies.split(",")):
        try:
            ipaddress.ip_network(entry.strip(), strict=False)
        except ValueError as error:
            raise SettingsError(
                variable="ATTUNE_TRUSTED_PROXIES",
                problem=f"“{entry.strip()}” is no address",
                remedy=_REMEDIES["ATTUNE_TRUSTED_PROXIES"],
            ) from error


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
