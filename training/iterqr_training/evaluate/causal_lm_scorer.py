"""Scores texts with a checkpoint's Hugging Face folder: the one file of evaluation that needs PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iterqr_training.errors import EngineError, StoreError
from iterqr_training.evaluate.general_ability import TextScore

if TYPE_CHECKING:
    import torch


class CausalLmScorer:
    """See `TextScorer`. float32 on the CPU: perplexities of two checkpoints differ by less than bf16 rounds."""

    def __init__(self, folder: Path, checkpoint_id: str) -> None:
        """Loads weights and tokenizer.

        Args:
            folder: config.json, safetensors and tokenizer, as `iterqr-train export` writes them.
            checkpoint_id: What to call it.

        Raises:
            EngineError: PyTorch or transformers is not installed.
            StoreError: The folder is no such model.
        """
        try:
            import torch  # noqa: PLC0415 - only this command needs it
            from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
        except ImportError as error:
            raise EngineError(
                f"{error.name} is not installed: perplexity needs the extra `train` (uv sync --group train)"
            ) from error
        self.checkpoint_id = checkpoint_id
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise StoreError(f"{folder} is no model: {str(error).splitlines()[0]}") from error
        self._model = model.eval()
        self._torch = torch

    def score(self, text: str) -> TextScore:
        """See `TextScorer`."""
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        with self._torch.inference_mode():
            logits: torch.Tensor = self._model(ids).logits[0, :-1].double()
        logprobs = logits.log_softmax(dim=-1).gather(1, ids[0, 1:, None])
        return TextScore(ids.shape[1] - 1, -float(logprobs.sum()))
