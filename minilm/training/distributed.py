"""The processes that train together: none but this one, or those that torchrun started.

Each process reads its own share of every step's examples. Weights are the same in all of them
(DistributedDataParallel), or divided among them (FSDP2, see `sharding`); either way a step does what
one process would do with the examples of all. Files are written, and words said, by the main one.
"""

from __future__ import annotations

import atexit
import os
import pickle
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from minilm.errors import InvalidInput
from minilm.training import losing, seeding, sharding

Value = TypeVar("Value")

# What torchrun tells each process that it starts.
_TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# Seconds that the threads of a group have to finish in, when a script has come to its end.
_MOMENT = 0.2
_START = "Start the script with: torchrun --nproc_per_node 2 script.py"


class World:
    """One process alone: everything that several would have to agree on, it knows itself."""

    rank = 0
    local_rank = 0
    size = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def device(self, use_cpu: bool) -> torch.device:
        """Choose where this process computes.

        use_cpu: even if there is something faster
        """
        if not use_cpu and torch.cuda.is_available():
            return torch.device("cuda", self.local_rank)
        if not use_cpu and torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")

    def wrap(self, model: nn.Module, args: Any) -> nn.Module:
        """Make a model's gradients those of all processes.

        model: on its device    args: the TrainingArguments
        """
        return model

    def check_optimizer(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an optimizer that moves other weights than the model has now.

        model: after `wrap`    optimizer: as given, or made
        """

    def for_measuring(self, model: nn.Module) -> nn.Module:
        """Give what to call where there are no gradients.

        model: from `wrap`
        """
        return model

    @property
    def measures_together(self) -> bool:
        """Whether all processes must call the model equally often, also without gradients."""
        return False

    def exchange_gradients(self, model: nn.Module, now: bool) -> None:
        """Say, before a forward pass, whether the backward pass after it ends an optimizer step.

        model: from `wrap`    now: False while gradients of a step are still being added up
        """

    def sum(self, number: Tensor) -> Tensor:
        """Add up a tensor over all processes."""
        return number

    def sum_numbers(self, *numbers: float) -> tuple[float, ...]:
        """Add up some numbers over all processes, each for itself."""
        return numbers

    def any(self, *said: bool) -> tuple[bool, ...]:
        """Whether some process says yes, for each of several questions."""
        return said

    def gather(self, value: Any) -> list[Any]:
        """Collect a value of each process, by rank."""
        return [value]

    def on_main(self, function: Callable[[], Value]) -> Value:
        """Let the main process do something for all.

        function: called by the main process only

        Returns to every process what it returned, and raises in every process what it raised.
        """
        return function()

    def barrier(self) -> None:
        """Wait for all."""

    def listening(self, advice: Callable[[], str]) -> AbstractContextManager[None]:
        """Watch over a block of work: if another process is lost, end with a clear word.

        advice: what to do then
        """
        return nullcontext()

    def model_state(self, model: nn.Module) -> dict[str, Tensor]:
        """Give the whole weights of a model, on the main process at least.

        model: from `wrap`
        """
        return _bare(model).state_dict()

    def optimizer_state(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Give the whole state of an optimizer, on the main process at least.

        model: from `wrap`    optimizer: of its parameters
        """
        return optimizer.state_dict()

    def load_optimizer_state(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
    ) -> None:
        """Put a whole state back.

        model: from `wrap`    optimizer: of its parameters    state: from `optimizer_state`
        """
        optimizer.load_state_dict(state)

    def full(self, number: Tensor) -> Tensor:
        """Make a number whole whose parts may lie with several processes.

        number: such as a gradient norm
        """
        return number


class Processes(World):
    """Several processes; each has a number, its rank, and the main one is number 0."""

    def __init__(self, args: Any) -> None:
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ["LOCAL_RANK"])
        self.options = sharding.read_options(args.fsdp, args.fsdp_config)
        self._check(args)
        if not dist.is_initialized():
            device = self.device(args.use_cpu)
            if device.type == "cuda":
                torch.cuda.set_device(device)
            dist.init_process_group(_backend(device, args.ddp_backend), timeout=_patience(args))
            atexit.register(_leave)
            losing.speak_once()
        # What the processes tell each other besides gradients goes past the GPUs.
        cpu_too = "gloo" in str(dist.get_backend_config())
        self.talk = None if cpu_too else dist.new_group(backend="gloo", timeout=_patience(args))
        self._wrapped: tuple[nn.Module, nn.Module] | None = None

    def _check(self, args: Any) -> None:
        if not args.average_tokens_across_devices:
            raise InvalidInput(
                "average_tokens_across_devices=False was given with several processes; the loss is "
                "always a mean over the labels of all of them. Leave it out."
            )
        if args.use_cpu or not torch.cuda.is_available():
            return
        if self.local_rank >= torch.cuda.device_count():
            raise InvalidInput(
                f"Process {self.rank} has no GPU of its own: {torch.cuda.device_count()} here, and "
                f"LOCAL_RANK={self.local_rank}. Start as many processes as there are GPUs, or give "
                "use_cpu=True."
            )

    def device(self, use_cpu: bool) -> torch.device:
        """Choose where this process computes: a GPU of its own, or the CPU.

        use_cpu: even if there is something faster
        """
        if not use_cpu and torch.cuda.is_available():
            return torch.device("cuda", self.local_rank)
        return torch.device("cpu")

    def wrap(self, model: nn.Module, args: Any) -> nn.Module:
        """Give every process the main one's weights, and make gradients those of all.

        model: on its device    args: the TrainingArguments; fsdp divides the weights
        """
        if self._wrapped is not None and self._wrapped[0] is model:
            return self._wrapped[1]
        wrapped = self._shard(model) if self.options else self._copy(model, args)
        self._wrapped = (model, wrapped)
        if self.rank:
            # The main process goes on with the chances that it would have alone; the others must
            # not drop the same places as it does.
            seeding.set_seed((args.seed + self.rank) % 2**32)
        return wrapped

    def _shard(self, model: nn.Module) -> nn.Module:
        if not sharding.is_sharded(model):
            for tensor in (*model.parameters(), *model.buffers()):
                dist.broadcast(tensor.detach(), src=0)
            sharding.shard(model, self.options)
        return model

    def _copy(self, model: nn.Module, args: Any) -> nn.Module:
        if not any(weight.requires_grad for weight in model.parameters()):
            return model  # which the Trainer refuses
        given = {
            "find_unused_parameters": args.ddp_find_unused_parameters,
            "bucket_cap_mb": args.ddp_bucket_cap_mb,
            "broadcast_buffers": args.ddp_broadcast_buffers,
            "static_graph": args.ddp_static_graph,
        }
        device = next(model.parameters()).device
        return DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            **{name: value for name, value in given.items() if value is not None},
        )

    def check_optimizer(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an optimizer that was made before the weights were divided.

        model: after `wrap`    optimizer: as given, or made

        Raises InvalidInput.
        """
        weights = {id(weight) for weight in model.parameters()}
        moved = [weight for group in optimizer.param_groups for weight in group["params"]]
        if self.options and any(id(weight) not in weights for weight in moved):
            raise InvalidInput(
                "The optimizer in optimizers=(…) was made of whole weights, and fsdp divides them "
                "among the processes afterwards. Give optimizer_cls_and_kwargs=(class, settings)."
            )

    def for_measuring(self, model: nn.Module) -> nn.Module:
        """Give what to call where there are no gradients: copies need not wait for each other.

        model: from `wrap`
        """
        bare = _bare(model)
        return bare.module if isinstance(bare, DistributedDataParallel) else model

    @property
    def measures_together(self) -> bool:
        """Whether all processes must call the model equally often, also without gradients."""
        return self._wrapped is not None and sharding.is_sharded(self._wrapped[0])

    def exchange_gradients(self, model: nn.Module, now: bool) -> None:
        """Say, before a forward pass, whether gradients are exchanged in the backward pass after it.

        model: from `wrap`    now: False while gradients of a step are still being added up
        """
        bare: Any = _bare(model)
        if isinstance(bare, DistributedDataParallel):
            bare.require_backward_grad_sync = now
        else:
            bare.set_requires_gradient_sync(now)

    def sum(self, number: Tensor) -> Tensor:
        """Add up a tensor over all processes."""
        number = number.clone()
        dist.all_reduce(number)
        return number

    def sum_numbers(self, *numbers: float) -> tuple[float, ...]:
        """Add up some numbers over all processes, each for itself."""
        together = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(together, group=self.talk)
        return tuple(together.tolist())

    def any(self, *said: bool) -> tuple[bool, ...]:
        """Whether some process says yes, for each of several questions."""
        together = torch.tensor(said, dtype=torch.int32)
        dist.all_reduce(together, dist.ReduceOp.MAX, group=self.talk)
        return tuple(map(bool, together.tolist()))

    def gather(self, value: Any) -> list[Any]:
        """Collect a value of each process, by rank; every process gets all."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.talk)
        return values

    def on_main(self, function: Callable[[], Value]) -> Value:
        """Let the main process do something for all, which wait for it meanwhile.

        function: called by the main process only

        Returns to every process what it returned, and raises in every process what it raised.
        """
        value: Any = None
        error: Exception | None = None
        if self.is_main:
            try:
                value = function()
            except Exception as raised:
                error = raised
        told = [(value, _portable(error))]
        dist.broadcast_object_list(told, src=0, group=self.talk)
        if error is not None:
            raise error
        value, error = told[0]
        if error is not None:
            raise losing.told_elsewhere(error)
        return value

    def barrier(self) -> None:
        """Wait for all."""
        self.any(False)

    def listening(self, advice: Callable[[], str]) -> AbstractContextManager[None]:
        """Watch over a block of work: if another process is lost, end with a clear word.

        advice: what to do then
        """
        return losing.listening(self.rank, self.size, advice)

    def model_state(self, model: nn.Module) -> dict[str, Tensor]:
        """Give the whole weights of a model to the main process; all must ask for them.

        model: from `wrap`
        """
        bare = _bare(model)
        if isinstance(bare, DistributedDataParallel):
            return bare.module.state_dict()
        if sharding.is_sharded(bare):
            return sharding.whole_weights(bare, keep=self.is_main)
        return bare.state_dict()

    def optimizer_state(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Give the whole state of an optimizer to the main process; all must ask for it.

        model: from `wrap`    optimizer: of its parameters
        """
        return sharding.whole(optimizer.state_dict(), keep=self.is_main)

    def load_optimizer_state(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
    ) -> None:
        """Put a whole state back, whatever number of processes it comes from.

        model: from `wrap`    optimizer: of its parameters    state: from `optimizer_state`
        """
        optimizer.load_state_dict(sharding.divided_state(optimizer, state))

    def full(self, number: Tensor) -> Tensor:
        """Make a number whole whose parts may lie with several processes.

        number: such as a gradient norm
        """
        return sharding.whole(number, keep=True)


def _leave() -> None:
    """Leave the group while Python is still there.

    The group's threads let go of the tensors of a collective a little after it is done, for which
    they need Python; and one that finds it gone takes the process down with it, after all went well:
    "terminate called without an active exception". torch has no way to wait for them.
    """
    if dist.is_initialized():
        time.sleep(_MOMENT)
        dist.destroy_process_group()


def join(args: Any) -> World:
    """Find the processes that this one was started with.

    args: the TrainingArguments

    Returns a World of one, unless torchrun says that there are more.
    Raises InvalidInput if what it says is not complete, or if the arguments fit no such processes.
    """
    said = os.environ.get("WORLD_SIZE", "1")
    if not said.isdecimal() or not int(said):
        raise InvalidInput(f"WORLD_SIZE={said!r} is set; it is a number of processes. {_START}")
    if int(said) == 1:
        return World()
    missing = [name for name in _TOLD if not os.environ.get(name)]
    if missing:
        raise InvalidInput(
            f"WORLD_SIZE={said} is set, and {' and '.join(missing)} not: who the others are is "
            f"unknown. {_START}; or unset WORLD_SIZE to train in one process."
        )
    for name in ("RANK", "LOCAL_RANK"):
        number = os.environ[name]
        if not number.isdecimal() or int(number) >= int(said):
            raise InvalidInput(
                f"{name}={number!r} is set; among {said} processes it is a number from 0 to "
                f"{int(said) - 1}. {_START}"
            )
    return Processes(args)


def _backend(device: torch.device, asked: str | None) -> str:
    """Which of torch's ways to use for gradients, and for what is on the CPU."""
    known = ("gloo",) if device.type == "cpu" else ("nccl", "gloo")
    if asked is not None and asked not in known:
        raise InvalidInput(
            f"ddp_backend={asked!r} was given; on a {device.type.upper()} it is "
            f"{' or '.join(map(repr, known))}. Leave it out: it is chosen by the device."
        )
    if device.type == "cpu" or asked == "gloo":
        return "gloo"
    return "cpu:gloo,cuda:nccl"


def _patience(args: Any) -> timedelta:
    return timedelta(seconds=args.ddp_timeout)


def _bare(model: Any) -> Any:
    """A model without what torch.compile put around it."""
    return getattr(model, "_orig_mod", model)


def _portable(error: Exception | None) -> Exception | None:
    """An error in a form that another process can raise."""
    if error is None:
        return None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
