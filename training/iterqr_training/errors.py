"""Errors of the learning side.

TrainingError
├── SettingError          a setting is out of its limits; the message names it
├── SourceError           OpenSearch does not answer, or not as its API says
├── StoreError            a folder of signals is damaged, of another version, or in use
├── EngineError           an engine of attribution cannot be started, or fails
├── LabelFileError        a file of labels breaks its format; the message names the line and the field
├── JudgeError            a judge does not answer, or is not the one that was asked for
├── ExportError           an adapter, weights or a checkpoint cannot be exported or published
└── CheckFailedError      a check before learning failed; nothing may be learned from these signals
"""


class TrainingError(Exception):
    """Base of all; its text is one message for a person."""


class SettingError(TrainingError):
    """A setting is out of its limits; the message names it and them."""


class SourceError(TrainingError):
    """OpenSearch does not answer, or not as its API says."""


class StoreError(TrainingError):
    """A folder of signals is damaged, of another version, or in use by another process."""


class EngineError(TrainingError):
    """DuckDB or Spark cannot be started here, or gave up; the message says what is missing."""


class LabelFileError(TrainingError):
    """A file of labels breaks its format; the message names the line and the field."""


class JudgeError(TrainingError):
    """A judge or the base model's server does not answer, or is not the one that was asked for."""


class CheckFailedError(TrainingError):
    """A check before learning failed; nothing may be learned from these signals."""


class ExportError(TrainingError):
    """An adapter, weights or a checkpoint cannot be exported or published; the message names file and reason."""
