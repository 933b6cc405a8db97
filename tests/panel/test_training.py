from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.panel.training import ModelPanelSettings, share_present, with_next_return

MAY, JUNE, JULY = (date(2008, month, 1) for month in (5, 6, 7))


def test_shares_count_what_is_there():
    frame = pl.DataFrame(
        {"a": [0.0, None, -1.0, None], "b": [1.0, 2.0, None, None], "c": [3, 4, None, None], "other": [None] * 4}
    )
    shares = {"abc": [1.0, 2 / 3, 1 / 3, 0.0], "ab": [1.0, 0.5, 0.5, 0.0], "b": [1.0, 1.0, 0.0, 0.0]}
    for chosen, expected in shares.items():
        assert frame.select(share=share_present(list(chosen)))["share"].to_list() == expected


@pytest.mark.parametrize("size", [*range(1, 200, 6), 98, 103, 107, 161, 197])
def test_an_asset_that_has_all_has_a_share_of_one(size):
    """So that it passes where all are asked for, however many they are."""
    names = [f"x{k}" for k in range(size)]
    frame = pl.DataFrame({name: [0.5, None if k == 0 else 0.5] for k, name in enumerate(names)})
    whole, lacking = frame.select(share=share_present(names))["share"]
    assert whole == 1.0
    assert lacking == pytest.approx(1 - 1 / size)


def test_a_share_does_not_depend_on_the_other_rows():
    names = ["a", "b", "c"]
    frame = pl.DataFrame({"a": [1.0, None, 1.0] * 50, "b": [None, None, 1.0] * 50, "c": [1.0, 1.0, None] * 50})
    together = frame.select(share=share_present(names))
    singly = [frame[k].select(share=share_present(names)) for k in range(frame.height)]
    assert_frame_equal(together, pl.concat(singly), check_exact=True)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_share_may_be_asked_for(share):
    assert ModelPanelSettings(min_present=share).min_present == share


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match=f"min_present is {share}; it is a share between 0 and 1"):
        ModelPanelSettings(min_present=share)


def test_a_month_s_return_meets_what_was_known_the_month_before():
    known = pl.LazyFrame(
        {"month": [MAY, MAY, JUNE, JUNE, JULY], "id": [2, 1, 1, 3, 1], "x": [0.2, 0.1, 0.3, 0.4, 0.5]},
        schema_overrides={"id": pl.Int64},
    )
    returns = pl.DataFrame(
        {
            "month": [JULY, JUNE, JUNE, JULY, JUNE, MAY],
            "id": [1, 1, 2, 3, 9, 1],
            "ret": [9.0] * 6,
            "ret_excess": [0.07, 0.06, None, 0.08, 0.09, 0.05],
        }
    )
    panel = with_next_return(known, returns, "id", [JULY, JUNE, JULY])
    assert panel.columns == ["month", "id", "ret_excess", "x"]
    # Asset 2 has no return, 9 was not known, and of May's returns none was asked for.
    assert panel.rows() == [(JUNE, 1, 0.06, 0.1), (JULY, 1, 0.07, 0.3), (JULY, 3, 0.08, 0.4)]
    singly = [with_next_return(known, returns, "id", [month]) for month in (JUNE, JULY)]
    assert_frame_equal(panel, pl.concat(singly), check_exact=True)
    assert with_next_return(known, returns, "id", []).height == 0
