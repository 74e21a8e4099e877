"""Which words of a text are not in another one, in the order of the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

# Words with the blanks before them; of what is written without blanks each character is one.
_WORD = re.compile(r"\s*(?:[⺀-鿿豈-﫿]|[^\W⺀-鿿豈-﫿]+|\W)")
_MOST = 400
"""Words of a text that are compared; a longer one is shown as it is."""


def split_by_difference(text: str, reference: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it differs from what the reference has there."""
    ours, theirs = _WORD.findall(text), _WORD.findall(reference)
    if not theirs or max(len(ours), len(theirs)) > _MOST:
        return [(text, False)] if text else []
    wanted, said = ([one.strip().casefold() for one in side] for side in (theirs, ours))
    matcher = SequenceMatcher(None, wanted, said, autojunk=False)
    found: list[tuple[str, bool]] = []
    for kind, _, _, first, last in matcher.get_opcodes():
        if piece := "".join(ours[first:last]):
            found.append((piece, kind != "equal"))
    return _joined(found)


def _joined(pieces: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Neighbours of one kind as one piece."""
    found: list[tuple[str, bool]] = []
    for text, differs in pieces:
        if found and found[-1][1] is differs:
            found[-1] = (found[-1][0] + text, differs)
        else:
            found.append((text, differs))
    return found
