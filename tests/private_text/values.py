"""Private values made by their rules: numbers with right check digits, keys of the right shape."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping

Maker = Callable[[random.Random], str]

_LETTERS = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase + string.digits
_UPPER = string.ascii_uppercase + string.digits


def some(alphabet: str, count: int) -> Maker:
    return lambda chance: "".join(chance.choice(alphabet) for _ in range(count))


def digits(count: int) -> Maker:
    return some(string.digits, count)


def joined(*parts: str | Maker) -> Maker:
    return lambda chance: "".join(part if isinstance(part, str) else part(chance) for part in parts)


def luhn(prefix: str, length: int) -> Maker:
    """A number that begins with the prefix and passes Luhn's check."""

    def make(chance: random.Random) -> str:
        body = prefix + digits(length - len(prefix) - 1)(chance)
        doubled = [sum(divmod(2 * int(one), 10)) for one in body[::-2]]
        rest = sum(doubled) + sum(int(one) for one in body[-2::-2])
        return body + str(-rest % 10)

    return make


def grouped(make: Maker, *sizes: int, by: str = " ") -> Maker:
    def grouped_value(chance: random.Random) -> str:
        value, pieces = make(chance), []
        for size in sizes:
            pieces.append(value[:size])
            value = value[size:]
        return by.join([*pieces, value] if value else pieces)

    return grouped_value


def iban(country: str, body: Maker) -> Maker:
    """https://en.wikipedia.org/wiki/International_Bank_Account_Number#Generating_IBAN_check_digits"""

    def make(chance: random.Random) -> str:
        account = body(chance)
        moved = "".join(str(int(one, 36)) for one in f"{account}{country}00")
        return f"{country}{98 - int(moved) % 97:02d}{account}"

    return make


def resident_id(chance: random.Random) -> str:
    """GB 11643: a place, a birthday, a number, and a check by ISO 7064."""
    body = chance.choice(("110105", "310112", "440305")) + chance.choice(("19850312", "19921107"))
    body += digits(3)(chance)
    total = sum(int(one) * pow(2, 17 - at, 11) for at, one in enumerate(body))
    return body + "0123456789X"[(12 - total) % 11]


def tax_id(chance: random.Random) -> str:
    """Germany's Steuer-ID: ten digits of which one stands twice, and a check by ISO 7064."""
    while True:
        nine = chance.sample("123456789", 9)
        body = "".join([*nine, nine[0]])
        product = 10
        for one in body:
            total = (int(one) + product) % 10 or 10
            product = total * 2 % 11
        check = (11 - product) % 10
        return f"{body}{check}"


def cpf(chance: random.Random) -> str:
    """Brazil's CPF, as it is written."""
    body = [int(one) for one in digits(9)(chance)]
    for length in (10, 11):
        total = sum(one * (length - at) for at, one in enumerate(body))
        body.append(total * 10 % 11 % 10)
    text = "".join(map(str, body))
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def dni(chance: random.Random) -> str:
    """Spain's DNI: eight digits and the letter of the remainder."""
    body = digits(8)(chance)
    return body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def ssn(chance: random.Random) -> str:
    return f"{chance.randint(100, 600)}-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}"


def birthday_number(chance: random.Random) -> str:
    """Sweden's personnummer, by Luhn's check."""
    return grouped(luhn(chance.choice(("850312", "921107", "770429")), 10), 6, by="-")(chance)


