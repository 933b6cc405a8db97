"""Small tables of trades and bonds under the vendors' names and in their spellings, and what is staged of them."""

from __future__ import annotations

from datetime import date, time

import polars as pl

from pipeline.extracts.registry import TABULARS


def table(stem: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows as text under the vendor's names; a column that a row does not name is blank."""
    names = [column.name for tabular in TABULARS if tabular.stem == stem for column in tabular.columns]
    assert all(set(row) <= set(names) for row in rows)
    cells = [{name: None if row.get(name) is None else str(row[name]) for name in names} for row in rows]
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String))


REPORT: dict[str, object] = {
    "cusip_id": "00184AAB1",
    "trd_exctn_dt": "2008-06-27",
    "trd_exctn_tm": "09:30:15",
    "trd_rpt_dt": "2008-06-30",
    "trd_rpt_tm": "16:01:59",
    "msg_seq_nb": "0000123",
    "trc_st": "T",
    "asof_cd": "A",
    "wis_fl": "N",
    "days_to_sttl_ct": "003",
    "stlmnt_dt": "2008-07-02",
    "entrd_vol_qt": "25000",
    "rptd_pr": "101.625",
    "yld_pt": "5.125",
    "rpt_side_cd": "B",
    "cntra_mp_id": "C",
    "buy_cpcty_cd": "P",
}
ISSUE: dict[str, object] = {
    "issue_id": "1",
    "complete_cusip": "00184AAB1",
    "isin": "US00184AAB17",
    "issuer_id": "7",
    "issuer_cusip": "00184A",
    "prospectus_issuer_name": "AOL TIME WARNER INC",
    "coupon": "6.125",
    "coupon_type": "F",
    "interest_frequency": "2",
    "dated_date": "2001-04-19",
    "first_interest_date": "2001-10-15",
    "offering_date": "2001-04-11",
    "offering_amt": "1000000",
    "maturity": "2031-04-15",
    "principal_amt": "1000",
    "day_count_basis": "30/360",
    "bond_type": "CDEB",
    "security_level": "SEN",
    **dict.fromkeys(
        (
            "convertible",
            "putable",
            "exchangeable",
            "asset_backed",
            "rule_144a",
            "private_placement",
            "foreign_currency",
            "perpetual",
        ),
        "N",
    ),
    "redeemable": "Y",
}

SAMPLES: dict[str, pl.DataFrame] = {
    "trace.trace_enhanced": table(
        "trace.trace_enhanced",
        [
            REPORT,
            REPORT | {"trc_st": "X", "trd_rpt_dt": "2008-07-01", "orig_msg_seq_nb": " 0000123 ", "rptd_pr": "-1.5"},
            REPORT | {"cusip_id": None},
        ],
    ),
    "fisd.fisd_mergedissue": table(
        "fisd.fisd_mergedissue",
        [
            ISSUE,
            ISSUE | {"issue_id": "2", "complete_cusip": "00206RJR2", "offering_date": None},
            ISSUE | {"issue_id": "3", "complete_cusip": None, "offering_date": None, "dated_date": None},
        ],
    ),
    "fisd.fisd_mergedissuer": table(
        "fisd.fisd_mergedissuer",
        [{"issuer_id": 7, "cusip_name": "AOL TIME WARNER INC", "industry_group": 1, "country_domicile": "USA"}],
    ),
    "fisd.fisd_issue_default": table(
        "fisd.fisd_issue_default",
        [
            {"issue_id": 1, "default_date": "2008-06-16", "reinstated_date": "2008-12-01"},
            {"issue_id": 1, "default_date": "2008-06-16", "reinstated_date": "2009-01-05"},
            {"issue_id": 1, "default_date": "2010-03-01"},
            {"issue_id": 1, "default_date": "2010-03-01", "reinstated_date": "2010-05-03"},
            {"issue_id": 2, "default_date": "2010-03-02", "reinstated_date": "2010-03-01"},
            {"issue_id": 2, "reinstated_date": "2010-03-01"},
        ],
    ),
    "fisd.fisd_ratings": table(
        "fisd.fisd_ratings",
        [
            {"issue_id": 1, "rating_type": "SPR", "rating_date": "2008-06-02", "rating": "BBB+"},
            {"issue_id": 1, "rating_type": "SPR", "rating_date": "2008-06-02", "rating": "BBB"},
            {"issue_id": 1, "rating_type": "SPR", "rating": "A"},
            {"issue_id": 1, "rating_type": "MR", "rating_date": "2008-06-02", "rating": "Baa1"},
            {"issue_id": 1, "rating_type": "SPR", "rating_date": "2008-07-09", "rating": "NR"},
        ],
    ),
    "fisd.fisd_amt_out_hist": table(
        "fisd.fisd_amt_out_hist",
        [
            {"issue_id": 1, "effective_date": "2008-06-16", "action_type": "P", "amount_outstanding": 900},
            {"issue_id": 1, "amount_outstanding": 700},
            {
                "issue_id": 1,
                "effective_date": "2008-06-16",
                "action_type": "P",
                "amount_outstanding": 500,
                "transaction_id": 12,
            },
            {"issue_id": 1, "effective_date": "2001-04-11", "action_type": "I", "amount_outstanding": 1000},
        ],
    ),
    **{
        stem: table(
            stem,
            [
                {
                    "cusip": "00184AAB",
                    "date": "2008-06-30",
                    "price": "99.5",
                    "accrued_interest": 1.25,
                    "coupon_paid": 0,
                },
                {"cusip": "00184aab1", "date": "2008-07-31", "price": "0"},
            ],
        )
        for stem in ("bonds.lehman", "bonds.mergent", "bonds.datastream")
    },
    "bonds.recovery": table(
        "bonds.recovery", [{"cusip": "00184AAB1", "default_date": "2008-06-16", "recovery_price": 41.5}]
    ),
    "wrdsapps.bondcrsp_link": table(
        "wrdsapps.bondcrsp_link",
        [
            {
                "cusip": "00184AAB1",
                "link_startdt": "2001-04-11",
                "permno": 10107,
                "permco": 8048,
                "link_enddt": "2008-06-16",
            },
            {"cusip": "00184AAB1", "link_startdt": "2008-06-17", "permno": 10108, "permco": 8049},
            {"cusip": "00184AAB1", "link_startdt": "2008-06-17", "permno": 10109, "permco": 8049},
            {"cusip": "00206RJR2", "link_startdt": "2008-06-17"},
        ],
    ),
}

