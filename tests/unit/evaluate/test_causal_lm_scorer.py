"""Perplexity by a model that says what it must: a tiny one whose every token is as likely."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from iterqr_training.main import main
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

_HAS_TORCH = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("transformers") is not None


@pytest.mark.skipif(not _HAS_TORCH, reason="needs the extra `train`")
def test_perplexity_of_a_model_whose_head_is_zero_is_the_size_of_its_vocabulary(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415

    words = {word: number for number, word in enumerate(["[UNK]", "the", "a", "of", "and"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(tmp_path / "model")
    config = Qwen2Config(
        vocab_size=5, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.save_pretrained(tmp_path / "model")
    out = tmp_path / "general.json"
    main(["general-ability", "--model", str(tmp_path / "model"), "--checkpoint-id", "flat", "--out", str(out)])
    document = json.loads(out.read_text())
    assert document["checkpoint_id"] == "flat"
    assert document["negative_log_likelihood"] / document["tokens"] == pytest.approx(1.6094379124341003)  # log 5


@pytest.mark.skipif(_HAS_TORCH, reason="the extra `train` is installed")
def test_without_pytorch_the_command_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["general-ability", "--model", str(tmp_path), "--out", str(tmp_path / "general.json")])
    assert ended.value.code == 1
    assert "torch is not installed: perplexity needs the extra `train`" in capsys.readouterr().err


@pytest.mark.skipif(not _HAS_TORCH, reason="needs the extra `train`")
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["general-ability", "--model", str(tmp_path), "--out", str(tmp_path / "general.json")])
    assert ended.value.code == 1
    assert "is no model" in capsys.readouterr().err
