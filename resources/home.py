"""The home: the one folder that holds extracts, lake, models, reports and Dagster's own records.

Belongs here: where things lie, and the Dagster resource that hands them to assets. Does not: what lies in them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from resources.extracts import ExtractStore
from resources.lake import Lake
from resources.models import ModelStore
from resources.settings import Settings, load_settings

# Runs report hundreds of partitions each; see resources.event_log.
EVENT_BATCH_SIZE = 1000


class OtherExtracts(ValueError):
    """A home was asked to read other vendor files than those it was built from."""


class Home:
    """Folders below ``PIPELINE_HOME`` and what they hold.

    Parameters
    ----------
    folder : pathlib.Path
        The home. Created as needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).resolve()

    @classmethod
    def from_environment(cls) -> Home:
        """Home named by ``PIPELINE_HOME``, ``data`` by default."""
        return cls(Path(os.environ.get("PIPELINE_HOME", "data")))

    @property
    def extracts_folder(self) -> Path:
        """Folder of the vendor files, or the link to where they are."""
        return self.folder / "extracts"

    def link_extracts(self, folder: Path) -> None:
        """Let this home read the vendor files in ``folder``, now and whenever it is opened again.

        Raises
        ------
        OtherExtracts
            If the home already reads other files: partitions of the two would stand side by side.
        """
        here = self.extracts_folder
        if here.exists() and here.resolve() == folder.resolve():
            return
        if here.is_symlink() or (here.exists() and any(here.iterdir())):
            raise OtherExtracts(
                f"{self.folder.name}/ was built from {here.resolve()}. Give {folder} a home of its own: "
                f"PIPELINE_HOME=data-{folder.resolve().name}"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        if here.exists():
            here.rmdir()
        here.symlink_to(folder.resolve(), target_is_directory=True)

    @property
    def reports(self) -> Path:
        """Folder of the pages."""
        return self.folder / "reports"

    @property
    def exports(self) -> Path:
        """Folder of files for other programs."""
        return self.folder / "exports"

    @property
    def truth(self) -> Path:
        """Folder of the simulated market's true values; absent beside real extracts."""
        return self.folder / "truth"

    @cached_property
    def lake(self) -> Lake:
        """Partitions."""
        return Lake(self.folder / "lake")

    @cached_property
    def models(self) -> ModelStore:
        """States of models."""
        return ModelStore(self.folder / "models")

    @cached_property
    def extracts(self) -> ExtractStore:
        """Vendor tables, staged by month under ``<home>/staged``."""
        return ExtractStore(self.extracts_folder, self.folder / "staged")

    @property
    def settings_file(self) -> Path:
        """Where settings other than the defaults are written; need not exist."""
        return self.folder / "settings.toml"

    @cached_property
    def settings(self) -> Settings:
        """Settings as written in ``<home>/settings.toml``, what they leave to the files decided by those on disk."""
        written = load_settings(self.settings_file)
        return replace(written, bonds=written.bonds.resolved(self.extracts.available()))

    def prepare_dagster(self) -> Path:
        """Write ``dagster.yaml`` if there is none, and point this process at it.

        Returns
        -------
        pathlib.Path
            ``<home>/dagster``, which also stands in ``DAGSTER_HOME`` afterwards.
        """
        folder = self.folder / "dagster"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "dagster.yaml"
        if not config.exists():
            config.write_text(files("pipeline.instance").joinpath("dagster.yaml").read_text())
        os.environ["DAGSTER_HOME"] = str(folder)
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))
        return folder


class HomeResource(dg.ConfigurableResource):
    """Dagster resource that opens a home.

    Attributes
    ----------
    folder : str
        See :class:`Home`.
    """

    folder: str
    _home: Home | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Open the home once for all steps of a run: what one has learnt of the extracts, the next need not."""
        self._home = Home(Path(self.folder))

    def open(self) -> Home:
        """Home of this run."""
        return self._home or Home(Path(self.folder))
