"""Data about each kind of host: API variants, limits, prices and companies without tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from urllib.parse import urlsplit

from bot.ports.model_hosts import HostProfile, Serving
from bot.rows import Method


class HyperparameterPlacement(StrEnum):
    """Where a request for a job has its hyperparameters: in `method` or at the top level."""

    METHOD = "method"
    TOP = "top"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the API of a host differs from OpenAI's.

    `settings` are added to the hyperparameters of every job. `model_fields` are the fields with
    the model name of a checkpoint, of which the first one present counts. `deployments` is the
    path of the deployments, relative to the base URL.
    """

    hyperparameters: HyperparameterPlacement = HyperparameterPlacement.METHOD
    byte_order_mark: bool = False
    default_hyperparameters: Mapping[str, object] = field(default_factory=dict)
    model_fields: tuple[str, ...] = ("fine_tuned_model_checkpoint",)
    deployments: str | None = None


@dataclass(frozen=True, slots=True)
class HostKind:
    """A kind of host: its profile, its dialect and the defaults of its configuration.

    `prices` are US dollars per million training tokens by base model, `usual_price` is the price
    of other bases. `usual_chat_price` is US dollars per million tokens of prompts and of
    completions. `hosting` is US dollars per hour of a deployment. `shutdown_dates` are by base and
    count for the models tuned from it too. `served_as` maps bases to the names by which they
    answer, where these differ.
    """

    profile: HostProfile
    dialect: Dialect = Dialect()
    base_url: str | None = None
    chat_base_url: str | None = None
    key_env: str | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    usual_price: float | None = None
    usual_chat_price: tuple[float, float] | None = None
    hosting: float | None = None
    shutdown_dates: Mapping[str, str] = field(default_factory=dict)
    served_as: Mapping[str, str] = field(default_factory=dict)
    bases: tuple[str, ...] = ()


_MEGABYTE = 1024 * 1024
_SHUTDOWN_DATE = "2027-01-14"

