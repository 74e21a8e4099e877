"""Kinds of private text, places where it was found, and words that precede secrets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag


class PrivateText(IntFlag):
    """Kinds of private text; a row's kinds are stored as one number."""

    SECRET = 1
    CARD = 2
    BANK = 4
    TAX = 8
    PHONE = 16
    EMAIL = 32
    ADDRESS = 64


NO_PRIVATE_TEXT = PrivateText(0)
ANY_PRIVATE_TEXT = ~NO_PRIVATE_TEXT


@dataclass(frozen=True, slots=True)
class Finding:
    """Private text of one kind: the characters `start` to `end` (exclusive) of a text."""

    kind: PrivateText
    start: int
    end: int

    def overlaps(self, other: Finding) -> bool:
        return self.start < other.end and other.start < self.end


# Parts of words in lower case, one of which is in every text with a secret that is found by a word.
SECRET_NAMES = (
    *("pass", "pw", "kennwort", "mdp", "mot de", "contrase", "clave", "senha"),
    *("wachtwoord", "parola", "lösenord", "adgangskode", "kodeord", "salasana"),
    *("heslo", "hasł", "jelszó", "şifre", "пароль", "κωδικ", "كلمة", "סיסמ"),
    *(
        "mật khẩu",
        "sandi",
        "pin",
        "密码",
        "密碼",
        "口令",
        "暗証",
        "パスワード",
        "비밀번호",
        "schlüssel",
    ),
    *("login", "user", "benutzer", "zugang", "usuario", "utilisateur", "sshpass"),
    *("mysql", "mariadb", "curl", "key", "token", "secret", "bearer", "credential"),
    *("密钥", "令牌"),
)
SIGNS = frozenset("!#$%&*?@^~")
"""Signs that passwords have more often than other words."""
