"""Counts tokens with the `tokenizer.json` of an open model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bot.rows import TokenCounter


class UnusableTokenizer(Exception):
    """The tokenizer cannot be used; `remedy` says what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


def read_tokenizer(path: Path) -> TokenCounter:
    """Returns a function that counts tokens; reads only local files. Raises UnusableTokenizer."""
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
    # The tokenizers library raises plain Exception.
    except Exception as error:
        raise UnusableTokenizer(
            f"{file} is not a tokenizer ({error})", "Give the path of a tokenizer.json."
        ) from error

    # The same text is counted twice: once to check the length of its row, once for the price.
    @lru_cache(maxsize=256)
    def count(text: str) -> int:
        valid = text.encode("utf-8", "replace").decode()  # the library refuses lone surrogates
        return len(tokenizer.encode(valid, add_special_tokens=False).ids)

    return count
