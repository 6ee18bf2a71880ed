"""Finds wrong flags before the first stage, not after hours of traffic."""

from __future__ import annotations

from pathlib import Path

from iterqr_training.loop.command_lines import UNTUNED, CommandLines
from iterqr_training.loop.command_runner import CommandRunner
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.traffic_source import CONTROL, EXPERIMENT, TREATMENT, Played, Site

_SITE = Site("http://127.0.0.1:1", "127.0.0.1:1", "items", *(Path("-"),) * 3, None, "base")
_PLAYED = Played({EXPERIMENT: "a", CONTROL: "b", TREATMENT: "c"}, TREATMENT, 50, 1)


def check_lines(settings: LoopSettings, commands: CommandRunner) -> None:
    """Parses the line of every stage that takes flags; a wrong one ends the program as argparse does."""
    lines = CommandLines(settings, 1)
    for line in (
        lines.attribute(EXPERIMENT, "a"),
        lines.experiment(_PLAYED),
        lines.label(_SITE, _PLAYED, "base", _SITE.server, None),
        lines.dataset(_SITE, [1]),
        lines.train(_SITE),
        lines.export(_SITE, "base"),
        lines.evaluate(_SITE, TREATMENT, [(UNTUNED, _SITE.server)], None),
        lines.gate(UNTUNED),
    ):
        commands.check(line)
