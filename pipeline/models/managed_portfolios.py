"""Managed portfolios: the monthly sufficient statistics of every conditional factor model.

Here belong the instrument matrix (characteristics and a constant), its cross-products with the returns of one month,
and the container that estimators read. Estimation itself, and anything that looks at two months at once, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

CONSTANT = "constant"
RETURN = "ret_excess"

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "n": pl.Int64(),
    "yy": pl.Float64(),
    "x": pl.List(pl.Float64()),
    "w": pl.List(pl.Float64()),
}

# A month whose compressed W has a smaller ratio of extreme eigenvalues cannot tell the factors apart in double
# precision.
_SINGULAR = 1e-10


def instrument_names(instruments: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the rows of Gamma: the characteristics in the order given, the constant last."""
    return (*instruments, CONSTANT)


def instrument_matrix(frame: pl.DataFrame, instruments: Sequence[str]) -> np.ndarray:
    """Return characteristics and a constant as one matrix.

    Parameters
    ----------
    frame : pl.DataFrame
        One row an asset; must hold every column in `instruments`, without nulls (ranked characteristics have none:
        a missing one is ranked 0).
    instruments : sequence of str
        Columns, in the order of the rows of Gamma; the constant is appended.

    Returns
    -------
    np.ndarray
        N x (len(instruments) + 1), float64, C order, freshly allocated.

    Raises
    ------
    ValueError
        If a column is absent, or holds a null, NaN or infinite value.
    """
    absent = [name for name in instruments if name not in frame.columns]
    if absent:
        raise ValueError(f"the panel lacks the instrument columns {absent}; build the characteristics with them")
    matrix = np.ones((frame.height, len(instruments) + 1))
    if instruments:
        matrix[:, :-1] = frame.select(pl.col(list(instruments)).cast(pl.Float64)).to_numpy()
    bad = ~np.isfinite(matrix)
    if bad.any():
        columns = [instruments[int(j)] for j in np.flatnonzero(bad.any(axis=0))]
        raise ValueError(
            f"{int(bad.any(axis=1).sum())} of {frame.height} rows have a null or non-finite value in {columns}; "
            "rank the characteristics (missing to 0) first"
        )
    return matrix


def managed_portfolios(
    panel: pl.DataFrame,
    instruments: Sequence[str],
    months: Sequence[date],
    *,
    key: str = "isin",
    response: str = RETURN,
) -> pl.DataFrame:
    """Return the sufficient statistics of each month in `months`.

    Parameters
    ----------
    panel : pl.DataFrame
        Training panel: `month`, `key`, `response` (decimal excess return of the month) and the instruments (known at
        the end of the month before). Rows dated outside `months` are ignored, rows without a return are left out.
    instruments : sequence of str
        Instrument columns, without the constant, which is appended last.
    months : sequence of date
        Months to compute, each once in the result, in calendar order.
    key, response : str, optional
        Asset identifier (`isin` for bonds, `permno` for stocks) and the explained column.

    Returns
    -------
    pl.DataFrame
        One row a month: `month`, `n`, `yy` = r'r, `x` = C'r (list of L), `w` = C'C (list of L*L, row major; symmetric).
        A month without rows has n = 0 and zeros.

    Raises
    ------
    ValueError
        If a column is absent, a month is not its first day, an instrument or return is not finite, or an asset appears
        twice in a month.

    Notes
    -----
    Each month is summed from its own rows in the order of the key and nothing else, so a month computed alone and in a
    range agree bit for bit whatever the order of the rows. Kelly, Pruitt and Su (2019), section 3.
    """
    absent = [name for name in ("month", key, response) if name not in panel.columns]
    if absent:
        raise ValueError(f"the training panel lacks the columns {absent}")
    wanted = sorted(set(months))
    strange = [month for month in (*wanted, *panel["month"].unique()) if month.day != 1]
    if strange:
        raise ValueError(f"a month is named by its first day, not by {strange[0]}; take dt.month_start() of the dates")
    rows = panel.filter(pl.col("month").is_in(wanted), pl.col(response).is_not_null()).sort("month", key)
    _refuse_duplicates(rows, key)
    blocks = {label[0]: block for label, block in rows.partition_by("month", as_dict=True, maintain_order=True).items()}
    empty = rows.clear()
    statistics = [_one_month(month, blocks.get(month, empty), instruments, response) for month in wanted]
    return pl.DataFrame(statistics, schema=SCHEMA, orient="row")


def _refuse_duplicates(rows: pl.DataFrame, key: str) -> None:
    # The rows are sorted by both, so a repetition stands beside its like.
    same = (pl.col(name).eq_missing(pl.col(name).shift()) for name in ("month", key))
    repeated = rows.select(pl.all_horizontal(*same).alias("repeated"))["repeated"]
    if repeated.any():
        example = rows.filter(repeated).row(0, named=True)
        raise ValueError(
            f"the training panel has {int(repeated.sum())} rows that repeat a month and {key}, first "
            f"{example['month']} {example[key]}; keep one row an asset and month"
        )


def _one_month(month: date, rows: pl.DataFrame, instruments: Sequence[str], response: str) -> tuple:
    characteristics = instrument_matrix(rows, instruments)
    returns = np.array(rows[response].cast(pl.Float64).to_numpy(), dtype=np.float64)
    if not np.isfinite(returns).all():
        raise ValueError(f"{response} of {month} holds NaN or infinite values; make them null")
    x = characteristics.T @ returns
    w = characteristics.T @ characteristics
    return month, rows.height, float(returns @ returns), x.tolist(), w.ravel().tolist()


