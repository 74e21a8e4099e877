"""Finds keys, tokens and passwords: with detect-secrets, own patterns, and preceding words.

The entropy detectors of detect-secrets are not used: they report every long word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Protocol

from bot.private_text.kinds import SECRET_NAMES, SIGNS, Finding, PrivateText

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
    # Of vendors that are not listed.
    r"|[a-z]{2,12}_(?:live|test|prod|v\d|pat|api|secret|sec|key|token|tkn|oauth)_[A-Za-z0-9]{20,255}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,200}|GOCSPX-[A-Za-z0-9_-]{20,60}"
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,60}"
    r"|npm_[A-Za-z0-9]{30,60}|hf_[A-Za-z0-9]{30,60}|pypi-[A-Za-z0-9_-]{40,255}"
    r"|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dapi[a-f0-9]{32}"
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
    r"(?:\s{0,3}(?:[:=：]|是|为|為|は|는|은"
    r"|\b(?:is(?: now)?|ist(?: jetzt)?|lautet|est|c['’]est|es|é|è|was|war|är|er|jest)\b[:：]?)"
    r"\s{0,3})"
)
_LOGIN_WORDS = (
    r"pass(?:word|wort|wd|phrase|code|ord)|kennwort|mot de passe|\bmdp\b|contrase[nñ]a|senha"
    r"|wachtwoord|\bparola\b|lösenord|adgangskode|kodeord|salasana|heslo|hasło|jelszó|şifre"
    r"|пароль|κωδικός|كلمة المرور|סיסמה|mật khẩu|kata sandi|密码|密碼|口令|パスワード|비밀번호"
)
_KEYWORD = rf"(?:{_LOGIN_WORDS}|\bpass\b|\bpwd?\b|\bclave\b|(?:wlan|wifi|netzwerk)-?schlüssel)"
# Passwords are typed with a keyboard, so Chinese, Japanese or Korean words are none.
_VALUE = "[^\\s\"'“”`，。；、\u3000-\u9fff\uac00-\ud7af]"
_PASSWORD = re.compile(rf"{_KEYWORD}[\"']?{_SEPARATOR}[\"'“`]?({_VALUE}{{6,64}})", re.IGNORECASE)
_DIGITS_ONLY = re.compile(
    rf"(?:{_LOGIN_WORDS})[\"']?{_SEPARATOR}[\"'“`]?(\d{{6,32}})(?![\w.,:/-]*\w)"
    r"|(?<!-)\b(?:PIN(?:-?(?:code|nummer))?|暗証番号)(?:\s{0,3}[:=：は]|\s(?:is|ist|lautet|est|es|é|è))"
    r"\s{0,3}(\d{4,8})(?![\w.,:/-]*\w| ?(?:digit|char|stell|chiff|cifr|dígit|桁|位))",
    re.IGNORECASE,
)
# With more words in between, or after a user name, only text that is unlikely to be a plain word.
_STRONG_PASSWORD = re.compile(
    rf"{_KEYWORD}(?: [^\s:=]{{1,20}}){{1,4}}{_SEPARATOR}[\"'“`]?({_VALUE}{{6,64}})",
    re.IGNORECASE,
)
_BESIDE_KEYWORD = re.compile(rf"{_KEYWORD}[\s,]{{1,3}}[\"'“`]?({_VALUE}{{6,64}})", re.IGNORECASE)
_AFTER_USER_NAME = re.compile(
    r"\b(?:login|user(?:name)?|benutzer(?:name)?|zugang|usuario|utilisateur)\b[^\n/]{1,40}/ ?"
    rf"({_VALUE}{{6,64}})",
    re.IGNORECASE,
)
# What stands for a value in instructions.
_PLACEHOLDER = re.compile(
    r"(?:my|your|the)?[-_ ]?(?:pass(?:word|wort|wd)?|pwd?|secret|token|api[-_]?key|key"
    r"|change[-_]?me|example|redacted|hidden|none|null)(?:[-_]?here)?\Z"
    r"|[<${%\[].*|.*[>}\])]\Z|(?P<char>.)(?P=char)*\Z",
    re.IGNORECASE | re.DOTALL,
)
_LETTER_BESIDE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_MIN_CHANGES = 3
"""Minimum places where letters and digits meet: Pa55w0rd, but not Windows11."""
_MIN_PASSWORD_LENGTH = 6
_MIN_CHARACTERS_OF_TOKEN = 4
"""Minimum number of different characters after a token's prefix: `ghp_xxxx` is an instruction."""
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
    if any(word in folded for word in SECRET_NAMES):
        yield from _named_secrets(text)
    if is_like_a_key:
        yield from _by_detect_secrets(text)


