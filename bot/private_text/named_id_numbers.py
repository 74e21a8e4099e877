"""Finds tax and identity numbers after a word that names them, in any grouping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Protocol

from bot.private_text.kinds import Finding, PrivateText

NAMED_NUMBERS: Sequence[tuple[str, str]] = (
    (r"\bssn\b|social security|sozialvers|\bsv-?nr|\bsvnr", "us.ssn at.vnr ch.ssn"),
    (r"\bitin\b|\btin\b|taxpayer|tax id", "us.itin us.ein us.ssn gb.utr za.tin gh.tin de.idnr"),
    (r"\bein\b|employer id|tax number", "us.ein za.tin gb.utr"),
    (r"\bsin\b|social insurance", "ca.sin"),
    (r"\btfn\b|tax file", "au.tfn"),
    (r"\babn\b", "au.abn"),
    (r"\bird\b", "nz.ird"),
    (r"\bnhs\b", "gb.nhs"),
    (r"\butr\b", "gb.utr"),
    (r"\bppsn?\b", "ie.pps"),
    (r"aadha?ar|आधार", "in_.aadhaar"),
    (r"\bgstin\b|\bgst no", "in_.gstin"),
    (r"\bcnic\b", "pk.cnic"),
    (r"steuer-?n|\bst\.?-?nr", "de.stnr at.tin de.idnr"),
    (r"steuer|\bidnr|\bid-nr|abgabenk", "de.idnr at.tin"),
    (r"\bust|umsatzst|\buid\b|\bvat\b|\bmwst|\btva\b|\bbtw\b", "eu.vat ch.vat gb.vat"),
    (r"\bahv|\bavs\b", "ch.ssn"),
    (r"s[ée]cu|\bnir\b|insee", "fr.nir"),
    (r"fiscale?\b|\bspi\b", "fr.nif it.codicefiscale it.iva pt.nif es.nif"),
    (r"\bsiren|\bsiret", "fr.siren fr.siret"),
    (r"partita iva|p\.? ?iva", "it.iva"),
    (r"\bdni\b|\bnif\b|\bnie\b|\bcif\b|contribuinte|\bnipc\b", "es.nif ar.dni pt.nif"),
    (r"cart[ãa]o (?:de|do) cidad", "pt.cc"),
    (r"\bcpf\b", "br.cpf cr.cpf"),
    (r"\bcnpj\b", "br.cnpj"),
    (r"\bcui[tl]\b", "ar.cuit"),
    (r"\brut\b", "cl.rut uy.rut"),
    (r"\bruc\b", "pe.ruc ec.ruc py.ruc"),
    (r"\bnit\b", "co.nit gt.nit sv.nit"),
    (r"\brif\b", "ve.rif"),
    (r"\brfc\b", "mx.rfc"),
    (r"\bcurp\b", "mx.curp"),
    (r"c[ée]dula", "ec.ci do.cedula cr.cpf"),
    (r"\bbsn\b|burgerservice", "nl.bsn"),
    (r"rijksregister|registre national|\binsz\b|\bniss\b", "be.nn be.ssn"),
    (r"pesel", "pl.pesel"),
    (r"\bnip\b", "pl.nip"),
    (r"regon", "pl.regon"),
    (r"person(?:nummer|nr)|\bfnr\b|f[øo]dselsn", "se.personnummer no.fodselsnummer dk.cpr"),
    (r"\bcpr\b", "dk.cpr"),
    (r"\bhetu\b|henkilötunnus", "fi.hetu"),
    (r"kennitala", "is_.kennitala"),
    (r"isikukood", "ee.ik"),
    (r"asmens", "lt.asmens"),
    (r"rodn[ée]", "cz.rc sk.rc"),
    (r"\bdič\b", "cz.dic sk.dph"),
    (r"adósz", "hu.anum"),
    (r"\bcnp\b", "ro.cnp"),
    (r"\boib\b", "hr.oib"),
    (r"emšo|\bemso\b", "si.emso"),
    (r"\begn\b|егн", "bg.egn"),
    (r"amka|αμκα", "gr.amka"),
    (r"\bafm\b|αφμ", "gr.vat"),
    (r"инн|\bіпн\b|рнокпп", "ru.inn ua.rntrc"),
    (r"kimlik|\btc ?no\b", "tr.tckimlik tr.vkn"),
    (r"ת.?ז|teudat|תעודת", "il.idnr"),
    (r"id number|identity|national id|บัตร|citizen", "za.idnr th.pin my.nric il.idnr mu.nid"),
    (r"\bnric\b", "my.nric"),
    (r"\bnik\b", "id.nik"),
    (r"npwp", "id.npwp"),
    (r"身份证|身分證", "cn.ric"),
    (r"信用代码|税号", "cn.uscc"),
    (r"統一編號|统一编号", "tw.ubn"),
    (r"マイナンバー|個人番号", "jp.in_"),
    (r"法人番号", "jp.cn"),
    (r"주민등록|주민번호", "kr.rrn"),
    (r"사업자", "kr.brn"),
    (r"mã số thuế", "vn.mst"),
)
"""Words, as regular expressions, and python-stdnum's modules of the numbers they name."""

