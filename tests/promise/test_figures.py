"""What the manifest of a month says of it to people."""

from __future__ import annotations

from promise import END


def test_a_month_says_what_it_was_made_of(baseline):
    lake = baseline.lake
    said = {name: lake.manifest(name, END).metadata for name in ("fred_md", "goyal_welch", "bond_characteristics")}
    assert said["fred_md"] == {"vintage": "2026-10"}
    assert "tms:fred" in said["goyal_welch"]["source"]
    rows = lake.read("bond_characteristics", END)
    assert said["bond_characteristics"]["missing"]["vix_beta"] == rows["vix_beta"].null_count()
