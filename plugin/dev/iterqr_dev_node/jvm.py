"""The node's command line and configuration files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from iterqr_dev_node.java import Jdk

# For development: a node that is up soon and small matters more than its peak speed. Class-data archives would keep
# the node from starting.
_QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_SERVER_CLASS = ("-XX:+UseG1GC",)

LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


def node_command(
    jdk: Jdk, home: Path, *, heap_mb: int, quick_start: bool, java_agents: Sequence[str] = ()
) -> list[str]:
    """The command that runs the node whose home is `home`.

    Args:
        jdk: What runs it.
        home: Has lib, modules, plugins, agent, config, data, logs and tmp.
        heap_mb: Java heap, MiB.
        quick_start: Compile quickly rather than well: up in 8 to 10 s instead of 13 to 17 s, slower under load.
        java_agents: Values of further `-javaagent` options: a jar that the node's user can read, "=" and its options.
    """
    command = [
        str(jdk.java),
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        *(_QUICK_START if quick_start else _SERVER_CLASS),
        "-Xss1m",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",
        "-Djna.nosys=true",
        f"-Djna.tmpdir={home / 'tmp'}",
        f"-Djava.io.tmpdir={home / 'tmp'}",
        f"-XX:ErrorFile={home}/logs/hs_err_pid%p.log",
        "-XX:-OmitStackTraceInFastThrow",
        "-Dio.netty.noUnsafe=true",
        "-Dio.netty.noKeySetOptimization=true",
        "-Dio.netty.recycler.maxCapacityPerThread=0",
        "-Dio.netty.allocator.numDirectArenas=0",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dlog4j2.disable.jmx=true",
        "-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1",
        "--add-modules=jdk.incubator.vector",
    ]
    if jdk.major >= 24:
        command += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
    if jdk.major >= 25:
        command += ["-XX:+UseCompactObjectHeaders"]
    return [
        *command,
        f"-javaagent:{home}/agent/opensearch-agent.jar",
        *(f"-javaagent:{agent}" for agent in java_agents),
        f"-Dopensearch.path.home={home}",
        f"-Dopensearch.path.conf={home}/config",
        "-Dopensearch.distribution.type=tar",
        "-Dopensearch.bundled_jdk=false",
        "-cp",
        f"{home}/lib/*",
        "org.opensearch.bootstrap.OpenSearch",
    ]


def node_settings(*, name: str, http_port: int, extra: Mapping[str, str]) -> str:
    """The text of opensearch.yml.

    Args:
        name: The node's and its cluster's name.
        http_port: 0 takes any free port.
        extra: Further settings; they win.
    """
    settings: dict[str, str | int | bool] = {
        "cluster.name": name,
        "node.name": name,
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": http_port,
        "transport.port": 0,
        # The node writes the ports it got into logs/http.ports.
        "node.portsfile": True,
        "cluster.routing.allocation.disk.threshold_enabled": False,
        **extra,
    }
    # A JSON value is a YAML value, so nothing in it can become another setting.
    return "".join(f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in settings.items())
