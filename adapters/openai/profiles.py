"""What is particular about each kind of host, as data, and the file in which people name theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    ValidationError,
    model_validator,
)

from adapters.openai.client import OpenAIHost
from bot.errors import NotFound, SettingsError
from bot.model import LOCAL, HostName, ModelName
from bot.ports.provider import Profile

SANDBOX = HostName("sandbox")
DEFAULT = HostName("default")


@dataclass(frozen=True, slots=True)
class Kind:
    """A profile, and what a host of this kind need not be told."""

    profile: Profile
    base_url: str | None = None
    key_env: str | None = None
    prices: Mapping[str, float] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = {
    "sandbox": Kind(
        Profile(
            name="sandbox",
            listing_lag=0.0,
            poll_seconds=0.5,
            label="sandbox: picks from your examples",
        )
    ),
    # https://openai.com/api/pricing, autumn 2026. OpenAI ends training on 2027-01-06.
    "openai": Kind(
        Profile(name="openai"),
        base_url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        prices={
            "gpt-4.1-2025-04-14": 25.0,
            "gpt-4.1-mini-2025-04-14": 5.0,
            "gpt-4o-2024-08-06": 25.0,
            "gpt-4o-mini-2024-07-18": 3.0,
        },
    ),
    "custom": Kind(Profile(name="custom")),
}


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https://")
    return value


def _known_profile(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]


class HostConfig(BaseModel):
    """One host as somebody configured it; prices in US dollars per million training tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    profile: Annotated[str, AfterValidator(_known_profile)] = "custom"
    base_url: WebAddress | None = None
    chat_base_url: WebAddress | None = None
    key_env: str | None = None
    bases: tuple[str, ...] = ()
    prices: Mapping[str, NonNegativeFloat] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_an_address(self) -> HostConfig:
        if not (self.base_url or self.kind.base_url):
            raise ValueError(f"base_url is missing, and profile {self.profile} has none of its own")
        return self

    @property
    def kind(self) -> Kind:
        return KINDS[self.profile]


class HostsFile(BaseModel):
    """The whole of the file: a list of `[[host]]` tables."""

    model_config = ConfigDict(extra="forbid")

    host: tuple[HostConfig, ...] = ()


def read_hosts(path: Path) -> Sequence[HostConfig]:
    """The hosts that the file behind ATTUNE_HOSTS names."""
    try:
        return HostsFile.model_validate(tomllib.loads(path.read_text("utf-8"))).host
    except OSError as error:
        raise _wrong(
            f"{path} cannot be read ({error.strerror})", "Give the path of a TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(f"{path} is not TOML ({error})", "Correct that line.") from error
    except ValidationError as error:
        raise _wrong(f"{path}: {_first_problem(error)}", "Correct that field.") from error


def default_host(*, base_url: str | None, has_key: bool, bases: Sequence[str] = ()) -> HostConfig:
    """The host that OPENAI_API_KEY and OPENAI_BASE_URL describe together."""
    openai = KINDS["openai"]
    is_openai = base_url is None or base_url.rstrip("/") == openai.base_url
    return HostConfig(
        name=DEFAULT,
        profile="openai" if is_openai else "custom",
        base_url=base_url,
        key_env="OPENAI_API_KEY" if has_key else None,
        bases=tuple(bases),
    )


class ConfiguredHosts:
    """The hosts of this installation; `keys` maps names of variables to their values."""

    def __init__(self, configs: Sequence[HostConfig], *, keys: Mapping[str, str]) -> None:
        self._hosts: dict[HostName, OpenAIHost] = {}
        for config in configs:
            if config.name in self._hosts:
                raise _wrong(f"two hosts are called {config.name}", "Rename one of them.")
            self._hosts[HostName(config.name)] = _host(config, keys)

    def names(self) -> Sequence[HostName]:
        return tuple(self._hosts)

    def get(self, name: HostName) -> OpenAIHost:
        """Raises NotFound for a name that is not configured."""
        try:
            return self._hosts[name]
        except KeyError as error:
            raise NotFound(noun="host", name=name) from error

    def first_for(self, platform: str) -> HostName:
        """Where a new workspace of this platform starts."""
        return DEFAULT if platform != LOCAL and DEFAULT in self._hosts else SANDBOX

    async def close(self) -> None:
        """Let go of every host's connections."""
        for host in self._hosts.values():
            await host.close()


def _host(config: HostConfig, keys: Mapping[str, str]) -> OpenAIHost:
    kind = config.kind
    key_env = config.key_env or kind.key_env
    prices = {**kind.prices, **config.prices}
    return OpenAIHost(
        HostName(config.name),
        profile=kind.profile,
        base_url=config.base_url or kind.base_url or "",
        chat_base_url=config.chat_base_url,
        key=_key(config.name, key_env, keys) if key_env else "",
        key_variable=key_env or "the key of this host",
        bases=tuple(ModelName(base) for base in config.bases or prices),
        prices=prices,
    )


def _key(host: str, variable: str, keys: Mapping[str, str]) -> str:
    if key := keys.get(variable):
        return key
    problem = f"it is not set, and the host {host} needs it"
    raise SettingsError(variable=variable, problem=problem, remedy="Set it to that host's key.")


def _first_problem(error: ValidationError) -> str:
    """Such as `host 2, base_url: must be an address …`."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    where = ", ".join([" ".join(place[:2]), *place[2:]])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _wrong(problem: str, remedy: str) -> SettingsError:
    return SettingsError(variable="ATTUNE_HOSTS", problem=problem, remedy=remedy)
