"""The prompt template that goes with a checkpoint: it was trained on prompts of these words and no others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from iterqr_proto.rewrite_format import Template, TemplateError, load_template

from iterqr_training.errors import ExportError
from iterqr_training.export.training_run import TrainingRun

DEFAULT_TEMPLATE = "food_delivery"


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """Name and text; `template` is what the text says."""

    name: str
    text: str
    template: Template

    @property
    def sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def template_of(given: str | None, run: TrainingRun | None) -> PromptTemplate:
    """Returns the template given, else the one that the training run names, else the default one.

    Raises:
        ExportError: There is none, or it is not the one that the weights were trained with.
    """
    prompt = read_prompt_template(given or (run and run.template_name) or DEFAULT_TEMPLATE)
    if run is not None and run.template_sha256 not in (None, prompt.sha256):
        raise ExportError(
            f"--template: {prompt.name} has SHA-256 {prompt.sha256}, and {run.file} was trained with "
            f"{run.template_name} (SHA-256 {run.template_sha256})"
        )
    return prompt


def read_prompt_template(given: str) -> PromptTemplate:
    """Reads a template by path, or by the name of one in `iterqr_proto.rewrite_format`.

    Raises:
        ExportError: There is none, or it is not usable.
    """
    path = Path(given)
    if path.suffix != ".toml":
        packaged = resources.files("iterqr_proto.rewrite_format")
        names = sorted(each.name.removesuffix(".toml") for each in packaged.iterdir() if each.name.endswith(".toml"))
        if given not in names:
            raise ExportError(f"--template: {given!r} is no .toml file and none of {', '.join(names)}")
        path = Path(str(packaged / f"{given}.toml"))
    try:
        return PromptTemplate(path.stem, path.read_bytes().decode("utf-8"), load_template(path))
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise ExportError(f"--template: {error}") from error
