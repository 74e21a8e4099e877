"""Validation, fingerprints and token counts of training rows, shared by bot and tuner."""

from bot.rows.fingerprints import find_overlaps, fingerprint, prompt_fingerprint
from bot.rows.json_lines import read_lines
from bot.rows.problems import MIN_TRAINING_ROWS, PROBLEM_TEXTS, Method, Problem
from bot.rows.token_counts import (
    TokenCounter,
    content_text,
    count_tokens,
    estimate_message_tokens,
    estimate_text_tokens,
)
from bot.rows.validation import check_row, check_rows, detect_method
from bot.rows.word_splitting import search_terms, split_words

__all__ = [
    "MIN_TRAINING_ROWS",
    "PROBLEM_TEXTS",
    "Method",
    "Problem",
    "TokenCounter",
    "check_row",
    "check_rows",
    "content_text",
    "count_tokens",
    "detect_method",
    "estimate_message_tokens",
    "estimate_text_tokens",
    "find_overlaps",
    "fingerprint",
    "prompt_fingerprint",
    "read_lines",
    "search_terms",
    "split_words",
]