HOST_KINDS: Mapping[str, HostKind] = {
    "sandbox": HostKind(
        HostProfile(
            name="sandbox",
            listing_lag=0.0,
            poll_seconds=0.5,
            label="sandbox: picks from your examples",
            memorizes_rows=True,
            takes_reasoning=True,
        ),
        usual_chat_price=(0.0, 0.0),
    ),
    # `attune tuner` on the operator's own machine.
    "attune": HostKind(
        HostProfile(name="attune", listing_lag=0.0, poll_seconds=2.0, takes_reasoning=True),
        usual_price=0.0,
        usual_chat_price=(0.0, 0.0),
    ),
    # https://developers.openai.com/api/docs/deprecations and /api/docs/pricing, autumn 2026.
    "openai": HostKind(
        HostProfile(
            name="openai",
            max_bytes=512 * _MEGABYTE,
            closes_on=date(2027, 1, 6),
            checks_eligibility=True,
            # The models list does not say which accept images: https://platform.openai.com/docs/models
            sees=("gpt-4o*", "gpt-4.1*", "gpt-4.5*", "gpt-4-turbo*", "gpt-5*", "o1", "o3*", "o4*"),
        ),
        base_url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        prices={
            "gpt-4.1-2025-04-14": 25.0,
            "gpt-4.1-mini-2025-04-14": 5.0,
            "gpt-4o-2024-08-06": 25.0,
            "gpt-4o-mini-2024-07-18": 3.0,
        },
        shutdown_dates={
            "gpt-4.1-2025-04-14": _SHUTDOWN_DATE,
            "gpt-4.1-mini-2025-04-14": _SHUTDOWN_DATE,
            "gpt-4o-2024-08-06": _SHUTDOWN_DATE,
            "gpt-4o-mini-2024-07-18": _SHUTDOWN_DATE,
        },
    ),
    # MicrosoftDocs/azure-ai-docs, articles/foundry/openai/how-to/fine-tuning.md, 2026-10-05.
    # Earlier customers may train gpt-4o until 2027-04-01 and gpt-4.1 until 2027-04-14.
    "azure": HostKind(
        HostProfile(
            name="azure",
            poll_seconds=30.0,
            max_bytes=512 * _MEGABYTE,
            max_suffix=18,
            suffix_pattern=r"[^.]+",
            serving=Serving.DEPLOYED_BY_PERSON,
            serving_page=(
                "https://learn.microsoft.com/azure/foundry/openai/how-to/fine-tuning-deploy"
            ),
            idle_days=15,
            retired_bases=(("gpt-4o", "2026-10-01"), ("gpt-4.1", "2026-10-14")),
            was_tested_live=False,
        ),
        # Azure's page of 2025 asked for a byte order mark; the page of 2026 no longer does.
        key_env="AZURE_OPENAI_API_KEY",
    ),
    # https://docs.tokenfactory.nebius.com/api-reference/introduction, autumn 2026.
    "nebius": HostKind(
        HostProfile(
            name="nebius",
            poll_seconds=30.0,
            max_bytes=5 * 1024 * _MEGABYTE,
            methods=(Method.SUPERVISED,),
            settings=("n_epochs", "batch_size"),
            max_epochs=20,
            batch_sizes=(1, 32),
            takes_weight=False,
            serving=Serving.DEPLOYED_BY_API,
            was_tested_live=False,
        ),
        # Without `lora` the host would tune all weights of the model.
        Dialect(
            HyperparameterPlacement.TOP,
            default_hyperparameters={"lora": True},
            deployments="../v0/models",
        ),
        base_url="https://api.tokenfactory.nebius.com/v1",
        key_env="NEBIUS_API_KEY",
        # A tuned model is paid by the token, like its base.
        hosting=0.0,
        # nebius/token-factory-cookbook, post-training/fine-tuning-1/fine_tune_llama.ipynb.
        served_as={"meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Meta-Llama-3.1-8B-Instruct"},
    ),
    # https://docs.crusoecloud.com/serverless-fine-tuning/how-it-works, autumn 2026.
    "crusoe": HostKind(
        HostProfile(
            name="crusoe",
            poll_seconds=30.0,
            max_bytes=3 * 1024 * _MEGABYTE,
            methods=(Method.SUPERVISED,),
            batch_sizes=(16, 256),
            takes_weight=False,
            serving=Serving.DEPLOYED_BY_PERSON,
            serving_page="https://docs.crusoecloud.com/serverless-fine-tuning/quickstart",
            was_tested_live=False,
        ),
        Dialect(model_fields=("fine_tuned_model_id", "fine_tuned_model_checkpoint")),
        base_url="https://api.intelligence.crusoecloud.com/v1",
        chat_base_url="https://api.inference.crusoecloud.com/v1",
        key_env="CRUSOE_API_KEY",
    ),
    # Prices: https://docs.together.ai/docs/dedicated-endpoints/overview (one H100). Rows:
    # https://docs.together.ai/docs/fine-tuning/data-preparation. Other values: package 3.1.1.
    "together": HostKind(
        HostProfile(
            name="together",
            poll_seconds=30.0,
            minimum_rows=1,
            max_bytes=5 * 1024 * _MEGABYTE,
            max_suffix=40,
            supports_auto_epochs=False,
            serving=Serving.DEPLOYED_BY_API,
            serving_page="https://docs.together.ai/docs/fine-tuning/deployment",
            was_tested_live=False,
        ),
        base_url="https://api.together.ai/v1",
        key_env="TOGETHER_API_KEY",
        hosting=3.99,
    ),
    # https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api (files up to 150 MB) and
    # /fine-tuning/deploying-loras; the price of one H100 from its comparison of costs, 2026.
    "fireworks": HostKind(
        HostProfile(
            name="fireworks",
            poll_seconds=30.0,
            minimum_rows=3,
            max_bytes=150 * _MEGABYTE,
            settings=("n_epochs", "batch_size", "beta"),
            suffix_pattern=r"[a-z0-9-]+",
            max_suffix=24,
            takes_reasoning=True,
            supports_auto_epochs=False,
            serving=Serving.DEPLOYED_BY_API,
            serving_page="https://docs.fireworks.ai/fine-tuning/deploying-loras",
            was_tested_live=False,
        ),
        base_url="https://api.fireworks.ai/v1",
        chat_base_url="https://api.fireworks.ai/inference/v1",
        key_env="FIREWORKS_API_KEY",
        hosting=7.0,
    ),
    "custom": HostKind(HostProfile(name="custom")),
}

DISCONTINUED_HOSTS: Mapping[str, tuple[str, str]] = {
    "mistral.ai": ("Mistral", "its package of 2026-11 has no calls for it any more"),
    "cohere.com": ("Cohere", "removed on 2025-09-15"),
    "cohere.ai": ("Cohere", "removed on 2025-09-15"),
    "databricks.com": ("Databricks", "removed on 2026-08-14"),
    "azuredatabricks.net": ("Databricks", "removed on 2026-08-14"),
    "predibase.com": ("Predibase", "its package has stood still since 2025-10"),
    "deepinfra.com": ("DeepInfra", "it tunes models of pictures alone"),
    "groq.com": ("Groq", "no page of it offers tuning"),
    "cerebras.ai": ("Cerebras", "no page of it offers tuning"),
    "openrouter.ai": ("OpenRouter", "it passes questions on and trains nothing"),
    "api.nvidia.com": ("NVIDIA NeMo Microservices", "ended on 2026-10-01"),
}
"""Hosts without fine-tuning, by the end of their domain: the company, and the reason or date."""


def discontinued_host(address: str) -> tuple[str, str] | None:
    """Returns the company without fine-tuning at an address and the reason, or None."""
    name = urlsplit(address).hostname or ""
    return next(
        (
            DISCONTINUED_HOSTS[end]
            for end in DISCONTINUED_HOSTS
            if name == end or name.endswith(f".{end}")
        ),
        None,
    )
