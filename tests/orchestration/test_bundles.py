"""The order of a run of everything: nothing before what it reads, little at once where others would wait."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bundles import Agenda, Bundle

EARLY, LATE = date(2011, 5, 1), date(2016, 5, 1)


@st.composite
def plans(draw):
    """Assets of three first months, each reading some of those before it and something that is not planned."""
    months = draw(st.lists(st.sampled_from([EARLY, LATE, None]), min_size=1, max_size=25))
    firsts = {f"asset_{place}": month for place, month in enumerate(months)}
    names = list(firsts)
    upstream = {
        name: {*draw(st.sets(st.sampled_from(names[:place]), max_size=3) if place else st.just(set())), "standing"}
        for place, name in enumerate(names)
    }
    return firsts, upstream


def carried_out(agenda: Agenda, processes: int, turn: int) -> list[tuple[Bundle, set[str]]]:
    """Give out all bundles, each with what was finished then; of those being built one is finished by turns."""
    given_out, building, finished = [], [], set()
    while agenda.unfinished:
        while len(building) < processes and (bundle := agenda.take()):
            given_out.append((bundle, set(finished)))
            building.append(bundle)
        done = building.pop(turn % len(building))
        finished |= set(done.names)
        agenda.finish(done)
    return given_out


@given(plans(), st.integers(1, 4), st.integers(0, 5))
def test_every_asset_is_built_once_and_after_what_it_reads(planned, processes, turn):
    firsts, upstream = planned
    given_out = carried_out(Agenda(firsts, upstream, processes), processes, turn)
    assert sorted(name for bundle, _ in given_out for name in bundle.names) == sorted(firsts)
    for bundle, finished in given_out:
        for place, name in enumerate(bundle.names):
            assert firsts[name] == bundle.first
            assert (upstream[name] & set(firsts)) <= finished | set(bundle.names[:place])


@given(plans(), st.integers(2, 4), st.integers(0, 5))
def test_no_process_idles_while_something_could_be_built(planned, processes, turn):
    firsts, upstream = planned
    agenda = Agenda(firsts, upstream, processes)
    started, finished, building = set(), set(), []
    while agenda.unfinished:
        while len(building) < processes and (bundle := agenda.take()):
            building.append(bundle)
            started |= set(bundle.names)
        ready = {name for name in firsts if name not in started and upstream[name] & set(firsts) <= finished}
        assert len(building) == processes or not ready
        done = building.pop(turn % len(building))
        finished |= set(done.names)
        agenda.finish(done)


def test_one_process_takes_all_of_a_first_month_in_one_run():
    firsts = {"prices": EARLY, "bonds": LATE, "returns": EARLY, "panel": EARLY, "page": None}
    upstream = {"prices": [], "bonds": [], "returns": ["prices"], "panel": ["returns", "panel"], "page": ["panel"]}
    bundles = [bundle for bundle, _ in carried_out(Agenda(firsts, upstream, 1), 1, 0)]
    assert bundles == [
        Bundle(("prices", "returns", "panel"), EARLY),
        Bundle(("bonds",), LATE),
        Bundle(("page",), None),
    ]


def test_two_processes_begin_with_what_most_others_wait_for_and_share_it_out():
    firsts = dict.fromkeys(["alone", "short", "long", "short_2", "long_2", "long_3"], EARLY)
    upstream = {"alone": [], "short": [], "long": [], "short_2": ["short"], "long_2": ["long"], "long_3": ["long_2"]}
    agenda = Agenda(firsts, upstream, 2)
    assert agenda.take() == Bundle(("long",), EARLY)
    assert agenda.take() == Bundle(("short",), EARLY)
    assert agenda.take() == Bundle(("alone",), EARLY)
    assert agenda.take() is None
    agenda.finish(Bundle(("long",), EARLY))
    assert agenda.take() == Bundle(("long_2",), EARLY)


def test_bundles_are_large_while_there_is_much_to_do():
    firsts = {f"asset_{place}": EARLY for place in range(24)}
    agenda = Agenda(firsts, dict.fromkeys(firsts, ()), 2)
    assert [len(agenda.take().names) for _ in range(10)] == [4, 4, 3, 3, 2, 2, 1, 1, 1, 1]
