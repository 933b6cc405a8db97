from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.macro.french import MONTHLY_FACTORS, french_factors, french_factors_daily
from pipeline.panel.calendar import month_range

MONTHS = month_range(date(2019, 1, 1), date(2020, 12, 1))


def _table(seed: int, *columns: str, until: date = MONTHS[-1]) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    months = [m for m in MONTHS if m <= until]
    return pl.DataFrame({"month": months, **{c: rng.normal(0.5, 4, len(months)).round(2) for c in columns}})


@pytest.fixture
def tables() -> dict[str, pl.DataFrame]:
    return {
        "french.factors_3": _table(1, "mkt_rf", "smb", "hml", "rf", until=date(2020, 6, 1)),
        "french.factors_5": _table(2, "mkt_rf", "smb", "hml", "rmw", "cma", "rf"),
        "french.momentum": _table(3, "wml"),
        "factors.q": _table(4, "r_f", "r_mkt", "r_me", "r_ia", "r_roe", "r_eg"),
        "factors.liquidity": _table(5, "agg_liq", "innov_liq", "traded_liq"),
        "factors.intermediary": _table(6, "intermediary_capital_ratio", "intermediary_capital_risk_factor"),
        "factors.hml_devil": _table(7, "hml_devil"),
    }


def _value(frame: pl.DataFrame, month: date, column: str) -> float:
    return frame.filter(pl.col("month") == month)[column].item()


def test_percent_becomes_decimal_and_published_decimals_stay(tables: dict[str, pl.DataFrame]) -> None:
    out = french_factors(tables, MONTHS)
    m = date(2019, 5, 1)
    assert _value(out, m, "mkt_rf") == _value(tables["french.factors_3"], m, "mkt_rf") / 100
    assert _value(out, m, "mkt") == _value(out, m, "mkt_rf") + _value(out, m, "rf")
    assert _value(out, m, "smb_5") == _value(tables["french.factors_5"], m, "smb") / 100
    assert _value(out, m, "q_roe") == _value(tables["factors.q"], m, "r_roe") / 100
    assert _value(out, m, "liq_traded") == _value(tables["factors.liquidity"], m, "traded_liq")
    risk = _value(tables["factors.intermediary"], m, "intermediary_capital_risk_factor")
    assert _value(out, m, "intermediary") == risk
    assert set(out.columns) == {"month", "mkt", *MONTHLY_FACTORS}


def test_five_factors_continue_a_file_of_three_that_ended_but_not_its_size_factor(
    tables: dict[str, pl.DataFrame],
) -> None:
    out = french_factors(tables, MONTHS)
    m = date(2020, 7, 1)
    for column in ("mkt_rf", "hml", "rf"):
        assert _value(out, m, column) == _value(tables["french.factors_5"], m, column) / 100
    assert _value(out, m, "smb") is None
    assert _value(out, m, "smb_5") is not None


def test_absent_tables_leave_nulls_and_every_month_its_row() -> None:
    out = french_factors({}, MONTHS)
    assert out["month"].to_list() == MONTHS
    assert out.drop("month").null_count().sum_horizontal().item() == len(MONTHS) * (len(out.columns) - 1)


def test_monthly_factors_keep_the_promise(tables: dict[str, pl.DataFrame], check_promise) -> None:
    check_promise(french_factors, tables, [MONTHS[0], MONTHS[7], date(2020, 6, 1), date(2020, 7, 1)])


def test_two_rows_of_one_month_are_refused(tables: dict[str, pl.DataFrame]) -> None:
    twice = pl.concat([tables["french.momentum"], tables["french.momentum"][:1]])
    with pytest.raises(ValueError, match="twice"):
        french_factors({"french.momentum": twice}, MONTHS)


def test_daily_factors(daily, check_promise) -> None:
    staged = daily(date(2019, 1, 1), date(2019, 4, 30), 1, "mkt_rf", "smb", "hml", "rf")
    tables = {"french.factors_3_daily": staged}
    out = french_factors_daily(tables, [date(2019, 2, 1), date(2019, 3, 1), date(2025, 1, 1)])
    expected = staged.filter(pl.col("month").is_in([date(2019, 2, 1), date(2019, 3, 1)]))
    assert out["date"].to_list() == expected["date"].to_list()
    assert out["hml"].to_list() == [v / 100 for v in expected["hml"]]
    one_day = {"french.factors_3_daily": expected[3:4]}
    assert french_factors_daily(one_day, [date(2019, 2, 1)]).equals(out[3:4])
    assert out.columns == ["month", "date", "mkt_rf", "smb", "hml", "rf"]
    assert french_factors_daily({}, [date(2019, 2, 1)]).shape == (0, 6)
    check_promise(french_factors_daily, tables, [date(2019, 1, 1), date(2019, 3, 1)])
