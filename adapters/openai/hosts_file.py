"""Reads the hosts file, constructs the hosts, and decides which workspace may use which host."""

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

from adapters.openai.fireworks import FireworksHost
from adapters.openai.host_kinds import HOST_KINDS, Dialect, HostKind, HyperparameterPlacement
from adapters.openai.openai_host import OpenAIHost
from adapters.openai.price_table import HostPrices
from adapters.openai.timeouts import RequestAdditions
from adapters.openai.together import TogetherHost
from adapters.openai.token_counting import UnusableTokenizer, read_tokenizer
from bot.domain import LOCAL, HostName, ModelName, Workspace, WorkspaceId
from bot.domain.ids import id_on_platform
from bot.errors import HostNotAllowed, NotFound, SettingsError
from bot.ports.model_hosts import HostProfile, Serving
from bot.rows import Method, TokenCounter

SANDBOX_HOST = HostName("sandbox")
DEFAULT_HOST = HostName("default")
LANGUAGE_MODELS_HOST = HostName("local")
"""Host of the embedded tuner's language models, which is only listed if a model is installed."""


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https://")
    return value


def _known_profile(value: str) -> str:
    if value not in HOST_KINDS:
        raise ValueError(f"must be one of {', '.join(HOST_KINDS)}")
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]


class HostConfig(BaseModel):
    """The configuration of a host; the profile has the values of fields that are left out.

    `prices` are US dollars per million training tokens, `chat_prices` per million tokens of
    prompts and of completions, `hosting` is US dollars per hour of a deployment. `extra` is added
    to every new job.
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
    hyperparameters: HyperparameterPlacement | None = None
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
    def _require_base_url(self) -> HostConfig:
        if not (self.base_url or self.kind.base_url):
            raise ValueError(f"base_url is missing, and profile {self.profile} has none of its own")
        return self

    @model_validator(mode="after")
    def _require_serving_api(self) -> HostConfig:
        usual = HOST_KINDS[self.profile].profile.serving
        if self.serving is Serving.DEPLOYED_BY_API and usual is not Serving.DEPLOYED_BY_API:
            raise ValueError(f"profile {self.profile} knows no call to deploy a model")
        return self

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the environment variables with the host's keys."""
        names = (self.key_env or HOST_KINDS[self.profile].key_env, self.chat_key_env)
        return tuple(name for name in names if name)

    @property
    def kind(self) -> HostKind:
        """Kind of the profile, with the fields that are set here."""
        kind = HOST_KINDS[self.profile]
        config = self.model_dump(exclude_none=True)
        return replace(
            kind,
            profile=replace(kind.profile, **_fields_of(HostProfile, config)),
            dialect=replace(kind.dialect, **_fields_of(Dialect, config)),
        )


class HostsFile(BaseModel):
    """The hosts file: a list of `[[host]]` tables."""

    model_config = ConfigDict(extra="forbid")

    host: tuple[HostConfig, ...] = ()


