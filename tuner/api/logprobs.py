"""Shows how likely the tokens of an answer were, in the two forms of the protocol."""

from collections.abc import Sequence

from tuner.engine import TokenLogprob


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, object] | None:
    """As chat has them; none where none were asked for."""
    if not tokens:
        return None
    content = [
        {**_one(each.token, each.logprob), "top_logprobs": [_one(*top) for top in each.top]}
        for each in tokens
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprob], *, offset: int) -> dict[str, object] | None:
    """As plain completions have them; `offset` is where the first token's text begins."""
    if not tokens:
        return None
    offsets = []
    for each in tokens:
        offsets.append(offset)
        offset += len(each.token)
    return {
        "tokens": [each.token for each in tokens],
        "token_logprobs": [each.logprob for each in tokens],
        "top_logprobs": [dict(each.top) for each in tokens],
        "text_offset": offsets,
    }


def _one(token: str, logprob: float) -> dict[str, object]:
    # A token that is only a part of a character has bytes that are no text of their own.
    whole = None if "\ufffd" in token else list(token.encode())
    return {"token": token, "logprob": logprob, "bytes": whole}
