"""Quantizing for TensorRT-LLM, as far as it goes without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_proto.rewrite_format import RewriteInput, load_template, render
from iterqr_server.models.progress import Silent
from iterqr_training.dataset.rows import EXAMPLES
from iterqr_training.errors import ExportError
from iterqr_training.export.calibration import calibration_texts
from iterqr_training.export.run import run_export
from iterqr_training.export.settings import ExportSettings
from iterqr_training.main import main
from support.tiny_qwen2 import tiny_qwen2

TARGET = "fix: chicken\nrw: fried chicken\n"


def dataset(folder: Path, tasks: Mapping[str, str]) -> Path:
    """A dataset with one example for each query, of the given task."""
    rows: list[dict[str, Any]] = [
        {
            "example_id": query,
            "task": task,
            "query": query,
            "query_key": query,
            "region": "north",
            "hints": ["Fried Chicken"],
            "subject": "",
            "target": TARGET,
            "weight": 1.0,
            "label_source": "click",
            "band": "tail",
            "iteration": 1,
            "observed_at": datetime(2026, 11, 1, tzinfo=UTC),
        }
        for query, task in tasks.items()
    ]
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, EXAMPLES), folder / "train.parquet")
    return folder


def test_calibration_texts_are_prompts_as_served_with_their_answers(tmp_path: Path) -> None:
    template = load_template()
    folder = dataset(tmp_path / "data", {"chiken": "generation", "sushi": "quality"})
    prompt = render(template, RewriteInput("chiken", ("Fried Chicken",)))
    text = "".join(segment.text for segment in (*prompt.prefix, *prompt.suffix)) + TARGET
    assert calibration_texts(folder, template, count=10, seed=0) == [text]
    many = dataset(tmp_path / "many", {f"query {i}": "generation" for i in range(20)})
    drawn = calibration_texts(many, template, count=5, seed=1)
    assert len(set(drawn)) == 5
    assert drawn == calibration_texts(many, template, count=5, seed=1)
    assert drawn != calibration_texts(many, template, count=5, seed=2)


def test_data_that_cannot_calibrate_are_refused(tmp_path: Path) -> None:
    template = load_template()
    with pytest.raises(ExportError, match=r"--dataset: .*train\.parquet cannot be read"):
        calibration_texts(tmp_path, template, count=1, seed=0)
    with pytest.raises(ExportError, match="has no examples of task generation"):
        calibration_texts(dataset(tmp_path / "data", {"sushi": "quality"}), template, count=1, seed=0)


def test_a_host_without_modelopt_is_told_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny_qwen2(tied=True).save_gguf(tmp_path / "tiny.gguf")
    settings = ExportSettings(base=str(base), out=tmp_path, onnx=None, checkpoint_id="it1")
    checkpoint = run_export(settings, Silent(), datetime.now(UTC)).folder
    arguments = ["quantize", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "fp8")]
    arguments += ["--dataset", str(dataset(tmp_path / "data", {"chiken": "generation"}))]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert 'pip install "nvidia-modelopt[hf]==0.47.0"' in told or "torch finds none on this host" in told
    assert not (tmp_path / "fp8").exists()
    with pytest.raises(SystemExit):
        main([*arguments, "--samples", "0"])
    assert "--samples is 0, it must be 1 to 100,000" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--checkpoint", str(tmp_path)])
    assert "manifest.json" in capsys.readouterr().err
