"""Finds email addresses, IPv4, IPv6 and MAC addresses, and names of internal hosts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from bot.private_text.kinds import Finding, PrivateText

# From the @ on; the local part is read backwards from there, so that the time is linear.
_DOMAIN = re.compile(r"@([A-Za-z0-9À-ɏа-яё-]{1,63}(?:\.[A-Za-z0-9À-ɏа-яё-]{1,63}){1,8})")
# Obfuscated addresses, like ann (at) example (dot) com.
_LOCAL, _LABEL = r"(?<![\w.+-])[\w.+-]{1,64}(?<!\.)", r"[\w-]{1,63}"
_AT = r"[\[({<] ?(?:at|@|arroba) ?[\])}>]"
_DOT = r" ?[\[({<] ?(?:dot|punkt|punto|ponto|point|\.) ?[\])}>] ?"
_SPELLED_DOT = r" (?:dot|punkt|punto|ponto) "
_WRITTEN_EMAIL = re.compile(
    rf"{_LOCAL}{_AT}{_LABEL}(?:(?:{_DOT}|\.){_LABEL}){{1,4}}"
    rf"|{_LOCAL} ?{_AT} ?{_LABEL}(?:{_DOT}{_LABEL}){{1,4}}"
    rf"|(?-i:{_LOCAL} AT {_LABEL}(?: DOT {_LABEL}){{1,4}})",
    re.IGNORECASE,
)
# These occur in other sentences too: "I was at amazon dot com", "I am (at) home.now".
_SPELLED_EMAIL = re.compile(
    rf"({_LOCAL}(?:{_SPELLED_DOT}[\w+-]{{1,64}}){{0,3}})"
    rf"(?: ?{_AT} ?{_LABEL}(?:\.{_LABEL}){{1,4}}"
    rf"| (?:at|arroba) {_LABEL}(?:{_SPELLED_DOT}{_LABEL}){{0,2}}{_SPELLED_DOT}[a-z]{{2,10}}\b)",
    re.IGNORECASE,
)
_EMAIL_WORD = re.compile(r"mail|reach|write|contact|schreib|correo|escr|écri|scriv", re.IGNORECASE)
_BESIDE_EMAIL = 30
_NO_LOCAL_PARTS = frozenset(
    (
        *("me", "us", "him", "her", "them", "you", "it"),
        *("am", "is", "are", "was", "were", "be", "look", "found"),
    )
)
# Accounts of services, as in git@github.com:acme/shop.git.
_URL_USER = re.compile(r"://[^\s/@]*\Z")
_SERVICE_USERS = frozenset(("git", "hg", "svn"))
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
_FILE_NAMES = frozenset(
    (
        *("html", "js", "ts", "py", "yml", "yaml", "json", "conf", "php", "md", "txt", "xml"),
        *("css", "rc", "env", "settings", "config", "profile"),
    )
)
_VERSION = re.compile(
    r"(?:\bv|\brelease|\bchapter|\bsection|\bbuild|§|\bvers\w*|版本|バージョン|버전|верси\w*)\W{0,3}\Z"
    r"|(?:firmware|driver|treiber|update|patch|\bios\b|android|windows|chrome|系统|固件|驱动)"
    r"[^,;:!?]{0,20}\Z",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"\bip|host|server|ssh|ping|addr|dns|subnet|port|firewall|rout|vpn|proxy|connect|gateway"
    r"|\bfrom\b|whitelist|allow|block|node|地址|服务器|アドレス|サーバ",
    re.IGNORECASE,
)
_PORT = re.compile(r"[:/]\d")
_HIGHEST_MAJOR_VERSION = 24
_BEFORE = 32


def find_addresses(text: str) -> Iterator[Finding]:
    """Yields email, MAC and IP addresses, and names of internal hosts."""
    yield from _emails(text)
    for match in _MAC.finditer(text):
        yield Finding(PrivateText.ADDRESS, *match.span())
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            if _is_host_address(match[0]) and not _is_version(text, match):
                yield Finding(PrivateText.ADDRESS, *match.span())
    for match in _HOST.finditer(text):
        # Files: index.html.local, and /etc/rc.local but not //db.local.
        start = match.start()
        is_path = text.endswith("/", 0, start) and not text.endswith("//", 0, start)
        if is_path or match[0].split(".")[-2] in _FILE_NAMES:
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
        is_service = text[start : match.start()] in _SERVICE_USERS
        is_url = _URL_USER.search(text, max(0, start - _MAX_LOCAL_PART_LENGTH), start) is not None
        if start < match.start() and is_named and not is_service and not is_url:
            yield Finding(PrivateText.EMAIL, start, match.start() + 1 + len(domain))
    for match in _WRITTEN_EMAIL.finditer(text):
        yield Finding(PrivateText.EMAIL, *match.span())
    for match in _SPELLED_EMAIL.finditer(text):
        first, last = match.start() - _BESIDE_EMAIL, match.end() + _BESIDE_EMAIL
        is_hinted = (
            not match[1].isalpha() or _EMAIL_WORD.search(text, max(0, first), last) is not None
        )
        if is_hinted and match[1].casefold() not in _NO_LOCAL_PARTS:
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


def _is_low(text: str) -> bool:
    """Whether an IPv4 address begins as versions do."""
    first = text.partition(".")[0]
    return first.isdigit() and int(first) <= _HIGHEST_MAJOR_VERSION and first != "10"


def _is_version(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _BEFORE) : match.start()]
    if _VERSION.search(before):
        return True
    after = text[match.end() : match.end() + _BEFORE]
    return _is_low(match[0]) and not (_NETWORK.search(before + " " + after) or _PORT.match(after))
