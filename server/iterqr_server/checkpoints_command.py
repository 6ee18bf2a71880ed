"""`iterqr-server checkpoints`: CheckpointService for people and scripts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import checkpoint_service_pb2_grpc as pb_grpc

CHECKPOINT_EXAMPLES = """\
examples:
  iterqr-server checkpoints list
  iterqr-server checkpoints load it3 --target rewrite.internal:50051
  iterqr-server checkpoints split --champion it2 --canary it3 --percent 5
  iterqr-server checkpoints split --champion it3
  iterqr-server checkpoints unload it2
  iterqr-server checkpoints state --target rewrite.internal:50051 --tls-ca ca.pem

The server needs checkpoints.registry. `split` writes to the registry, which all servers follow; what it names must be
loaded on the server that is asked, or staged: where there is no memory for two models, `load` stages a checkpoint and
`split --champion` without a canary shuts the champion down, loads it and probes it; calls wait meanwhile, and if it
fails the champion comes back. The base model goes by the id that `state` shows.
Exit codes: 0 done, 1 the server refused, cannot be reached or took too long, 2 wrong arguments.
"""
_TARGET = "127.0.0.1:50051"
_PAGE_SIZE = 100
_STATES = {
    pb.CHECKPOINT_STATE_AVAILABLE: "available",
    pb.CHECKPOINT_STATE_LOADING: "loading",
    pb.CHECKPOINT_STATE_LOADED: "loaded",
    pb.CHECKPOINT_STATE_FAILED: "failed",
    pb.CHECKPOINT_STATE_STAGED: "staged",
}
_Stub = pb_grpc.CheckpointServiceStub


def add_checkpoint_commands(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to their parser, with `run` as what runs each."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = _add(commands, "list", "list the registry's checkpoints, newest first", _list)
    listing.add_argument("--limit", type=int, default=_PAGE_SIZE, help="most checkpoints listed (default: 100)")
    load = _add(commands, "load", "load a checkpoint beside those that serve, and probe it", _load)
    load.add_argument("checkpoint", help="its id")
    split = _add(commands, "split", "set champion, canary and the canary's share of clients", _split)
    split.add_argument("--champion", required=True, help="takes what the canary does not")
    split.add_argument("--canary", default="", help="on trial; without it the champion takes all")
    split.add_argument("--percent", type=int, default=0, help="the canary's share, 0 to 100 (default: 0)")
    split.add_argument(
        "--generation", type=int, help="of the state you saw; refused if it changed since (default: the present one)"
    )
    unload = _add(commands, "unload", "free a checkpoint that takes no traffic", _unload)
    unload.add_argument("checkpoint", help="its id")
    _add(commands, "state", "show what is being served", _state)


def run_checkpoint_command(arguments: argparse.Namespace) -> int:
    """Runs a parsed command and returns the process's exit code."""
    run: Callable[[_Stub, argparse.Namespace], int] = arguments.run
    try:
        with _stub(arguments) as stub:
            return run(stub, arguments)
    except grpc.RpcError as error:
        details = error.details() or error.code().name
        print(f"iterqr-server: {arguments.target}: {details}", file=sys.stderr)
    except OSError as error:
        print(f"iterqr-server: {error.filename}: {error.strerror}", file=sys.stderr)
    return 1


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    description: str,
    run: Callable[[_Stub, argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog=CHECKPOINT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", default=_TARGET, help=f"server, as host:port (default: {_TARGET})")
    parser.add_argument("--timeout-s", type=float, default=600.0, help="longest wait for the server (default: 600)")
    parser.add_argument("--tls-ca", type=Path, help="PEM file with the server's authority; without it no TLS")
    parser.add_argument("--tls-certificate", type=Path, help="PEM file with the client's certificate")
    parser.add_argument("--tls-key", type=Path, help="PEM file with the client certificate's key")
    parser.set_defaults(command="checkpoints", run=run)
    return parser


@contextmanager
def _stub(arguments: argparse.Namespace) -> Iterator[_Stub]:
    if arguments.tls_ca is None:
        channel = grpc.insecure_channel(arguments.target)
    else:
        key, chain = (path.read_bytes() if path else None for path in (arguments.tls_key, arguments.tls_certificate))
        channel = grpc.secure_channel(
            arguments.target, grpc.ssl_channel_credentials(arguments.tls_ca.read_bytes(), key, chain)
        )
    with channel:
        yield _Stub(channel)


def _list(stub: _Stub, arguments: argparse.Namespace) -> int:
    found: list[pb.Checkpoint] = []
    token = ""
    while len(found) < arguments.limit:
        size = min(_PAGE_SIZE, arguments.limit - len(found))
        request = pb.ListCheckpointsRequest(page_size=size, page_token=token)
        page = stub.ListCheckpoints(request, timeout=arguments.timeout_s)
        found += page.checkpoints
        token = page.next_page_token
        if not token:
            break
    _print_checkpoints(found)
    if token:
        print(f"there are more than {arguments.limit} (--limit)")
    return 0


def _load(stub: _Stub, arguments: argparse.Namespace) -> int:
    request = pb.LoadCheckpointRequest(checkpoint_id=arguments.checkpoint)
    checkpoint = stub.LoadCheckpoint(request, timeout=arguments.timeout_s).checkpoint
    _print_checkpoints([checkpoint])
    return int(checkpoint.state not in (pb.CHECKPOINT_STATE_LOADED, pb.CHECKPOINT_STATE_STAGED))


def _split(stub: _Stub, arguments: argparse.Namespace) -> int:
    generation = arguments.generation
    if generation is None:
        generation = stub.GetServingState(pb.GetServingStateRequest(), timeout=arguments.timeout_s).generation
    wanted = pb.TrafficSplit(
        champion_checkpoint_id=arguments.champion,
        canary_checkpoint_id=arguments.canary,
        canary_percent=arguments.percent,
    )
    request = pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=generation)
    reply = stub.SetTrafficSplit(request, timeout=arguments.timeout_s)
    _print_split(reply.traffic_split, reply.generation)
    return 0


def _unload(stub: _Stub, arguments: argparse.Namespace) -> int:
    request = pb.UnloadCheckpointRequest(checkpoint_id=arguments.checkpoint)
    stub.UnloadCheckpoint(request, timeout=arguments.timeout_s)
    print(f"{arguments.checkpoint} is unloaded")
    return 0


def _state(stub: _Stub, arguments: argparse.Namespace) -> int:
    state = stub.GetServingState(pb.GetServingStateRequest(), timeout=arguments.timeout_s)
    _print_split(state.traffic_split, state.generation)
    print()
    _print_checkpoints(state.loaded)
    return 0


def _print_split(split: pb.TrafficSplit, generation: int) -> None:
    print(f"generation {generation}")
    print(f"champion   {split.champion_checkpoint_id}  {100 - split.canary_percent}%")
    if split.canary_checkpoint_id:
        print(f"canary     {split.canary_checkpoint_id}  {split.canary_percent}%")


def _print_checkpoints(checkpoints: Iterable[pb.Checkpoint]) -> None:
    rows = [("checkpoint", "parent", "state", "reason")]
    rows += [(c.checkpoint_id, c.parent_checkpoint_id or "-", _STATES.get(c.state, "?"), c.reason) for c in checkpoints]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]).rstrip())
