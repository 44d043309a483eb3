"""What all pipelines do alike: take one input or many, in batches, and answer in order."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from minilm.errors import InvalidInput, MinilmError, WrongType
from minilm.pipelines.progress import LONG, progress_bar

# Of a dataset, as many batches are looked at together, and sorted by length.
WINDOW = 8
# How many inputs a batch has where the caller leaves it open and it makes no difference to answers.
BATCH = 16
# What transformers takes and what makes no difference here.
_WITHOUT_EFFECT = ("num_workers", "binary_output", "framework", "args_parser")


class Pipeline:
    """Be the base of every pipeline: prepare, run, answer.

    model: of minilm    tokenizer: the model's    task: its name    device: to run on; None = where
    the model is    batch_size: inputs that are run side by side; None = one by one, unless many
    are given and it makes no difference to the answers    progress_bar: True, False, None = for
    many inputs, where somebody sees it    on_interrupt: "return" answers with what is done when
    somebody presses Ctrl-C or the notebook's stop button, and None for the others; "raise"
    (the default) does not    options: of every call

    A task's pipeline has `check_options`, `settle`, `prepare`, `length` and `run`, and may have
    `run_one`, `is_one`, `gather` and `may_batch`.
    Reference: transformers' `Pipeline`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        task: str = "",
        device: int | str | torch.device | None = None,
        batch_size: int | None = None,
        progress_bar: bool | None = None,
        on_interrupt: str = "raise",
        **options: Any,
    ) -> None:
        if tokenizer is None:
            raise InvalidInput(
                f"{type(self).__name__} needs the model's tokenizer. Give tokenizer=…, such as "
                "AutoTokenizer.from_pretrained(name)."
            )
        self.task, self.model, self.tokenizer = task, model, tokenizer
        if device is not None:
            model.to(device_named(device))
        self.batch_size = _checked_batch_size(batch_size)
        self.progress_bar = _checked_flag("progress_bar", progress_bar)
        self.on_interrupt = _checked_on_interrupt(on_interrupt)
        self.options = self.check_options(_with_effect(options))

    # What a task's pipeline says.

    def check_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Check options, of every call or of one.

        options: by name

        Returns them, put in order. Raises WrongType for an unknown one.
        """
        raise NotImplementedError

    def settle(self, options: dict[str, Any]) -> Any:
        """Settle what a call is to do.

        options: of the call, checked; come before those of every call

        Returns what `prepare` and `run` are given.
        """
        raise NotImplementedError

    def prepare(self, given: Any, settings: Any) -> Any:
        """Make of an input what the model takes.

        given: one input    settings: as settled
        """
        raise NotImplementedError

    def length(self, item: Any) -> int:
        """Say how long an input is, so that those of a batch are of about the same length.

        item: as prepared
        """
        raise NotImplementedError

    def run(self, items: list[Any], settings: Any) -> list[Any]:
        """Answer a batch.

        items: as prepared    settings: as settled

        Returns an answer for each.
        """
        raise NotImplementedError

    def run_one(self, item: Any, settings: Any, on_interrupt: str) -> Any:
        """Answer one input that was given alone.

        item: as prepared    settings: as settled    on_interrupt: "return" = with what is done
        """
        return self.run([item], settings)[0]

    def is_one(self, inputs: Any) -> bool:
        """Say whether this is one input, and not several.

        inputs: as given
        """
        return isinstance(inputs, str)

    def gather(self, inputs: Iterator[Any]) -> Any:
        """Put together an input that comes in pieces.

        inputs: what a generator gives

        Returns it, or the same inputs.
        """
        return inputs

    def may_batch(self, settings: Any) -> bool:
        """Say whether an answer is the same alone and in a batch.

        settings: as settled
        """
        return True

    # Being called.

    def __call__(
        self,
        inputs: Any,
        *,
        batch_size: int | None = None,
        progress_bar: bool | None = None,
        on_interrupt: str | None = None,
        **options: Any,
    ) -> Any:
        """Answer one input, or many.

        inputs: one; a list of them; or a generator or dataset, which is read as answers are asked for
        batch_size, progress_bar, on_interrupt: for this call
        options: of the task, for this call

        Returns an answer; a list of them, in the order of the inputs; or, for a generator or
        dataset, an iterator over them. Batches of a list are made of inputs of about the same
        length.
        Raises WrongType for what is no input, and for an unknown option.
        """
        settings = self.settle(self.check_options(_with_effect(options)))
        size = self.batch_size if batch_size is None else _checked_batch_size(batch_size)
        shown = self.progress_bar if progress_bar is None else progress_bar
        interrupt = self.on_interrupt if on_interrupt is None else on_interrupt
        _checked_flag("progress_bar", shown)
        _checked_on_interrupt(interrupt)
        if isinstance(inputs, Iterator):
            inputs = self.gather(inputs)
        if self.is_one(inputs):
            return self._run_one(inputs, settings, interrupt)
        if isinstance(inputs, list | tuple):
            return self._run_all(inputs, settings, size, interrupt, shown)
        if isinstance(inputs, Mapping | bytes) or not (
            isinstance(inputs, Iterable) or hasattr(inputs, "__getitem__")
        ):
            raise WrongType(
                f"A {type(inputs).__name__} was given; expected a text, a list of texts, or a "
                "generator or dataset of them."
            )
        return Answers(self, inputs, settings, size or 1)

    def _run_one(self, given: Any, settings: Any, interrupt: str) -> Any:
        with self._ready():
            return self.run_one(self.prepare(given, settings), settings, interrupt)

    def _run_all(
        self,
        inputs: Sequence[Any],
        settings: Any,
        size: int | None,
        interrupt: str = "raise",
        shown: bool | None = False,
        first: int = 0,
    ) -> list[Any]:
        if not first:
            # transformers reads several inputs with torch's DataLoader, which draws a number to
            # begin with: without it, the same seed would not be the same texts.
            torch.empty((), dtype=torch.int64).random_()
        answers: list[Any] = [None] * len(inputs)
        items = [self._prepared(each, settings, first + i) for i, each in enumerate(inputs)]
        if size is None:
            size = BATCH if len(items) >= LONG and self.may_batch(settings) else 1
        with progress_bar(len(items), shown, self.task) as bar, self._ready():
            try:
                for places in batches_by_length([self.length(item) for item in items], size):
                    done = self.run([items[i] for i in places], settings)
                    for place, answer in zip(places, done, strict=True):
                        answers[place] = answer
                    bar.update(len(places))
            except KeyboardInterrupt:
                if interrupt != "return":
                    raise
        return answers

    def _prepared(self, given: Any, settings: Any, place: int) -> Any:
        try:
            return self.prepare(given, settings)
        except MinilmError as error:
            raise type(error)(f"Input {place} (from 0) cannot be used: {error}") from error

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """The model as it is used, and not as it is trained, for as long as this lasts."""
        training = [each for each in self.model.modules() if each.training]
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for each in training:
                each.training = True

    # Being an object.

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model's weights are."""
        return self.model.dtype

    @property
    def torch_dtype(self) -> torch.dtype:
        """What the model's weights are, by its older name."""
        return self.model.dtype

    def transform(self, inputs: Any) -> Any:
        """Answer, by the name that scikit-learn has for it.

        inputs: as for a call
        """
        return self(inputs)

    predict = transform

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> None:
        """Save model and tokenizer.

        folder: is made if it is not there    options: for the model's save_pretrained
        """
        self.model.save_pretrained(folder, **options)
        self.tokenizer.save_pretrained(folder)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(task='{self.task}', model={type(self.model).__name__}, "
            f"dtype={self.dtype}, device='{self.device}')"
        )