MAKERS: Mapping[str, Mapping[str, Maker]] = {
    "secret": {
        "openai": joined("sk-", some(_LETTERS, 20), "T3BlbkFJ", some(_LETTERS, 20)),
        "openai_project": joined("sk-proj-", some(_LETTERS, 48)),
        "anthropic": joined("sk-ant-api03-", some(_LETTERS + "-_", 80), "AA"),
        "github": joined("ghp_", some(_LETTERS, 36)),
        "github_fine": joined("github_pat_", some(_LETTERS, 22), "_", some(_LETTERS, 59)),
        "gitlab": joined("glpat-", some(_LETTERS, 20)),
        "slack": joined("xoxb-", digits(12), "-", digits(12), "-", some(_LETTERS, 24)),
        "slack_hook": joined(
            "https://hooks.slack.com/services/T",
            *(some(_UPPER, 8), "/B", some(_UPPER, 8), "/", some(_LETTERS, 24)),
        ),
        "aws": joined("AKIA", some(_UPPER, 16)),
        "stripe": joined("sk_live_", some(_LETTERS, 24)),
        "google": joined("AIza", some(_LETTERS, 35)),
        "sendgrid": joined("SG.", some(_LETTERS, 22), ".", some(_LETTERS, 43)),
        "npm": joined("npm_", some(_LETTERS, 36)),
        "huggingface": joined("hf_", some(_LETTERS, 34)),
        "telegram": joined(digits(9), ":AA", some(_LETTERS, 33)),
        "jwt": lambda chance: (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."
            + some(_LETTERS, 43)(chance)
        ),
        "address": joined("postgres://app:", some(_LETTERS, 12), "@db.example.net:5432/app"),
        "key_block": joined(
            "-----BEGIN RSA PRIVATE KEY-----\n",
            *(some(_LETTERS, 64), "\n", some(_LETTERS, 40)),
            "\n-----END RSA PRIVATE KEY-----",
        ),
        "password": joined(some(string.ascii_letters, 6), digits(3), "!"),
        "hex": some("0123456789abcdef", 40),
    },
    "card": {
        "visa": grouped(luhn("4", 16), 4, 4, 4, 4),
        "visa_plain": luhn("4", 16),
        "mastercard": grouped(luhn("53", 16), 4, 4, 4, 4, by="-"),
        "amex": grouped(luhn("37", 15), 4, 6, 5),
        "unionpay": grouped(luhn("6222", 19), 4, 4, 4, 4, 3),
    },
    "bank": {
        "de": grouped(iban("DE", digits(18)), 4, 4, 4, 4, 4, 2),
        "de_plain": iban("DE", digits(18)),
        "nl": iban("NL", joined("INGB", digits(10))),
        "es_plain": iban("ES", lambda chance: "21000418" + "450200051332"),
        "account": digits(8),
    },
    "tax": {
        "cn": resident_id,
        "de": tax_id,
        "br": cpf,
        "es": dni,
        "us": ssn,
        "se": birthday_number,
    },
    "phone": {
        "de": joined("+49 170 ", digits(7)),
        "de_national": joined("030 ", some("23456789", 1), digits(6)),
        "de_mobile": joined("0171/", some("23456789", 1), digits(6)),
        "us": joined("(212) 555-", digits(4)),
        "us_dashed": joined("415-", "555-", digits(4)),
        "us_plus": joined("+1 650 253 ", digits(4)),
        "cn": joined("138", digits(8)),
        "cn_grouped": joined("159 ", digits(4), " ", digits(4)),
        "cn_fixed": joined("010-6", digits(7)),
        "uk": joined("+44 20 7946 0", digits(3)),
        "uk_mobile": joined("07700 900", digits(3)),
        "fr": joined("06 12 34 ", some("123456789", 2), " ", some("123456789", 2)),
        "jp": joined("+81 90-1234-", digits(4)),
        "es": joined("+34 612 ", digits(3), " ", digits(3)),
    },
    "email": {
        "plain": joined(some(string.ascii_lowercase, 6), "@example.com"),
        "dotted": joined("anna.", some(string.ascii_lowercase, 7), "@mail.example.org"),
        "tagged": joined(some(_LOWER, 5), "+orders@example.co.uk"),
        "qq": joined(digits(9), "@qq.com"),
        "german": joined("info@b", some(string.ascii_lowercase, 6), "-gmbh.de"),
    },
    "address": {
        "ten": lambda chance: (
            f"10.{chance.randint(0, 9)}.{chance.randint(10, 250)}.{chance.randint(2, 250)}"
        ),
        "home": lambda chance: f"192.168.{chance.randint(0, 250)}.{chance.randint(2, 250)}",
        "public": lambda chance: f"93.184.{chance.randint(2, 250)}.{chance.randint(2, 250)}",
        "six": joined("fe80::", some("123456789abcdef", 4), ":", some("123456789abcdef", 4)),
        "six_long": joined("2001:db8:85a3::8a2e:370:", some("123456789", 4)),
        "mac": lambda chance: ":".join(f"{chance.randint(0, 255):02x}" for _ in range(6)),
        "host": joined("db-", digits(2), ".prod.internal"),
        "machine": joined("build", digits(2), ".corp.local"),
    },
}
