"""What tokenizer classes take for granted: the facts that a folder's files leave out.

tokenizer_config.json names a class, and each of transformers' classes has its own default columns,
padding side and special tokens. This is the one table of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IDS_AND_MASK = ("input_ids", "attention_mask")
WITH_TYPES = ("input_ids", "token_type_ids", "attention_mask")


@dataclass(frozen=True)
class Family:
    """The defaults of a tokenizer class.

    special_tokens: role → token
    model_input_names: the columns a call returns
    padding_side: "right" or "left"
    extra_special_tokens: special tokens without a role
    """

    special_tokens: Mapping[str, Any] = field(default_factory=dict)
    model_input_names: tuple[str, ...] = IDS_AND_MASK
    padding_side: str = "right"
    extra_special_tokens: tuple[str, ...] = ()


def _roles(**tokens: Any) -> dict[str, Any]:
    return {f"{role}_token": token for role, token in tokens.items()}


_LSTRIP_MASK = {"content": "<mask>", "lstrip": True, "special": True, "normalized": False}
_BERT = _roles(unk="[UNK]", sep="[SEP]", pad="[PAD]", cls="[CLS]", mask="[MASK]")
_ROBERTA = _roles(
    bos="<s>", eos="</s>", unk="<unk>", sep="</s>", pad="<pad>", cls="<s>", mask="<mask>"
)
_MBART = {**_ROBERTA, "mask_token": _LSTRIP_MASK}
_ALBERT = _roles(
    bos="[CLS]", eos="[SEP]", unk="<unk>", sep="[SEP]", pad="<pad>", cls="[CLS]", mask="[MASK]"
)
_GPT2 = _roles(bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")
_LLAMA = _roles(bos="<s>", eos="</s>", unk="<unk>")

PLAIN = Family()
FAMILIES: dict[str, Family] = {
    "BertTokenizer": Family(_BERT, WITH_TYPES),
    "ElectraTokenizer": Family(_BERT, WITH_TYPES),
    "MobileBertTokenizer": Family(_BERT, WITH_TYPES),
    "ConvBertTokenizer": Family(_BERT, WITH_TYPES),
    "SqueezeBertTokenizer": Family(_BERT, WITH_TYPES),
    "LxmertTokenizer": Family(_BERT, WITH_TYPES),
    "DistilBertTokenizer": Family(_BERT),
    "MPNetTokenizer": Family({**_MBART, "unk_token": "[UNK]"}),
    "DebertaTokenizer": Family({**_ALBERT, **_BERT}, (*IDS_AND_MASK, "token_type_ids")),
    "DebertaV2Tokenizer": Family({**_ALBERT, **_BERT}, (*IDS_AND_MASK, "token_type_ids")),
    "GPT2Tokenizer": Family(_GPT2),
    "CodeGenTokenizer": Family(_GPT2),
    "CLIPTokenizer": Family({**_GPT2, **_roles(bos="<|startoftext|>", pad="<|endoftext|>")}),
    "GPTNeoXTokenizer": Family({**_GPT2, "pad_token": "<|padding|>"}),
    "Qwen2Tokenizer": Family(_roles(eos="<|endoftext|>", unk="<|endoftext|>", pad="<|endoftext|>")),
    "RobertaTokenizer": Family(_ROBERTA),
    "BartTokenizer": Family(_ROBERTA),
    "LEDTokenizer": Family(_ROBERTA),
    "LongformerTokenizer": Family(_ROBERTA),
    "LlamaTokenizer": Family(_LLAMA, padding_side="left"),
    "CodeLlamaTokenizer": Family(_LLAMA, padding_side="left"),
    "Phi3Tokenizer": Family(_LLAMA, padding_side="left"),
    "GemmaTokenizer": Family(
        _roles(bos="<bos>", eos="<eos>", unk="<unk>", pad="<pad>", mask="<mask>"),
        padding_side="left",
    ),
    "CohereTokenizer": Family(
        _roles(
            bos="<BOS_TOKEN>",
            eos="<|END_OF_TURN_TOKEN|>",
            unk="<UNK>",
            sep="<SEP>",
            pad="<PAD>",
            cls="<CLS>",
            mask="<MASK_TOKEN>",
        ),
        padding_side="left",
    ),
    "T5Tokenizer": Family(
        _roles(eos="</s>", unk="<unk>", pad="<pad>"),
        extra_special_tokens=tuple(f"<extra_id_{i}>" for i in range(100)),
    ),
    "XLMRobertaTokenizer": Family(_ROBERTA),
    "CamembertTokenizer": Family(
        _MBART, extra_special_tokens=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")
    ),
    "BarthezTokenizer": Family(_MBART),
    "AlbertTokenizer": Family(_ALBERT),
    "RemBertTokenizer": Family(_ALBERT),
    "FNetTokenizer": Family(_ALBERT, ("input_ids", "token_type_ids")),
    "XLNetTokenizer": Family(
        {**_MBART, "sep_token": "<sep>", "cls_token": "<cls>"},
        padding_side="left",
        extra_special_tokens=("<eop>", "<eod>"),
    ),
    "MarianTokenizer": Family(_roles(eos="</s>", unk="<unk>", pad="<pad>")),
}

# Which class a model's config.json stands for, where tokenizer_config.json names none.
_MODEL_TYPES = {
    "BertTokenizer": "bert distilbert electra squeezebert layoutlm megatron-bert nomic_bert",
    "MobileBertTokenizer": "mobilebert",
    "MPNetTokenizer": "mpnet",
    "DebertaTokenizer": "deberta",
    "DebertaV2Tokenizer": "deberta-v2",
    "GPT2Tokenizer": "gpt2 gpt_neo gptj opt codegen phi starcoder2",
    "GPTNeoXTokenizer": "gpt_neox mpt olmo olmoe mamba mamba2 falcon_mamba rwkv",
    "CLIPTokenizer": "clip",
    "Qwen2Tokenizer": "qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next",
    "RobertaTokenizer": "roberta bart longformer roberta-prelayernorm ibert",
    "LEDTokenizer": "led",
    "LlamaTokenizer": "idefics",
    "CodeLlamaTokenizer": "code_llama",
    "GemmaTokenizer": "gemma gemma2 gemma3 gemma3_text recurrent_gemma",
    "CohereTokenizer": "cohere cohere2",
    "T5Tokenizer": "t5 mt5 switch_transformers",
    "XLMRobertaTokenizer": "xlm-roberta xmod",
    "CamembertTokenizer": "camembert",
    "AlbertTokenizer": "albert",
    "RemBertTokenizer": "rembert",
    "FNetTokenizer": "fnet",
    "XLNetTokenizer": "xlnet",
    "MarianTokenizer": "marian",
    # Models whose class is transformers' plain one, whatever tokenizer_config.json says.
    "TokenizersBackend": "mistral mistral3 mixtral ministral pixtral phi3 phimoe gpt_bigcode modernbert "
    "granite glm glm4 jamba stablelm olmo2 olmo3 nemotron internlm2 umt5 pegasus_x persimmon "
    "xlm-roberta-xl minicpm3 llava llava_next smolvlm bigbird_pegasus nystromformer",
}
MODEL_TYPES = {
    model_type: name
    for name, model_types in _MODEL_TYPES.items()
    for model_type in model_types.split()
}
# Models whose published tokenizer_config.json is known to name the wrong class.
_MISNAMED = {"qwen2"}


def class_name_for(
    tokenizer_class: str | None, model_type: str | None, is_byte_level: bool = False
) -> str:
    """Say which tokenizer class a folder means, without the "Fast" at its end.

    tokenizer_class: what tokenizer_config.json (or else config.json) names, or None
    model_type: what config.json says, or None
    is_byte_level: whether tokenizer.json works on GPT-2's byte alphabet

    Returns a class name; one that FAMILIES does not know has the defaults PLAIN.
    Follows transformers' AutoTokenizer.
    """
    named = (tokenizer_class or "").removesuffix("Fast")
    registered = MODEL_TYPES.get(model_type or "", "")
    # Llama 3 says LlamaTokenizer, whose Metaspace it does not use.
    if named == "LlamaTokenizer" and is_byte_level:
        return "TokenizersBackend"
    plain = registered == "TokenizersBackend"
    if named and registered and named != registered and (plain or model_type in _MISNAMED):
        return registered
    return named or registered or "TokenizersBackend"