def read_hosts(path: Path) -> Sequence[HostConfig]:
    """Returns the hosts of the file in ATTUNE_HOSTS. Raises SettingsError."""
    try:
        return HostsFile.model_validate(tomllib.loads(path.read_text("utf-8"))).host
    except OSError as error:
        raise _settings_error(
            f"{path} cannot be read ({error.strerror})", "Give the path of a TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _settings_error(f"{path} is not TOML ({error})", "Correct that line.") from error
    except ValidationError as error:
        raise _settings_error(f"{path}: {_first_problem(error)}", "Correct that field.") from error


def default_host(*, base_url: str | None, has_key: bool, bases: Sequence[str] = ()) -> HostConfig:
    """Returns the host that OPENAI_API_KEY and OPENAI_BASE_URL configure."""
    openai = HOST_KINDS["openai"]
    is_openai = base_url is None or base_url.rstrip("/") == openai.base_url
    return HostConfig(
        name=DEFAULT_HOST,
        profile="openai" if is_openai else "custom",
        base_url=base_url,
        key_env="OPENAI_API_KEY" if has_key else None,
        bases=tuple(bases),
    )


class ConfiguredHosts:
    """The configured hosts; `keys` holds the values of environment variables by name.

    `allowed` are the workspaces that may use every host by the operator's settings.
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
                raise _settings_error(f"two hosts are called {config.name}", "Rename one of them.")
            self._hosts[HostName(config.name)] = _host(config, keys)

    def names(self) -> Sequence[HostName]:
        return tuple(name for name in self._hosts if self._is_available(name))

    def configured_names(self) -> Sequence[HostName]:
        """Returns the names of all hosts, also of one without an installed model."""
        return tuple(self._hosts)

    def set_installed_models(self, bases: Sequence[str]) -> None:
        """Sets the installed language models of the embedded tuner."""
        self._hosts[LANGUAGE_MODELS_HOST].set_bases([ModelName(base) for base in bases])

    def get(self, name: HostName) -> OpenAIHost:
        """Returns a host. Raises NotFound for a name that is not configured."""
        try:
            return self._hosts[name]
        except KeyError as error:
            raise NotFound(noun="host", name=name) from error

    def get_paid(self, name: HostName, workspace: Workspace) -> OpenAIHost:
        """Returns a host for paid requests of a workspace. Raises NotFound and HostNotAllowed."""
        host = self.get(name)
        if not self._is_available(name):
            raise NotFound(noun="host", name=name)
        if not self._may_use(name, workspace):
            raise HostNotAllowed(host=name, server=id_on_platform(workspace.id))
        return host

    def usable_names(self, workspace: Workspace) -> Sequence[HostName]:
        return tuple(name for name in self.names() if self._may_use(name, workspace))

    def is_named_in_settings(self, workspace: WorkspaceId) -> bool:
        return workspace in self._allowed

    def default_host_for(self, workspace: Workspace) -> HostName:
        is_default = workspace.platform != LOCAL and DEFAULT_HOST in self.usable_names(workspace)
        return DEFAULT_HOST if is_default else SANDBOX_HOST

    def _is_available(self, name: HostName) -> bool:
        """Whether the host can be used: the one for language models needs an installed model."""
        return name != LANGUAGE_MODELS_HOST or bool(self._hosts[name].bases)

    def _may_use(self, name: HostName, workspace: Workspace) -> bool:
        return name == SANDBOX_HOST or workspace.is_allowed or workspace.id in self._allowed

    async def close(self) -> None:
        """Closes the connections of all hosts."""
        for host in self._hosts.values():
            await host.close()


def host_class(profile: str) -> type[OpenAIHost]:
    """Returns the class of hosts with a profile: a subclass for those with their own API."""
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


def _fields_of(
    kind: type[HostProfile] | type[Dialect], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the entries of a configuration that are fields of a profile or dialect.

    `name` is left out: in a configuration it is the name of the host.
    """
    names = {field.name for field in fields(kind)} - {"name"}
    return {name: value for name, value in config.items() if name in names}


def _key(host: str, variable: str, keys: Mapping[str, str]) -> str:
    if key := keys.get(variable):
        return key
    problem = f"it is not set, and the host {host} needs it"
    raise SettingsError(variable=variable, problem=problem, remedy="Set it to that host's key.")


def _tokenizer(host: str, path: Path) -> TokenCounter:
    try:
        return read_tokenizer(path)
    except UnusableTokenizer as error:
        raise _settings_error(f"the tokenizer of the host {host}: {error}", error.remedy) from error


def _first_problem(error: ValidationError) -> str:
    """Returns the first problem, such as "host 2, base_url: must be an address …"."""
    first = error.errors(include_url=False, include_input=False)[0]
    location = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    where = ", ".join([" ".join(location[:2]), *location[2:]])
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _settings_error(problem: str, remedy: str) -> SettingsError:
    return SettingsError(variable="ATTUNE_HOSTS", problem=problem, remedy=remedy)