def _tokens(text: str) -> Iterator[Finding]:
    for pattern in (_WEBHOOK_URL, _TOKEN, _TELEGRAM):
        for match in pattern.finditer(text):
            if _has_letter_and_more(match[0]) and not _is_blanked(match[0]):
                yield Finding(PrivateText.SECRET, *match.span())
    for match in _URL_PASSWORD.finditer(text):
        if not _PLACEHOLDER.match(match[1]):
            yield Finding(PrivateText.SECRET, *match.span(1))


def _named_secrets(text: str) -> Iterator[Finding]:
    """Yields secrets after a word for one, like `password:`."""
    for match in _PASSWORD.finditer(text):
        value = match[1].rstrip(".,;:?)")
        if len(value) >= _MIN_PASSWORD_LENGTH and _is_like_a_password(value):
            yield Finding(PrivateText.SECRET, match.start(1), match.start(1) + len(value))
    for match in _DIGITS_ONLY.finditer(text):
        yield Finding(PrivateText.SECRET, *match.span(match.lastindex or 0))
    yield from _strong_passwords(text)
    for pattern in (_NAMED_KEY, _KEY):
        for match in pattern.finditer(text):
            if _has_letter_and_digit(match[1]) and not _is_blanked(match[1]):
                yield Finding(PrivateText.SECRET, *match.span(1))


def _strong_passwords(text: str) -> Iterator[Finding]:
    """Yields strong passwords some words after a keyword, after a user name, or as an option."""
    for pattern in (_STRONG_PASSWORD, _BESIDE_KEYWORD, _AFTER_USER_NAME):
        for match in pattern.finditer(text):
            value = match[1].rstrip(".,;:?)")
            is_sure = (
                pattern is _STRONG_PASSWORD
                or not SIGNS.isdisjoint(value)
                or len(_LETTER_BESIDE_DIGIT.findall(value)) >= _MIN_CHANGES
            )
            if is_sure and _is_strong(value):
                yield Finding(PrivateText.SECRET, match.start(1), match.start(1) + len(value))
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
                if isinstance(secret, str) and _is_a_value(secret):
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
        not SIGNS.isdisjoint(text),
    )
    return sum(kinds) > 2 and "/" not in text


def _is_like_a_password(text: str) -> bool:
    """Whether a text has letters with a digit, or with a sign between them, and says something."""
    has_letter = any(char.isalpha() for char in text)
    is_mixed = any(char.isdigit() for char in text) or not SIGNS.isdisjoint(text[1:-1])
    return has_letter and is_mixed and not _PLACEHOLDER.match(text)


def _is_a_value(secret: str) -> bool:
    return len(secret) > 5 and not _PLACEHOLDER.match(secret) and not _is_blanked(secret)


def _is_blanked(token: str) -> bool:
    """Whether a token is a prefix with a row of the same characters, as in instructions."""
    return len(set(token[len(token) // 3 :])) < _MIN_CHARACTERS_OF_TOKEN


def _has_letter_and_more(text: str) -> bool:
    return any(char.isalpha() for char in text) and not text.isalpha()


def _has_letter_and_digit(text: str) -> bool:
    return any(char.isalpha() for char in text) and any(char.isdigit() for char in text)
