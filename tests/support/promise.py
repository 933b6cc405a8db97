"""A tiny simulated market in many versions, and homes in which every monthly asset is built from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.history import known_day, open_ends
from pipeline.simulation.layouts import INTERVAL_ENDS, date_column, write_extracts
from resources.home import Home

END = date(2026, 10, 1)
EARLY = date(2021, 3, 1)
"""A month after which most of the market's bond months lie, before any model of bonds is estimated."""
INDEX = "bonds.index_constituents"
# So that everything is estimated in a market of 84 months and eleven macro series, and cheaply. Stocks have enough
# characteristics from July 2017 on, so that the three stock models are estimated from March 2026 on.
SETTINGS = """
[macro_factors]
n_factors = 2
min_months = 40
min_series = 5
[bond_ipca]
n_factors = 1
min_months = 40
[bond_ipca_intercept]
n_factors = 1
min_months = 40
[stock_models]
min_present = 0.7
[stock_ipca]
n_factors = 1
min_months = 105
starts = 2
[bond_factor_models]
n_factors = [1, 2]
min_months = 75
refit_months = 3
starts = 1
max_iterations = 10
asset_months = 24
[stock_factor_models]
n_factors = [1]
min_months = 105
refit_months = 3
starts = 1
max_iterations = 10
asset_months = 24
[portfolio_factor_models]
n_factors = [1]
min_months = 120
refit_months = 3
starts = 1
max_iterations = 10
[cochrane_piazzesi]
longest = 3
min_months = 48
[linear_sdf]
sizes = [2]
min_months = 68
refit_months = 4
counted_most = [4]
[predictive_regressions]
min_months = 66
refit_months = 6
[regimes]
n_states = [2]
min_months = 66
refit_months = 6
start_months = 12
n_starts = 2
[bond_portfolio_trees]
min_months = 72
search_months = 4
[bond_portfolio_trees.trees]
depths = [2]
learning_rates = [0.1]
max_rounds = 5
[bond_trees]
min_months = 78
search_months = 3
[bond_trees.trees]
depths = [1]
learning_rates = [0.1]
max_rounds = 5
""" + "".join(
    f"""
[{market}_sdf]
objectives = [{objectives}]
environments = ["{environment}"]
min_months = {months}
search_months = 3
epochs = 1
ensemble = [1]
[{market}_sdf.grid]
architectures = [{architectures}]
batch_sizes = [1024]
rates = [0.005]
l1 = [0.0]
l2 = [0.01]
[{market}_sdf.beta_grid]
architectures = ["elastic_net"]
batch_sizes = [1024]
rates = [0.001]
l1 = [0.0]
l2 = [0.0]
"""
    for market, objectives, environment, months, architectures in (
        ("bond_portfolio", '"mispricing", "gan"', "full", 69, '"shallow", "elastic_net"'),
        ("bond", '"sharpe"', "no_financials", 75, '"shallow"'),
        ("stock", '"sharpe"', "no_macro", 135, '"elastic_net"'),
    )
)
SETTINGS += """
[bond_portfolio_sdf.gan]
unconditional_epochs = 1
moment_epochs = 1
weight_epochs = 1
ensemble = [1]
[bond_portfolio_sdf.gan.grid]
architectures = ["joined"]
batch_sizes = [1024]
rates = [0.005]
l1 = [0.0]
l2 = [0.01]
"""

FROM_INDEX = """
[bonds]
bond_source = "index"
"""
INDEX_ASSETS = ("bond_portfolio_characteristics", "bond_ipca_forecasts", "bond_ipca_intercept_forecasts")
"""With what is upstream of them all assets that come out otherwise when the bonds are those of the index extract."""

Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Factory:
    """Makes homes below one folder."""

    folder: Path

    def home(self, name: str, tables: Tables) -> Home:
        """A home whose extracts are ``tables``; call it again with other tables to restate them."""
        folder = self.folder / name
        write_extracts(dict(tables), folder / "extracts")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.toml").write_text(SETTINGS)
        return Home(folder)

    def copy(self, home: Home, name: str, assets: Iterable[str] | None = None) -> Home:
        """A home with the extracts of another one and the partitions of its assets, all or the named ones.

        What the pipeline writes it moves into place, so that partitions and states can be links; extracts are written
        over, and locks are their home's own.
        """
        target = self.folder / name
        shutil.copytree(home.extracts_folder, target / "extracts")
        shutil.copy(home.folder / "settings.toml", target)
        parts = [Path(room) for room in ("lake", "models")]
        if assets is not None:
            parts = [room / asset for room in parts for asset in assets]
        for part in (Path("staged"), *parts):
            if (home.folder / part).exists():
                (target / part).parent.mkdir(exist_ok=True)
                _link(str(home.folder / part), str(target / part))
        return Home(target)

    def settings(self, name: str, text: str) -> None:
        """Replace the settings of a home."""
        (self.folder / name / "settings.toml").write_text(text)


