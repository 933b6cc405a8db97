"""Exports: files for programs outside the house, written under ``exports/`` from what is in the lake."""

from pathlib import Path

import dagster as dg

from assets.building import Workshop
from assets.monthly import OWNERS
from pipeline.equity.export import common_rows, firm_rows
from pipeline.panel.calendar import shift
from resources.home import Home, HomeResource
from resources.lake import replace_file

GROUP = "exports"
FIRMS, COMMON = "full.csv", "common_factors.csv"
_READS = ("firm_characteristics", "stock_returns", "common_factors")


class NothingToExport(LookupError):
    """The lake does not hold what an export is made of."""


def write_exports(home: Home) -> list[Path]:
    """Write both files, a month at a time, and return where they lie.

    Raises
    ------
    NothingToExport
        If the firm panel has no month yet.
    """
    lake = home.lake
    returns = set(lake.months("stock_returns"))
    months = [month for month in lake.months("firm_characteristics") if shift(month, 1) in returns]
    if not months or not lake.months("common_factors"):
        raise NothingToExport(f"there is no firm panel yet: materialise {', '.join(_READS)} first.")
    firms, common = home.exports / FIRMS, home.exports / COMMON

    def write_firms(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            for place, month in enumerate(months):
                known = lake.stored("firm_characteristics", month).lazy()
                rows = firm_rows(known, lake.stored("stock_returns", shift(month, 1)).lazy()).collect()
                file.write(rows.write_csv(include_header=place == 0))

    def write_common(path: Path) -> None:
        frame = lake.read_all("common_factors")
        assert frame is not None
        common_rows(frame.lazy()).collect().write_csv(path)

    replace_file(firms, write_firms)
    replace_file(common, write_common)
    return [firms, common]


def export_asset(workshop: Workshop) -> dg.AssetsDefinition:
    """Make the asset of the two files."""

    @dg.asset(
        name="siamese_lstm_files",
        group_name=GROUP,
        description=(
            f"{FIRMS} (permno, DATE, excess return, the 94 characteristics of Green, Hand and Zhang under their "
            f"published names) and {COMMON} (macro series and means of the characteristics), as the Siamese LSTM reads "
            "them. Every row holds what was known a month before its date, beside the return of the month."
        ),
        owners=OWNERS,
        kinds={"csv"},
        deps=[dg.AssetDep(name, partition_mapping=dg.LastPartitionMapping()) for name in _READS],
    )
    def siamese_lstm_files(home: HomeResource) -> dg.MaterializeResult:
        files = write_exports(home.open())
        sizes = {file.name: file.stat().st_size for file in files}
        places = {f"{file.name} lies at": dg.MetadataValue.path(str(file)) for file in files}
        return dg.MaterializeResult(metadata={**places, **{f"bytes of {name}": size for name, size in sizes.items()}})

    return siamese_lstm_files
