"""The sentences about private text and about checking examples, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "finding.secret": "a key or password",
    "finding.card": "a card number",
    "finding.bank": "a bank account",
    "finding.tax": "a tax or identity number",
    "finding.phone": "a phone number",
    "finding.email": "an email address",
    "finding.address": "the address of a machine",
    "review.warning": "This looks like it holds {what}: {texts}",
    "command.check": "see what in the examples should be decided before training",
    "check.private": "Private text to decide upon",
    "check.private.none": "No example holds private text that nobody has decided upon.",
    "button.mask": "Mask",
    "button.keep_private": "Keep",
    "private.masked": "Example {id} is masked.",
    "private.kept": "Example {id} keeps what was found in it.",
    "private.none": "Example {id} holds no private text.",
    "private.must_mask": "This workspace demands masks, so private text cannot be kept. Mask it, or reject the example.",
    "import.private": "One example holds private text that nobody has decided upon. /tune check lists it.|{count} examples hold private text that nobody has decided upon. /tune check lists them.",
    "sources.mask": "Mask private text in all examples",
    "sources.mask_set": "Private text is masked from now on, and examples that still hold some are not trained on.",
    "start.private": "One approved example is left out, as it holds private text that nobody has decided upon. /tune check lists it.|{count} approved examples are left out, as they hold private text that nobody has decided upon. /tune check lists them.",
}
