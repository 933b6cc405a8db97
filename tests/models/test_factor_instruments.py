"""Which series the factors of conditional models are functions of."""

from __future__ import annotations

import itertools
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


STANDS_IN = "q_eg for hml_devil"


@pytest.mark.parametrize(
    ("late", "expected", "noted"),
    [
        # Not there when samples begin: its stand-in is taken for good, though it comes later.
        ({"hml_devil": [None, None, 0.5, None]}, [0.1, 0.2, 0.3, 0.4], [STANDS_IN] * 4),
        # There when samples begin: no stand-in, though it ends.
        ({"hml_devil": [0.5, 0.6, None, None]}, [0.5, 0.6, None, None], [None] * 4),
        # Samples begin with another series, in the second month, and it is there by then.
        ({"hml_devil": [None, 0.6, 0.7, 0.8], "q_roe": [None, 0.1, 0.1, 0.1]}, [None, 0.6, 0.7, 0.8], [None] * 4),
        ({"hml_devil": [None, None, 0.7, 0.8], "q_roe": [None, 0.1, 0.1, 0.1]}, [None, 0.2, 0.3, 0.4],
         [None, *[STANDS_IN] * 3]),
        # The stand-in begins no earlier.
        ({"hml_devil": [None, 0.6, 0.7, 0.8], "q_eg": [None, 0.2, 0.3, 0.4]}, [None, 0.6, 0.7, 0.8], [None] * 4),
    ],
)  # fmt: skip
def test_another_stands_in_where_the_series_begins_late_and_is_named(
    late: dict[str, list[float | None]], expected: list[float | None], noted: list[str | None]
) -> None:
    found = factor_instruments(_series(**{"q_eg": [0.1, 0.2, 0.3, 0.4]} | late), MONTHS, EMPIRICAL)
    assert found["hml_devil"].to_list() == expected
    assert found["stand_in"].to_list() == noted


def test_no_sample_mixes_the_two_and_no_month_depends_on_later_ones() -> None:
    """Every pattern of missing months of the series and its stand-in, another begins in any month."""
    patterns = list(itertools.product((True, False), repeat=3))
    for own, other, first in itertools.product(patterns, patterns, range(3)):
        columns = {
            "hml_devil": [1.0 + t if there else None for t, there in enumerate(own)],
            "q_eg": [11.0 + t if there else None for t, there in enumerate(other)],
            "q_roe": [0.1 if t >= first else None for t in range(3)],
        }
        series = _series().head(3).with_columns(pl.Series(name, values, pl.Float64) for name, values in columns.items())
        found = factor_instruments(series, MONTHS[:3], EMPIRICAL)
        begun = instrument_series(found, EMPIRICAL.names, MONTHS[:3]).n_before
        used = found[begun:]["hml_devil"].drop_nulls()
        assert (used > 10.0).all() or (used < 10.0).all(), columns
        assert found["stand_in"].is_not_null().to_list() == (found["hml_devil"].fill_null(0.0) > 10.0).to_list()
        for count in (1, 2):
            assert factor_instruments(series.head(count), MONTHS[:count], EMPIRICAL).equals(found.head(count)), columns


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
    with pytest.raises(ValueError, match="'q_eg'"):
        factor_instruments(_series().drop("q_eg"), MONTHS, EMPIRICAL)


def test_series_and_months_that_are_not_there_are_named():
    table = pl.DataFrame({"month": [date(2001, 1, 1), date(2001, 2, 1)], "mkt_rf": [0.01, 0.02]})
    with pytest.raises(ValueError, match=r"\['umd'\] are not in the table, which has \['month', 'mkt_rf'\]"):
        instrument_series(table, ["mkt_rf", "umd"], [date(2001, 1, 1)])
    with pytest.raises(ValueError, match="named by its first day"):
        instrument_series(table, ["mkt_rf"], [date(2001, 1, 31), date(2001, 2, 28)])
