"""The tokens with a role: beginning, end, unknown, separator, padding, class, mask."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from minilm.errors import InvalidInput, UnknownToken, WrongType
from minilm.tokenization.added_tokens import AddedToken

if TYPE_CHECKING:
    from minilm.tokenization.pipeline import Pipeline

ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


class RoleToken:
    """An attribute such as `pad_token`: the token in this role as text, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        if tokenizer is None:
            return self
        token = tokenizer._roles.get(self.role)
        return None if token is None else str(token)

    def __set__(self, tokenizer: Any, value: Any) -> None:
        if value is not None:
            value = as_added_token(value, what=self.role)
            if tokenizer.pipeline.token_to_id(value.content) is None:
                raise UnknownToken(
                    f"'{value.content}' is not in the vocabulary, so it cannot be the {self.role}. "
                    f"Add it: add_special_tokens({{'{self.role}': '{value.content}'}}), and give "
                    "the model's embedding a row more."
                )
        tokenizer._roles[self.role] = value


class RoleTokenId:
    """An attribute such as `pad_token_id`: the id of the token in this role, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name.removesuffix("_id")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        if tokenizer is None:
            return self
        token = tokenizer._roles.get(self.role)
        return None if token is None else tokenizer.convert_tokens_to_ids(str(token))

    def __set__(self, tokenizer: Any, value: int | None) -> None:
        token = None if value is None else tokenizer.convert_ids_to_tokens(value)
        setattr(tokenizer, self.role, token)


class SpecialTokens:
    """What a tokenizer knows about its special tokens.

    `pad_token`, `pad_token_id` and so on read and set the seven roles. A model may have roles of
    its own, such as an image_token: those are attributes, too. A token without a role is one of the
    `extra_special_tokens`.

    Setting a role to a token that the vocabulary does not have is an error. (transformers accepts
    it, and `pad_token_id` is then silently the id of the unknown token.)
    """

    pipeline: Pipeline
    _roles: dict[str, AddedToken | None]
    _extra: list[AddedToken]

    bos_token = RoleToken()
    eos_token = RoleToken()
    unk_token = RoleToken()
    sep_token = RoleToken()
    pad_token = RoleToken()
    cls_token = RoleToken()
    mask_token = RoleToken()

    bos_token_id = RoleTokenId()
    eos_token_id = RoleTokenId()
    unk_token_id = RoleTokenId()
    sep_token_id = RoleTokenId()
    pad_token_id = RoleTokenId()
    cls_token_id = RoleTokenId()
    mask_token_id = RoleTokenId()

    SPECIAL_TOKENS_ATTRIBUTES: ClassVar[list[str]] = list(ROLES)

    def __getattr__(self, name: str) -> Any:
        roles = self.__dict__.get("_roles", {})
        if name in roles:
            return str(roles[name])
        if name.removesuffix("_id") in roles:
            return self.convert_tokens_to_ids(str(roles[name.removesuffix("_id")]))
        near = difflib.get_close_matches(name, dir(self), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'.{hint}")

    @property
    def pad_token_type_id(self) -> int:
        """What padding gets in the column token_type_ids."""
        return 0

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [str(token) for token in self._extra]

    @extra_special_tokens.setter
    def extra_special_tokens(self, tokens: Sequence[str | AddedToken] | None) -> None:
        if isinstance(tokens, str) or not isinstance(tokens, (Sequence, type(None))):
            raise WrongType(f"extra_special_tokens is a list of tokens, and not {tokens!r}.")
        self._extra = [
            as_added_token(token, special=True, what="extra_special_tokens")
            for token in tokens or ()
        ]

    @property
    def extra_special_tokens_ids(self) -> list[int]:
        """The ids of the special tokens without a role."""
        return self.convert_tokens_to_ids(self.extra_special_tokens)

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Role → token, for the roles that are taken."""
        return {role: str(token) for role, token in self._roles.items() if token is not None}

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once: those with a role, then the others."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of all special tokens."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """From token to id (see the tokenizer)."""
        raise NotImplementedError

    def add_tokens(
        self,
        new_tokens: str | AddedToken | Sequence[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Add tokens at the end of the vocabulary, to be found in texts before anything else.

        new_tokens: one or several; a token that is there already keeps its id
        special_tokens: whether they are special: skipped by `decode(…, skip_special_tokens=True)`

        Returns how many the vocabulary took up. If that is more than none, the model's embedding
        needs as many rows more.
        """
        if isinstance(new_tokens, (list, tuple)):
            tokens = [as_added_token(token, special_tokens) for token in new_tokens]
        else:
            tokens = [as_added_token(new_tokens, special_tokens)]
        return self.pipeline.add_tokens(tokens) if tokens else 0

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, Any],
        replace_extra_special_tokens: bool = True,
    ) -> int:
        """Give tokens a role, and add those that the vocabulary does not have.

        special_tokens_dict: role → token, such as {"pad_token": "[PAD]"}, and optionally
            "extra_special_tokens" → a list of tokens without a role
        replace_extra_special_tokens: let that list replace the one so far instead of extending it

        Returns how many tokens the vocabulary took up.
        """
        if not isinstance(special_tokens_dict, Mapping):
            raise WrongType(
                "add_special_tokens takes a dict from role to token, such as {'pad_token': '[PAD]'}, "
                f"and not {special_tokens_dict!r}. For tokens without a role there is add_tokens."
            )
        given = dict(special_tokens_dict)
        if "additional_special_tokens" in given:
            given.setdefault("extra_special_tokens", given.pop("additional_special_tokens"))
        known = [*self._roles, *ROLES, "extra_special_tokens"]
        roles: dict[str, AddedToken] = {}
        extra: list[AddedToken] = []
        for role, value in given.items():
            if role not in known:
                near = difflib.get_close_matches(role, known, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ""
                raise InvalidInput(
                    f"'{role}' is no role of a special token; there are "
                    f"{list(dict.fromkeys(known))}.{hint}"
                )
            if role != "extra_special_tokens":
                roles[role] = as_added_token(value, special=True, what=role)
                continue
            if not isinstance(value, (list, tuple)):
                raise WrongType(f"extra_special_tokens is a list of tokens, and not {value!r}.")
            extra = [as_added_token(token, special=True, what=role) for token in value]
        if not replace_extra_special_tokens:
            extra = [token for token in extra if str(token) not in self.extra_special_tokens]
        tokens = [*roles.values(), *extra]
        added = self.pipeline.add_tokens(tokens) if tokens else 0
        for role, token in roles.items():
            self._roles[role] = token
        if extra:
            self._extra = extra if replace_extra_special_tokens else [*self._extra, *extra]
        return added


def as_added_token(value: Any, special: bool = False, what: str = "a token") -> AddedToken:
    """Read a token: a text, an AddedToken of minilm or tokenizers, or the dict a file holds.

    value: the token
    special: what to assume of a text; an AddedToken or dict that says so stays special
    what: its role, for the error message
    """
    if isinstance(value, str):
        # As in tokenizers: only ordinary tokens are looked for in the normalised text.
        return AddedToken(value, normalized=not special, special=special)
    if isinstance(value, Mapping):
        flags = {key: value[key] for key in ("single_word", "lstrip", "rstrip") if key in value}
        content = value.get("content")
        is_special = bool(value.get("special", special)) or special
        normalized = bool(value.get("normalized", not is_special))
    else:
        content = getattr(value, "content", None)
        flags = {key: getattr(value, key, False) for key in ("single_word", "lstrip", "rstrip")}
        is_special = bool(getattr(value, "special", False)) or special
        normalized = bool(getattr(value, "normalized", not is_special))
    if not isinstance(content, str):
        raise WrongType(
            f"{what} must be a text or an AddedToken, and {value!r} is {type(value).__name__}."
        )
    return AddedToken(content, normalized=normalized, special=is_special, **flags)
