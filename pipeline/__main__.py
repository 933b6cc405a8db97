"""The command line, ``python -m pipeline run|ui|export|dictionary``; the Makefile calls the first two."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from importlib import resources
from pathlib import Path

from dagster import DagsterExecutionInterruptedError
from rich.console import Console

from assets.building import BrokenChain, MissingExtracts
from assets.contract import InvalidRows
from assets.exports import NothingToExport, write_exports
from pipeline.extracts.errors import BadExtract
from pipeline.failures import LostWorker, WorkerFailure
from pipeline.panel.calendar import last_closed_month
from resources.home import Home, OtherExtracts
from resources.lake import MissingPartitions
from resources.models import MissingState
from resources.settings import BadSettings

EXPECTED = (
    BadExtract,
    BadSettings,
    BrokenChain,
    InvalidRows,
    LostWorker,
    MissingExtracts,
    MissingPartitions,
    MissingState,
    NothingToExport,
    OtherExtracts,
)


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a month: write it as 2008-07") from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: write 1 or more")
    return int(text)


def _folder(text: str) -> Path:
    # Not every shell expands the tilde of EXTRACTS=~/wrds.
    return Path(text).expanduser()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="materialise every asset whose extracts are there, and the report")
    run.add_argument("--extracts", type=_folder, help="folder of vendor files, linked as <home>/extracts")
    run.add_argument("--from", dest="first", type=_month, help="first month wanted, YYYY-MM (default: all data)")
    run.add_argument("--to", dest="last", type=_month, help="last month wanted, YYYY-MM (default: last closed month)")
    run.add_argument("--rebuild-from", type=_month, help="rebuild months from here on even if up to date")
    run.add_argument(
        "--processes",
        type=_count,
        default=min(2, os.cpu_count() or 1),
        help="build so many assets at once; each process takes its own memory (default: two if there are processors)",
    )
    run.add_argument(
        "--size",
        default="demo",
        choices=["tiny", "demo", "notebook"],
        help="size of the market to simulate when there are no extracts",
    )
    ui = commands.add_parser("ui", help="open Dagster on 127.0.0.1")
    ui.add_argument("--port", default="3000")
    commands.add_parser("export", help="write full.csv and common_factors.csv of the firm panel")
    commands.add_parser("dictionary", help="print the data dictionary as Markdown")
    return parser


def _simulate_if_empty(home: Home, size: str, last: date, console: Console) -> None:
    """Write a simulated market, and settings for it, where the home's own extracts folder holds nothing."""
    folder = home.extracts_folder
    if folder.exists() and any(folder.iterdir()):
        return
    if folder.is_symlink():
        raise SystemExit(f"{folder.resolve()} holds no files. Nothing is simulated into a folder of your own.")
    from pipeline.simulation.files import write_market
    from pipeline.simulation.market import simulate

    console.print(f"No extracts in {folder}: simulating the [bold]{size}[/] market up to {last:%Y-%m}")
    write_market(simulate(size, end=last), folder, home.truth)
    if not home.settings_file.exists():
        home.settings_file.write_text(resources.files("pipeline.simulation").joinpath("demo.toml").read_text())


def _run(arguments: argparse.Namespace) -> None:
    from pipeline.report.pages import PAGES
    from pipeline.running import run_everything

    console = Console()
    home = Home.from_environment()
    if arguments.extracts is not None:
        if not arguments.extracts.is_dir():
            raise SystemExit(f"EXTRACTS={arguments.extracts} is not a folder.")
        home.link_extracts(arguments.extracts)
    closed = last_closed_month(date.today())
    last = arguments.last or closed
    if last > closed:
        raise SystemExit(f"TO={last:%Y-%m} is not closed yet; the last closed month is {closed:%Y-%m}.")
    if arguments.first and arguments.first > last:
        raise SystemExit(f"FROM={arguments.first:%Y-%m} comes after the last month, {last:%Y-%m}.")
    _simulate_if_empty(home, arguments.size, last, console)
    home.prepare_dagster()
    run_everything(home, arguments.first, last, arguments.rebuild_from, console, arguments.processes)
    console.print("\nThe report:", end="")
    for page in PAGES:
        console.print(f"\t[bold]{home.reports / page.file}[/]", highlight=False, soft_wrap=True)
    elsewhere = "" if home.folder.name == "data" else f" PIPELINE_HOME={os.environ['PIPELINE_HOME']}"
    console.print(f"The UI:     [bold]make ui{elsewhere}[/], then http://127.0.0.1:3000", highlight=False)


def _ui(arguments: argparse.Namespace) -> None:
    Home.from_environment().prepare_dagster()
    # The UI has no login: it listens on this machine only.
    command = ["dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", arguments.port]
    program = Path(sys.executable).with_name("dagster")
    os.execv(program, command)


def _export(arguments: argparse.Namespace) -> None:
    for file in write_exports(Home.from_environment()):
        Console().print(str(file), highlight=False, soft_wrap=True)


def _dictionary(arguments: argparse.Namespace) -> None:
    from pipeline.dictionary import markdown
    from resources.settings import Settings

    sys.stdout.write(markdown(Settings()))


def main() -> None:
    """Parse the command line and do what it says."""
    arguments = _parser().parse_args()
    try:
        {"run": _run, "ui": _ui, "export": _export, "dictionary": _dictionary}[arguments.command](arguments)
    except EXPECTED as error:
        # These say themselves what is wrong and what to do; a traceback would only hide it.
        raise SystemExit(f"{type(error).__name__}: {error}") from None
    except WorkerFailure as failure:
        known = failure.kind in {kind.__name__ for kind in EXPECTED}
        raise SystemExit(str(failure) if known else failure.trace) from None
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        raise SystemExit("Interrupted. What is finished stays: run again to go on.") from None


if __name__ == "__main__":
    main()
