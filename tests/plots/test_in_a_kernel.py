"""Pictures and sliders in a real kernel: what the notebook page is sent."""

from __future__ import annotations

WIDGET = "application/vnd.jupyter.widget-view+json"

DRAW = """
from minilm import plots
def draw(n=2):
    if n == 5:
        raise ValueError("five is <too much>")
    figure, axes = plots.canvas(height=2)
    axes.plot(range(n + 1), **plots.look(0))
    return figure
"""


def of_kind(messages, *kinds):
    return [m for m in messages if m["kind"] in kinds]


def pictures(messages):
    return [m for m in of_kind(messages, "display_data") if "image/png" in m["data"]]


def quiet(messages):
    return not of_kind(messages, "stream", "error")


def the_slider(kernel):
    """Run a slider and return its messages, its picture and the id of its control."""
    messages = kernel.run(DRAW + "plots.slider(draw, alt='Line of {n}', n=range(1, 7))")
    assert quiet(messages), of_kind(messages, "stream", "error")
    comms = of_kind(messages, "comm_open")
    [control] = [c for c in comms if c["data"]["state"].get("_model_name") == "IntSliderModel"]
    [picture] = pictures(messages)
    return messages, picture, control


def test_a_figure_is_shown_once_with_its_words_and_nothing_on_stderr(new_kernel):
    kernel = new_kernel()
    messages = kernel.run(DRAW + "plots.show(draw(), alt='A line')")
    assert quiet(messages)
    [picture] = pictures(messages)
    assert picture["metadata"]["image/png"]["alt"] == "A line"
    assert 'alt="A line"' in picture["data"]["text/html"]
    assert picture["data"]["text/plain"] == "[figure: A line]"
    assert not of_kind(messages, "execute_result")


def test_a_pyplot_figure_is_not_shown_twice(new_kernel):
    kernel = new_kernel()
    code = """
    %matplotlib inline
    import matplotlib.pyplot as plt
    from minilm import plots
    with plots.style():
        figure, axes = plt.subplots()
    plots.show(figure, alt='Empty axes')
    """
    messages = kernel.run("\n".join(line[4:] for line in code.splitlines()))
    assert quiet(messages)
    assert len(pictures(messages)) == 1


def test_moving_the_control_redraws_the_same_display(new_kernel):
    kernel = new_kernel()
    messages, picture, control = the_slider(kernel)
    assert control["data"]["state"]["min"] == 1
    assert control["data"]["state"]["max"] == 6
    assert control["data"]["state"]["value"] == 2
    assert any(WIDGET in m["data"] for m in of_kind(messages, "display_data"))

    moved = kernel.turn(control["comm_id"], 4)
    assert quiet(moved)
    [update] = of_kind(moved, "update_display_data")
    assert update["transient"]["display_id"] == picture["transient"]["display_id"]
    assert update["data"]["image/png"] != picture["data"]["image/png"]
    assert update["data"]["text/plain"] == "[figure: Line of 4]"
    assert not pictures(moved)

    [back] = of_kind(kernel.turn(control["comm_id"], 2), "update_display_data")
    assert back["data"]["image/png"] == picture["data"]["image/png"]


def test_an_error_while_redrawing_is_told_to_the_reader_and_passes(new_kernel):
    kernel = new_kernel()
    _, _, control = the_slider(kernel)
    failed = kernel.turn(control["comm_id"], 5)
    assert quiet(failed)
    assert not of_kind(failed, "update_display_data")
    told = [m["data"].get("state", {}).get("value") for m in of_kind(failed, "comm_msg")]
    assert "ValueError: five is &lt;too much&gt;" in told
    assert of_kind(kernel.turn(control["comm_id"], 3), "update_display_data")


def test_two_sliders_keep_to_their_own_pictures(new_kernel):
    kernel = new_kernel()
    _, first, control = the_slider(kernel)
    _, second, _ = the_slider(kernel)
    assert first["transient"]["display_id"] != second["transient"]["display_id"]
    [update] = of_kind(kernel.turn(control["comm_id"], 6), "update_display_data")
    assert update["transient"]["display_id"] == first["transient"]["display_id"]


def test_a_static_page_gets_the_figure_and_no_control(new_kernel):
    kernel = new_kernel(MINILM_STATIC="1")
    messages = kernel.run(DRAW + "plots.slider(draw, alt='Line of {n}', n=range(1, 7))")
    assert quiet(messages)
    assert len(pictures(messages)) == 1
    assert not of_kind(messages, "comm_open")
    assert not any(WIDGET in m["data"] for m in of_kind(messages, "display_data"))


def test_without_ipywidgets_the_figure_is_left(new_kernel):
    kernel = new_kernel()
    hide = "import sys; sys.modules['ipywidgets'] = None\n"
    messages = kernel.run(hide + DRAW + "plots.slider(draw, alt='Line of {n}', n=range(1, 7))")
    assert quiet(messages)
    assert len(pictures(messages)) == 1
    assert not of_kind(messages, "comm_open")
