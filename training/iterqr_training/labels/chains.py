"""Chains of thought: how a model came from a query to its rewrites, which generation is trained on.

Impressions keep rewrites, not the lines before them. So a chain is what a file of logged generations has for the query,
or what the frozen base writes when it is asked now, with the hints that the server shows it now; both come from one
reply, so they fit each other. The file has one JSON object a line:
query, region, hints (list of titles), fix, intent, meaning, checkpoint_id.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr_proto.rewrite_format import MAX_LINE_CHARS, clean_text, normalize_query

from iterqr_training.errors import LabelFileError, StoreError
from iterqr_training.labels.base_server import BaseServer
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import MAX_QUERY_CHARS

_MAX_HINTS = 100
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Chain:
    """The lines before the rewrites; `hints` are the titles that the prompt had. `query` is normalized."""

    query: str
    region: str
    hints: tuple[str, ...]
    fix: str
    intent: str
    meaning: str
    checkpoint_id: str

    @property
    def key(self) -> Key:
        """There is one for each query and region."""
        return self.query, self.region


@dataclass(frozen=True, slots=True)
class Chains:
    """By query and region. `missing`: how many queries have none, by reason. `corrected`: how many got another fix."""

    found: Mapping[Key, Chain]
    missing: Mapping[str, int]
    corrected: int = 0


class ChainJournal:
    """A file to which chains are added as they come, so that a stopped run need not ask again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mapping[Key, Chain]:
        """What is kept. A last line without its end was being written when the run was stopped, and is dropped.

        Raises:
            LabelFileError: A line is damaged.
        """
        if not self._path.exists():
            return {}
        kept = self._path.read_bytes()
        if not kept.endswith(b"\n"):
            self._path.write_bytes(kept[: kept.rfind(b"\n") + 1])
        return read_chains(self._path)

    def keep(self, chain: Chain) -> None:
        """Adds a chain.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(chain_lines([chain]))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error}") from error

    def remove(self) -> None:
        """Called when the chains are kept elsewhere."""
        self._path.unlink(missing_ok=True)


def ask_chains(
    server: BaseServer,
    wanted: Sequence[Key],
    known: Mapping[Key, Chain],
    journal: ChainJournal,
    on_chain: Callable[[int], None],
) -> Chains:
    """Returns the known chains of the wanted queries, and asks for the others, which the journal keeps meanwhile.

    Raises:
        JudgeError: The server does not answer, or serves another checkpoint than the base.
    """
    kept = {**journal.read(), **known}
    found = {key: kept[key] for key in wanted if key in kept}
    on_chain(len(found))
    asked = [key for key in wanted if key not in kept]
    missing: Counter[str] = Counter()
    for place, reply in server.rewrite(asked):
        query, region = asked[place]
        chain = None if isinstance(reply, str) else _chain(query, region, reply)
        if chain is None:
            missing["the server failed" if isinstance(reply, str) else "the base wrote no whole chain"] += 1
        elif personal_data(f"{chain.fix} | {chain.intent} | {chain.meaning}"):
            missing["the chain may name a person"] += 1
        else:
            journal.keep(chain)
            found[chain.key] = chain
        on_chain(1)
    return Chains(found, missing)


def correct_fixes(chains: Chains, usual: Callable[[str], str | None]) -> Chains:
    """Makes the usual spelling of a query the `fix` of its chain, which often repeats the query's mistake. Pure.

    Args:
        chains: As the base wrote them.
        usual: Gives the usual spelling of a query; None if the query has it.
    """
    found = {key: replace(chain, fix=usual(chain.query) or chain.fix) for key, chain in chains.found.items()}
    corrected = sum(chain.fix != chains.found[key].fix for key, chain in found.items())
    return replace(chains, found=found, corrected=corrected)


def read_chains(path: Path) -> Mapping[Key, Chain]:
    """Reads a file of chains; of several for one query and region the last counts.

    Raises:
        LabelFileError: It cannot be read, or a line breaks the format; the message has the line's number and the field.
    """
    found: dict[Key, Chain] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    chain = _read(line, f"{path}: line {number}")
                    found[chain.key] = chain
    except (OSError, UnicodeDecodeError) as error:
        raise LabelFileError(f"{path}: {error}") from error
    return found


def chain_lines(chains: Iterable[Chain]) -> str:
    """Returns the file's content, in order of query and region."""
    ordered = sorted(chains, key=lambda each: each.key)
    return "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in ordered)


def _chain(query: str, region: str, reply: pb.RewriteQueryResponse) -> Chain | None:
    thought = reply.chain_of_thought
    if not (thought.fix and thought.intent and thought.meaning):
        return None
    return Chain(query, region, tuple(reply.hints), thought.fix, thought.intent, thought.meaning, reply.checkpoint_id)


def _read(line: str, where: str) -> Chain:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise LabelFileError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise LabelFileError(f"{where}: must be a JSON object")
    names = Chain.__dataclass_fields__.keys()
    if wrong := sorted(row.keys() ^ names):
        raise LabelFileError(f"{where}: {wrong[0]}: {'unknown field' if wrong[0] in row else 'is required'}")
    hints = row["hints"]
    if not isinstance(hints, list) or len(hints) > _MAX_HINTS or not all(isinstance(each, str) for each in hints):
        raise LabelFileError(f"{where}: hints: must be a list of at most {_MAX_HINTS} strings")
    limits = {"query": MAX_QUERY_CHARS, "region": 64, "checkpoint_id": 256}
    texts = {}
    for name in ("query", "region", "fix", "intent", "meaning", "checkpoint_id"):
        most = limits.get(name, MAX_LINE_CHARS)
        text = clean_text(row[name]) if isinstance(row[name], str) else None
        if text is None or len(text) > most or (not text and name not in ("region", "checkpoint_id")):
            raise LabelFileError(f"{where}: {name}: must be a string of at most {most} characters, not empty")
        texts[name] = text
    texts["query"] = normalize_query(texts["query"])
    return Chain(hints=tuple(hints), **texts)
