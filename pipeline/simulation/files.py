"""Writing a whole market: its extracts as vendors would send them, and its truth beside them."""

from pathlib import Path

from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import Market

# Tables that are large in every size.
_BONDS, _LARGE = "bonds.index_constituents", ("crsp.dsf", "crsp.dsf_v2", "trace.trace_enhanced")


def write_market(market: Market, extracts: Path, truth: Path, *, csv: bool = False) -> list[Path]:
    """Write the files of a market.

    Parameters
    ----------
    market : Market
        What to write.
    extracts : Path
        Folder of the vendor files.
    truth : Path
        Folder of the true values, which no panel and no model may read.
    csv : bool
        Write the bond extract as CSV instead of Parquet.

    Returns
    -------
    list of Path
        The vendor files.
    """
    truth.mkdir(parents=True, exist_ok=True)
    for name, frame in market.truth.items():
        frame.write_parquet(truth / f"{name}.parquet")
    return write_extracts(market.tables, extracts, parquet=_LARGE if csv else (_BONDS, *_LARGE))
