from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.sdf.environments import ENVIRONMENTS, in_environment
from pipeline.sdf.panel import Standardisation, split_months


def months(n):
    return [date(1950 + i // 12, i % 12 + 1, 1) for i in range(n)]


@pytest.mark.parametrize(("n", "sizes"), [(437, (183, 122, 132)), (560, (235, 157, 168))])
def test_the_split_of_the_source(n, sizes):
    assert tuple(len(part) for part in split_months(months(n))) == sizes


@given(n=st.integers(4, 700), first=st.integers(1, 8), second=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_the_parts_are_the_months_in_order(n, first, second):
    total = first + second + 5
    shares = (first / total, second / total, 5 / total)
    try:
        parts = split_months(months(n), shares)
    except ValueError:
        assert n * min(shares) < 1.0 + 1e-9
        return
    assert [month for part in parts for month in part] == months(n)
    assert [abs(len(part) - n * share) < 1.0 + 1e-9 for part, share in zip(parts, shares, strict=True)] == [True] * 3


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.6, 0.1), (1.0, 0.0, 0.0), (1.2, -0.4, 0.2)])
def test_shares_that_are_none(shares):
    with pytest.raises(ValueError, match="sum to one"):
        split_months(months(100), shares)


def test_a_part_without_months_is_refused():
    with pytest.raises(ValueError, match="too few"):
        split_months(months(2))


def test_a_month_left_without_a_row_is_idle_if_it_lies_in_between(draw):
    panel = draw(D=24)
    gap = panel.keep(~np.isin(panel.date_of_row, [0, 9, 10, 23]))
    assert list(gap.idle) == list(panel.months[9:11])
    assert gap.take(slice(0, 8)).idle == {}
    assert list(gap.take(slice(8, None)).idle) == list(panel.months[9:11])
    assert list(gap.through(panel.months[10]).idle) == []
    assert list(gap.calendar) == list(panel.months[1:23])
    np.testing.assert_array_equal(list(gap.calendar.values()), panel.macro[1:23])
    # Kept again, scaled and without series.
    assert list(gap.keep(gap.date_of_row != 12).idle) == [*panel.months[9:11], panel.months[15]]
    scaling = Standardisation.fit(gap)
    np.testing.assert_array_equal(scaling.apply(gap).idle[panel.months[9]], scaling.apply(panel).macro[9])
    assert in_environment(gap, "no_macro").idle[panel.months[9]].shape == (0,)
    for idle in ({panel.months[1]: panel.macro[1]}, {panel.months[9]: panel.macro[9, :1]}):
        with pytest.raises(ValueError, match="is idle"):
            replace(gap, idle=idle)


def test_selections_are_the_rows_of_their_months(draw):
    panel = draw()
    first, last = panel.months[5], panel.months[11]
    between, through = panel.between(first, last), panel.through(last)
    rows = (panel.date_of_row >= 5) & (panel.date_of_row <= 11)
    assert between.months == panel.months[5:12]
    assert through.months == panel.months[:12]
    for name in ("features", "returns", "assets", "groups"):
        np.testing.assert_array_equal(getattr(between, name), getattr(panel, name)[rows])
    np.testing.assert_array_equal(between.macro, panel.macro[5:12])
    np.testing.assert_array_equal(np.diff(between.bounds), panel.counts[5:12])
    assert np.shares_memory(through.features, panel.features)
    kept = panel.keep(rows)
    assert kept.months == between.months
    np.testing.assert_array_equal(kept.returns, between.returns)
    assert panel.between(last, first).months == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {"features": p.features[:-1]}, "features has shape"),
        (lambda p: {"macro": p.macro[p.date_of_row]}, "macro has shape"),
        (lambda p: {"months": p.months[::-1]}, "ascend"),
        (lambda p: {"bounds": p.bounds + 1}, "bounds run from"),
        (lambda p: {"bounds": np.r_[p.bounds[:1], p.bounds[:1], p.bounds[2:]]}, "has no row"),
        (lambda p: {"assets": np.full(len(p.assets), "A")}, "twice"),
    ],
)
def test_a_panel_that_is_none_is_refused(draw, change, said):
    panel = draw()
    with pytest.raises(ValueError, match=said):
        replace(panel, **change(panel))


def test_a_missing_return_is_named(draw):
    panel = draw()
    returns = panel.returns.copy()
    returns[20] = np.nan
    with pytest.raises(ValueError, match=f"{panel.assets[20]} in 1990-"):
        replace(panel, returns=returns).known_returns()


def test_standardisation_against_scikit_learn(draw):
    panel = draw(D=30, P=4)
    fitted = Standardisation.fit(panel)
    reference = make_pipeline(StandardScaler(), SimpleImputer(strategy="constant", fill_value=0.0))
    scaled = fitted.apply(panel)
    np.testing.assert_allclose(scaled.features, reference.fit_transform(panel.features.astype(float)), atol=2e-6)
    np.testing.assert_allclose(scaled.macro, reference.fit_transform(panel.macro.astype(float)), atol=2e-6)
    assert scaled.features.dtype == np.float32
    assert np.isfinite(scaled.features).all()


def test_constant_and_unseen_columns_are_zero_everywhere(draw):
    panel = draw()
    features, macro = panel.features.copy(), panel.macro.copy()
    early = panel.date_of_row < 12
    features[early, 1], features[early, 2], macro[:12, 0] = 0.1, np.nan, 7.0
    panel = replace(panel, features=features, macro=macro)
    scaled = Standardisation.fit(panel.take(slice(0, 12))).apply(panel)
    assert not scaled.features[:, 1:3].any()
    assert not scaled.macro[:, 0].any()
    assert scaled.features[:, 0].any()


def test_standardisation_sees_training_months_only(draw):
    panel = draw()
    changed = replace(panel, features=panel.features.copy(), macro=panel.macro.copy())
    changed.features[panel.bounds[10] :] *= 50.0
    changed.macro[10:] -= 9.0
    before, after = (Standardisation.fit(each.take(slice(0, 10))) for each in (panel, changed))
    for name in ("mean", "scale", "macro_mean", "macro_scale"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_other_columns_are_refused(draw):
    fitted = Standardisation.fit(draw(P=3))
    with pytest.raises(ValueError, match="c3"):
        fitted.apply(draw(P=4))


def test_environments(draw):
    panel = draw()
    assert in_environment(panel, "full") is panel
    bare = in_environment(panel, "no_macro")
    assert bare.macro.shape == (24, 0)
    assert bare.macro_names == ()
    np.testing.assert_array_equal(bare.features, panel.features)
    without = in_environment(panel, "no_financials", ("Finance",))
    assert set(without.groups) == {"Industry", "Utilities"}
    assert without.months == panel.months
    np.testing.assert_array_equal(without.returns, panel.returns[panel.groups != "Finance"])
    assert set(ENVIRONMENTS) == {"full", "no_macro", "no_financials"}


def test_a_month_of_financial_firms_alone_goes(draw):
    panel = draw()
    groups = panel.groups.copy()
    groups[panel.bounds[3] : panel.bounds[4]] = "Finance"
    without = in_environment(replace(panel, groups=groups), "no_financials", ("Finance",))
    assert without.months == panel.months[:3] + panel.months[4:]
    np.testing.assert_array_equal(without.macro, np.delete(panel.macro, 3, axis=0))


@pytest.mark.parametrize(("name", "said"), [("everything", "no environment"), ("no_financials", "needs the groups")])
def test_environments_that_cannot_be(draw, name, said):
    with pytest.raises(ValueError, match=said):
        in_environment(replace(draw(), groups=None), name, ("Finance",))
