"""Finds keys, tokens and passwords: with detect-secrets, own patterns, and preceding words.

The entropy detectors of detect-secrets are not used: they report every long word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Protocol

from bot.private_text.kinds import NAMES_OF_SECRETS, Finding, PrivateText

_DETECTORS = (
    ("artifactory", "ArtifactoryDetector"),
    ("aws", "AWSKeyDetector"),
    ("azure_storage_key", "AzureStorageKeyDetector"),
    ("basic_auth", "BasicAuthDetector"),
    ("cloudant", "CloudantDetector"),
    ("discord", "DiscordBotTokenDetector"),
    ("github_token", "GitHubTokenDetector"),
    ("gitlab_token", "GitLabTokenDetector"),
    ("ibm_cloud_iam", "IbmCloudIamDetector"),
    ("ibm_cos_hmac", "IbmCosHmacDetector"),
    ("jwt", "JwtTokenDetector"),
    ("mailchimp", "MailchimpDetector"),
    ("npm", "NpmDetector"),
    ("openai", "OpenAIDetector"),
    ("pypi_token", "PypiTokenDetector"),
    ("sendgrid", "SendGridDetector"),
    ("slack", "SlackDetector"),
    ("softlayer", "SoftlayerDetector"),
    ("square_oauth", "SquareOAuthDetector"),
    ("stripe", "StripeDetector"),
    ("telegram_token", "TelegramBotTokenDetector"),
    ("twilio", "TwilioKeyDetector"),
)

# Formats that detect-secrets does not know, or knows only in an older version.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{16,200}"
    r"|xox[abeprs]-[A-Za-z0-9-]{10,200}|xapp-[A-Za-z0-9-]{10,200}"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|gl(?:pat|dt|ft|soat|rt|ptt)-[A-Za-z0-9_-]{20,200}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{20,200}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,200}|GOCSPX-[A-Za-z0-9_-]{20,60}"
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,60}"
    r"|npm_[A-Za-z0-9]{30,60}|hf_[A-Za-z0-9]{30,60}|pypi-[A-Za-z0-9_-]{40,255}"
    r"|dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dapi[a-f0-9]{32}"
    r"|gsk_[A-Za-z0-9]{40,60}|pplx-[A-Za-z0-9]{40,60}|xai-[A-Za-z0-9]{60,100}|pa-[A-Za-z0-9_-]{40,50}"
    r"|r8_[A-Za-z0-9]{30,60}|tgp_v1_[A-Za-z0-9_-]{40,60}|nvapi-[A-Za-z0-9_-]{60,80}"
    r"|tvly-[A-Za-z0-9-]{24,60}|jina_[A-Za-z0-9_-]{50,80}|pcsk_[A-Za-z0-9_]{40,90}"
    r"|lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}|phx_[A-Za-z0-9]{40,50}"
    r"|lin_(?:api|oauth)_[A-Za-z0-9]{32,80}|ntn_[A-Za-z0-9]{40,60}|secret_[A-Za-z0-9]{40,60}"
    r"|pat[A-Za-z0-9]{14}\.[a-f0-9]{64}|fig[dour]_[A-Za-z0-9_-]{36,60}"
    r"|PMAK-[a-f0-9]{24}-[a-f0-9]{34}|sntry[us]_[A-Za-z0-9+/=_-]{40,400}"
    r"|hv[sbr]\.[A-Za-z0-9_-]{24,300}|dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,80}"
    r"|glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/=]{32,400}|NRAK-[A-Z0-9]{27}"
    r"|EAA[A-Za-z0-9_-]{56,300}|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}|sbp_[a-f0-9]{40}"
    r"|sb_secret_[A-Za-z0-9_-]{24,60}|fm[12]_[A-Za-z0-9+/=_-]{40,900}|fo1_[A-Za-z0-9_-]{43}"
    r"|sl\.(?:u\.)?[A-Za-z0-9_-]{60,1500}|HRKU-[A-Za-z0-9_-]{36,70}"
    r"|AT[AC]TT3[A-Za-z0-9_=-]{100,300}|00[A-Za-z0-9_-]{40}"
    r"|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}|key-[a-f0-9]{32}"
    r"|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}|xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}"
    r"|dckr_pat_[A-Za-z0-9_-]{27}|rubygems_[a-f0-9]{48}|CFPAT-[A-Za-z0-9_-]{43}|pul-[a-f0-9]{40}"
    r"|pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}|LTAI[A-Za-z0-9]{12,24}|AKID[A-Za-z0-9]{13,40}"
    r"|bkua_[a-f0-9]{40}|CCIPAT_[A-Za-z0-9]{22}_[a-f0-9]{40}|AGE-SECRET-KEY-1[0-9A-Z]{58}"
    r"|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}"
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,2000}"
    r")(?![A-Za-z0-9_-])",
    re.ASCII,
)
_TELEGRAM = re.compile(r"(?<!\d)\d{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])", re.ASCII)
_WEBHOOK_URL = re.compile(
    r"https://(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)"
    r"/[A-Za-z0-9_/-]{20,200}",
    re.ASCII,
)
_URL_PASSWORD = re.compile(r"://[^\s:/@]{0,64}:([^\s:/@]{3,128})@")
_KEY_HEAD = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", re.ASCII)
_MAX_KEY_LENGTH = 10_000
_SEPARATOR = (
    r"(?:\s{0,3}(?:[:=：]|是|为|は|는|\b(?:is(?: now)?|ist|lautet|est|c['’]est|es|é|was)\b)"
    r"\s{0,3})"
)
_KEYWORD = (
    r"(?:pass(?:word|wort|wd|phrase|code)|\bpass\b|\bpwd?\b|\bmdp\b|kennwort|mot de passe"
    r"|contrase[nñ]a|\bclave\b|senha|wachtwoord|(?:wlan|wifi|netzwerk)-?schlüssel"
    r"|密码|口令|パスワード|비밀번호)"
)
_PASSWORD = re.compile(
    rf"{_KEYWORD}[\"']?"
    rf"{_SEPARATOR}[\"'“`]?([^\s\"'“”`，。；、]{{6,64}})",
    re.IGNORECASE,
)
# With more words in between, or after a user name, only text that is unlikely to be a plain word.
_STRONG_PASSWORD = re.compile(
    rf"{_KEYWORD}(?: [^\s:=]{{1,20}}){{1,4}}{_SEPARATOR}[\"'“`]?(\S{{6,64}})",
    re.IGNORECASE,
)
_PASSWORD_WITH_SIGN = re.compile(
    rf"{_KEYWORD}[\s,]{{1,3}}[\"'“`]?(\S{{6,64}})"
    r"|\b(?:login|user(?:name)?|benutzer(?:name)?|zugang|usuario|utilisateur)\b[^\n/]{1,40}/ ?"
    r"(\S{6,64})",
    re.IGNORECASE,
)
_SIGNS = frozenset("!#$%&*?@^~")
_OPTION = re.compile(
    r"\bsshpass -p ?(\S{4,64})|--password[ =](\S{4,64})"
    r"|\b(?:mysql|mysqldump|mariadb)\b[^\n]{0,60} -p(\S{4,64})"
    r"|\bdocker login\b[^\n]{0,60} -p ?(\S{4,64})"
    r"|\bcurl\b[^\n]{0,60} (?:-u|--user) ?[^\s:]{1,64}:(\S{3,64})"
)
_NAMED_KEY = re.compile(
    r"(?:api[_ -]?key|secret(?:[_ -]?(?:access[_ -]?)?key)?|token|(?:access|private|auth)[_ -]?key"
    r"|bearer|credential|密钥|令牌)[\"']?"
    rf"(?:{_SEPARATOR}|\s{{1,3}})[\"'“`]?([A-Za-z0-9_+/=.~-]{{20,256}})(?![A-Za-z0-9_+/=.~-])",
    re.IGNORECASE,
)
_KEY = re.compile(
    rf"(?:\b|_)key[\"']?{_SEPARATOR}[\"'“`]?([A-Za-z0-9_+/=.~-]{{24,256}})(?![A-Za-z0-9_+/=.~-])",
    re.IGNORECASE,
)
# The detectors of detect-secrets are slow, so they run only on a text with a match of this.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_+/=-]{16,}|://\S{0,200}@", re.ASCII)
_WINDOW = 600


class _Detector(Protocol):
    def analyze_string(self, string: str) -> Iterator[str]: ...


def find_credentials(text: str) -> Iterator[Finding]:
    """Yields private keys, tokens and passwords; findings may overlap."""
    yield from _key_blocks(text)
    if is_like_a_key := _LIKE_A_KEY.search(text) is not None:
        yield from _tokens(text)
    folded = text.casefold()
    if any(word in folded for word in NAMES_OF_SECRETS):
        yield from _named_secrets(text)
    if is_like_a_key:
        yield from _by_detect_secrets(text)


def _tokens(text: str) -> Iterator[Finding]:
    for pattern in (_WEBHOOK_URL, _TOKEN, _TELEGRAM):
        for match in pattern.finditer(text):
            if _has_letter_and_more(match[0]):
                yield Finding(PrivateText.SECRET, *match.span())
    for match in _URL_PASSWORD.finditer(text):
        yield Finding(PrivateText.SECRET, *match.span(1))


def _named_secrets(text: str) -> Iterator[Finding]:
    """Yields secrets after a word for one, like `password:`."""
    for match in _PASSWORD.finditer(text):
        end = match.end(1) - len(match[1]) + len(match[1].rstrip(".,;:?)"))
        if end - match.start(1) >= 6 and _has_letter_and_more(match[1]):
            yield Finding(PrivateText.SECRET, match.start(1), end)
    yield from _strong_passwords(text)
    for pattern in (_NAMED_KEY, _KEY):
        for match in pattern.finditer(text):
            if _has_letter_and_digit(match[1]):
                yield Finding(PrivateText.SECRET, *match.span(1))


def _strong_passwords(text: str) -> Iterator[Finding]:
    """Yields strong passwords some words after a keyword, after a user name, or as an option."""
    for pattern in (_STRONG_PASSWORD, _PASSWORD_WITH_SIGN):
        for match in pattern.finditer(text):
            group = match.lastindex or 0
            value = match[group].rstrip(".,;:?)")
            has_sign = pattern is _STRONG_PASSWORD or not _SIGNS.isdisjoint(value)
            if has_sign and _is_strong(value):
                yield Finding(
                    PrivateText.SECRET, match.start(group), match.start(group) + len(value)
                )
    for match in _OPTION.finditer(text):
        yield Finding(PrivateText.SECRET, *match.span(match.lastindex or 0))


def _key_blocks(text: str) -> Iterator[Finding]:
    """Yields private keys up to their END line, or up to the longest length without one."""
    end = 0
    for match in _KEY_HEAD.finditer(text):
        if match.start() < end:
            continue
        tail = text.find("-----END", match.end(), match.end() + _MAX_KEY_LENGTH)
        stop = text.find("-----", tail + 8, tail + 80) if tail >= 0 else -1
        end = stop + 5 if stop >= 0 else min(len(text), match.end() + _MAX_KEY_LENGTH)
        yield Finding(PrivateText.SECRET, match.start(), end)


def _by_detect_secrets(text: str) -> Iterator[Finding]:
    """Yields the findings of detect-secrets.

    The text is split, because some patterns of detect-secrets take quadratic time.
    """
    for start, window in _windows(text):
        if _LIKE_A_KEY.search(window) is None:
            continue
        for detector in _detectors():
            for secret in dict.fromkeys(detector.analyze_string(window)):
                if isinstance(secret, str) and len(secret) > 5:
                    for match in re.finditer(re.escape(secret), window):
                        first, end = start + match.start(), start + match.end()
                        yield Finding(PrivateText.SECRET, first, end)


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """Yields (start, part) of the text, split at line ends and, in long lines, at spaces."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + _WINDOW)
        if end < 0:
            end = min(len(text), start + _WINDOW)
            if end < len(text):
                space = text.rfind(" ", start + _WINDOW // 2, end)
                end = space if space >= 0 else end
        yield start, text[start:end]
        start = max(end, start + 1)


@cache
def _detectors() -> Sequence[_Detector]:
    """Returns the detectors, loaded lazily: detect-secrets imports requests (0.1 s, 15 MB)."""
    return [
        getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
        for module, name in _DETECTORS
    ]


def _is_strong(text: str) -> bool:
    """Whether a text mixes three kinds of characters: capitals, lower case, digits, signs.

    A text with a slash, such as a URL, is not.
    """
    kinds = (
        any(char.isupper() for char in text),
        any(char.islower() for char in text),
        any(char.isdigit() for char in text),
        not _SIGNS.isdisjoint(text),
    )
    return sum(kinds) > 2 and "/" not in text


def _has_letter_and_more(text: str) -> bool:
    return any(char.isalpha() for char in text) and not text.isalpha()


def _has_letter_and_digit(text: str) -> bool:
    return any(char.isalpha() for char in text) and any(char.isdigit() for char in text)
