"""The command line of each stage: what a person would type to do it alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from iterqr_training.evaluate.answers import answers_file
from iterqr_training.loop.folders import IterationFolder, LoopFolder
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.traffic_source import EXPERIMENT, Played, Site

CANDIDATE, CHAMPION, UNTUNED = "candidate", "champion", "untuned"
"""Names of systems in an evaluation. As long as nothing was promoted, the champion is `UNTUNED`."""


def train_line(own: IterationFolder, site: Site) -> list[str]:
    """The base on the folder's dataset."""
    return ["train", "--dataset", str(own.dataset), "--out", str(own.training), "--base", site.base_model]


def export_line(own: IterationFolder, site: Site) -> list[str]:
    """The adapter, or all weights, of what was trained, as a candidate."""
    adapter, weights = own.training / "adapter", own.training / "weights"
    trained = ["--weights", str(weights)] if weights.is_dir() else ["--adapter", str(adapter)]
    line = ["export", "--base", site.base_model, *trained, "--out", str(own.candidates)]
    return [*line, "--datasheet", str(own.dataset / "datasheet.json")]


def evaluate_line(own: IterationFolder, site: Site, servers: Iterable[tuple[str, str]]) -> list[str]:
    """Servers, by name and address, on the held-out queries."""
    line = ["evaluate", "--truth", str(site.heldout), "--out", str(own.evaluation)]
    line += ["--url", site.url, "--index", site.catalog, "--search", str(site.search)]
    return [*line, *(flag for name, address in servers for flag in ("--server", f"{name}={address}"))]


class CommandLines:
    """Of one iteration of a loop. Each is a command of `iterqr-train` with its flags."""

    def __init__(self, settings: LoopSettings, iteration: int) -> None:
        self._settings = settings
        self._number = iteration
        self._loop = LoopFolder(settings.folder)
        self._own: IterationFolder = self._loop.iteration(iteration)

    def collect(self, site: Site) -> list[str]:
        """Into the store of all iterations."""
        key = [] if site.client_key_file is None else ["--client-key-file", str(site.client_key_file)]
        return ["collect", "--url", site.url, "--folder", str(self._loop.signals), *key]

    def attribute(self, arm: str, application: str) -> list[str]:
        """Of one arm by itself: the same users may search in several."""
        marts = self._own.marts(arm)
        line = ["attribute", "--signals", str(self._loop.signals), "--out", str(marts), "--applications", application]
        return self._with_flags(line)

    def experiment(self, played: Played, earlier: Iterable[int] = ()) -> list[str]:
        """What the serving checkpoint earned; paired also for users of `earlier` rounds that it served."""
        percent = played.treatment_percent
        line = ["experiment", "--marts", str(self._own.marts(EXPERIMENT)), "--out", str(self._own.experiment)]
        line += ["--shares", f"control={100 - percent},treatment={percent}"]
        if played.is_paired:
            line += ["--paired", str(self._own.replay)]
            line += [flag for each in earlier for flag in ("--paired", str(self._loop.iteration(each).replay))]
        return self._with_flags(line)

    def label(self, site: Site, played: Played, base: str, base_server: str, truth: Path | None) -> list[str]:
        """Clicks label; chains of thought are the frozen base's, never the student's."""
        line = ["label", "--signals", str(self._loop.signals), "--marts", str(self._own.marts(played.learn_from))]
        line += ["--out", str(self._own.labels), "--iteration", str(self._number)]
        line += ["--catalog-url", site.url, "--catalog", site.catalog]
        line += ["--server", base_server, "--base-checkpoint", base]
        if truth is not None:
            line += ["--truth", str(truth)]
        return self._with_flags(line)

    def dataset(self, site: Site, iterations: Iterable[int]) -> list[str]:
        """Of the labels of these iterations, without the queries that are measured on."""
        labels = [flag for each in iterations for flag in ("--labels", str(self._loop.iteration(each).labels))]
        excluded = ["--exclude", str(site.heldout), "--exclude", str(site.validation)]
        return self._with_flags(["dataset", *labels, "--out", str(self._own.dataset), *excluded])

    def train(self, site: Site) -> list[str]:
        """Of the base anew: iterations accumulate in the data, not in the weights."""
        return self._with_flags(train_line(self._own, site))

    def export(self, site: Site, parent: str) -> list[str]:
        """Of the adapter, or of all weights, as a candidate."""
        return self._with_flags([*export_line(self._own, site), "--parent", parent])

    def export_base(self, site: Site) -> list[str]:
        """Of the untuned model, as transformers reads it."""
        line = ["export", "--base", site.base_model, "--quantization", "none", "--out", str(self._loop.base)]
        return [*line, "--no-serving-check"]

    def general(self, model: Path, checkpoint: str, out: Path) -> list[str]:
        """Of a checkpoint's weights."""
        return ["general-ability", "--model", str(model), "--checkpoint-id", checkpoint, "--out", str(out)]

    def evaluate(
        self, site: Site, learn_from: str, servers: Sequence[tuple[str, str]], promoted: int | None
    ) -> list[str]:
        """Of all systems side by side.

        Args:
            site: Where things are.
            learn_from: The arm whose past queries the baselines know.
            servers: Name and address of each.
            promoted: Iteration that the champion is of, what novelty is measured against; None: it is the base.
        """
        line = [*evaluate_line(self._own, site, servers), "--validation", str(site.validation)]
        line += ["--marts", str(self._own.marts(learn_from))]
        if site.vocabulary is not None:
            line += ["--vocabulary", str(site.vocabulary)]
        if self._settings.measure_general:
            known = {UNTUNED: self._loop.base_general, CANDIDATE: self._own.general}
            if promoted is not None:
                known[CHAMPION] = self._loop.iteration(promoted).general
            line += [flag for name, file in known.items() for flag in ("--general", f"{name}={file}")]
        if promoted is not None:
            answers = answers_file(self._loop.iteration(promoted).evaluation / "heldout", CANDIDATE)
            line += ["--previous", str(answers), "--earlier", f"{CHAMPION}={answers}"]
        return self._with_flags(line)

    def gate(self, champion: str) -> list[str]:
        """Of the candidate against what serves."""
        line = ["gate", "--evaluation", str(self._own.evaluation_json), "--candidate", CANDIDATE]
        line += ["--champion", champion, "--baseline", UNTUNED]
        line += ["--datasheet", str(self._own.dataset / "datasheet.json")]
        return self._with_flags([*line, "--json", str(self._own.gate)])

    def seal(self, candidate: Path, parent: str) -> list[str]:
        """With what the gates said and the policy that was fitted."""
        policy = self._own.evaluation / f"policy-{CANDIDATE}.json"
        line = ["export", "--candidate", str(candidate), "--out", str(self._own.sealed), "--parent", parent]
        return [*line, "--gate-report", str(self._own.gate), "--policy", str(policy)]

    def _with_flags(self, line: list[str]) -> list[str]:
        return [*line, *self._settings.flags.get(line[0], ())]
