"""The file of hosts, and what is made of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.openai.host_kinds import HOST_KINDS, HyperparameterPlacement
from adapters.openai.hosts_file import ConfiguredHosts, HostConfig, default_host, read_hosts
from attune import doctor
from bot.domain import HostName, ModelName, Sources, Workspace, WorkspaceId
from bot.errors import NotFound, SettingsError
from bot.ports.model_hosts import Hosts
from bot.rows import Method
from tests.fakes.faults import Fault, answers
from tests.fakes.faulty_host import faulty_host

JOBS = "GET /fine_tuning/jobs"
SANDBOX = HostConfig(name="sandbox", profile="sandbox", base_url="http://127.0.0.1:1/v1")
WHOLE = """
[[host]]
name = "lab"
base_url = "http://lab:8000/v1"
chat_base_url = "http://lab:9000/v1"
key_env = "LAB_KEY"
bases = ["small", "large"]
prices = {small = 0.5}

[[host]]
name = "cloud"
profile = "openai"
"""
KEYS = {"LAB_KEY": "a", "OPENAI_API_KEY": "b"}


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[ConfiguredHosts]:
    made = ConfiguredHosts([SANDBOX, *read_hosts(written(tmp_path, WHOLE))], keys=KEYS)
    yield made
    await made.close()


def written(folder: Path, text: str) -> Path:
    path = folder / "hosts.toml"
    path.write_text(text, "utf-8")
    return path


def problem(path: Path) -> str:
    with pytest.raises(SettingsError) as raised:
        read_hosts(path)
    return raised.value.sentence


def test_a_file_of_hosts_becomes_hosts(hosts: Hosts) -> None:
    lab = hosts.get(HostName("lab"))

    assert hosts.names() == ("sandbox", "lab", "cloud")
    assert (lab.name, lab.profile.name) == ("lab", "custom")
    assert lab.bases == ("small", "large")
    assert lab.price(ModelName("small")).training == 0.5
    assert lab.price(ModelName("large")).training is None


def test_openai_brings_its_own_bases_and_prices(hosts: Hosts) -> None:
    cloud = hosts.get(HostName("cloud"))

    assert "gpt-4.1-mini-2025-04-14" in cloud.bases
    assert cloud.price(ModelName("gpt-4o-2024-08-06")).training == 25.0


def test_a_tuned_model_is_trained_on_at_the_price_of_its_base(hosts: Hosts) -> None:
    tuned = ModelName("ft:gpt-4.1-mini-2025-04-14:team:voice:abc")

    assert hosts.get(HostName("cloud")).price(tuned).training == 5.0


def test_the_sandbox_says_what_it_is_and_never_lags(hosts: Hosts) -> None:
    profile = hosts.get(HostName("sandbox")).profile

    assert profile.label == "sandbox: picks from your examples"
    assert (profile.listing_lag, profile.poll_seconds) == (0, 0.5)


def test_a_host_nobody_configured_is_not_found(hosts: Hosts) -> None:
    with pytest.raises(NotFound, match="no host “moon”"):
        hosts.get(HostName("moon"))


@pytest.mark.parametrize("platform", ["slack", "discord", "local"])
def test_without_a_default_everybody_starts_in_the_sandbox(hosts: Hosts, platform: str) -> None:
    workspace = Workspace(WorkspaceId(f"{platform}:1"), "", Sources.OUTSIDE)
    assert hosts.default_host_for(workspace) == "sandbox"


@pytest.mark.parametrize(
    ("platform", "first"), [("slack", "default"), ("discord", "default"), ("local", "sandbox")]
)
async def test_with_a_default_only_the_local_room_stays_in_the_sandbox(
    platform: str, first: str
) -> None:
    default = default_host(base_url="http://lab/v1", has_key=False, bases=["small"])
    hosts = ConfiguredHosts([SANDBOX, default], keys={})

    workspace = Workspace(WorkspaceId(f"{platform}:1"), "", Sources.OUTSIDE)
    assert hosts.default_host_for(workspace) == first
    await hosts.close()


@pytest.mark.parametrize(
    ("base_url", "profile"),
    [
        (None, "openai"),
        ("https://api.openai.com/v1/", "openai"),
        ("http://localhost:11434/v1", "custom"),
    ],
)
def test_the_default_host_is_openai_unless_told_otherwise(
    base_url: str | None, profile: str
) -> None:
    assert default_host(base_url=base_url, has_key=True).profile == profile


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[host]]\nname = "a"\nbase_url = "lab:80"', "host 1, base_url: must be an address"),
        ('[[host]]\nname = "a"', "host 1: base_url is missing"),
        ('[[host]]\nbase_url = "http://a"', "host 1, name: Field required"),
        ('[[host]]\nname = "A b"\nbase_url = "http://a"', "host 1, name: String should match"),
        ('[[host]]\nname = "a"\nbase_ulr = "http://a"', "host 1, base_ulr: Extra inputs"),
        ('[[host]]\nname = "a"\nprofile = "azur"', "host 1, profile: must be one of sandbox"),
        (
            '[[host]]\nname = "a"\nbase_url = "http://a"\nprices = {b = -1}',
            "host 1, prices, b: Input should be greater",
        ),
        (
            '[[host]]\nname = "a"\nbase_url = "http://a"\nserving = "by_call"',
            "profile custom knows no call to deploy a model",
        ),
        ('[[hosts]]\nname = "a"', "hosts: Extra inputs"),
        ("[[host]\n", "is not TOML (Expected"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(
    tmp_path: Path, text: str, named: str
) -> None:
    sentence = problem(written(tmp_path, text))

    assert sentence.startswith("ATTUNE_HOSTS is wrong: ")
    assert str(tmp_path / "hosts.toml") in sentence
    assert named in sentence


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in problem(tmp_path / "none.toml")


async def test_two_hosts_of_one_name_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match="two hosts are called sandbox"):
        ConfiguredHosts([SANDBOX, SANDBOX], keys={})


async def test_a_key_that_is_not_set_is_named() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is wrong: it is not set"):
        ConfiguredHosts([default_host(base_url=None, has_key=False)], keys={})


@pytest.mark.parametrize(
    ("route", "fault", "is_well", "told"),
    [
        ("none", answers(500), True, "Host lab (custom): answers; models: 1; trains"),
        ("GET /models", answers(401), False, "The host “lab” does not accept the key."),
        (JOBS, answers(404), True, "answers; models: 1; for chat only, it trains nothing"),
        (JOBS, answers(403, "Not your plan."), False, "It does not train: The host “lab” said no"),
    ],
)
async def test_the_doctor_asks_a_host_for_both_of_its_duties(
    route: str, fault: Fault, is_well: bool, told: str
) -> None:
    async with faulty_host() as fake:
        fake.fail_always(route, fault)
        lab = HostConfig(name="lab", base_url=fake.url, key_env="LAB", bases=("base",))
        hosts = ConfiguredHosts([lab], keys={"LAB": fake.key})

        finding = await doctor._host(HostName("lab"), hosts)

        await hosts.close()
    assert finding.is_well is is_well
    assert told in f"{finding.what}: {finding.remedy}"


async def test_chat_may_be_elsewhere_with_a_key_of_its_own() -> None:
    async with faulty_host() as there, faulty_host() as here:
        here.key = "sk-other"
        lab = HostConfig(
            name="lab",
            base_url=there.url,
            chat_base_url=here.url,
            key_env="LAB",
            chat_key_env="CHAT",
            bases=("base",),
        )
        hosts = ConfiguredHosts([lab], keys={"LAB": there.key, "CHAT": here.key})

        found = await hosts.get(HostName("lab")).check_access()

        await hosts.close()
    assert (found.model_count, found.refusal) == (1, None)
    assert [asked.route for asked in here.asked] == ["GET /models"]
    assert [asked.route for asked in there.asked] == [JOBS]


@pytest.mark.parametrize("kind", HOST_KINDS)
def test_a_profile_is_called_as_its_name_in_the_file(kind: str) -> None:
    assert HOST_KINDS[kind].profile.name == kind


def test_a_kind_with_an_address_needs_only_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, '[[host]]\nname = "n"\nprofile = "nebius"\nbases = ["b"]')

    (config,) = read_hosts(path)

    assert config.key_names == ("NEBIUS_API_KEY",)


async def test_a_tuner_of_ones_own_costs_nothing_unless_a_price_is_named() -> None:
    config = HostConfig(
        name="mine", profile="attune", base_url="http://a/v1", bases=("a", "b"), prices={"b": 2.0}
    )
    hosts = ConfiguredHosts([config], keys={})
    mine = hosts.get(HostName("mine"))

    prices = [mine.price(ModelName(name)).training for name in ("a", "b", "ft:a:x", "ft:b:x")]

    assert prices == [0.0, 2.0, 0.0, 2.0]
    await hosts.close()


def test_what_the_file_says_otherwise_holds(tmp_path: Path) -> None:
    said = 'hyperparameters = "top"\nminimum_rows = 3\nmethods = ["supervised"]'
    text = f'[[host]]\nname = "lab"\nbase_url = "http://lab/v1"\n{said}'

    (config,) = read_hosts(written(tmp_path, text))

    assert config.kind.dialect.hyperparameters is HyperparameterPlacement.TOP
    assert config.kind.profile.minimum_rows == 3
    assert config.kind.profile.methods == (Method.SUPERVISED,)
    assert config.kind.profile.name == "custom"
