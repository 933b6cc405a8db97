"""Which series the factors of conditional models are functions of."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from pipeline.models.factor_instruments import (
    INSTRUMENTS,
    FactorInstrumentSettings,
    factor_instruments,
    instrument_series,
)

MONTHS = [date(2001, month, 1) for month in range(1, 5)]
EMPIRICAL = FactorInstrumentSettings()


def _series(**columns: list[float | None]) -> pl.DataFrame:
    base = {name: [0.01 * (k + t) for t in range(4)] for k, name in enumerate((*INSTRUMENTS["empirical"], "q_eg"))}
    return pl.DataFrame({"month": MONTHS, **base, **columns})


def test_the_ten_come_in_their_order() -> None:
    found = factor_instruments(_series(), MONTHS, EMPIRICAL)
    assert found.columns == ["month", *INSTRUMENTS["empirical"], "stand_in"]
    assert found["stand_in"].null_count() == 4


def test_another_stands_in_until_the_series_is_there_and_is_named() -> None:
    series = _series(hml_devil=[None, None, 0.5, None], q_eg=[0.1, 0.2, 0.3, 0.4])
    found = factor_instruments(series, MONTHS, EMPIRICAL)
    assert found["hml_devil"].to_list() == [0.1, 0.2, 0.5, None]
    assert found["stand_in"].to_list() == ["q_eg for hml_devil", "q_eg for hml_devil", None, None]


def test_later_rows_change_nothing_and_no_month_is_lost() -> None:
    series = _series(hml_devil=[None, None, None, 0.5])
    for count in range(1, 5):
        alone = factor_instruments(series.head(count), MONTHS[:count], EMPIRICAL)
        assert alone.equals(factor_instruments(series, MONTHS, EMPIRICAL).head(count))
    holes = factor_instruments(series.tail(3), MONTHS, EMPIRICAL)
    assert holes["month"].to_list() == MONTHS
    assert holes["mkt_rf"][0] is None


def test_as_arrays_a_series_may_begin_late() -> None:
    series = instrument_series(_series(smb=[None, 0.2, 0.3, 0.4]), ["mkt_rf", "smb"], tuple(MONTHS))
    assert series.n_before == 1
    with pytest.raises(ValueError, match="smb of 2001-01 is missing"):
        series.complete()


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no such"):
        FactorInstrumentSettings(source="no such")
    with pytest.raises(ValueError, match="'q_roe'"):
        factor_instruments(_series().drop("q_roe"), MONTHS, EMPIRICAL)
