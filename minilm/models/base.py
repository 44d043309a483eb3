"""What all models have in common: a config, weights that start somewhere, tied weights, a device."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from minilm.config import PreTrainedConfig
from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.layers import Conv1D, LayerNorm, RMSNorm

# What later stages add to every model. A stage imports no later one, so these are found by name,
# when they are first called.
ADDED_LATER = {
    "from_pretrained": "minilm.loading:load_model",
    "save_pretrained": "minilm.saving:save_model",
    "generate": "minilm.generation.generate:generate",
    "compute_transition_scores": "minilm.generation.reading:compute_transition_scores",
    "generation_config": "minilm.generation.config:config_of",
    "set_generation_config": "minilm.generation.config:set_config_of",
    "read_generation_config": "minilm.generation.config:read_config",
    "generation_file": "minilm.generation.config:file_for",
}

ATTENTION_PATHS = ("sdpa", "eager")


def added_later(name: str) -> Callable[..., Any]:
    """Find what a later stage adds to the models.

    name: a key of ADDED_LATER
    """
    module, _, function = ADDED_LATER[name].partition(":")
    return getattr(import_module(module), function)


class PreTrainedModel(nn.Module):
    """Be the base of every model.

    config: its settings, of the family's own class

    config_class: the family's config    base_model_prefix: the attribute that holds the body in a
    model with a head    tied_weights: name of a weight → name of the one it shares, if the config
    says so
    """

    config_class: ClassVar[type[PreTrainedConfig]] = PreTrainedConfig
    base_model_prefix: ClassVar[str] = ""
    tied_weights: ClassVar[dict[str, str]] = {}
    # Weight → what the family's files call it, where that is not the name it has here.
    file_names: ClassVar[dict[str, str]] = {}
    # Leftovers in old files that are no weights.
    ignored_keys: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            wanted, got = self.config_class.__name__, type(config).__name__
            if got == wanted:  # another library's of the same name
                got = f"{type(config).__module__}.{got}; make one with {wanted}.from_dict(settings)"
            raise WrongType(
                f"{type(self).__name__} takes a {wanted}, and got {got}. Load from a folder with "
                f"{type(self).__name__}.from_pretrained(folder)."
            )
        config.check()  # a config can change after it was made
        check_attn_implementation(config._attn_implementation)
        self.config: Any = config
        self.gradient_checkpointing = False

    # Loading and saving belong to a later stage.

    @classmethod
    def from_pretrained(cls, name_or_path: Any, **options: Any) -> Any:
        """Load a model with its weights from a folder or by its name; see `minilm.loading`.

        name_or_path: of the model    options: as in `minilm.loading.load_model`
        """
        return added_later("from_pretrained")(cls, name_or_path, **options)

    def save_pretrained(self, folder: Any, **options: Any) -> None:
        """Write config and weights into a folder; see `minilm.saving`.

        folder: is made if need be    options: as in `minilm.saving.save_model`
        """
        added_later("save_pretrained")(self, folder, **options)

    # So does writing texts.

    def can_generate(self) -> bool:
        """Say whether the model writes texts."""
        return False

    def generate(self, *inputs: Any, **options: Any) -> Any:
        """Write on from a prompt, token by token; see `minilm.generation`.

        inputs, options: as in `minilm.generation.generate.generate`
        """
        return added_later("generate")(self, *inputs, **options)

    def compute_transition_scores(self, *inputs: Any, **options: Any) -> Tensor:
        """Return the score of each new token of texts that `generate` wrote.

        inputs, options: as in `minilm.generation.reading.compute_transition_scores`
        """
        return added_later("compute_transition_scores")(self, *inputs, **options)

    @property
    def generation_config(self) -> Any:
        """How the model writes where nobody says otherwise, a `GenerationConfig`."""
        return added_later("generation_config")(self)

    @generation_config.setter
    def generation_config(self, value: Any) -> None:
        added_later("set_generation_config")(self, value)

    # Parts.

    @property
    def base_model(self) -> Any:
        """The body, without a head; a body is its own."""
        return getattr(self, self.base_model_prefix, self) if self.base_model_prefix else self

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the module that turns ids into vectors."""
        return self.base_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another module in its place.

        value: (V, C)
        """
        self.base_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the module that turns vectors into logits, or None."""
        return None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are."""
        return next(self.parameters()).dtype

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Count the numbers in all weights, tied ones once.

        only_trainable: leave out what is frozen    exclude_embeddings: leave out embeddings
        """
        embeddings = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        return sum(
            parameter.numel()
            for parameter in self.parameters()
            if (parameter.requires_grad or not only_trainable)
            and not (exclude_embeddings and id(parameter) in embeddings)
        )

    # How attention is computed.

    @property
    def attn_implementation(self) -> str:
        """Either "sdpa", torch's fused attention, or "eager", the plain one."""
        return self.config._attn_implementation or "sdpa"

    def set_attn_implementation(self, name: str) -> None:
        """Choose how attention is computed; weights are returned either way when asked for.

        name: "sdpa" or "eager"
        """
        check_attn_implementation(name)
        self.config._attn_implementation = name

    # Memory for time.

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Keep in training only what goes into each layer, and compute the rest anew going back.

        gradient_checkpointing_kwargs: taken as in transformers, and without effect here

        Takes about a third more time, and the memory of one layer in place of all (Chen et al.
        2016). No cache is kept in the meantime.
        """
        self.base_model.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything again, as at first."""
        self.base_model.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether layers are computed anew going back."""
        return self.base_model.gradient_checkpointing

    # Weights before training.

    def post_init(self) -> None:
        """Fill the weights, and tie those that are one; the last line of every `__init__`."""
        self.apply(self.init_weights)
        self.tie_weights()

    def init_weights(self, module: nn.Module) -> None:
        """Fill one module's own weights as the family does before training.

        module: any of the model's
        """
        std = getattr(self.config, "initializer_range", 0.02)
        with torch.no_grad():
            if isinstance(module, nn.Linear | Conv1D):
                module.weight.normal_(0.0, std)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(0.0, std)
                if module.padding_idx is not None:
                    module.weight[module.padding_idx].zero_()
            elif isinstance(module, LayerNorm | RMSNorm):
                module.weight.fill_(1.0)
                if getattr(module, "bias", None) is not None:
                    module.bias.zero_()

    def tie_weights(self) -> None:
        """Make tied weights one and the same tensor, if the config says that they are."""
        if not self.config.tie_word_embeddings:
            return
        for name, source in self.tied_weights.items():
            tie(self, name, source)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Make room for more tokens, or fewer; the rows that stay keep their values.

        new_num_tokens: V from now on; None = as many as there are
        pad_to_multiple_of: round V up to a multiple of this
        mean_resizing: draw new rows around the mean of the old ones, so that a new token is at first
            neither likely nor unlikely (Hewitt 2021); False = as in a new model

        Returns the input embeddings. Raises InvalidInput for numbers below 1, WrongType for others.
        Reference: transformers' method of the same name.
        """
        old = self.get_input_embeddings()
        for name, number in (
            ("new_num_tokens", new_num_tokens),
            ("pad_to_multiple_of", pad_to_multiple_of),
        ):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise WrongType(f"{name}={number!r} was given; it is a whole number, or None.")
            if number is not None and number < 1:
                raise InvalidInput(f"{name}={number} was given; it is 1 or more.")
        vocab_size = old.num_embeddings if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of is not None:
            vocab_size = -(-vocab_size // pad_to_multiple_of) * pad_to_multiple_of
        if vocab_size == old.num_embeddings:
            return old
        padding = old.padding_idx if (old.padding_idx or 0) < vocab_size else None
        form = {"device": old.weight.device, "dtype": old.weight.dtype}
        new = type(old)(vocab_size, old.embedding_dim, padding_idx=padding, **form)
        self._fill_resized(new, old, mean_resizing)
        self.set_input_embeddings(new)
        head = self.get_output_embeddings()
        if isinstance(head, nn.Linear):
            resized = nn.Linear(head.in_features, vocab_size, head.bias is not None, **form)
            self._fill_resized(resized, head, mean_resizing)
            self.set_output_embeddings(resized)
        self.config.vocab_size = vocab_size
        self.tie_weights()
        return new

    def _fill_resized(self, new: nn.Module, old: nn.Module, mean_resizing: bool) -> None:
        """Fill the rows of a resized embedding or head; `old` is the one that it replaces."""
        new.train(old.training)
        self.init_weights(new)
        with torch.no_grad():
            for name, before in old.named_parameters():
                after = new.get_parameter(name).requires_grad_(before.requires_grad)
                rows, added = min(len(before), len(after)), len(after) - len(before)
                after[:rows] = before[:rows]
                if added > 0 and mean_resizing:
                    mean = before.float().mean(dim=0)
                    # Drawn with a billionth of the old rows' covariance, so that no two are equal.
                    spread = before.float() - mean
                    mix = torch.randn(added, rows, device=mean.device) * (1e-9 / rows) ** 0.5
                    after[rows:] = mean + mix @ spread

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Put another head in its place.

        value: (V, C)
        """
        raise InvalidInput(f"{type(self).__name__} has no head over the vocabulary.")


def tie(model: nn.Module, name: str, source: str) -> None:
    """Make two weights of a model one and the same tensor.

    name: of the weight that gives way, "lm_head.weight"
    source: of the weight that both are from now on, "model.embed_tokens.weight"
    """
    owner, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(owner), attribute, model.get_parameter(source))


def check_attn_implementation(name: str | None) -> None:
    """Refuse a way to compute attention that is not there.

    name: as given; None = choose
    """
    if name is not None and name not in ATTENTION_PATHS:
        raise InvalidInput(
            f"attn_implementation={name!r} was given, by the caller or in config.json; there are "
            f"{' and '.join(ATTENTION_PATHS)}. Give attn_implementation='sdpa'."
        )


# Arguments that transformers once had, or swallows.
_GONE = {
    "cache_position": "positions follow from the cache, or are given as position_ids",
    "past_key_value": "it is called past_key_values",
    "past": "it is called past_key_values",
    "head_mask": "heads cannot be masked",
    "encoder_hidden_states": "this model has no encoder to look at",
    "encoder_attention_mask": "this model has no encoder to look at",
}


def refuse_unknown(unknown: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raise an error for arguments that nobody knows; transformers passes over them silently.

    unknown: their names    known: those that there are    owner: whose arguments
    """
    known = list(known)
    for name in unknown:
        if name in _GONE:
            hint = f": {_GONE[name]}."
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else f". There are: {', '.join(known)}."
        raise WrongType(f"{owner} has no argument '{name}'{hint}")


def at_places(hidden_states: Tensor, logits_to_keep: int | Tensor) -> Tensor:
    """Keep the vectors whose logits are wanted.

    hidden_states: (B, T, C)
    logits_to_keep: how many of the last, 0 = all; or places, int (K,), the same in each row; or
        int (B, K), of each row; or bool (B, T), True where they are wanted. Places below 0 count
        from the end

    Returns (B, K, C), or (N, C) for N places of a bool mask.
    Raises WrongType for what is neither, InvalidInput for a number below 0, OutOfRange for places
    that are not there.
    """
    if not isinstance(logits_to_keep, Tensor):
        if not isinstance(logits_to_keep, int):
            raise WrongType(
                f"logits_to_keep={logits_to_keep!r} was given; it is a whole number, or a tensor of "
                "places: torch.tensor([0, 3])."
            )
        if logits_to_keep < 0:
            raise InvalidInput(
                f"logits_to_keep={logits_to_keep} was given; say how many of the last places: 0 "
                "keeps all, 1 the last one."
            )
        return hidden_states[:, -logits_to_keep:] if logits_to_keep else hidden_states
    try:
        if logits_to_keep.ndim < 2:
            return hidden_states[:, logits_to_keep]  # (B, K, C)
        if logits_to_keep.dtype == torch.bool:
            return hidden_states[logits_to_keep]  # (N, C)
        # Not by take_along_dim, which finds something for places that are not there.
        batch, length, width = hidden_states.shape
        places = logits_to_keep + length * (logits_to_keep < 0)
        places = places[..., None].expand(batch, -1, width)  # (B, K, C)
        return hidden_states.gather(1, places)  # (B, K, C)
    except (IndexError, RuntimeError) as error:
        raise OutOfRange(
            f"logits_to_keep of shape {tuple(logits_to_keep.shape)} and {logits_to_keep.dtype} was "
            f"given for {hidden_states.shape[0]} × {hidden_states.shape[1]} tokens. Give places, "
            f"int64 from 0 to {hidden_states.shape[1] - 1}, as (K,) or (B, K); or a bool for each "
            "token, (B, T)."
        ) from error