class Answers:
    """Iterate over answers, which are made as they are asked for.

    pipeline: makes them    inputs: a generator or dataset    settings: of the call
    batch_size: inputs that are run side by side

    Of a dataset, which has a length, several batches are read at a time and put together by
    length; of a generator, which may wait for each, one.
    """

    def __init__(self, pipeline: Any, inputs: Any, settings: Any, batch_size: int) -> None:
        self._pipeline, self._inputs, self._settings = pipeline, inputs, settings
        self._batch_size = batch_size
        self._made = self._make()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._made)

    def __len__(self) -> int:
        return len(self._inputs)

    def _make(self) -> Iterator[Any]:
        sized = hasattr(self._inputs, "__len__")
        several = WINDOW if sized and self._batch_size > 1 else 1
        inputs = _each_of(self._inputs)
        first = 0
        while chunk := list(itertools.islice(inputs, self._batch_size * several)):
            yield from self._pipeline._run_all(chunk, self._settings, self._batch_size, first=first)
            first += len(chunk)


def _each_of(inputs: Any) -> Iterator[Any]:
    if hasattr(inputs, "__iter__"):
        return iter(inputs)
    if hasattr(inputs, "__len__"):  # a torch Dataset need not say where it ends otherwise
        return (inputs[i] for i in range(len(inputs)))
    return iter(inputs)


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Put inputs of about the same length together, so that little is padded.

    lengths: of each input    batch_size: how many at most

    Returns the places of the inputs of each batch; the longest come first, so that too little
    memory shows at once. Within a batch, and without batches, they stay in order: what is drawn at
    random is drawn for one after the other.
    """
    places = list(range(len(lengths)))
    if batch_size > 1:
        places.sort(key=lambda place: -lengths[place])
    return [sorted(places[i : i + batch_size]) for i in range(0, len(places), batch_size)]


def device_named(device: Any) -> torch.device:
    """Return the device that goes by a name or number.

    device: "cpu", "cuda:1" …; a number of a GPU, −1 = CPU

    Raises WrongType or InvalidInput for what is none, or is not on this machine.
    """
    if isinstance(device, bool) or not isinstance(device, int | str | torch.device):
        raise WrongType(
            f"device={device!r} was given; expected a name such as 'cpu' or 'cuda:0', or the number "
            "of a GPU, −1 for the CPU."
        )
    if isinstance(device, int):
        device = "cpu" if device < 0 else f"cuda:{device}"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise InvalidInput(
            f"device='{device}' was given; expected a name such as 'cpu' or 'cuda:0'."
        ) from error
    there = torch.cuda.device_count()
    if found.type == "cuda" and (found.index or 0) >= there:
        raise InvalidInput(
            f"device='{found}' was given, and torch finds {there} GPUs of that kind here. Give "
            "device='cpu', or leave it out."
        )
    return found


def _with_effect(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT}


def _checked_batch_size(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise WrongType(f"batch_size={value!r} was given; it is a whole number.")
    if value < 1:
        raise InvalidInput(f"batch_size={value} was given; it is 1 or more.")
    return value.__index__()


def _checked_flag(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise WrongType(f"{name}={value!r} was given; it is True, False or None.")
    return value


def _checked_on_interrupt(value: Any) -> str:
    if value not in ("raise", "return"):
        raise InvalidInput(f"on_interrupt={value!r} was given; it is 'raise' or 'return'.")
    return value
