from __future__ import annotations

import pytest

from pipeline.bonds.issuer_names import ALPHABET, LEGAL_FORMS, RULES, WORDS, another_word, company_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Norvane Motor Co.", "NORVANE MOTOR CO DEL"),
        ("NORVANE MOTOR COMPANY", "NORVANE MOTOR CO"),
        ("Valdale International, Inc.", "VALDALE INTL INC"),
        ("Valdale Holdings Incorporated", "VALDALE HLDGS INC"),
        ("The Cesmont Companies, Inc.", "CESMONT COS INC"),
        ("Cesmont Companies, Inc., The", "CESMONT COS INC"),
        ("Bank of Norvane Corp /DE/", "BANK OF NORVANE CORP"),
        ("Bank of Norvane Corp/DE", "BANK OF NORVANE CORP"),
        ("BANK OF NORVANE CORP (NEW)", "BANK OF NORVANE CORP"),
        ("BANK OF NORVANE CORP NEW", "BANK OF NORVANE CORP"),
        ("Norvane & Sons Co", "NORVANE AND SONS COMPANY"),
        ("A.T.&T. Norvane Corp.", "A T & T NORVANE CORP"),
        ("U.S. Norvane Corporation", "U S NORVANE CORP"),
        ("U.S. Norvane Corporation", "US NORVANE CORP"),
        ("J.P. Norvane & Co.", "J P NORVANE & CO"),
        ("Norvane-Valdale Industries", "NORVANE VALDALE INDS"),
        ("McNorvane's Corp", "MCNORVANES CORP"),
        ("NORVANE FINANCIAL SERVICES GROUP", "NORVANE FINL SVCS GRP"),
        ("Norváne Telefónica S.A.", "NORVANE TELEFONICA S A"),
        ("NORVANE HOLDINGS CL B", "NORVANE HOLDINGS"),
        ("NORVANE  HOLDINGS  CLASS A", "NORVANE HLDG"),
        ("INTERNATIONAL NORVANE MACHS COR", "International Norvane Machines Corp"),
    ],
)
def test_spellings_of_one_name(one, other):
    assert company_name(one) == company_name(other)


@pytest.mark.parametrize(
    ("name", "core", "form"),
    [
        ("Norvane Inc", "NORVANE", "INC"),
        ("Norvane", "NORVANE", ""),
        ("Norvane & Company, Inc.", "NORVANE", "CO INC"),
        ("Norvane Property Group, L.P.", "NORVANE PPTYS GRP", "LP"),
        ("Norvane N.A.", "NORVANE", "NA"),
        ("The Company Inc", "CO INC", ""),
        ("THE", "THE", ""),
        ("New Norvane Inc", "NEW NORVANE", "INC"),
        ("Norvane of New Jersey", "NORVANE OF NEW JERSEY", ""),
        ("Bank of New", "BANK OF", ""),
        ("Norvane Ohio Ltd", "NORVANE OHIO", "LTD"),
        ("Norvane Ltd Ohio", "NORVANE", "LTD"),
        ("Central Ohio", "CENTRAL OHIO", ""),
        ("3 N Corp", "3 N", "CORP"),
        ("", "", ""),
        (None, "", ""),
        (" .,- ", "", ""),
    ],
)
def test_core_and_form(name, core, form):
    found = company_name(name)
    assert (found.core, found.form) == (core, form)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NEW NORVANE INC", "NORVANE INC"),
        ("NORVANE CAPITAL CORP", "NORVANE CORP"),
        ("NORVANE 1 INC", "NORVANE 2 INC"),
        ("NORVANE OHIO INC", "NORVANE TEXAS INC"),
    ],
)
def test_names_that_stay_apart(one, other):
    assert company_name(one).core != company_name(other).core


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ("NORVANE MOTOR", "NORVANE MOTOR", False),
        ("NORVANE MOTOR", "NORVANE MOTER", False),
        ("NORVANE MOTOR", "NORVANE MOTIF", True),
        ("NORVANE MOTOR", "NORVANE MOTORWORKS", False),
        ("NORVANE GAS", "NORVANE GAZ", True),
        ("NORVANE EASTREN", "NORVANE EASTERN", True),
        ("NORVANE NORTHEASTREN", "NORVANE NORTHEASTERN", False),
        ("NORVANE NORTHWESTERN", "NORVANE NORTHEASTERN", True),
        ("NORVANE 10001", "NORVANE 10002", True),
        ("NORVANE 10", "NORVANE 100", True),
        ("WAL NORVANE STORES", "WALNORVANE STORES", False),
        ("WAL NORVANE STORES", "WALNORVENE STORES", False),
        ("BANK OF NORVANE", "BANK NORVANE", False),
        ("NORVANE AND VALDALE", "NORVANE VALDALE", False),
        ("NORVANE CO OF VALDALE", "NORVANE OF VALDALE", False),
        ("NORVANE OIL VALDALE", "NORVANE VALDALE", True),
        ("NORVANE", "NORVANE II", True),
        ("GULF NORVANE", "GULFF NORVANE", False),
    ],
)
def test_names_that_differ_by_a_word(one, other, differs):
    assert another_word(one, other) is differs
    assert another_word(other, one) is differs


def test_every_rule_does_something_and_says_why():
    worked = {
        "upper case without accents": ("Ünor", "UNOR"),
        "no place or remark after a slash or in brackets": ("NOR /DE/", "NOR"),
        "& is AND": ("A&B", "A AND B"),
        "no punctuation": ("NOR, INC.", "NOR INC"),
        "no share class": ("NOR CL B", "NOR"),
        "single letters joined": ("U S NOR", "US NOR"),
        "no article": ("THE NOR", "NOR"),
        "short words": ("NOR GROUP CORPORATION", "NOR GRP CORP"),
        "no place after the legal form, no NEW, OLD or DEL at the end": ("NOR CORP DEL", "NOR CORP"),
    }
    assert [rule.name for rule in RULES] == list(worked)
    for rule in RULES:
        before, after = worked[rule.name]
        assert rule.apply(before) == after
        assert rule.reason


def test_spelling_twice_changes_nothing_and_leaves_the_alphabet():
    for name in ("The Norvané & Sons Holdings Co., Inc. /DE/", "A.B.C. Works (NEW)", "X & Y Railroad Company"):
        once = company_name(name)
        assert company_name(f"{once.core} {once.form}") == once
        assert set(once.core + once.form) <= set(ALPHABET)


def test_short_words_are_final():
    for short in WORDS.values():
        assert WORDS.get(short, short) == short
        assert short not in LEGAL_FORMS
    for form, short in LEGAL_FORMS.items():
        assert short is None or LEGAL_FORMS[short] == short, form
