"""Counts tokens as a model does, by the `tokenizer.json` that open models bring."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bot.rows import Count


class UnusableTokenizer(Exception):
    """Says why, and `remedy` what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


def read_tokenizer(path: Path) -> Count:
    """Without the network; raises UnusableTokenizer."""
    file = path.expanduser()
    file = file / "tokenizer.json" if file.is_dir() else file
    if not file.is_file():
        raise UnusableTokenizer(f"there is no {file}", "Give the path of a tokenizer.json.")
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise UnusableTokenizer(
            "reading it needs a package more", "Run: pip install 'attune-bot[tokenizer]'"
        ) from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    # Its own library raises nothing narrower.
    except Exception as error:
        raise UnusableTokenizer(
            f"{file} is not a tokenizer ({error})", "Give the path of a tokenizer.json."
        ) from error

    # Each row is checked for its length and then counted, with the same texts.
    @lru_cache(maxsize=256)
    def count(text: str) -> int:
        whole = text.encode("utf-8", "replace").decode()  # half characters have no tokens
        return len(tokenizer.encode(whole, add_special_tokens=False).ids)

    return count
