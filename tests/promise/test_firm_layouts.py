"""One simulated history in CRSP's two layouts gives one firm panel; what differs is written here, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_series_equal
from promise import END, Factory, build

from pipeline.equity.delisting import PROFILES
from pipeline.equity.returns import stock_returns
from pipeline.equity.settings import StockReturnsSettings
from pipeline.panel.calendar import month_range
from pipeline.simulation.market import simulate
from resources.home import Home

# One worker builds the home in the other layout.
pytestmark = pytest.mark.xdist_group("firm layouts")

KEYS = ["month", "permno"]
VENDORS = ("crsp", "crsp_daily", "ccm", "compustat", "french")
UPSTREAM = ("stock_returns", "stock_daily_characteristics", "compustat_history")
# Five of the twelve years are enough, since their windows reach back through all of them.
PANEL = month_range(date(2021, 11, 1), END)


@pytest.fixture(scope="module")
def ciz(factory: Factory) -> Home:
    """The history of `baseline`, its stock files in the CIZ layout."""
    home = factory.home("ciz", simulate("tiny", end=END, layout="ciz", vendors=VENDORS).tables)
    build(home, END, names=UPSTREAM)
    build(home, END, first=PANEL[0], names=["firm_characteristics"])
    return home


# Delisting codes of the SIZ layout and the reasons of the CIZ layout, from CRSP's table of both.
REASONS = {
    231: "UNAV", 233: "UNAV", 241: "UNAV", 251: "UNAV", 510: "MVB", 516: "MVPAC", 520: "MVOT", 551: "SHLD",
    560: "INSC", 574: "BKPY", 580: "DELQ",
}  # fmt: skip
OF_THE_ROW = {"date": "mthcaldt", "shrout": "shrout", "cfacpr": "mthcumfacpr", "cfacshr": "mthcumfacshr"}


@dataclass(frozen=True)
class Difference:
    """A column of ``crsp_monthly`` that the layouts do not agree on.

    ``where`` says in exactly which rows, in terms of the SIZ layout's; ``ciz`` what the CIZ layout has there, in terms
    of the SIZ layout's and, with the suffix ``_vendor``, of the file in the CIZ layout.
    """

    reason: str
    where: pl.Expr
    ciz: pl.Expr


def _with_delisting(column: str) -> Difference:
    ret, dlret = pl.col(column), pl.col("dlret")
    return Difference(
        "the return of the CIZ layout has the delisting return in it",
        # One of zero, when shares are exchanged for others, leaves the return as it is.
        pl.col("delisted") & (dlret != 0.0),
        pl.coalesce((1.0 + ret) * (1.0 + dlret) - 1.0, dlret),
    )


def _of_the_row(column: str) -> Difference:
    return Difference(
        "in the CIZ layout a delisting month without trading has a row where the delisting return is known; ours, for "
        "the SIZ layout, knows no more than the day",
        pl.col("delisted") & pl.col("dlret").is_not_null() & pl.col("retx").is_null() & pl.col("shrout").is_null(),
        pl.col(f"{column}_vendor"),
    )


DIFFERENCES: dict[str, Difference] = {
    "layout": Difference("its name", pl.lit(True), pl.lit("ciz")),
    "ret": _with_delisting("ret"),
    "retx": _with_delisting("retx"),
    "dlstcd": Difference(
        "the reasons of the CIZ layout tell the codes of securities that were dropped, not those of mergers",
        pl.col("dlstcd") < 500,
        pl.lit(None, dtype=pl.Int64),
    ),
    "delreason": Difference(
        "the SIZ layout has codes and no words", pl.col("delisted"), pl.col("dlstcd").replace_strict(REASONS)
    ),
    "exchange": Difference(
        "trading that is halted or elsewhere has a letter in the CIZ layout",
        pl.col("exchange").is_null() & pl.col("comnam").is_not_null(),
        pl.lit("X"),
    ),
    **{column: _of_the_row(column) for column in OF_THE_ROW},
}


@pytest.fixture(scope="module")
def both(baseline: Home, ciz: Home) -> pl.DataFrame:
    """Rows of the two layouts side by side, those of CIZ and of its file with their suffixes."""
    frames = [home.lake.read_all("crsp_monthly") for home in (baseline, ciz)]
    assert frames[0].select(KEYS).equals(frames[1].select(KEYS))
    vendor = ciz.extracts.scan("crsp.msf_v2").collect()
    vendor = vendor.select(*KEYS, *(pl.col(name).alias(f"{column}_vendor") for column, name in OF_THE_ROW.items()))
    rows = frames[0].join(frames[1], on=KEYS, suffix="_ciz", maintain_order="left")
    return rows.join(vendor, on=KEYS, how="left", maintain_order="left")


def _unequal(column: str) -> pl.Expr:
    return pl.col(column).ne_missing(pl.col(f"{column}_ciz"))


def test_nothing_else_differs(both):
    columns = [name.removesuffix("_ciz") for name in both.columns if name.endswith("_ciz")]
    assert len(columns) == 23
    differ = {column for column in columns if both.select(_unequal(column).any()).item()}
    assert differ == set(DIFFERENCES)


@pytest.mark.parametrize("column", DIFFERENCES)
def test_difference(both, column):
    expected = DIFFERENCES[column]
    rows = both.with_columns(where=expected.where.fill_null(False))
    assert rows.filter(_unequal(column)).select(KEYS).equals(rows.filter("where").select(KEYS)), expected.reason
    differing = rows.filter("where")
    assert differing.height >= 2
    right = differing.with_columns(right=expected.ciz)["right"]
    found = differing[f"{column}_ciz"]
    assert_series_equal(found, right, check_names=False, check_dtypes=False, rel_tol=1e-12, abs_tol=1e-12)


def test_delistings_have_the_same_month_and_return(both):
    delisted = both.filter("delisted")
    assert delisted.height >= 20
    assert delisted["dlret"].null_count() >= 10
    # A code is there in both layouts wherever a profile puts something in the place of a missing return.
    dropped = delisted.filter(pl.col("dlstcd") >= 500)
    assert dropped["dlstcd"].equals(dropped["dlstcd_ciz"].rename("dlstcd"))


@pytest.mark.parametrize(
    "asset",
    [
        "stock_returns",
        "crsp_daily",
        "stock_weekly_returns",
        "stock_daily_characteristics",
        "firm_links",
        "compustat_annual",
        "compustat_quarterly",
        "firm_characteristics",
    ],
)
def test_the_same_to_the_last_bit(baseline, ciz, asset):
    """Returns and characteristics do not know which layout they come from."""
    months = PANEL if asset == "firm_characteristics" else baseline.lake.months(asset)
    assert months == ciz.lake.months(asset)
    frames = [home.lake.scan(asset, months).collect() for home in (baseline, ciz)]
    assert frames[0].height > 0
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_returns_of_all_securities(baseline, ciz, profile):
    """Whatever a profile puts in the place of missing delisting returns, and inside and outside the universe."""
    settings, factors = StockReturnsSettings(delisting=profile), baseline.lake.read_all("french_factors")
    months = baseline.lake.months("stock_returns")
    frames = [
        stock_returns(home.lake.read_all("crsp_monthly").with_columns(in_universe=True), factors, months, settings)
        for home in (baseline, ciz)
    ]
    assert frames[0].equals(frames[1])
    assert frames[0].height > baseline.lake.read_all("stock_returns").height
