"""Tokens are counted as the model does where its tokenizer is at hand, else estimated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.openai.hosts_file import ConfiguredHosts, HostConfig
from bot.errors import SettingsError
from tests.scene import Scene

MARKS = 3 + 2 * 4
"""A row's own tokens, and those around each of its two messages."""


def configured(tokenizer: Path) -> ConfiguredHosts:
    config = HostConfig(name="own", base_url="http://127.0.0.1:9/v1", tokenizer=tokenizer)
    return ConfiguredHosts([config], keys={})


async def test_without_a_tokenizer_the_count_is_called_an_estimate(scene: Scene) -> None:
    await scene.learn(10)
    await scene.command("start")

    assert "about" in (await scene.last()).partition("per epoch")[0].splitlines()[-1]


@pytest.mark.torch
async def test_with_the_tokenizer_of_the_base_tokens_are_counted(
    scene: Scene, tiny_base: Path
) -> None:
    from tokenizers import Tokenizer

    scene.configs = [scene.config("sandbox", tokenizer=tiny_base)]
    await scene.restart()
    await scene.learn(10)

    await scene.command("start")

    counts = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    texts = [f"{kind} {number}" for number in range(10) for kind in ("question", "answer")]
    total = sum(len(counts.encode(text, add_special_tokens=False).ids) for text in texts)
    assert f"{total + 10 * MARKS:,} per epoch" in await scene.last()
    assert "about" not in (await scene.last()).partition("per epoch")[0].splitlines()[-1]


def test_a_tokenizer_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tokenizer of the host own: there is no"):
        configured(tmp_path / "nothing.json")


def test_without_the_package_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(SettingsError, match=r"attune-bot\[tokenizer\]"):
        configured(tmp_path)


@pytest.mark.torch
def test_what_is_no_tokenizer_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(SettingsError, match="is not a tokenizer"):
        configured(tmp_path)
