"""Families that read sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .family import Family


def tokens(rows: int, length: int, vocabulary: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, vocabulary, (rows, length), generator=generator)


class Recurrent(nn.Module):
    """An LSTM or a GRU; the class is read from the last hidden state."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.cells = kind(8, 12, batch_first=True)
        self.head = nn.Linear(12, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.cells(self.embedding(ids))[0][:, -1])


def recurrent(kind: type[nn.Module]) -> Family:
    model, ids = Recurrent(kind).eval(), tokens(48, 7)
    loss, y = nn.CrossEntropyLoss(), (ids.sum(dim=1) % 2)
    return Family(model, loss, (ids, y), lambda: loss(model(ids), y))


def lstm() -> Family:
    return recurrent(nn.LSTM)


def gru() -> Family:
    return recurrent(nn.GRU)


class Encoder(nn.Module):
    """PyTorch's transformer encoder over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(ids)).mean(dim=1))


def encoder() -> Family:
    model, ids = Encoder().eval(), tokens(48, 7)
    loss, y = nn.CrossEntropyLoss(), (ids.sum(dim=1) % 2)
    return Family(model, loss, (ids, y), lambda: loss(model(ids), y), rate=3e-3)


def own(model: nn.Module, batch: dict[str, Tensor]) -> Family:
    """A model of Hugging Face with the loss that it returns itself."""
    model = model.eval()
    return Family(model, "own", batch, lambda: model(**batch).loss, rate=3e-3)


def ragged(rows: int, length: int) -> dict[str, Tensor]:
    """Rows of different lengths: padding has label -100 and is masked."""
    ids = tokens(rows, length)
    mask = torch.ones_like(ids)
    for row in range(rows):
        mask[row, length - row % 4 :] = 0
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "labels": ids.masked_fill(mask == 0, -100),
    }


SMALL: dict[str, Any] = {"vocab_size": 20}


def gpt2() -> Family:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, **SMALL
    )
    return own(GPT2LMHeadModel(config), ragged(24, 10))


def llama() -> Family:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, bos_token_id=0, eos_token_id=0, pad_token_id=0, **SMALL,
    )  # fmt: skip
    return own(LlamaForCausalLM(config), ragged(24, 10))


def t5() -> Family:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, **SMALL,
    )  # fmt: skip
    return own(T5ForConditionalGeneration(config), ragged(24, 8))


def bert_config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, **SMALL, **more,
    )  # fmt: skip


def bert_classification() -> Family:
    from transformers import BertForSequenceClassification

    batch = ragged(24, 8)
    batch["labels"] = batch["input_ids"].sum(dim=1) % 2
    return own(BertForSequenceClassification(bert_config(num_labels=2)), batch)


def bert_tokens() -> Family:
    from transformers import BertForTokenClassification

    batch = ragged(24, 8)
    batch["labels"] = torch.where(batch["labels"] < 0, -100, batch["labels"] % 3)
    return own(BertForTokenClassification(bert_config(num_labels=3)), batch)


def bert_masked() -> Family:
    from transformers import BertForMaskedLM

    batch = ragged(24, 8)
    hidden = torch.rand(24, 8, generator=torch.Generator().manual_seed(3)) < 0.3
    hidden[:, 0] = True
    batch["labels"] = batch["labels"].masked_fill(~hidden, -100)
    batch["input_ids"] = batch["input_ids"].masked_fill(hidden, 2)
    return own(BertForMaskedLM(bert_config()), batch)


class LowRank(nn.Module):
    """A frozen linear layer with a trainable low-rank update (Hu et al. 2022)."""

    def __init__(self, base: nn.Module, inputs: int, outputs: int, rank: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.lora_A.T @ self.lora_B.T


def lora_classifier() -> Family:
    """On BERT, for classification."""
    family = bert_classification()
    family.model.requires_grad_(False)
    for layer in family.model.bert.encoder.layer:
        attention = layer.attention.self
        attention.query = LowRank(attention.query, 16, 16)
        attention.value = LowRank(attention.value, 16, 16)
    family.model.classifier.requires_grad_(True)
    family.model.eval()
    return family


def lora_language() -> Family:
    """On GPT-2, whose fused projection makes query, key and value."""
    family = gpt2()
    family.model.requires_grad_(False)
    for block in family.model.transformer.h:
        block.attn.c_attn = LowRank(block.attn.c_attn, 16, 48)
    family.model.eval()
    return family
