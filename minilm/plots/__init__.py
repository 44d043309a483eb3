"""Pictures that can be read in grey, read aloud, and moved by a knob.

Four things every picture of the book is made with: `style` for its looks, `canvas` for an empty
figure, `show` to put it on the page with words beside it, `slider` to let the reader turn a knob.
matplotlib and ipywidgets are imported when the first picture is drawn, not before.
"""

from __future__ import annotations

import base64
import html
import inspect
import io
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, WrongType

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["canvas", "look", "luminance", "show", "slider", "style", "text_color"]

# From dark to light, so that they stay apart when printed in grey; the line style, marker and
# hatch beside each say the same thing a second time.
COLORS = ("#16265c", "#b0303c", "#3c8a7e", "#d18f1e", "#8fb8e0")
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")
HATCHES = ("", "//", "..", "xx", "--")

TITLE_PLACES = ("left", "center", "right")

INK = "#1a1a1a"
CSS_DOTS_PER_INCH = 90
DOTS_PER_INCH = 2 * CSS_DOTS_PER_INCH  # two image dots for one page dot: sharp on a fine screen


def style() -> AbstractContextManager[None]:
    """Set matplotlib to the looks of the book, for a `with` block or, as a decorator, a function.

    Returns a context that sets matplotlib's settings and puts back the old ones at its end.
    """
    import matplotlib
    from cycler import cycler

    looks = cycler(color=COLORS) + cycler(linestyle=LINE_STYLES)
    settings: dict[str, Any] = {
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "figure.dpi": CSS_DOTS_PER_INCH,
        "axes.prop_cycle": looks,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.facecolor": "white",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.labelsize": 10,
        "font.family": "DejaVu Sans",  # ships inside matplotlib: the same glyphs everywhere
        "font.size": 10,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "hatch.color": "white",
        "hatch.linewidth": 1.2,
        "image.cmap": "Greys",
        "legend.frameon": False,
        "legend.handlelength": 3.0,
        "lines.linewidth": 2.0,
        "lines.markersize": 6,
        "text.color": INK,
        "xtick.color": INK,
        "xtick.labelsize": 9,
        "ytick.color": INK,
        "ytick.labelsize": 9,
    }
    return matplotlib.rc_context(settings)


