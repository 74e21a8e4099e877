"""Greedy answers of a model that has just been trained."""

from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerBase

from tuner.classification_metrics import Messages
from tuner.local.tokenizing import ChatTokenizer, to_template_messages
from tuner.local.weighted_trainer import WeightedSFTTrainer
from tuner.training_interface import StopSignal, exit_stopped

if TYPE_CHECKING:
    from tuner.local.preference_trainer import PreferenceTrainer

_MORE_TOKENS = 4


class GreedyAnswers:
    """Generates answers of limited length, one prompt at a time, so that a stop takes effect."""

    def __init__(
        self,
        trainer: "WeightedSFTTrainer | PreferenceTrainer",
        tokenizer: PreTrainedTokenizerBase,
        renderer: ChatTokenizer,
        stop: StopSignal,
        longest: int,
    ) -> None:
        self._model = trainer.accelerator.unwrap_model(trainer.model).eval()
        self._tokenizer, self._renderer = tokenizer, renderer
        self._stop, self._longest = stop, longest

    def __call__(self, messages: Messages) -> str:
        """Returns the answer to messages. Exits the process if a stop was requested."""
        if self._stop.is_asked:
            exit_stopped()
        prompt = self._renderer.prompt(to_template_messages(messages), ())
        device = self._model.device
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=torch.tensor([prompt], device=device),
                attention_mask=torch.ones((1, len(prompt)), dtype=torch.long, device=device),
                max_new_tokens=self._longest + _MORE_TOKENS,
                do_sample=False,
                pad_token_id=self._tokenizer.eos_token_id,
            )
        text: str = self._tokenizer.decode(output[0][len(prompt) :], skip_special_tokens=True)
        return text
