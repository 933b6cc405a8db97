"""Settings: what is written counts, and what can't be is refused by name."""

from __future__ import annotations

import pytest

from resources.settings import BadSettings, Settings, load_settings


def written(tmp_path, text: str):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return path


def test_no_file_gives_the_defaults(tmp_path):
    assert load_settings(tmp_path / "settings.toml") == Settings()


def test_written_values_replace_defaults_in_nested_sections_too(tmp_path):
    text = "[vix_innovation]\nwindow = 48\n[bond_characteristics.cross_section]\nlower = 0.02\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.vix_innovation.window == 48
    assert settings.vix_innovation.min_obs == Settings().vix_innovation.min_obs
    assert settings.bond_characteristics.cross_section.lower == 0.02
    assert settings.bond_characteristics.cross_section.upper == 0.99
    changed = [name for name in Settings.__dataclass_fields__ if settings.digest([name]) != Settings().digest([name])]
    assert changed == ["vix_innovation", "bond_characteristics"]


def test_bonds_and_stocks_ask_for_their_own_shares(tmp_path):
    assert (Settings().bond_models.min_present, Settings().stock_models.min_present) == (0.0, 0.8)
    settings = load_settings(written(tmp_path, "[bond_models]\nmin_present = 1\n"))
    assert (settings.bond_models.min_present, settings.stock_models.min_present) == (1.0, 0.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[vix]\nwindow = 3", r"settings.toml has vix; its sections are .*vix_innovation"),
        ("[vix_innovation]\nwidth = 3", r"\[vix_innovation\] has width; its fields are window, min_obs"),
        (
            "[vix_innovation]\nwindow = 'long'",
            r"\[vix_innovation\] window has 'long'; it must be a whole number like 60",
        ),
        ("[vix_innovation]\nwindow = 5", r"\[vix_innovation\]: min_obs 36"),
        ("[bond_characteristics]\ncross_section = 1", r"write \[bond_characteristics.cross_section\]"),
        ("vix_innovation = 3", r"settings.toml has vix_innovation = 3; .* write \[vix_innovation\]"),
        ("[fred_md]\nlags = 5", r"\[fred_md.lags\] has 5"),
        ("[fred_md.lags]\nRPPI = 0", r"\[fred_md.lags\] has RPPI, which is none of its names"),
        (
            '[bonds]\nbond_source = "trace"',
            r"^settings.toml \[bonds\]: bond_source is one of auto, trades, index, not 'trace'.$",
        ),
        ("[bonds]\nbond_source = 1", r"\[bonds\] bond_source has 1; it must be a text like 'auto'"),
        ("[bond_factor_models]\nn_factors = [1.5]", r"n_factors has 1.5; it must be a whole number like 1"),
        ("[bond_factor_models]\nn_factors = 3", r"n_factors has 3; it must be a list like \[1, 2, 3, 4, 5, 6\]"),
        ("[bonds]\nsource = 'index'", r"\[bonds\] has source; its fields are bond_source"),
        ("[bond_models]\nmin_present = 2", r"\[bond_models\]: min_present is 2.0; it is a share between 0 and 1"),
        ("[vix_innovation\n", "not valid TOML"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, text, message):
    with pytest.raises(BadSettings, match=message):
        load_settings(written(tmp_path, text))
