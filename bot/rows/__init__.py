"""Validation, fingerprints and token counts of training rows, shared by bot and tuner."""

from bot.rows.fingerprints import find_overlaps, fingerprint, prompt_fingerprint
from bot.rows.json_lines import read_lines
from bot.rows.problems import MINIMUM_ROWS, REASONS, Method, Problem
from bot.rows.token_counts import Count, content_text, count_tokens, text_tokens, tokens_of
from bot.rows.validation import check_row, check_rows, method_of
from bot.rows.word_splitting import search_terms, words_of

__all__ = [
    "MINIMUM_ROWS",
    "REASONS",
    "Count",
    "Method",
    "Problem",
    "check_row",
    "check_rows",
    "content_text",
    "count_tokens",
    "find_overlaps",
    "fingerprint",
    "method_of",
    "prompt_fingerprint",
    "read_lines",
    "search_terms",
    "text_tokens",
    "tokens_of",
    "words_of",
]
