"""What of a node could leak, read from outside: its heap after a full collection, threads, files, contexts, tasks."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
from iterqr_dev_node.java import find_jdk
from opensearchpy import OpenSearch

from iterqr_benchmarks.errors import BenchmarkError

MIB = 2**20


class SoakError(BenchmarkError):
    """The soak could not be made."""


@dataclass(frozen=True, slots=True)
class Sample:
    """At one time. `direct_mib`: buffers outside of the heap. `private_mib`: resident memory without mapped files, of
    which a growing index has more and more. `search_contexts`: open, of scrolls and pages too."""

    at_s: float
    heap_mib: float
    direct_mib: float
    private_mib: float
    threads: float
    file_handles: float
    search_contexts: float
    search_tasks: float


MEASURES = tuple(field.name for field in fields(Sample) if field.name != "at_s")


class NodeSampler:
    """Samples one node. Each sample makes it collect its whole heap first, so that what is left is in use."""

    def __init__(self, client: OpenSearch, pid: int) -> None:
        self._client = client
        self._pid = pid
        self._jcmd = find_jdk().home / "bin" / "jcmd"

    def sample(self, at_s: float) -> Sample:
        """Takes a sample.

        Raises:
            SoakError: If the node's JVM cannot be told to collect.
        """
        self._collect()
        told = self._client.nodes.stats(node_id="_local", metric="jvm,process,indices", index_metric="search")
        (node,) = told["nodes"].values()
        memory = psutil.Process(self._pid).memory_info()
        tasks = self._client.tasks.list(params={"actions": "indices:data/read/search*"})
        return Sample(
            at_s=at_s,
            heap_mib=node["jvm"]["mem"]["heap_used_in_bytes"] / MIB,
            direct_mib=node["jvm"]["buffer_pools"]["direct"]["used_in_bytes"] / MIB,
            private_mib=(memory.rss - memory.shared) / MIB,
            threads=node["jvm"]["threads"]["count"],
            file_handles=node["process"]["open_file_descriptors"],
            search_contexts=node["indices"]["search"]["open_contexts"],
            search_tasks=sum(len(each["tasks"]) for each in tasks["nodes"].values()),
        )

    def _collect(self) -> None:
        command = [str(self._jcmd), str(self._pid), "GC.run"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise SoakError(f"{Path(command[0]).name} could not reach the node: {done.stderr or done.stdout}")