@dataclass(frozen=True, kw_only=True)
class SufficientStatistics:
    """Managed portfolios of T consecutive months as arrays.

    Attributes
    ----------
    months : tuple of date
        First day of each month, ascending.
    n : np.ndarray
        (T,) number of assets.
    yy : np.ndarray
        (T,) sum of squared excess returns, decimals squared.
    X : np.ndarray
        (T, L) sums of instrument times excess return.
    W : np.ndarray
        (T, L, L) sums of outer products of instruments.
    names : tuple of str
        The L instruments, the constant last.
    """

    months: tuple[date, ...]
    n: np.ndarray
    yy: np.ndarray
    X: np.ndarray
    W: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check shapes and the order of the months."""
        periods, size = len(self.months), len(self.names)
        shapes = {"n": (periods,), "yy": (periods,), "X": (periods, size), "W": (periods, size, size)}
        for field, shape in shapes.items():
            if getattr(self, field).shape != shape:
                raise ValueError(f"{field} has shape {getattr(self, field).shape}, expected {shape}")
        if any(later <= earlier for earlier, later in zip(self.months, self.months[1:], strict=False)):
            raise ValueError("months must ascend without repetition")
        for field in ("yy", "X", "W"):
            # A sum is not finite where an entry is not, and costs no array of flags.
            values = getattr(self, field)
            bad = np.flatnonzero(~np.isfinite(values.sum(axis=tuple(range(1, values.ndim)))))
            if bad.size:
                raise ValueError(
                    f"{field} is not finite in {bad.size} month(s), the first {self.months[bad[0]]:%Y-%m}; leave out "
                    "the returns or characteristics that are not"
                )

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, instruments: Sequence[str]) -> SufficientStatistics:
        """Read the rows that :func:`managed_portfolios` wrote.

        Parameters
        ----------
        frame : pl.DataFrame
            Columns month, n, yy, x, w; any order of rows.
        instruments : sequence of str
            The instruments they were computed with, without the constant.

        Returns
        -------
        SufficientStatistics
            Months ascending.

        Raises
        ------
        ValueError
            If a month appears twice or the lists do not have the length that `instruments` asks for.
        """
        ordered = frame.sort("month")
        names = instrument_names(instruments)
        size, periods = len(names), ordered.height
        lengths = {"x": size, "w": size * size}
        for column, length in lengths.items():
            wrong = ordered.filter(pl.col(column).list.len() != length)
            if wrong.height:
                raise ValueError(
                    f"column {column} has {wrong.height} lists not of length {length}, first month "
                    f"{wrong['month'][0]}; the managed portfolios were built with other instruments, rebuild them"
                )
        return cls(
            months=tuple(ordered["month"].to_list()),
            n=ordered["n"].to_numpy().astype(np.int64),
            yy=ordered["yy"].to_numpy().astype(np.float64),
            X=_stacked(ordered["x"], (periods, size)),
            W=_stacked(ordered["w"], (periods, size, size)),
            names=names,
        )

    def through(self, month: date) -> SufficientStatistics:
        """Return the months up to and including `month` (views, nothing is copied)."""
        return self.take(slice(0, sum(each <= month for each in self.months)))

    def take(self, which: slice | np.ndarray) -> SufficientStatistics:
        """Return the months selected by a slice or a boolean mask."""
        months = np.array(self.months, dtype=object)[which]
        return SufficientStatistics(
            months=tuple(months), n=self.n[which], yy=self.yy[which], X=self.X[which], W=self.W[which], names=self.names
        )

    def identifies(self, n_factors: int) -> np.ndarray:
        """Return which months determine `n_factors` factors.

        The rule depends on nothing but the month: W compressed onto a fixed K-dimensional subspace (K cosines, generic
        with respect to any instrument) must be invertible in double precision, which fails when the month has fewer
        than K assets with linearly independent instruments.

        Parameters
        ----------
        n_factors : int
            K.

        Returns
        -------
        np.ndarray
            (T,) bool.
        """
        size = len(self.names)
        angles = np.pi / size * np.outer(np.arange(size) + 0.5, np.arange(n_factors) + 0.5)
        subspace, _ = np.linalg.qr(np.cos(angles))
        compressed = subspace.T @ (self.W.reshape(-1, size) @ subspace).reshape(-1, size, subspace.shape[1])
        eigenvalues = np.linalg.eigvalsh(compressed)
        return (self.n >= n_factors) & (eigenvalues[:, 0] > _SINGULAR * eigenvalues[:, -1])

    def determined(self, n_factors: int) -> SufficientStatistics:
        """Return the months that determine `n_factors` factors; see :meth:`identifies`."""
        mask = self.identifies(n_factors)
        return self if mask.all() else self.take(mask)

    def squared_errors(self, gamma: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Return each month's sum of squared errors of r = C Gamma f + e.

        Parameters
        ----------
        gamma : np.ndarray
            (L, M) loadings on the instruments.
        factors : np.ndarray
            (T, M), or (M,) when one vector serves all months. An intercept is a column of ones.

        Returns
        -------
        np.ndarray
            (T,) = y'y - 2 f'G'X + f'G'WG f.
        """
        coefficients = np.broadcast_to(factors, (len(self.months), gamma.shape[1])) @ gamma.T
        quadratic = np.matmul(self.W, coefficients[:, :, None])[:, :, 0]
        return self.yy + np.sum(coefficients * (quadratic - 2.0 * self.X), axis=1)

    def loss(self, gamma: np.ndarray, factors: np.ndarray) -> float:
        """Return the sum of squared errors over all months; see :meth:`squared_errors`."""
        return float(self.squared_errors(gamma, factors).sum())


def _stacked(lists: pl.Series, shape: tuple[int, ...]) -> np.ndarray:
    values = lists.explode().to_numpy() if len(lists) else np.empty(0)
    return np.array(values, dtype=np.float64).reshape(shape)
