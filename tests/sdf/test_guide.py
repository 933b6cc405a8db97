"""The code of the guide runs on three tables as it describes them."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.panel.calendar import shift
from pipeline.simulation.sdf_market import SdfMarketSettings, simulate_sdf_market

GUIDE = Path(__file__).parents[2] / "docs" / "sdf.md"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    panel = simulate_sdf_market(SdfMarketSettings(n_months=60, fewest=20, most=30, seed=1)).panel
    known = [shift(month, -1) for month in panel.months]
    of_row = panel.date_of_row
    keys = {"isin": panel.assets}
    own = dict(zip(panel.names, panel.features.T, strict=True))
    shared = dict(zip(panel.macro_names, panel.macro.T, strict=True))
    frames = {
        "characteristics": {"month": [known[place] for place in of_row], **keys, **own},
        "returns": {"month": [panel.months[place] for place in of_row], **keys, "ret_excess": panel.returns},
        "macro": {"month": known, **shared},
    }
    for name, columns in frames.items():
        pl.DataFrame(columns).fill_nan(None).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_the_code_of_the_guide_runs(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S))
    (tables / "guide.py").write_text(code)
    monkeypatch.chdir(tables)
    left = runpy.run_path("guide.py")
    assert left["panel"].months == tuple(pl.read_parquet("returns.parquet")["month"].unique().sort())
    assert len(left["training"].months) + len(left["validation"].months) + len(left["test"].months) == 60
    assert len(left["found"].scores) == 4
    # Row by row what is held in a month is told by its own rows alone.
    test = left["test"]
    first = test.between(test.months[0], test.months[0])
    assert np.array_equal(left["model"].weights(test)[: len(first.assets)], left["model"].weights(first))
    assert left["measured"].n_months == len(test.months)
