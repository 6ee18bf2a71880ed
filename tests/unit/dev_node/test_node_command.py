from pathlib import Path

import pytest
from iterqr_dev_node.java import Jdk
from iterqr_dev_node.jvm import node_command, node_settings

HOME = Path("/nodes/one")


def command(major: int = 25, *, heap_mb: int = 512, quick_start: bool = True) -> list[str]:
    return node_command(Jdk(Path("/jdk"), major), HOME, heap_mb=heap_mb, quick_start=quick_start)


def test_runs_the_homes_own_files() -> None:
    words = command()
    assert words[0] == "/jdk/bin/java"
    assert words[-1] == "org.opensearch.bootstrap.OpenSearch"
    assert "-javaagent:/nodes/one/agent/opensearch-agent.jar" in words
    assert words[words.index("-cp") + 1] == "/nodes/one/lib/*"
    assert "-Dopensearch.path.home=/nodes/one" in words


def test_heap_is_fixed() -> None:
    assert {"-Xms700m", "-Xmx700m"} <= set(command(heap_mb=700))


def test_quick_start_compiles_quickly() -> None:
    assert "-XX:TieredStopAtLevel=1" in command(quick_start=True)
    assert "-XX:TieredStopAtLevel=1" not in command(quick_start=False)


@pytest.mark.parametrize(("major", "unsafe", "compact"), [(21, False, False), (24, True, False), (25, True, True)])
def test_flags_that_older_javas_do_not_know_are_left_out(major: int, unsafe: bool, compact: bool) -> None:
    words = command(major)
    assert ("--sun-misc-unsafe-memory-access=allow" in words) == unsafe
    assert ("-XX:+UseCompactObjectHeaders" in words) == compact


def test_settings_are_lines_of_yaml() -> None:
    text = node_settings(name="dev", http_port=9201, extra={"plugins.iterqr.server.endpoints": "127.0.0.1:50051"})
    assert '"http.port": 9201\n' in text
    assert '"plugins.iterqr.server.endpoints": "127.0.0.1:50051"\n' in text


def test_further_settings_win() -> None:
    text = node_settings(name="dev", http_port=0, extra={"cluster.name": "mine"})
    assert '"cluster.name": "mine"\n' in text
    assert '"cluster.name": "dev"' not in text


def test_a_value_cannot_become_another_setting() -> None:
    text = node_settings(name="dev", http_port=0, extra={"a": 'x"\nnetwork.host: 0.0.0.0'})
    assert [line for line in text.splitlines() if line.startswith("network.host")] == []
