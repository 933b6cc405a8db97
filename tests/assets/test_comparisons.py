"""All forecasts of a market in one comparison: from when on, of what, and without what is not there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets import comparisons, schemas
from assets.all import MONTHLY_ASSETS
from assets.building import MonthlyAsset, Workshop
from assets.reads import Rows
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.evaluation.forecasts import ComparisonSettings
from pipeline.panel.calendar import month_range, shift
from pipeline.sdf.tables import WEIGHTS_SCHEMA
from resources.home import Home
from resources.settings import Settings

MONTHS = month_range(date(2020, 1, 1), date(2020, 9, 1))
MOMENTS = next(asset for asset in comparisons.ASSETS if asset.name == "bond_forecast_moments")
ISINS = [f"b{i}" for i in range(8)]
#: Months of prices that each source needs.
BEGINS = {"bond_returns": 1, "bond_factor_forecasts": 3, "bond_sdf": 5, "bond_tree_forecasts": 2}
#: Models of each source.
MODELS = {
    "bond_factor_forecasts": {("zero", 0), ("rdcfm", 2)},
    "bond_sdf": {("sdf_sharpe_full", 1), ("sdf_gan_no_macro", 1)},
    "bond_tree_forecasts": {("xgboost", 0)},
}


def _draws(name: str, month: date) -> np.random.Generator:
    return np.random.default_rng([*name.encode(), month.toordinal()])


def _returns(month: date) -> pl.DataFrame:
    drawn = 0.05 * _draws("returns", month).normal(size=len(ISINS))
    return pl.DataFrame({"month": month, "isin": ISINS, "ret": drawn, "ret_excess": drawn}).with_columns(
        sector=pl.lit("x"), value_start=1.0, source=pl.lit("index")
    )


def _forecasts(month: date, models: set[tuple[str, int]]) -> pl.DataFrame:
    blocks = [
        pl.DataFrame({"asset_id": ISINS, "forecast": 0.01 * _draws(model, month).normal(size=len(ISINS))}).select(
            pl.lit(month).alias("month"), pl.lit(shift(month, 1)).alias("target_month"),
            pl.lit(model).alias("model"), pl.lit(K, pl.Int64).alias("n_factors"), "asset_id", "forecast",
        )
        for model, K in sorted(models)
    ]  # fmt: skip
    return pl.concat(blocks)


def _weights(month: date) -> pl.DataFrame:
    """The networks' forecasts as their asset has them."""
    named = pl.col("model").str.splitn("_", 3).struct
    frame = _forecasts(month, MODELS["bond_sdf"]).with_columns(
        objective=named.field("field_1"), environment=named.field("field_2"), weight=0.1
    )
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in WEIGHTS_SCHEMA.items() if name not in frame.columns]
    return frame.with_columns(absent).select(list(WEIGHTS_SCHEMA))


_MAKERS: dict[str, tuple[schemas.SchemaOf, Callable[[date], pl.DataFrame]]] = {
    "bond_returns": (schemas.bond_returns, _returns),
    "bond_factor_forecasts": (
        schemas.factor_forecasts,
        lambda month: _forecasts(month, MODELS["bond_factor_forecasts"]),
    ),
    "bond_sdf": (schemas.sdf_weights, _weights),
    "bond_tree_forecasts": (schemas.factor_forecasts, lambda month: _forecasts(month, MODELS["bond_tree_forecasts"])),
}


def _source(name: str, ticker: str = "VIX") -> MonthlyAsset:
    schema, make = _MAKERS[name]
    return MonthlyAsset(
        name=name,
        group="g",
        description="d",
        schema=schema,
        reads=lambda settings: {"x": Rows(source=f"prices.{ticker}", spine=True, history=BEGINS[name])},
        compute=lambda inputs, months, settings: pl.concat(make(month) for month in months),
    )