def canvas(
    rows: int = 1, columns: int = 1, *, width: float = 7.0, height: float = 3.0, **options: Any
) -> tuple[Figure, Any]:
    """Make an empty figure in the book's style, to be drawn on inside `style()`.

    pyplot does not know it, so no notebook shows it twice and no window opens.

    rows, columns: how many axes    width, height: of the whole figure, in inches
    options: passed on to `Figure.subplots`, such as `sharey=True`

    Returns the figure and its axes: one, or an array of them, as `matplotlib.pyplot.subplots`.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(rows, columns, **options)


def look(index: int, kind: str = "line") -> dict[str, Any]:
    """Give the looks of one series, told apart by more than colour.

    index: number of the series, from 0; after five the looks begin again
    kind: "line" (with markers) or "bar"

    Returns keyword arguments for `Axes.plot` or `Axes.bar`.
    Raises InvalidInput for another kind.
    """
    at = index % len(COLORS)
    if kind == "line":
        return {"color": COLORS[at], "linestyle": LINE_STYLES[at], "marker": MARKERS[at]}
    if kind == "bar":
        return {"facecolor": COLORS[at], "edgecolor": "white", "hatch": HATCHES[at]}
    raise InvalidInput(f"kind={kind!r} was given; a look is for a 'line' or a 'bar'.")


def luminance(color: Any) -> float:
    """Say how bright a colour is to the eye, which is all that a grey print keeps of it.

    color: anything matplotlib takes for a colour

    Returns 0.0 (black) to 1.0 (white): the relative luminance of WCAG 2.
    """
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def text_color(background: Any) -> str:
    """Choose the ink that can be read on a background: near-black or white.

    background: anything matplotlib takes for a colour

    Returns a colour.
    """
    ground = luminance(background)
    contrast_of_ink = (ground + 0.05) / (luminance(INK) + 0.05)
    contrast_of_white = 1.05 / (ground + 0.05)
    return INK if contrast_of_ink >= contrast_of_white else "white"


def show(figure: Figure, *, alt: str) -> None:
    """Put a figure on the page once, as PNG, with words for whoever cannot see it.

    figure: a matplotlib figure; closed afterwards if pyplot holds it
    alt: what the picture shows, in a sentence

    Raises InvalidInput if alt has no words, WrongType if figure is not a figure.
    """
    bundle, metadata = _picture(figure, alt)
    if _shell() is None:
        print(bundle["text/plain"])
        return
    from IPython.display import display

    display(bundle, metadata=metadata, raw=True)


_numbers = count(1)


def slider(draw: Callable[..., Figure], /, *, alt: str = "", **ranges: Any) -> None:
    """Show what `draw` draws, with a control for each of its arguments that redraws it in place.

    draw: called as draw(**values) inside `style()`, returns a figure
    alt: words for the picture; `{name}` in them becomes the value of that control
    ranges: for each argument of draw, what it may be
        range(1, 9) or (1, 8)   whole numbers: a slider
        (0.1, 2.0, 0.1)         lowest, highest, step: a slider
        [1, 10, 100]            these numbers: a slider over them
        ["gpt2", "bert"]        these words: a list to choose from
        False                   a box to tick

    A control starts at the default of draw's argument, or else at the lowest or first value.
    The figure is an ordinary output, so it stays in the saved notebook; the controls appear only
    where a kernel and ipywidgets are there and MINILM_STATIC is not 1.
    Raises InvalidInput for a range that is none of these.
    """
    if not ranges:
        raise InvalidInput("slider(draw) was given nothing to turn. Name a range: n=range(1, 9).")
    choices = {name: _choices(name, given) for name, given in ranges.items()}
    values = _starting_values(draw, choices)

    def drawn() -> tuple[Figure, str]:
        with style():
            figure = draw(**values)
        return figure, alt.format(**values) if alt else _words_from(figure, values)

    widgets = _widgets()
    if widgets is None:
        figure, words = drawn()
        show(figure, alt=words)
        return

    from IPython.display import display, update_display

    bundle, metadata = _picture(*drawn())
    display_id = f"minilm-slider-{os.getpid()}-{next(_numbers)}"
    complaint = widgets.HTML()
    controls = [_control(widgets, name, choices[name], values[name]) for name in choices]

    def redraw(change: dict[str, Any]) -> None:
        values[change["owner"].description] = change["new"]
        try:
            new_bundle, new_metadata = _picture(*drawn())
        except Exception as error:  # an error in a callback is otherwise seen by nobody
            complaint.value = html.escape(f"{type(error).__name__}: {error}")
            return
        complaint.value = ""
        update_display(new_bundle, metadata=new_metadata, raw=True, display_id=display_id)

    for control in controls:
        control.observe(redraw, names="value")
    display(bundle, metadata=metadata, raw=True, display_id=display_id)
    box = widgets.VBox([*controls, complaint])
    panel = dict(box._repr_mimebundle_())
    panel["text/plain"] = f"[to turn: {', '.join(choices)}]"
    display(panel, raw=True)


def _picture(figure: Any, alt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Turn a figure into what a notebook stores: PNG, the same inside an <img alt>, and words.

    JupyterLab draws a bare image/png without its alt text, and prefers text/html; other readers
    of notebooks (nbconvert, GitHub) take image/png and its metadata. So both are there.
    """
    if not hasattr(figure, "savefig"):
        raise WrongType(
            f"show() was given a {type(figure).__name__}; it takes a matplotlib figure. "
            "From axes, pass axes.figure."
        )
    words = " ".join(str(alt).split())
    if not words:
        raise InvalidInput("show(figure, alt='') has no words. Say what the picture shows.")
    png, width, height = _png(figure)
    _forget(figure)
    encoded = base64.b64encode(png).decode("ascii")
    bundle = {
        "image/png": encoded,
        "text/html": f'<img alt="{html.escape(words)}" width="{width}" height="{height}" '
        f'style="max-width: 100%; height: auto" src="data:image/png;base64,{encoded}">',
        "text/plain": f"[figure: {words}]",
    }
    return bundle, {"image/png": {"alt": words, "width": width, "height": height}}


