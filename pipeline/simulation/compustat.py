"""Compustat of the simulated economy: `comp.funda`, `comp.fundq` and `comp.company`, and what is true in them.

Here the parts are put together: which statements there are (`compustat_coverage`), their amounts
(`compustat_accounts`), the items that are published (`compustat_items`), rows that must not be used
(`compustat_variants`) and announcement dates (`compustat_announcements`). What the traps' right answers are is in
`compustat_truth`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.compustat_accounts import Accounts, Habits, firm_accounts, firm_habits
from pipeline.simulation.compustat_announcements import Announcements, announcements
from pipeline.simulation.compustat_coverage import Coverage, compustat_coverage
from pipeline.simulation.compustat_industries import financial, industry_codes
from pipeline.simulation.compustat_items import ANNUAL, COUNTS, QUARTERLY, never_reported, published
from pipeline.simulation.compustat_variants import STANDARD, with_variants
from pipeline.simulation.economy import Economy
from pipeline.simulation.identifiers import stock_cusip
from pipeline.simulation.listings import gvkey
from pipeline.simulation.paths import Array, stream

CANADIAN_DOLLARS = 1.35
"""Canadian dollars a US dollar."""

Rows = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Compustat:
    """What the vendor knows about an economy, on the grid of Q quarters and I firms.

    Parameters
    ----------
    economy : Economy
        Firms.
    coverage : Coverage
        Statements.
    accounts : Accounts
        Amounts.
    habits : Habits
        What firms have throughout.
    adjustment : ndarray, shape (Q, I)
        Factor that makes numbers of shares comparable over time, by splits up to the end of the market (`ajex`).
    sic, naics : ndarray of int, shape (Q, I)
        Industry codes.
    """

    economy: Economy
    coverage: Coverage
    accounts: Accounts
    habits: Habits
    adjustment: Array
    sic: NDArray[np.intp]
    naics: NDArray[np.intp]

    @cached_property
    def annual_rows(self) -> Rows:
        """Quarter and firm of the standard annual statements, by firm and date; shape (n,) each."""
        firm, quarter = np.nonzero(self.coverage.annual.T)
        return quarter, firm

    @cached_property
    def quarterly_rows(self) -> Rows:
        """Quarter and firm of the standard quarterly statements, also of those announced after the market's end."""
        firm, quarter = np.nonzero(self.coverage.quarterly.T)
        return quarter, firm

    @cached_property
    def announcements(self) -> Announcements:
        """Announcements of the quarterly rows."""
        rng = stream(self.economy.seed, "compustat announcements")
        return announcements(self.economy.clock, self.coverage, self.quarterly_rows, rng)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Quarterly rows that are known by the end of the market."""
        return self.announcements.known < self.economy.clock.n

    @cached_property
    def annual(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows of `comp.funda`, in order, and those of them that must not be used, with the name of the trap."""
        rows, names = self._statements(self.annual_rows, "annual"), list(ANNUAL)
        rng = stream(self.economy.seed, "compustat annual variants")
        return with_variants(rows, self._financial(rows), _money(names), rng)

    @cached_property
    def quarterly(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows of `comp.fundq` and the copies among them; quarters of transition years are there twice."""
        rows, names = self._statements(self.quarterly_rows, "quarterly"), list(QUARTERLY)
        rows = rows.with_columns(
            pl.Series("rdq", self.announcements.rdq), epspxq=(pl.col("ibq") / pl.col("cshoq")).round(2)
        ).filter(pl.Series(self.known))
        rng = stream(self.economy.seed, "compustat quarterly variants")
        table, copies = with_variants(rows, self._financial(rows), _money(names), rng)
        return pl.concat([table, self._old_calendar(table)]), copies

    def _financial(self, rows: pl.DataFrame) -> pl.Series:
        """Whether each statement is one of a financial firm."""
        return pl.Series(financial(self.economy.firms)[rows["firm"].to_numpy()])

    def _statements(self, rows: Rows, table: str) -> pl.DataFrame:
        """Keys and items of standard statements."""
        quarter, firm = rows
        firms, coverage = self.economy.firms, self.coverage
        rng = stream(self.economy.seed, f"compustat {table} items")
        absent = never_reported(self.habits, coverage, firms.private, financial(firms))
        suffix, items = ("q", QUARTERLY) if table == "quarterly" else ("", ANNUAL)
        minorities = self.accounts.stocks["mib"][rows] > 0
        abroad = coverage.canadian[rows]
        rate = np.where(abroad, CANADIAN_DOLLARS, 1.0)
        values = published(items, self.accounts, coverage, rows, absent, minorities, rate, rng)
        sic = self.sic[rows].astype(float)
        sic[rng.random(len(firm)) < 0.03] = np.nan
        keys = {
            "firm": firm,
            "gvkey": pl.Series([gvkey(f) for f in range(len(firms.names))]).gather(firm),
            "datadate": coverage.dates[quarter],
            f"fyear{suffix}": coverage.fyear[rows],
            "fyr": coverage.fyr[rows],
            f"curcd{suffix}": pl.Series(["USD", "CAD"]).gather(abroad.astype(int)),
            "cusip": pl.Series([stock_cusip(code) for code in firms.codes]).gather(firm),
            "conm": pl.Series([name.upper() for name in firms.names]).gather(firm),
            f"ajex{suffix}": np.where(firms.private[firm], np.nan, np.round(self.adjustment[rows], 6)),
        }
        own: dict[str, NDArray] = {"fqtr": coverage.fqtr[rows]}
        if table == "annual":
            own = {"sich": sic, "naicsh": np.where(np.isnan(sic), np.nan, self.naics[rows]),
                   "pddur": 3 * coverage.length[rows]}  # fmt: skip
        codes = pl.DataFrame(keys | own).with_columns(pl.selectors.float().fill_nan(None))
        return pl.concat([codes, values], how="horizontal").with_columns(
            pl.col("^(sich|naicsh)$").cast(pl.Int64), pl.col("datadate").cast(pl.Date)
        )

    def _old_calendar(self, table: pl.DataFrame) -> pl.DataFrame:
        """Quarters of transition years once more, as quarters of the fiscal year that was given up."""
        coverage = self.coverage
        position = np.arange(len(coverage.months))[:, None]
        short = (coverage.length < 4) & (coverage.closing < len(coverage.months))
        quarter, firm = np.nonzero(short & coverage.quarterly)
        first = coverage.calendar.first[firm]
        # The year end that would have come four quarters after the last one.
        due = self.economy.clock.months[coverage.months[0]].astype(int) + 3 * (coverage.previous[quarter, firm] + 4)
        old = pl.DataFrame(
            {
                "firm": firm,
                "datadate": coverage.dates[quarter],
                "fyearq": 1970 + due // 12 - (first <= 5),
                "fqtr": (position - coverage.previous)[quarter, firm],
                "fyr": first,
            }
        ).with_columns(pl.col("datadate").cast(pl.Date))
        standard = table.filter(**STANDARD).drop("fyearq", "fqtr", "fyr")
        return standard.join(old, on=["firm", "datadate"], maintain_order="left").select(table.columns)


def compustat(economy: Economy) -> Compustat:
    """Draw up what the vendor knows.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    Compustat
        Deterministic in the economy, its seed included.
    """
    firms, clock, seed = economy.firms, economy.clock, economy.seed
    listings = economy.listings
    coverage = compustat_coverage(clock, firms, listings, seed)
    main = ~listings.second
    price, adjustment = firms.marketcap / firms.shares, np.ones(firms.shares.shape)
    price[:, listings.firm[main]] = economy.shares.price[:, main]
    adjustment[:, listings.firm[main]] = economy.shares.cfacpr[:, main]
    sic, naics = industry_codes(firms, coverage, seed)
    return Compustat(
        economy=economy,
        coverage=coverage,
        accounts=firm_accounts(firms, coverage, price, seed),
        habits=firm_habits(len(firms.names), seed),
        adjustment=adjustment[coverage.months],
        sic=sic,
        naics=naics,
    )


def compustat_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Write the vendor's tables.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    Mapping of str to DataFrame
        `comp.funda` : gvkey, datadate, indfmt, datafmt, popsrc, consol, fyear, fyr, curcd, sich, naicsh, cusip, conm,
        pddur (months), ajex and the items of `compustat_items.ANNUAL`; sorted by these keys.
        `comp.fundq` : gvkey, datadate, fyr, indfmt, datafmt, popsrc, consol, fyearq, fqtr, rdq, curcdq, cusip, conm,
        ajexq, epspxq and the items of `QUARTERLY`. Quarters that become known after the market's end are not there.
        `comp.company` : gvkey, sic, naics, conm, cusip, ipodate: header values, those of the market's end.
        Money and shares in millions, `emp` in thousands, prices in dollars; published to three decimals, to which
        standard statements in US dollars agree with the economy at the fiscal year end: sale, margins, interest, net
        income (`ib`), debt (`dltt + dlc`), market equity (`csho` times `prcc_f`) and book equity. Flows of a transition
        year are those of its months. Identities between items hold exactly wherever all of them are published; in
        Canadian dollars, and in rows that are not standard, to rounding.
    """
    known = compustat(economy)
    return {"comp.funda": annual_table(known), "comp.fundq": quarterly_table(known), "comp.company": _company(known)}


ANNUAL_KEYS = ("gvkey", "datadate", "indfmt", "datafmt", "popsrc", "consol")
QUARTERLY_KEYS = ("gvkey", "datadate", "fyr", "indfmt", "datafmt", "popsrc", "consol")


def annual_table(known: Compustat) -> pl.DataFrame:
    """`comp.funda`."""
    return _ordered(known.annual[0], ANNUAL_KEYS)


def quarterly_table(known: Compustat) -> pl.DataFrame:
    """`comp.fundq`."""
    return _ordered(known.quarterly[0], QUARTERLY_KEYS)


def _ordered(rows: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    """Keys first, sorted by them, the position of the firm left out."""
    return rows.select(*keys, pl.all().exclude(*keys, "firm")).sort(keys)


def _money(names: list[str]) -> list[str]:
    """Items that are amounts of money."""
    registry = ANNUAL | QUARTERLY
    return [name for name in names if registry[name].source not in COUNTS]


def _company(known: Compustat) -> pl.DataFrame:
    """Header values of every firm with a statement."""
    economy = known.economy
    firm = np.flatnonzero(known.coverage.quarterly.any(axis=0))
    last = len(known.coverage.months) - 1
    listings = economy.listings
    first = dict(zip(listings.firm[~listings.second].tolist(), listings.first[~listings.second].tolist(), strict=True))
    days = economy.clock.sessions
    went_public = [days[first[f]].item() if first.get(f) else None for f in firm.tolist()]
    return pl.DataFrame(
        {
            "gvkey": [gvkey(f) for f in firm.tolist()],
            "sic": [f"{code:04d}" for code in known.sic[last, firm].tolist()],
            "naics": [str(code) for code in known.naics[last, firm].tolist()],
            "conm": [economy.firms.names[f].upper() for f in firm.tolist()],
            "cusip": [stock_cusip(economy.firms.codes[f]) for f in firm.tolist()],
            "ipodate": pl.Series(went_public, dtype=pl.Date),
        }
    )