def _link(folder: str, target: str) -> None:
    """Make a folder whose files are those of another one; ``shutil.copytree`` takes three times as long."""
    os.mkdir(target)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != ".locks":
                    _link(entry.path, f"{target}/{entry.name}")
            else:
                os.link(entry.path, f"{target}/{entry.name}")


def build(
    home: Home,
    last: date,
    first: date | None = None,
    names: Iterable[str] | None = None,
    rebuild_from: date | None = None,
) -> dict[str, list[date]]:
    """Bring assets, all or the named ones and their upstream, up to date through ``last`` in one range.

    Months from ``rebuild_from`` on are built even if they are up to date. Returns the months built, by asset.
    """
    workshop = Workshop(MONTHLY_ASSETS, home)
    wanted = workshop.buildable() if names is None else workshop.closure(names)
    workshop.refresh(wanted)
    built = {}
    for name in wanted:
        origin = workshop.origin(name)
        months = month_range(max(origin, first or origin), last)
        outcomes = workshop.build(name, months, rebuild_from=rebuild_from)
        built[name] = [each.month for each in outcomes if each.status == "built"]
    return built


def contents(home: Home, last: date | None = None) -> dict[tuple[str, date], str]:
    """Content of every partition up to ``last``."""
    return {
        (asset.name, month): manifest.content
        for asset in MONTHLY_ASSETS
        for month, manifest in home.lake.manifests(asset.name).items()
        if last is None or month <= last
    }


def files(home: Home) -> dict[str, bytes]:
    """Every file of lake and model store, by its path; locks, which hold nothing, left out."""
    return {
        str(path.relative_to(home.folder)): path.read_bytes()
        for folder in (home.folder / "lake", home.folder / "models")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


def later(table: str, frame: pl.DataFrame, month: date) -> pl.Expr:
    """Whether a raw row is dated after ``month``, that is, not yet known at its end."""
    # A row of the index extract shows the end of the month before its date; only its return is of the month itself.
    first_later = shift(month, 2 if table == INDEX else 1)
    return known_day(table) >= first_later


KEYS = {
    "bonds.": {"ISIN", "Cusip", "cusip"},
    "trace.": {"cusip_id"},
    "fisd.": {"issue_id", "issuer_id", "complete_cusip", "issuer_cusip", "isin", "rating_type"},
    "crsp.": {"permno", "permco", "shrcd", "exchcd", "dlstcd", "siccd"},
    "crsp.ccmxpf_lnkhist": {"gvkey", "lpermno", "lpermco", "linktype", "linkprim"},
    "comp.": {"gvkey", "fyr", "fyear", "fyearq", "fqtr", "indfmt", "datafmt", "popsrc", "consol"},
}
"""Columns that identify a row or that a row can't do without, by the beginning of the table's name."""


def changeable(table: str, frame: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Columns of numbers, and of words, whose later values can be others without the file becoming a wrong one."""
    kept = set().union(*(names for kind, names in KEYS.items() if table.startswith(kind)))
    columns = [(name, dtype) for name, dtype in frame.schema.items() if name not in kept]
    numbers = [name for name, dtype in columns if dtype.is_numeric()]
    return numbers, [name for name, dtype in columns if dtype == pl.String]


def with_late_returns(
    table: str, frame: pl.DataFrame, month: date, change: Callable[[pl.Expr], pl.Expr]
) -> pl.DataFrame:
    """Change what becomes known after ``month`` in rows that were known before.

    These are the index returns earned in the month after ``month``, whose rows else belong to ``month``, and the ends
    of names and links that come later: ``change`` maps a return, or the number of days from the end of ``month`` to the
    end of the interval; what it maps to null is not known yet.
    """
    if table in INTERVAL_ENDS:
        return _with_late_ends(table, frame, month, change)
    if table != INDEX:
        return frame
    earned_later = pl.col("Pricing_Date") == shift(month, 1)
    return frame.with_columns(pl.when(earned_later).then(change(pl.col("Return"))).otherwise("Return").alias("Return"))


def _with_late_ends(table: str, frame: pl.DataFrame, month: date, change: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    """Move the ends of intervals after ``month``, none before its start.

    Names that end with the data stay, unless their ends are not known yet: without them the file would be an old one.
    """
    following = shift(month, 1)
    column = pl.col(INTERVAL_ENDS[table])
    lasting = column == column.max() if table == "crsp.msenames" else pl.lit(False)
    days = (column - pl.lit(following)).dt.total_days().cast(pl.Float64)
    after = change(days).cast(pl.Float64)
    moved = pl.lit(following) + pl.duration(days=after.clip(lower_bound=0).floor().cast(pl.Int64))
    moved = pl.max_horizontal(moved, date_column(table))
    late = (column >= following).fill_null(False)
    unknown = frame.select(late & after.is_null()).to_series()
    changed = frame.with_columns(pl.when(late & ~lasting).then(moved).otherwise(column).alias(INTERVAL_ENDS[table]))
    return pl.concat([changed.filter(~unknown), open_ends(table, frame.filter(unknown), following)])
