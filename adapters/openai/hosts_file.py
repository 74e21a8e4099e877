"""Reads the hosts file, builds each host, and says which workspace may use it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from adapters.openai.client import OpenAIHost
from adapters.openai.counting import UnusableTokenizer, read_tokenizer
from adapters.openai.dialects import KINDS, Dialect, Kind, Placement
from adapters.openai.fireworks import FireworksHost
from adapters.openai.prices import HostPrices
from adapters.openai.timeouts import RequestAdditions
from adapters.openai.together import TogetherHost
from bot.domain import LOCAL, HostName, ModelName, Workspace, WorkspaceId
from bot.errors import HostNotAllowed, NotFound, SettingsError
from bot.ports.provider import HostProfile, Serving
from bot.rows import Count, Method

SANDBOX = HostName("sandbox")
DEFAULT = HostName("default")
LANGUAGE_MODELS = HostName("local")
"""The embedded tuner's language models: configured always, a host once one is installed."""


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
    """One host as somebody configured it; prices in US dollars per million training tokens.

    What is left out is as the profile says; `hosting` are dollars per hour that a
    model stands ready, `extra` goes along with every new job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    profile: Annotated[str, AfterValidator(_known_profile)] = "custom"
    base_url: WebAddress | None = None
    chat_base_url: WebAddress | None = None
    key_env: str | None = None
    chat_key_env: str | None = None
    bases: tuple[str, ...] = ()
    prices: Mapping[str, NonNegativeFloat] = Field(default_factory=dict)
    hosting: NonNegativeFloat | None = None
    chat_prices: Mapping[str, tuple[NonNegativeFloat, NonNegativeFloat]] = Field(
        default_factory=dict
    )
    served_as: Mapping[str, str] = Field(default_factory=dict)
    tokenizer: Path | None = None
    extra: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    extra_body: Mapping[str, JsonValue] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    query: Mapping[str, str] = Field(default_factory=dict)
    first_word_seconds: PositiveFloat | None = None
    hyperparameters: Placement | None = None
    byte_order_mark: bool | None = None
    methods: tuple[Method, ...] | None = None
    minimum_rows: PositiveInt | None = None
    max_rows: PositiveInt | None = None
    max_bytes: PositiveInt | None = None
    max_row_tokens: PositiveInt | None = None
    max_suffix: PositiveInt | None = None
    takes_weight: bool | None = None
    takes_tools: bool | None = None
    takes_reasoning: bool | None = None
    takes_validation: bool | None = None
    sees: tuple[str, ...] | None = None
    serving: Serving | None = None
    serving_page: WebAddress | None = None
    poll_seconds: PositiveFloat | None = None
    listing_lag: NonNegativeFloat | None = None

    @model_validator(mode="after")
    def _has_an_address(self) -> HostConfig:
        if not (self.base_url or self.kind.base_url):
            raise ValueError(f"base_url is missing, and profile {self.profile} has none of its own")
        return self

    @model_validator(mode="after")
    def _can_be_served(self) -> HostConfig:
        usual = KINDS[self.profile].profile.serving
        if self.serving is Serving.BY_CALL and usual is not Serving.BY_CALL:
            raise ValueError(f"profile {self.profile} knows no call to deploy a model")
        return self

    @property
    def key_names(self) -> tuple[str, ...]:
        """The variables in which its keys are."""
        names = (self.key_env or KINDS[self.profile].key_env, self.chat_key_env)
        return tuple(name for name in names if name)

    @property
    def kind(self) -> Kind:
        """Of the profile, with what was said otherwise here."""
        kind = KINDS[self.profile]
        said = self.model_dump(exclude_none=True)
        return replace(
            kind,
            profile=replace(kind.profile, **_those(HostProfile, said)),
            dialect=replace(kind.dialect, **_those(Dialect, said)),
        )


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
    """The hosts of this installation; `keys` maps names of variables to their values.

    `allowed` are workspaces that the settings allow every host, whatever their own record says.
    """

    def __init__(
        self,
        configs: Sequence[HostConfig],
        *,
        keys: Mapping[str, str],
        allowed: frozenset[WorkspaceId] = frozenset(),
    ) -> None:
        self._allowed = allowed
        self._hosts: dict[HostName, OpenAIHost] = {}
        for config in configs:
            if config.name in self._hosts:
                raise _wrong(f"two hosts are called {config.name}", "Rename one of them.")
            self._hosts[HostName(config.name)] = _host(config, keys)

    def names(self) -> Sequence[HostName]:
        return tuple(name for name in self._hosts if self._is_there(name))

    def configured_names(self) -> Sequence[HostName]:
        """With those that have nothing to offer yet."""
        return tuple(self._hosts)

    def set_installed_models(self, bases: Sequence[str]) -> None:
        """The language models that are installed now."""
        self._hosts[LANGUAGE_MODELS].set_bases([ModelName(base) for base in bases])

    def get(self, name: HostName) -> OpenAIHost:
        """Raises NotFound for a name that is not configured."""
        try:
            return self._hosts[name]
        except KeyError as error:
            raise NotFound(noun="host", name=name) from error

    def paid(self, name: HostName, workspace: Workspace) -> OpenAIHost:
        """Raises NotFound, and HostNotAllowed where only the sandbox may be used."""
        host = self.get(name)
        if not self._is_there(name):
            raise NotFound(noun="host", name=name)
        if not self._may_use(name, workspace):
            raise HostNotAllowed(host=name, server=workspace.id.partition(":")[2])
        return host

    def usable(self, workspace: Workspace) -> Sequence[HostName]:
        return tuple(name for name in self.names() if self._may_use(name, workspace))

    def is_named_in_settings(self, workspace: WorkspaceId) -> bool:
        return workspace in self._allowed

    def default_host_for(self, workspace: Workspace) -> HostName:
        is_default = workspace.platform != LOCAL and DEFAULT in self.usable(workspace)
        return DEFAULT if is_default else SANDBOX

    def _is_there(self, name: HostName) -> bool:
        """The language models' host is one as soon as it has a model."""
        return name != LANGUAGE_MODELS or bool(self._hosts[name].bases)

    def _may_use(self, name: HostName, workspace: Workspace) -> bool:
        return name == SANDBOX or workspace.is_allowed or workspace.id in self._allowed

    async def close(self) -> None:
        """Let go of every host's connections."""
        for host in self._hosts.values():
            await host.close()