_JAN26, _APR01, _JUN08, _JUL08 = date(1926, 1, 1), date(2001, 4, 1), date(2008, 6, 1), date(2008, 7, 1)
_REPORT = (
    date(2008, 6, 27),
    time(9, 30, 15),
    date(2008, 6, 30),
    time(16, 1, 59),
    "123",
    None,
    "T",
    "A",
    "N",
    None,
    None,
    None,
    "003",
    date(2008, 7, 2),
    25000.0,
    101.625,
    5.125,
    "B",
    "C",
    "P",
    None,
    None,
    0,
)
_TERMS = (
    6.125,
    "F",
    "2",
    date(2001, 4, 19),
    date(2001, 10, 15),
    date(2001, 4, 11),
    1000000.0,
    date(2031, 4, 15),
    1000.0,
    "30/360",
    "CDEB",
    "SEN",
    *("N", "N", "Y", "N", "N", "N", "N", "N", "N"),
)
_NAMED = ("US00184AAB17", 7, "00184A", "AOL TIME WARNER INC")
_PRICES = [
    (_JUN08, "00184AAB", date(2008, 6, 30), 99.5, 1.25, 0.0),
    (_JUL08, "00184AAB", date(2008, 7, 31), 0.0, None, None),
]

EXPECTED: dict[str, list[tuple[object, ...]]] = {
    "trace.trace_enhanced": [
        (_JUN08, "00184AAB", "00184AAB1", *_REPORT),
        (
            _JUL08,
            "00184AAB",
            "00184AAB1",
            *_REPORT[:2],
            date(2008, 7, 1),
            *_REPORT[3:5],
            "123",
            "X",
            *_REPORT[7:15],
            -1.5,
            *_REPORT[16:],
        ),
    ],
    "fisd.fisd_mergedissue": [
        (_JAN26, 3, None, None, *_NAMED, *_TERMS[:3], None, _TERMS[4], None, *_TERMS[6:]),
        (_APR01, 1, "00184AAB", "00184AAB1", *_NAMED, *_TERMS),
        (_APR01, 2, "00206RJR", "00206RJR2", *_NAMED, *_TERMS[:5], None, *_TERMS[6:]),
    ],
    "fisd.fisd_mergedissuer": [(_JAN26, 7, "AOL TIME WARNER INC", "1", "USA")],
    "fisd.fisd_issue_default": [
        (_JUN08, 1, date(2008, 6, 16), "start", None),
        (date(2009, 1, 1), 1, date(2008, 6, 16), "end", date(2009, 1, 5)),
        (date(2010, 3, 1), 1, date(2010, 3, 1), "start", None),
        (date(2010, 3, 1), 2, date(2010, 3, 2), "start", None),
    ],
    "fisd.fisd_ratings": [
        (_JUN08, 1, "MR", date(2008, 6, 2), "Baa1", 0),
        (_JUN08, 1, "SPR", date(2008, 6, 2), "BBB", 0),
        (_JUN08, 1, "SPR", date(2008, 6, 2), "BBB+", 1),
        (_JUL08, 1, "SPR", date(2008, 7, 9), "NR", 0),
    ],
    "fisd.fisd_amt_out_hist": [
        (_APR01, 1, date(2001, 4, 11), "I", None, 1000.0, 0),
        (_JUN08, 1, date(2008, 6, 16), "P", 12, 500.0, 0),
        (_JUN08, 1, date(2008, 6, 16), "P", None, 900.0, 1),
    ],
    "bonds.lehman": _PRICES,
    "bonds.mergent": _PRICES,
    "bonds.datastream": _PRICES,
    "bonds.recovery": [(_JUN08, "00184AAB", date(2008, 6, 16), 41.5)],
    "wrdsapps.bondcrsp_link": [
        (_APR01, "00184AAB", date(2001, 4, 11), 10107, 8048, "start", None),
        (_JUN08, "00184AAB", date(2001, 4, 11), 10107, None, "end", date(2008, 6, 16)),
        (_JUN08, "00184AAB", date(2008, 6, 17), 10108, 8049, "start", None),
        (_JUN08, "00184AAB", date(2008, 6, 17), 10109, 8049, "start", None),
    ],
}


def typed(stem: str) -> pl.DataFrame:
    """The sample as a typed export holds it: dates and times of day as such, numbers as numbers."""
    (tabular,) = (one for one in TABULARS if one.stem == stem)
    kinds = {column.name: column.kind for column in tabular.columns}
    frame = SAMPLES[stem]
    return frame.with_columns(
        *(pl.col(name).str.to_date() for name, kind in kinds.items() if kind == "date"),
        *(pl.col(name).str.to_time() for name, kind in kinds.items() if kind == "time"),
        *(pl.col(name).cast(pl.Float64) for name, kind in kinds.items() if kind == "number"),
    )
