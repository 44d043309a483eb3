import pytest

from minilm.bench.comparing import Comparison, measure, seconds


def figures(*values, log=None, name=""):
    left = list(values)

    def one_run():
        if log is not None:
            log.append(name)
        return left.pop(0)

    return one_run


def test_medians_are_compared_not_means_or_best_runs():
    row = measure(Comparison("x", "s", figures(1.0, 9.0, 2.0), figures(4.0, 4.0, 100.0), runs=3))
    assert (row.ours, row.theirs, row.ratio) == (2.0, 4.0, 0.5)
    assert (row.wanted, row.met) == (None, None)


def test_both_sides_run_in_turns():
    log = []
    ours, theirs = figures(1, 1, log=log, name="ours"), figures(1, 1, log=log, name="theirs")
    measure(Comparison("x", "s", ours, theirs, runs=2))
    assert log == ["ours", "theirs", "ours", "theirs"]


@pytest.mark.parametrize(
    ("bounds", "wanted", "met"),
    [
        ({"at_least": 2}, "≥ 2", True),
        ({"at_least": 2.1}, "≥ 2.1", False),
        ({"at_most": 2}, "≤ 2", True),
        ({"at_most": 1.9}, "≤ 1.9", False),
    ],
)
def test_what_is_wanted_is_held_against_the_ratio(bounds, wanted, met):
    row = measure(Comparison("x", "MB/s", figures(6.0), figures(3.0), runs=1, **bounds))
    assert (row.ratio, row.wanted, row.met) == (2.0, wanted, met)


def test_without_a_reference_it_is_held_against_the_figure():
    row = measure(Comparison("x", "MB", figures(80.0), at_most=100, runs=1))
    assert (row.theirs, row.ratio, row.wanted, row.met) == (None, None, "≤ 100 MB", True)


def test_seconds_times_the_work_it_is_given():
    done = []
    assert seconds(lambda: done.append(1)) >= 0
    assert done == [1]
