"""Metrics of a run to MLflow: parameters, values by step, files. The one place that knows MLflow."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from iterqr_training.errors import RunError
from iterqr_training.train.metrics_log import Measured

OFF = "off"
_EXPERIMENT = "iterqr-train"
_BATCH, _PARAMETER_CHARS = 1000, 500  # limits of MLflow's own


class Tracker(Protocol):
    """Where metrics go beside metrics.jsonl."""

    @property
    def run_id(self) -> str:
        """Names the run there, so that an interrupted one is gone on with; "" if there is none."""
        ...

    def log(self, entries: Sequence[Measured]) -> None:
        """Takes what was measured since the last call."""
        ...

    def finish(self, files: Sequence[Path]) -> None:
        """Ends the run with its files."""
        ...


class NoTracker:
    """Goes nowhere."""

    run_id = ""

    def log(self, entries: Sequence[Measured]) -> None:
        """See `Tracker`."""

    def finish(self, files: Sequence[Path]) -> None:
        """See `Tracker`."""


class MlflowTracker:
    """One run of the experiment `iterqr-train`."""

    def __init__(self, uri: str, name: str, parameters: Mapping[str, Any], run_id: str) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - seconds to import
        from mlflow.entities import Metric, Param  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        self._metric, self._fault = Metric, MlflowException
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        try:
            self._client = MlflowClient(uri)
            if run_id:
                self.run_id = run_id
                self._client.set_terminated(run_id, "RUNNING")
                return
            found = self._client.get_experiment_by_name(_EXPERIMENT)
            experiment = found.experiment_id if found else self._client.create_experiment(_EXPERIMENT, _artifacts(uri))
            self.run_id = self._client.create_run(experiment, run_name=name).info.run_id
            said = [Param(key, str(value)[:_PARAMETER_CHARS]) for key, value in parameters.items()]
            self._client.log_batch(self.run_id, params=said)
        except (MlflowException, OSError) as error:
            raise RunError(f"mlflow: {uri}: {error}") from error

    def log(self, entries: Sequence[Measured]) -> None:
        """See `Tracker`."""
        metrics = [
            self._metric(name, value, int(time.time() * 1000), each.step)
            for each in entries
            for name, value in each.values.items()
        ]
        try:
            for start in range(0, len(metrics), _BATCH):
                self._client.log_batch(self.run_id, metrics=metrics[start : start + _BATCH])
        except self._fault as error:
            raise RunError(f"mlflow: {error}") from error

    def finish(self, files: Sequence[Path]) -> None:
        """See `Tracker`."""
        try:
            for file in files:
                self._client.log_artifact(self.run_id, str(file))
            self._client.set_terminated(self.run_id)
        except (self._fault, OSError) as error:
            raise RunError(f"mlflow: {error}") from error


def default_uri(run_folder: Path) -> str:
    """A SQLite file beside the run's folder, so that runs beside each other are compared."""
    return f"sqlite:///{(run_folder.resolve().parent / 'mlflow.db').as_posix()}"


def open_tracker(asked: str, run_folder: Path, parameters: Mapping[str, Any], run_id: str) -> Tracker:
    """Opens the tracker that was asked for: "" is the default, "off" none, else a tracking URI."""
    if asked == OFF:
        return NoTracker()
    return MlflowTracker(asked or default_uri(run_folder), run_folder.name, parameters, run_id)


def _artifacts(uri: str) -> str | None:
    """Files go beside a SQLite file; elsewhere to where the server says."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).parent / "mlflow-files").as_uri()
