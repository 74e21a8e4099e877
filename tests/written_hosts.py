"""The page about the hosts file and the profiles, written from what the adapter knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from adapters.openai.host_kinds import HOST_KINDS, HostKind, HyperparameterPlacement
from adapters.openai.hosts_file import HostConfig
from adapters.openai.job_statuses import STATUS_SYNONYMS
from bot.ports.model_hosts import HostProfile, Serving

MEANINGS: Mapping[str, str] = {
    "name": "small letters, digits and dashes; what `host:` takes. `sandbox` is taken, and"
    " `default` where the environment describes one",
    "profile": "what is particular about it, from the table below; `custom` if left out",
    "base_url": "where its API begins, usually with `/v1` at the end; the profile may know it",
    "chat_base_url": "where it answers, if that is elsewhere",
    "key_env": "the **name** of the environment variable (or line of `.env`) that has its key;"
    " the profile may know one",
    "chat_key_env": "the same for where it answers, if that wants another key",
    "bases": "models that may be tuned there, the usual one first;"
    " with prices they may be left out",
    "prices": "dollars per million tokens of training, by base; where one is missing,"
    " a start takes a second yes",
    "hosting": "dollars for every hour that a model stands ready; shown apart from the training",
    "chat_prices": "dollars per million tokens of prompts and of answers, by base, such as"
    " `{base = [0.4, 1.6]}`; an evaluation is priced by them",
    "served_as": "bases that answer under another name than the one they are tuned by, such as"
    ' `{"llama-8b" = "meta-llama-8b"}`; the profile may know them',
    "tokenizer": "the path of the base's `tokenizer.json`, so that tokens are counted and not"
    " estimated; needs the extra `tokenizer`",
    "extra_body": "what goes along with every question, such as `{top_k = 20}`",
    "headers": 'what every request carries, such as `{"api-key" = "{key}"}`; `{key}` is the key',
    "query": 'what stands behind every address, such as `{api-version = "preview"}`',
    "first_word_seconds": "for how many seconds a first word is waited for, 300 if left out: a"
    " large model has to be loaded first",
    "extra": 'what goes along with every new job, such as `{trainingType = "Developer"}`',
    "hyperparameters": "where a new job carries them: `method` or `top`",
    "byte_order_mark": "whether files must begin with one, as Azure once asked",
    "methods": "`supervised`, `dpo` or both",
    "minimum_rows": "the fewest rows it trains on",
    "max_rows": "the most rows it takes",
    "max_bytes": "the largest file it takes",
    "max_row_tokens": "the longest row it takes",
    "max_suffix": "the longest suffix it takes",
    "takes_weight": "whether rows may say which answers not to learn from (`weight`)",
    "takes_tools": "whether rows may call tools",
    "takes_reasoning": "whether answers may have `reasoning_content`",
    "takes_validation": "whether rows may be held back for checking",
    "sees": "names of its models that take pictures, with `*`; besides those its own list names",
    "serving": "`at_once`, or `by_hand` where somebody must deploy the model at the host",
    "serving_page": "a page that says how; people are sent there",
    "poll_seconds": "how often a running training is looked at",
    "listing_lag": "for how many seconds something new may be missing from its lists",
}
_TRIED = {
    "sandbox": "itself",
    "attune": "itself",
    "openai": "its published description",
    "custom": "OpenAI's published description",
}
_SERVING = {
    Serving.READY_WHEN_TRAINED: "answers at once",
    Serving.DEPLOYED_BY_API: "Attune deploys it",
    Serving.DEPLOYED_BY_PERSON: "deployed by hand, then `/tune use as:NAME MODEL`",
}
_ROWS: Mapping[str, Callable[[HostKind], str]] = {
    "tried against": lambda kind: _TRIED.get(kind.profile.name, "nothing, known from its pages"),
    "address": lambda kind: f"`{kind.base_url}`" if kind.base_url else "yours",
    "answers at": lambda kind: f"`{kind.chat_base_url}`" if kind.chat_base_url else "the same",
    "key": lambda kind: f"`{kind.key_env}`" if kind.key_env else "`key_env`",
    "prices known": lambda kind: "free" if kind.usual_price == 0 else _yes(bool(kind.prices)),
    "an hour of a model that stands ready": lambda kind: (
        "not known"
        if kind.hosting is None
        else f"${kind.hosting:.2f}, for one H100"
        if kind.hosting
        else "free"
    ),
    "methods": lambda kind: ", ".join(kind.profile.methods),
    "settings one may choose": lambda kind: ", ".join(_options(kind.profile)),
    "hyperparameters stand": lambda kind: (
        "its own fields"
        if kind.profile.name in ("together", "fireworks")
        else "at the top"
        if kind.dialect.hyperparameters is HyperparameterPlacement.TOP
        else "in `method`"
    ),
    "most epochs": lambda kind: str(kind.profile.max_epochs),
    "batch size": lambda kind: "{} to {}".format(*kind.profile.batch_sizes),
    "fewest rows": lambda kind: str(kind.profile.minimum_rows),
    "tokens in a row": lambda kind: f"{kind.profile.max_row_tokens:,}",
    "largest file": lambda kind: _size(kind.profile.max_bytes),
    "suffix": lambda kind: f"{kind.profile.max_suffix} characters{_dots(kind.profile)}",
    "byte order mark": lambda kind: _yes(kind.dialect.byte_order_mark),
    "`weight`": lambda kind: _yes(kind.profile.takes_weight),
    "tools": lambda kind: _yes(kind.profile.takes_tools),
    "`reasoning_content`": lambda kind: _yes(kind.profile.takes_reasoning),
    "rows held back": lambda kind: _yes(kind.profile.takes_validation),
    "a trained model": lambda kind: _SERVING[kind.profile.serving],
    "idle deployments go after": lambda kind: (
        f"{kind.profile.idle_days} days" if kind.profile.idle_days else "–"
    ),
    "takes no training from": lambda kind: str(kind.profile.closes_on or "–"),
    "trained there only by earlier customers": lambda kind: (
        ", ".join(f"`{begins}…` since {date}" for begins, date in kind.profile.retired_bases) or "–"
    ),
    "asked before an upload whether one may train": lambda kind: _yes(
        kind.profile.checks_eligibility
    ),
}


def hosts_page() -> Iterator[str]:
    assert set(MEANINGS) == set(HostConfig.model_fields), "each key of the file has its meaning"
    yield "`ATTUNE_HOSTS` names a TOML file with a `[[host]]` table for each host. [Choose a"
    yield "host](../do/choose-a-host.md) shows one. A mistake ends the start with its place."
    yield from ("", "## Keys", "", "| key | meaning |", "| --- | --- |")
    for name, meaning in MEANINGS.items():
        yield f"| `{name}` | {meaning} |"
    yield from ("", "What is left out is as the profile says.", "", "## Profiles", "")
    yield "Profiles that were never tried against the host are known from the host's own pages"
    yield "(autumn 2026); the card before a training says so. `sandbox` is the embedded tuner,"
    yield "`attune` an `attune tuner` on a machine of yours, `custom` anything else."
    kinds = dict(HOST_KINDS)
    yield from ("", f"| | {' | '.join(f'`{name}`' for name in kinds)} |")
    yield f"| --- |{' --- |' * len(kinds)}"
    for title, cell in _ROWS.items():
        yield f"| {title} | {' | '.join(cell(kind) for kind in kinds.values())} |"
    yield from _states()


def _states() -> Iterator[str]:
    yield from ("", "## States of a job", "")
    yield "A host's word is read without case, spelling (`JobStatus.RUNNING`, `JOB_STATE_RUNNING`)"
    yield "or kind of host, by what it means. A word that stands at the beginning or end of others"
    yield "(`FAILED_VALIDATION`, `user_error`) means the same, unless something in them goes on"
    yield "(`retrying_after_error`). Any other word is shown as the host says it, and is no end."
    yield from ("", "| means | words |", "| --- | --- |")
    for meaning, words in STATUS_SYNONYMS.items():
        yield f"| `{meaning}` | {', '.join(f'`{word}`' for word in words)} |"
    yield from ("", "## How long a failing host is waited for", "")
    yield "[What survives a crash](../understand/what-survives-a-crash.md#when-a-host-fails)."


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _options(profile: HostProfile) -> Iterator[str]:
    names = {"n_epochs": "epochs", "learning_rate_multiplier": "learning_rate"}
    return (names.get(name, name) for name in profile.settings)


def _size(most: int | None) -> str:
    return "not known" if most is None else f"{most / 2**20:,.0f} MB"


def _dots(profile: HostProfile) -> str:
    return "" if profile.suffix_pattern == ".+" else ", no dots"