def _png(figure: Any) -> tuple[bytes, int, int]:
    """Return the figure as PNG bytes, and its width and height on the page in CSS pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    FigureCanvasAgg(figure)  # whatever backend is set, draw here and open no window
    raw = io.BytesIO()
    figure.savefig(
        raw,
        format="png",
        dpi=DOTS_PER_INCH,
        facecolor="white",  # legible on a dark page too
        bbox_inches="tight",
        pad_inches=0.08,
    )
    # A palette makes the file a third as long; writing it anew drops date and software version.
    picture = Image.open(raw).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    picture.save(packed, format="png", optimize=True)
    scale = CSS_DOTS_PER_INCH / DOTS_PER_INCH
    return packed.getvalue(), round(picture.width * scale), round(picture.height * scale)


def _forget(figure: Any) -> None:
    """Close the figure if pyplot holds it, or the notebook would show it a second time."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)


def _shell() -> Any:
    """Return the running IPython shell, or None outside of one."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _widgets() -> Any:
    """Return the ipywidgets module where controls can work, else None."""
    if os.environ.get("MINILM_STATIC") == "1" or getattr(_shell(), "kernel", None) is None:
        return None
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets


def _choices(name: str, given: Any) -> tuple[str, Any]:
    """Read one range as (kind, values): "whole", "real", "numbers", "words" or "box"."""
    if isinstance(given, bool):
        return "box", given
    if isinstance(given, range) and len(given) and given.step > 0:
        return "whole", (given[0], given[-1], given.step)
    if isinstance(given, list) and given:
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given)
        return ("numbers" if numbers else "words"), given
    if isinstance(given, tuple) and len(given) in (2, 3):
        if all(isinstance(v, int) and not isinstance(v, bool) for v in given):
            low, high, *step = given
            if low < high:
                return "whole", (low, high, *(step or [1]))
        elif all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given):
            low, high, *step = given
            if low < high:
                return "real", (low, high, *(step or [(high - low) / 20]))
    raise InvalidInput(
        f"{name}={given!r} was given; a control takes range(low, high), (low, high) or "
        "(low, high, step) with low < high, a list of values, or True/False."
    )


def _starting_values(draw: Any, choices: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """Take the defaults of draw's own arguments where they fit, else the first value of each."""
    parameters = inspect.signature(draw).parameters
    values = {}
    for name, (kind, given) in choices.items():
        first = given if kind == "box" else given[0]
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        if kind in ("whole", "real"):
            low, high, _ = given
            fits = isinstance(default, (int, float)) and low <= default <= high
        else:
            fits = kind == "box" or any(default is v or default == v for v in given)
        if default is inspect.Parameter.empty or not fits:
            default = first
        values[name] = default
    return values


def _control(widgets: Any, name: str, choice: tuple[str, Any], value: Any) -> Any:
    """Make the control that fits the kind of values."""
    kind, given = choice
    looks = {
        "description": name,
        "style": {"description_width": "initial"},
        "layout": widgets.Layout(width="28em"),
    }
    if kind == "box":
        return widgets.Checkbox(value=bool(value), **looks)
    if kind == "words":
        return widgets.Dropdown(options=given, value=value, **looks)
    if kind == "numbers":
        return widgets.SelectionSlider(options=given, value=value, **looks)
    low, high, step = given
    make = widgets.IntSlider if kind == "whole" else widgets.FloatSlider
    return make(min=low, max=high, step=step, value=value, **looks)


def _words_from(figure: Any, values: dict[str, Any]) -> str:
    """Say what a figure shows from its own titles and the values it was drawn with."""
    titles = [
        figure.get_suptitle(),
        *(axes.get_title(loc) for axes in figure.axes for loc in TITLE_PLACES),
    ]
    settings = ", ".join(f"{name} = {value}" for name, value in values.items())
    return "; ".join([*(title for title in titles if title), settings])
