"""The base of all pictures: readable in grey, the same bytes each time, words beside each."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image

from minilm import plots
from minilm.errors import InvalidInput, WrongType

pairs_of_neighbours = list(zip(plots.COLORS, plots.COLORS[1:], strict=False))


def a_figure(slope: float = 1.0):
    figure, axes = plots.canvas(height=2)
    for index in range(3):
        axes.plot([0, 1, 2], [0, slope * index, index], label=str(index), **plots.look(index))
    axes.set_title("Three lines")
    axes.legend()
    return figure


def test_luminance_agrees_with_the_published_examples():
    assert plots.luminance("black") == 0
    assert plots.luminance("white") == pytest.approx(1)
    assert plots.luminance("#808080") == pytest.approx(0.2159, abs=1e-4)
    assert plots.luminance("red") == pytest.approx(0.2126)


@pytest.mark.parametrize(("darker", "lighter"), pairs_of_neighbours)
def test_neighbouring_colours_stay_apart_in_grey(darker, lighter):
    contrast = (plots.luminance(lighter) + 0.05) / (plots.luminance(darker) + 0.05)
    assert contrast > 1.25


def test_the_lightest_colour_still_stands_out_from_the_paper():
    assert 1.05 / (plots.luminance(plots.COLORS[-1]) + 0.05) > 2


@pytest.mark.parametrize("kind", ["line", "bar"])
def test_no_two_series_differ_by_colour_alone(kind):
    looks = [plots.look(index, kind) for index in range(len(plots.COLORS))]
    without_colour = [
        tuple(str(v) for k, v in look.items() if k not in ("color", "facecolor")) for look in looks
    ]
    assert len(set(without_colour)) == len(looks)


def test_looks_begin_again_after_the_last():
    assert plots.look(len(plots.COLORS) + 1) == plots.look(1)


def test_an_unknown_kind_of_look_is_refused():
    with pytest.raises(InvalidInput, match="'pie'"):
        plots.look(0, "pie")


@pytest.mark.parametrize("ground", ["black", "white", "#777777", *plots.COLORS])
def test_text_can_be_read_on_any_background(ground):
    high, low = sorted([plots.luminance(plots.text_color(ground)), plots.luminance(ground)])[::-1]
    assert (high + 0.05) / (low + 0.05) > 4


def test_the_same_figure_gives_the_same_bytes():
    first, second = (plots._png(a_figure()) for _ in range(2))
    assert first == second


def test_another_figure_gives_other_bytes():
    assert plots._png(a_figure(1.0)) != plots._png(a_figure(0.5))


def test_a_picture_names_no_software_and_no_date():
    png, _, _ = plots._png(a_figure())
    assert Image.open(io.BytesIO(png)).info.keys() <= {"transparency"}


def test_a_picture_is_small_and_twice_as_fine_as_the_page():
    png, width, _ = plots._png(a_figure())
    assert len(png) < 40_000
    assert Image.open(io.BytesIO(png)).width == pytest.approx(2 * width, abs=1)


def test_a_transparent_figure_comes_out_on_white():
    figure = a_figure()
    figure.set_facecolor("none")
    png, _, _ = plots._png(figure)
    assert Image.open(io.BytesIO(png)).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_carries_its_words_in_every_form():
    bundle, metadata = plots._picture(a_figure(), 'Lines\n  that rise: "a" < b')
    assert bundle["text/plain"] == '[figure: Lines that rise: "a" < b]'
    assert 'alt="Lines that rise: &quot;a&quot; &lt; b"' in bundle["text/html"]
    assert metadata["image/png"]["alt"] == 'Lines that rise: "a" < b'
    assert bundle["image/png"] in bundle["text/html"]


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_picture_without_words_is_refused(alt):
    with pytest.raises(InvalidInput, match="Say what the picture shows"):
        plots.show(a_figure(), alt=alt)


def test_axes_instead_of_a_figure_are_refused_with_advice():
    with pytest.raises(WrongType, match=r"axes\.figure"):
        plots.show(a_figure().axes[0], alt="Axes")


def test_outside_a_notebook_the_words_are_printed(capsys):
    plots.show(a_figure(), alt="Three lines")
    assert capsys.readouterr() == ("[figure: Three lines]\n", "")


def test_a_figure_of_pyplot_is_closed_after_it_is_shown(capsys):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure = pyplot.figure()
    plots.show(figure, alt="Nothing yet")
    assert not pyplot.fignum_exists(figure.number)


def test_style_puts_the_settings_back():
    import matplotlib

    before = matplotlib.rcParams["axes.spines.top"], matplotlib.rcParams["figure.facecolor"]
    with plots.style():
        assert matplotlib.rcParams["axes.spines.top"] is False
    assert before == (
        matplotlib.rcParams["axes.spines.top"],
        matplotlib.rcParams["figure.facecolor"],
    )


def test_style_decorates_a_function():
    import matplotlib

    @plots.style()
    def grid() -> bool:
        return matplotlib.rcParams["axes.grid"]

    assert grid() is True
    assert grid() is True


def test_importing_the_module_imports_no_matplotlib():
    code = (
        "import sys, minilm.plots; "
        "print([m for m in ('matplotlib', 'ipywidgets', 'torch', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_a_slider_outside_a_notebook_prints_the_words_of_its_first_picture(capsys):
    plots.slider(a_figure, alt="Slope {slope}", slope=[0.5, 2.0])
    assert capsys.readouterr().out == "[figure: Slope 0.5]\n"


def test_a_slider_starts_at_the_default_of_the_function(capsys):
    def draw(slope=2.0, lines=3):
        return a_figure(slope)

    plots.slider(draw, alt="Slope {slope}, lines {lines}", slope=[0.5, 2.0], lines=(1, 2))
    assert capsys.readouterr().out == "[figure: Slope 2.0, lines 1]\n"


def test_a_slider_without_words_takes_them_from_the_titles(capsys):
    plots.slider(a_figure, slope=[0.5])
    assert capsys.readouterr().out == "[figure: Three lines; slope = 0.5]\n"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (range(1, 9), "whole"),
        (range(0, 9, 4), "whole"),
        ((1, 8), "whole"),
        ((1, 9, 2), "whole"),
        ((0.1, 2), "real"),
        ((0, 1, 0.1), "real"),
        ([1, 10], "numbers"),
        (["a", "b"], "words"),
        (["a", 1], "words"),
        (True, "box"),
    ],
)
def test_each_range_gets_the_control_that_fits(given, kind):
    ipywidgets = pytest.importorskip("ipywidgets")
    choice = plots._choices("n", given)
    assert choice[0] == kind
    start = plots._starting_values(lambda n: None, {"n": choice})["n"]
    control = plots._control(ipywidgets, "n", choice, start)
    expected = {
        "whole": "IntSlider",
        "real": "FloatSlider",
        "numbers": "SelectionSlider",
        "words": "Dropdown",
        "box": "Checkbox",
    }
    assert type(control).__name__ == expected[kind]
    assert control.value == start


def test_the_last_value_of_a_range_is_the_end_of_its_slider():
    assert plots._choices("n", range(1, 9)) == ("whole", (1, 8, 1))


@pytest.mark.parametrize(
    "given",
    [range(5, 5), range(5, 1, -1), [], (1,), (3, 1), (1.0, 1.0), "abc", 3, None, ("a", "b")],
)
def test_a_range_that_is_none_is_refused_by_name(given):
    with pytest.raises(InvalidInput, match="slope="):
        plots.slider(a_figure, slope=given)


def test_a_slider_with_nothing_to_turn_is_refused():
    with pytest.raises(InvalidInput, match="nothing to turn"):
        plots.slider(a_figure)
