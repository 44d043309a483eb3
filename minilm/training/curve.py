"""The loss as a curve that grows in the notebook while a model learns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from minilm.training.callbacks import TrainerCallback
from minilm.training.progress import Speed, is_static

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Drawing takes a tenth of a second.
SECONDS_BETWEEN = 2.0


class LiveCurve(TrainerCallback):
    """Draw the loss, and say how far training is, how fast, and how long it will take.

    floor: loss that no model can beat, drawn as a line, if it is known
    """

    def __init__(self, floor: float | None = None) -> None:
        self.floor = floor
        self.speed = Speed()
        self.place: Any = None
        self.drawn = 0.0
        self.said = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Make room on the page."""
        self.speed.start(state.num_input_tokens_seen)
        self.first, self.began = state.global_step, time.perf_counter()
        self.place = self.text = None
        if not is_static():
            from IPython.display import display

            self.text = display({"text/plain": "Training begins."}, raw=True, display_id=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Say how far it is, once a second."""
        now = time.perf_counter()
        if self.text is None or now - self.said < 1.0:
            return
        self.said = now
        done = max(1, state.global_step - self.first)
        left = (now - self.began) / done * (state.max_steps - state.global_step)
        speed = self.speed.per_second(state.num_input_tokens_seen)
        words = (
            f"Step {state.global_step} of {state.max_steps}, {speed:,.0f} tokens per second, "
            f"{_minutes(left)} left."
        )
        self.text.update({"text/plain": words}, raw=True)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Draw the curve anew, if the last time is some seconds ago."""
        if not is_static() and time.perf_counter() - self.drawn > SECONDS_BETWEEN:
            self._draw(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Draw the whole curve."""
        if self.text is not None:
            took = _minutes(time.perf_counter() - self.began)
            words = f"Step {state.global_step} of {state.max_steps} done in {took}."
            self.text.update({"text/plain": words}, raw=True)
        self._draw(state)

    def _draw(self, state: Any) -> None:
        from minilm import plots

        history = state.log_history
        if sum("loss" in row for row in history) < 2:
            return
        figure = loss_curve(history, self.floor)
        last = next(row["loss"] for row in reversed(history) if "loss" in row)
        alt = f"The loss over {state.global_step} steps; at the end it is {last:.2f}."
        bundle, metadata = plots._picture(figure, alt)
        from IPython.display import display

        if self.place is None:
            self.place = display(bundle, metadata=metadata, raw=True, display_id=True)
        else:
            self.place.update(bundle, metadata=metadata, raw=True)
        self.drawn = time.perf_counter()


def loss_curve(history: list[dict[str, Any]], floor: float | None = None) -> Figure:
    """Draw the losses of a run over its steps.

    history: trainer.state.log_history    floor: loss that no model can beat, if it is known

    Returns a figure.
    """
    from minilm import plots

    with plots.style():
        figure, axes = plots.canvas(width=6.4, height=3.2)
        for index, (key, name) in enumerate((("loss", "training"), ("eval_loss", "evaluation"))):
            points = [(row["step"], row[key]) for row in history if key in row]
            if points:
                steps, losses = zip(*points)
                marker = {"marker": ""} if index == 0 else {}
                axes.plot(steps, losses, **{**plots.look(index), **marker}, label=name)
        if floor is not None:
            axes.axhline(floor, color=plots.COLORS[3], linestyle=":", label="floor")
        axes.set(xlabel="optimizer step", ylabel="loss (nats per token)")
        if len(axes.get_lines()) > 1:
            axes.legend()
    return figure


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
