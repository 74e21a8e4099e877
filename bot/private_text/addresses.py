"""Finds email addresses, IPv4, IPv6 and MAC addresses, and names of internal hosts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from bot.private_text.kinds import Finding, PrivateText

# From the @ on; the local part is read backwards from there, so that the time is linear.
_DOMAIN = re.compile(r"@([A-Za-z0-9À-ɏа-яё-]{1,63}(?:\.[A-Za-z0-9À-ɏа-яё-]{1,63}){1,8})")
# Obfuscated addresses, like ann (at) example (dot) com.
_WRITTEN_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}[\[({] ?(?:at|@) ?[\])}][\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"
    r"|(?<![\w.+-])[\w.+-]{1,64} ?[\[({] ?(?:at|@) ?[\])}] ?[\w-]{1,63}"
    r"(?: ?[\[({] ?(?:dot|punkt|\.) ?[\])}] ?[\w-]{1,63}){1,4}"
    r"|(?<![\w.+-])[\w.+-]{1,64} AT [\w-]{1,63}(?: DOT [\w-]{1,63}){1,4}"
)
_LOCAL_PART = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-"
    "äöüßÄÖÜáàâãåæçéèêëíìîïñóòôõøœúùûýÿąćęłńśźżčďěňřšťůžğışőű"
)
_MAX_LOCAL_PART_LENGTH = 64
_IPV4 = re.compile(r"(?<![A-Za-z0-9_.-])(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_-]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![A-Za-z0-9_:.])[0-9A-Fa-f:]{6,39}(?![A-Za-z0-9_:])", re.ASCII)
_MAC = re.compile(
    r"(?<![A-Za-z0-9_:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])"
    r"|(?<![\w.-])(?=[0-9.]{0,9}[A-Fa-f])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w-]|\.\w)",
    re.ASCII,
)
_HOST = re.compile(
    r"(?<![A-Za-z0-9_.@-])(?:[A-Za-z0-9-]{1,63}\.){1,6}"
    r"(?:internal|local|lan|corp|intranet|intra|localdomain|home\.arpa)(?![A-Za-z0-9_-]|\.\w)"
    r"|(?<![A-Za-z0-9_.@-])(?:[A-Za-z0-9-]{1,63}\.){1,6}(?:lan|corp|intranet|intra)"
    r"\.[A-Za-z0-9-]{1,63}\.(?:com|net|org|eu|io|de|at|ch|fr|es|it|nl|be|pl|cn|jp|uk)"
    r"(?![A-Za-z0-9_-]|\.\w)",
    re.ASCII,
)
_FILE_ENDINGS = frozenset(
    ("html", "js", "ts", "py", "yml", "yaml", "json", "conf", "php", "md", "txt", "xml", "css")
)
_VERSION = re.compile(
    r"(?:\bv|\bversion|\brelease|\bchapter|\bsection|\bbuild|版本|§)\s?\Z", re.IGNORECASE
)
_BEFORE = 12


def find_addresses(text: str) -> Iterator[Finding]:
    """Yields email, MAC and IP addresses, and names of internal hosts."""
    yield from _emails(text)
    for match in _MAC.finditer(text):
        yield Finding(PrivateText.ADDRESS, *match.span())
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            if _is_host_address(match[0]) and not _is_version(text, match.start()):
                yield Finding(PrivateText.ADDRESS, *match.span())
    for match in _HOST.finditer(text):
        if match[0].split(".")[-2] in _FILE_ENDINGS:
            continue
        yield Finding(PrivateText.ADDRESS, *match.span())


def _emails(text: str) -> Iterator[Finding]:
    """Yields email addresses, also ones like `ann (at) example (dot) com`."""
    for match in _DOMAIN.finditer(text):
        start = match.start()
        least = max(0, start - _MAX_LOCAL_PART_LENGTH)
        while start > least and text[start - 1] in _LOCAL_PART:
            start -= 1
        # Punctuation before the first letter is not part of the address.
        while start < match.start() and not text[start].isalnum():
            start += 1
        start += _assignment_length(text[start : match.start()])
        domain = match[1].rstrip("-")
        is_named = domain.rpartition(".")[2].isalpha() and len(domain.rpartition(".")[2]) > 1
        if start < match.start() and is_named:
            yield Finding(PrivateText.EMAIL, start, match.start() + 1 + len(domain))
    for match in _WRITTEN_EMAIL.finditer(text):
        yield Finding(PrivateText.EMAIL, *match.span())


def _assignment_length(local: str) -> int:
    """Returns the length of an assignment before the address, 3 in `to=ann`."""
    return local.rfind("=") + 1


def _is_host_address(text: str) -> bool:
    """Whether a text is the address of one host: not loopback, a netmask, or a time."""
    if text.count(":") < 2 and "." not in text:
        return False
    if ":" in text and "::" not in text and text.count(":") != 7:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return len(text.strip(":")) > 4
    # Only small numbers are more often a chapter or a version.
    return not text.startswith(("255.", "0.")) and int(address) & 0xFF != 0 and _is_large(text)


def _is_large(text: str) -> bool:
    return any(int(part) > 31 for part in text.split(".")) or text.startswith("10.")


def _is_version(text: str, start: int) -> bool:
    return _VERSION.search(text[max(0, start - _BEFORE) : start]) is not None
