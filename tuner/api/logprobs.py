"""Formats log probabilities of tokens for chat and for plain completions."""

from collections.abc import Sequence

from tuner.engine import TokenLogprob


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, object] | None:
    """Returns log probabilities as chat completions have them; None without tokens."""
    if not tokens:
        return None
    content = [
        {
            **_token_object(token.token, token.logprob),
            "top_logprobs": [_token_object(*top) for top in token.top],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprob], *, offset: int) -> dict[str, object] | None:
    """Returns log probabilities as plain completions have them; None without tokens.

    `offset` is the position of the first token in the text, in characters.
    """
    if not tokens:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.top) for token in tokens],
        "text_offset": offsets,
    }


def _token_object(token: str, logprob: float) -> dict[str, object]:
    # A token that is part of a character decodes to U+FFFD, whose bytes are not the token's.
    bytes_ = None if "\ufffd" in token else list(token.encode())
    return {"token": token, "logprob": logprob, "bytes": bytes_}