def host_class(profile: str) -> type[OpenAIHost]:
    """Those that train by an API of their own have a class of their own."""
    return {"together": TogetherHost, "fireworks": FireworksHost}.get(profile, OpenAIHost)


def _host(config: HostConfig, keys: Mapping[str, str]) -> OpenAIHost:
    kind = config.kind
    key_env = config.key_env or kind.key_env
    key = _key(config.name, key_env, keys) if key_env else ""
    prices = {**kind.prices, **config.prices}
    return host_class(config.profile)(
        HostName(config.name),
        profile=kind.profile,
        dialect=kind.dialect,
        base_url=config.base_url or kind.base_url or "",
        chat_base_url=config.chat_base_url or kind.chat_base_url,
        key=key,
        chat_key=_key(config.name, config.chat_key_env, keys) if config.chat_key_env else key,
        key_variable=key_env or "the key of this host",
        bases=tuple(ModelName(base) for base in config.bases or prices),
        prices=HostPrices(
            prices,
            kind.usual_price,
            kind.hosting if config.hosting is None else config.hosting,
            config.chat_prices,
            kind.usual_chat_price,
        ),
        tokenizer=_tokenizer(config.name, config.tokenizer) if config.tokenizer else None,
        shutdown_dates=kind.shutdown_dates,
        extra=config.extra,
        additions=RequestAdditions(
            config.extra_body,
            config.headers,
            config.query,
            config.first_word_seconds,
            {**kind.served_as, **config.served_as},
        ),
    )


def _those(kind: type[HostProfile] | type[Dialect], said: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of the fields of one of these; its own `name` is the host's."""
    wanted = {each.name for each in fields(kind)} - {"name"}
    return {name: value for name, value in said.items() if name in wanted}


def _key(host: str, variable: str, keys: Mapping[str, str]) -> str:
    if key := keys.get(variable):
        return key
    problem = f"it is not set, and the host {host} needs it"
    raise SettingsError(variable=variable, problem=problem, remedy="Set it to that host's key.")


def _tokenizer(host: str, path: Path) -> Count:
    try:
        return read_tokenizer(path)
    except UnusableTokenizer as error:
        raise _wrong(f"the tokenizer of the host {host}: {error}", error.remedy) from error


def _first_problem(error: ValidationError) -> str:
    """Such as `host 2, base_url: must be an address …`."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    where = ", ".join([" ".join(place[:2]), *place[2:]])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _wrong(problem: str, remedy: str) -> SettingsError:
    return SettingsError(variable="ATTUNE_HOSTS", problem=problem, remedy=remedy)