_WORDS = re.compile(
    "|".join(f"(?P<_{place}>{words})" for place, (words, _) in enumerate(NAMED_NUMBERS)),
    re.IGNORECASE,
)
_GROUP = re.compile(r"[A-Za-z0-9]+", re.ASCII)
_SEPARATOR = re.compile(r"[ ./-]{1,3}\Z")
_REACH = 72
"""Characters after a word within which its number is looked for."""
_MAX_GROUPS = 8
_MIN_DIGITS, _MAX_LENGTH = 5, 22


class _Validator(Protocol):
    def is_valid(self, number: str) -> bool: ...


@cache
def _validator(module: str) -> _Validator:
    loaded: _Validator = import_module(f"stdnum.{module}")
    return loaded


def is_valid(module: str, number: str) -> bool:
    """Whether a number is valid for a module of python-stdnum."""
    try:
        return _validator(module).is_valid(number)
    except LookupError:
        # stdnum.cn.ric, after date and check digit were right: a place without county in its table.
        return True


def find_named_id_numbers(text: str, first: int, last: int) -> Iterator[Finding]:
    """Yields numbers that are valid for a word before them, between two places of a text."""
    for word in _WORDS.finditer(text, first, last):
        modules = NAMED_NUMBERS[int((word.lastgroup or "_0")[1:])][1].split()
        groups = list(_GROUP.finditer(text, word.end(), min(last, word.end() + _REACH)))
        # Only the first digits after the word, with letters before them, are its number.
        first_digits = next((n for n, group in enumerate(groups) if _has_digit(group[0])), -1)
        for place in range(max(0, first_digits - 1), first_digits + 1):
            if end := _end_of_number(text, groups[place:], modules):
                yield Finding(PrivateText.TAX, groups[place].start(), end)
                break


def _has_digit(text: str) -> bool:
    return any(char.isdigit() for char in text)


def _end_of_number(text: str, groups: Sequence[re.Match[str]], modules: Sequence[str]) -> int:
    """Returns where the number ends that begins with the first group; 0 if there is none."""
    end, joined, ends = groups[0].start(), "", list[tuple[str, int]]()
    for group in groups[:_MAX_GROUPS]:
        between = text[end : group.start()]
        if between and not _SEPARATOR.match(between):
            break
        joined, end = joined + between + group[0], group.end()
        ends.append((joined, end))
    for number, stop in reversed(ends):
        digits = sum(char.isdigit() for char in number)
        if digits < _MIN_DIGITS or len(number) > _MAX_LENGTH or text[stop : stop + 1] == "_":
            continue
        # Some of the modules refuse numbers with spaces.
        compact = number.replace(" ", "")
        if any(is_valid(module, compact) for module in modules):
            return stop
    return 0