def _shop(folder: Path, **tickers: str) -> Workshop:
    lines = ["Price,Adj Close,Close,High,Low,Open,Volume", "Ticker" + ",VIX" * 6, "Date" + "," * 6]
    lines += [f"{month.replace(day=28)},1,1,1,1,1,0" for month in MONTHS]
    (folder / "extracts" / "prices").mkdir(parents=True, exist_ok=True)
    (folder / "extracts" / "prices" / "VIX.csv").write_text("\n".join(lines) + "\n")
    sources = [_source(name, tickers.get(name, "VIX")) for name in _MAKERS]
    return Workshop([*sources, MOMENTS], Home(folder))


def _build(shop: Workshop, names: list[str], months: list[date]) -> None:
    shop.refresh(names)
    for name in names:
        list(shop.build(name, months))


def _moments(shop: Workshop) -> pl.DataFrame:
    return shop.home.lake.scan(MOMENTS.name, shop.home.lake.months(MOMENTS.name)).collect()


def _models(frame: pl.DataFrame, month: date) -> set[tuple[str, int]]:
    return set(frame.filter(month=month).select("model_a", "n_factors_a").iter_rows())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pl.DataFrame:
    shop = _shop(tmp_path_factory.mktemp("whole"))
    _build(shop, [*_MAKERS, MOMENTS.name], MONTHS)
    # The month after the first forecast of any source.
    assert shop.origin(MOMENTS.name) == MONTHS[2]
    return _moments(shop)


def test_a_month_has_the_forecasts_that_are_there(whole) -> None:
    factors, networks, trees = MODELS.values()
    assert whole["month"].unique().sort().to_list() == MONTHS[2:]
    assert _models(whole, MONTHS[2]) == trees
    assert _models(whole, MONTHS[3]) == trees | factors
    assert all(_models(whole, month) == trees | factors | networks for month in MONTHS[5:])


def test_they_are_the_moments_of_all_forecasts_in_one_table(whole) -> None:
    made = [
        _forecasts(month, models)
        for name, models in MODELS.items()
        for month in MONTHS[BEGINS[name] - 1 :]
    ]  # fmt: skip
    returns = pl.concat(_returns(month) for month in MONTHS)
    assert whole.equals(forecast_moments(pl.concat(made), returns, MONTHS))


def test_month_by_month_is_the_range(whole, tmp_path) -> None:
    shop = _shop(tmp_path)
    for month in MONTHS:
        _build(shop, [*_MAKERS, MOMENTS.name], [month])
    assert _moments(shop).equals(whole)


def test_what_has_no_files_is_left_out(whole, tmp_path) -> None:
    shop = _shop(tmp_path, bond_sdf="SPY", bond_tree_forecasts="SPY")
    assert shop.lacking("bond_sdf")
    assert not shop.lacking(MOMENTS.name)
    _build(shop, ["bond_returns", "bond_factor_forecasts", MOMENTS.name], MONTHS)
    alone = _moments(shop)
    assert alone["month"].unique().sort().to_list() == MONTHS[3:]
    kept = pl.col("model_a", "model_b").is_in(["zero", "rdcfm"])
    # Sums over assets are products of matrices, whose columns may be added in another order.
    peer = whole.filter(pl.all_horizontal(kept))
    assert_frame_equal(alone, peer, abs_tol=0.0, rel_tol=1e-12)
    bare = _shop(tmp_path / "bare", **dict.fromkeys(MODELS, "SPY"))
    assert bare.lacking(MOMENTS.name)


def test_every_source_is_an_asset_of_forecasts() -> None:
    schemas_of = {asset.name: asset.schema for asset in MONTHLY_ASSETS}
    for comparison in comparisons.COMPARISONS:
        for source in comparison.sources:
            networks = source.asset.endswith("_sdf")
            assert schemas_of[source.asset] is (schemas.sdf_weights if networks else schemas.factor_forecasts)
        assert comparison.returns in schemas_of


def test_learned_forecasts_can_be_left_out() -> None:
    settings = Settings(comparisons=ComparisonSettings(leave_out=("networks", "trees")))
    read = {each.source for each in MOMENTS.reads(settings).values()}
    assert read == {"bond_returns", "bond_factor_forecasts"}
    with pytest.raises(ValueError, match=r"leave_out names \['sdf'\]"):
        ComparisonSettings(leave_out=("sdf",))
