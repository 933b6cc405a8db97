"""Fiscal calendars: one year end a year, a short year where it moves."""

import numpy as np

from pipeline.simulation.fiscal import YEAR_ENDS, fiscal_calendar, fiscal_year_end_month
from pipeline.simulation.market import Market


def test_year_ends_are_twelve_months_apart_but_once(tiny: Market) -> None:
    clock = tiny.economy.clock
    n = len(tiny.economy.firms.names)
    calendar = fiscal_calendar(clock, n, seed=0)
    changed = 0
    for firm in range(n):
        first, second = fiscal_year_end_month(firm, 0)
        ends = np.flatnonzero(calendar.ends[:, firm])
        gaps = np.diff(ends)
        months = [clock.dates[t].month for t in ends]
        if first == second:
            assert set(gaps) == {12}
            assert set(months) == {first}
        else:
            changed += 1
            turn = months.index(second)
            assert months == [first] * turn + [second] * (len(months) - turn)
            assert 1 <= gaps[turn - 1] <= 11
            assert ends[turn - 1] == calendar.change[firm]
            assert set(np.delete(gaps, turn - 1)) == {12}
    assert 4 <= changed <= n // 5
    assert set(calendar.first) == set(YEAR_ENDS)
    assert (calendar.first == 12).mean() > 0.6
