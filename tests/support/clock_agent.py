"""A node whose wall clock jumps (see jumping_clock/JumpingClock.java)."""

from __future__ import annotations

from pathlib import Path

from iterqr_dev_node import NodeInstance
from support.compiled_jar import compile_jar

_SOURCES = Path(__file__).parent / "jumping_clock"


def clock_agent(instance: NodeInstance, *, jumps_every_ms: int) -> str:
    """Puts the agent into the instance's home; returns the value of `-javaagent` that loads it."""
    jar = instance.home / "jumping-clock.jar"
    manifest = "Manifest-Version: 1.0\nPremain-Class: org.iterqr.test.JumpingClock\n"
    compile_jar(_SOURCES, jar, class_path=instance.home / "agent", manifest=manifest)
    jar.chmod(0o644)
    return f"{jar}={jumps_every_ms}"
