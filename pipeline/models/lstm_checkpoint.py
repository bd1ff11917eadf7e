"""An exported LSTM, opened again: with this module imported, `from_pretrained` of transformers opens its folder as any other.

B batch, T tokens, L layers, H width of a state, V vocabulary
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import ModelOutput

from pipeline.models.lstm import MODEL_TYPE
from pipeline.models.lstm_network import Recurrence, State


class LstmConfig(PreTrainedConfig):  # type: ignore[misc]  # transformers is not typed
    """The sizes of an LSTM, as `Lstm.export` writes them."""

    model_type = MODEL_TYPE
    vocab_size: int = 4096
    embedding_size: int = 128
    hidden_size: int = 128
    num_hidden_layers: int = 2
    dropout: float = 0.0
    max_position_embeddings: int = 256
    """The window that it was trained on; it takes longer texts too."""
    tie_word_embeddings: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None


@dataclass
class Passed:
    """The state after the tokens that were read so far, in the place of a cache of keys and values."""

    state: State | None = None
    tokens: int = 0

    def get_seq_length(self) -> int:
        """How many tokens were read."""
        return self.tokens

    def reorder_cache(self, rows: Tensor) -> None:
        """Keep these rows, as a beam search asks."""
        if self.state is not None:
            last, cells = self.state
            self.state = last.index_select(1, rows), cells.index_select(1, rows)


@dataclass
class LstmOutput(ModelOutput):  # type: ignore[misc]
    """What transformers expects of a causal language model."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Passed | None = None


class LstmForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The network that `Lstm` trains, with logits as its answer."""

    config_class = LstmConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 - as the base class has it
    _is_stateful = True

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        sizes = (config.vocab_size, config.embedding_size, config.hidden_size, config.num_hidden_layers)
        self.model = Recurrence(*sizes, config.dropout)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Passed | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **options: Any,
    ) -> LstmOutput:
        """Logits [B, T, V]; with `labels` [B, T], the mean cross-entropy of each next one, where it is not -100.

        `options` are those of transformers' losses. Tokens that `attention_mask` leaves out before a text are kept from it as
        another document would be.
        """
        read = past_key_values or Passed()
        hidden, state = self.model(input_ids, None if read.state else attention_mask, read.state)
        logits = self.lm_head(hidden)
        loss = None if labels is None else self.loss_function(logits, labels, self.config.vocab_size, **options)
        kept = Passed(state, read.tokens + input_ids.shape[1]) if use_cache else None
        return LstmOutput(loss=loss, logits=logits, past_key_values=kept)

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """Its state is no cache of keys and values."""
        return False


@dataclass
class LstmClassified(ModelOutput):  # type: ignore[misc]
    """What transformers expects of a classifier."""

    loss: Tensor | None = None
    logits: Tensor | None = None


class LstmForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """The same network with a label in place of the next token, read off the state after the last token of a text."""

    config_class = LstmConfig
    base_model_prefix = "model"

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        sizes = (config.vocab_size, config.embedding_size, config.hidden_size, config.num_hidden_layers)
        self.model = Recurrence(*sizes, config.dropout)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> LstmClassified:
        """Logits [B, labels]; with `labels` [B], their mean cross-entropy. Rows are filled up behind, where `attention_mask` is 0."""
        hidden, _ = self.model(input_ids, None, None)
        lengths = torch.full(input_ids.shape[:1], input_ids.shape[1]) if attention_mask is None else attention_mask.sum(dim=1)
        last = hidden[torch.arange(len(hidden), device=hidden.device), lengths.to(hidden.device) - 1]
        logits = self.score(last)
        return LstmClassified(loss=None if labels is None else nn.functional.cross_entropy(logits, labels), logits=logits)

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens


AutoConfig.register(MODEL_TYPE, LstmConfig)
AutoModelForCausalLM.register(LstmConfig, LstmForCausalLM)
AutoModelForSequenceClassification.register(LstmConfig, LstmForSequenceClassification)
