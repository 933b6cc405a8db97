"""FRED-MD's vintage of 2023-01 against published statistics of its transformed series, 1973-02 to 2020-09.

The statistics come from an earlier vintage, so that revised series differ: CUMFNS, HWI, UEMPMEAN, CLAIMSx and ANDENOx
do by more than the rounding of the table. MZMSL and VXOCLSx, in the table, had left FRED-MD by 2023-01.
"""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.extracts import fred_md as reader
from pipeline.extracts.reading import read_rows
from pipeline.macro.fred_md import FredMdSettings, VintagePanel, fred_md, vintage_panel
from pipeline.macro.macro_factors import MacroFactorSettings, macro_factors

SHARED = Path(__file__).resolve().parents[3] / "shared"
FILE = SHARED / "data" / "fred_md" / "2023-01.csv"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the public data of ../shared/data are not here")

STATISTICS = ("mean", "std", "median", "p25", "p75")
REVISED = {"CUMFNS", "HWI", "UEMPMEAN", "CLAIMSx", "ANDENOx"}


@pytest.fixture(scope="module")
def staged() -> pl.DataFrame:
    return reader.read(FILE, read_rows(FILE))["fred_md.2023-01"]


@pytest.fixture(scope="module")
def panel(staged: pl.DataFrame) -> VintagePanel:
    return vintage_panel("2023-01", staged)


def _differs(values: np.ndarray, published: dict[str, float]) -> bool:
    ours = {
        "mean": values.mean(),
        "std": values.std(ddof=1),
        "median": np.median(values),
        "p25": np.quantile(values, 0.25),
        "p75": np.quantile(values, 0.75),
    }
    return any(abs(ours[s] - published[s]) > 0.0011 + 0.02 * abs(published[s]) for s in STATISTICS)


def test_transformed_series_reproduce_the_published_statistics(panel: VintagePanel) -> None:
    table = pl.read_csv(SHARED / "spec" / "fred_md_transformed_stats.csv").to_dicts()
    window = slice(panel.months.index(date(1973, 2, 1)), panel.months.index(date(2020, 9, 1)) + 1)
    rows = {row["series"]: row for row in table if row["series"] in panel.series}
    assert len(rows) == 124
    differing = set()
    for name, row in rows.items():
        values = panel.values[window, panel.series.index(name)]
        values = values[np.isfinite(values)]
        # Series that start or pause inside the window are counted in the table as if they didn't.
        assert len(values) <= row["count"] == 572
        if _differs(values, row):
            differing.add(name)
    assert differing == REVISED
    assert len(rows) - len(differing) == 119


def test_codes_of_the_file_are_those_of_the_list(panel: VintagePanel) -> None:
    listed = pl.read_csv(SHARED / "spec" / "fred_md_tcodes.csv")
    codes = dict(zip(panel.series, panel.tcodes.tolist(), strict=True))
    shared = {name: code for name, code in listed.select("series", "tcode").iter_rows() if name in codes}
    assert {name: codes[name] for name in shared} == shared


def test_the_registry_of_lags_is_the_ragged_edge_of_the_vintage(staged: pl.DataFrame) -> None:
    newest = staged.filter(pl.col("value").is_not_null()).group_by("series").agg(pl.col("month").max())
    edge = {name: 12 * (2023 - m.year) + 1 - m.month for name, m in newest.iter_rows()}
    settings = FredMdSettings()
    assert len(edge) == 127
    assert edge.keys() <= settings.lags.keys()
    assert {name: settings.lag(name) for name in edge} == edge


def test_its_own_month_sees_the_last_value_of_each_series(staged: pl.DataFrame, panel: VintagePanel) -> None:
    out = fred_md({"2023-01": staged}, [date(2023, 1, 1)])
    assert len(out) == 127
    last = {n: panel.values[np.isfinite(panel.values[:, k]), k][-1] for k, n in enumerate(panel.series)}
    assert dict(out.select("series", "value").iter_rows()) == last


def test_macro_factors_of_the_vintage(staged: pl.DataFrame) -> None:
    out = macro_factors({"2023-01": staged}, [date(2020, 1, 1), date(2023, 1, 1)], MacroFactorSettings())
    assert out["converged"].to_list() == [True, True]
    assert out["n_series"].to_list() == [127, 127]
    assert out["reference_month"].to_list() == [date(2019, 12, 1), date(2022, 12, 1)]
    # McCracken and Ng (2016) find eight factors with PC_p2, the first with 15 to 18% of the variation.
    assert out["n_bai_ng"].to_list() == [8, 8]
    assert out["explained_1"].is_between(0.14, 0.19).all()
    assert out.select(pl.sum_horizontal(f"explained_{k}" for k in range(1, 9)).is_between(0.4, 0.6).all()).item()
