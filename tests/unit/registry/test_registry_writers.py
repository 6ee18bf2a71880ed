"""One writer at a time: leases with an end, writers in processes of their own, and writers that die at every step."""

from __future__ import annotations

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from iterqr_proto.registry import (
    CheckpointExistsError,
    CheckpointRegistry,
    LeaseHeldError,
    LeaseLostError,
    RegistryError,
    Split,
    StateConflictError,
)
from iterqr_proto.registry.lease import Lease
from iterqr_proto.registry.storage import Storage
from support.checkpoints import checkpoint_folder


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["folder", "object store"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "registry") if request.param == "folder" else f"memory://registry-{uuid.uuid4().hex}"


def _lease(url: str, holder: str, clock: Clock) -> Lease:
    return Lease(Storage(url), "leases/state", holder=holder, ttl_s=10, clock=clock)


def test_a_second_writer_is_refused_by_name(url: str) -> None:
    clock = Clock()
    with _lease(url, "host-a:1", clock) as first:
        clock.now += 4
        with pytest.raises(LeaseHeldError, match=r"host-a:1 holds the lease for 6\.0 s more"), _lease(url, "b", clock):
            pass
        first.check()
    with _lease(url, "host-b:2", clock) as second:
        assert second.number == first.number + 1


def test_an_expired_lease_is_taken_over_and_its_holder_can_write_no_more(url: str) -> None:
    clock = Clock()
    first = _lease(url, "a", clock)
    first.__enter__()
    clock.now += 8.5  # in the margin
    with pytest.raises(LeaseLostError, match="about to expire"):
        first.check()
    clock.now += 2
    with _lease(url, "b", clock) as second:
        with pytest.raises(LeaseLostError, match="taken over"):
            first.check()
        first.__exit__(None, None, None)  # gives nothing back that is not its own
        with pytest.raises(LeaseHeldError, match="b holds"):
            _lease(url, "c", clock).__enter__()
        second.check()


def test_a_long_writer_renews_its_lease(url: str) -> None:
    clock = Clock()
    with _lease(url, "a", clock) as lease:
        for _second in range(30):
            clock.now += 1
            lease.keep()
        with pytest.raises(LeaseHeldError):
            _lease(url, "b", clock).__enter__()


def test_of_many_threads_that_take_over_one_wins(url: str) -> None:
    clock = Clock()
    _lease(url, "dead", clock).__enter__()
    clock.now += 11
    won: list[str] = []
    refused: list[Exception] = []
    start = threading.Barrier(8)

    def take(name: str) -> None:
        start.wait()
        try:
            _lease(url, name, clock).__enter__()
            won.append(name)
        except RegistryError as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(f"writer {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert all(won[0] in str(error) for error in refused)


def _count_up(url: str, writes: int) -> None:
    """Writes `writes` generations, each after what it read; goes on where another was first."""
    registry = CheckpointRegistry(url)
    done = 0
    while done < writes:
        state = registry.read_state()
        try:
            registry.write_state(Split(f"c{state.generation + 1}"), expected_generation=state.generation)
            done += 1
        except (LeaseHeldError, StateConflictError, RegistryError):
            continue


def test_writers_in_processes_lose_no_write(tmp_path: Path) -> None:
    """Each of 3 x 10 writes is a generation of its own, and what is read between them is whole."""
    url = str(tmp_path / "registry")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_count_up, args=(url, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    registry = CheckpointRegistry(url)
    while any(process.is_alive() for process in processes):
        state = registry.read_state()
        assert state.generation == 0 or state.split.champion == f"c{state.generation}"
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert registry.read_state().generation == 30


def test_of_two_that_publish_one_id_at_once_one_wins(url: str, tmp_path: Path) -> None:
    ended: list[str] = []
    start = threading.Barrier(4)
    folders = [checkpoint_folder(tmp_path / str(i), "it1", {"model": f"of {i}".encode() * 1000}) for i in range(4)]

    def publish(folder: Path) -> None:
        start.wait()
        try:
            CheckpointRegistry(url).publish(folder)
            ended.append(folder.parent.name)
        except (CheckpointExistsError, LeaseHeldError):
            pass

    threads = [threading.Thread(target=publish, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 1
    fetched = CheckpointRegistry(url).fetch("it1", tmp_path / "cache")
    assert (fetched.folder / "model").read_bytes() == f"of {ended[0]}".encode() * 1000


class _CrashError(BaseException):
    """Stands for the process's end: nothing catches it."""


@contextmanager
def _dying_at(step: int) -> Iterator[list[str]]:
    """From the `step`-th change of the store on, nothing more happens: neither that change nor any later one."""
    taken: list[str] = []

    def wrap(name: str) -> Any:  # noqa: ANN401
        original = getattr(Storage, name)

        def change(self: Storage, *arguments: Any) -> Any:  # noqa: ANN401
            if len(taken) >= step:
                raise _CrashError
            taken.append(name)
            return original(self, *arguments)

        return change

    names = ("replace", "create", "remove", "remove_folder", "upload", "rename_folder")
    with mock.patch.multiple(Storage, **{name: wrap(name) for name in names}):
        yield taken


def test_a_publisher_that_dies_at_any_step_leaves_nothing_to_be_seen(url: str, tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path, "it1", {"a": b"1", "b": b"2"})
    clock = Clock()
    registry = CheckpointRegistry(url, clock)
    died = 0
    for step in range(20):
        with _dying_at(step):
            try:
                registry.publish(folder)
                break
            except _CrashError:
                died += 1
        if registry.list_checkpoints():
            break  # it died after the checkpoint was there, on its way out
        clock.now += 1_000  # its lease ends
    assert died >= 4
    assert [checkpoint.problem for checkpoint in registry.list_checkpoints()] == [""]
    assert (registry.fetch("it1", tmp_path / "cache").folder / "b").read_bytes() == b"2"


def test_a_writer_that_dies_at_any_step_leaves_the_old_state_or_the_new(url: str) -> None:
    clock = Clock()
    registry = CheckpointRegistry(url, clock)
    before = registry.write_state(Split("it1"), expected_generation=0)
    died = 0
    for step in range(20):
        with _dying_at(step):
            try:
                registry.write_state(Split("it2"), expected_generation=before.generation)
                break
            except _CrashError:
                died += 1
        state = registry.read_state()
        if state != before:
            break
        clock.now += 11  # its lease ends
    assert died >= 3
    assert registry.read_state().split == Split("it2")
    clock.now += 11
    assert registry.write_state(Split("it3"), expected_generation=2).generation == 3


def test_a_writer_slower_than_its_lease_writes_nothing(url: str) -> None:
    clock = Clock()
    registry = CheckpointRegistry(url, clock)
    read = CheckpointRegistry.read_state

    def slow(self: CheckpointRegistry) -> Any:  # noqa: ANN401
        clock.now += 9
        return read(self)

    with mock.patch.object(CheckpointRegistry, "read_state", slow), pytest.raises(LeaseLostError):
        registry.write_state(Split("it1"), expected_generation=0)
    assert registry.read_state().generation == 0
