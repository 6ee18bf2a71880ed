"""From a checkpoint's id to a model that may take traffic: fetched, checked, started, probed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog
from iterqr_proto.policy import MAX_POLICY_CHARACTERS
from iterqr_proto.registry import CheckpointRegistry, FetchedCheckpoint
from iterqr_proto.rewrite_format import (
    FORMAT_VERSION,
    RewriteInput,
    Template,
    TemplateError,
    load_template,
    render,
)

from iterqr_server.checkpoints import probe_set
from iterqr_server.checkpoints.errors import CheckpointRefusedError
from iterqr_server.checkpoints.memory import Room
from iterqr_server.checkpoints.opened_model import OpenedModel
from iterqr_server.checkpoints.probe_set import ProbeLimits, ProbeSet
from iterqr_server.checkpoints.probing import ask
from iterqr_server.engine.errors import EngineError
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.models.errors import ModelError
from iterqr_server.rewrite.served_model import ServedModel

TEMPLATE_KIND = "prompt-template"
WARM_UP = RewriteInput("warm up")
_log = structlog.get_logger(__name__)


class CheckpointEngines(Protocol):
    """What the composition root knows of the configured backend. Methods block; they are called on other threads."""

    @property
    def kinds(self) -> Sequence[str]:
        """Artifacts that the backend runs, the one that it prefers first."""
        ...

    @property
    def memory_name(self) -> str:
        """What the bytes below are bytes of, for people."""
        ...

    def base_sha256(self) -> str:
        """Digest of the configured base model's weights; called when that model has been found.

        Raises:
            ModelError: its files are not those that they should be.
        """
        ...

    def needed_bytes(self, artifact: Path | None) -> int:
        """About how much memory the model of this folder, or the configured base model, will take beside another.

        Raises:
            ModelError: the folder is not a model that the backend runs.
        """
        ...

    def available_bytes(self) -> int | None:
        """How much of that memory is free; None where nobody tells."""
        ...

    def open(self, artifact: Path) -> GenerationEngine:
        """Returns an engine, not started yet, for an artifact's folder.

        Raises:
            ModelError: the folder is not a model that the backend runs.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadingLimits:
    """See `CheckpointsConfig`."""

    memory_reserve_bytes: int
    probes: ProbeLimits
    max_rewrites: int
    max_new_tokens: int


class CheckpointLoader:
    """Used on the event loop's thread, which it does not block."""

    def __init__(
        self,
        *,
        registry: CheckpointRegistry,
        cache: Path,
        engines: CheckpointEngines,
        default_policy_json: str,
        probes: ProbeSet,
        limits: LoadingLimits,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._engines = engines
        self._default_policy_json = default_policy_json
        self._probes = probes
        self._limits = limits

    async def open(self, checkpoint_id: str) -> OpenedModel:
        """Returns the checkpoint, fetched and checked; its `start` raises CheckpointRefusedError.

        Raises:
            CheckpointRefusedError: it must not serve here; the message says why.
            RegistryError: it is not in the registry, is damaged, or the registry cannot be read.
            OSError: the cache folder cannot be written.
        """
        try:
            kind, fetched = await asyncio.to_thread(self._fetch, checkpoint_id)
            template = read_checkpoint_template(fetched)
            policy_json = _policy_json(fetched.manifest) or self._default_policy_json
            artifact = fetched.folder / artifact_folder(fetched.manifest, kind)
            engine = await asyncio.to_thread(self._engines.open, artifact)
        except (ModelError, EngineError) as error:
            raise CheckpointRefusedError(str(error)) from error
        model = ServedModel(checkpoint_id, engine, template, policy_json)
        return OpenedModel(model, lambda: self._start(model), lambda: self.room(artifact))

    async def room(self, artifact: Path | None) -> Room:
        """Measures what the model of an artifact's folder, or the base model, would take and what there is.

        Raises:
            CheckpointRefusedError: the folder is not a model that the backend runs.
        """
        return await asyncio.to_thread(self._room, artifact)

    def _room(self, artifact: Path | None) -> Room:
        try:
            needed = self._engines.needed_bytes(artifact)
        except ModelError as error:
            raise CheckpointRefusedError(str(error)) from error
        available = self._engines.available_bytes()
        return Room(needed, available, self._limits.memory_reserve_bytes, self._engines.memory_name)

    def _fetch(self, checkpoint_id: str) -> tuple[str, FetchedCheckpoint]:
        """Returns the kind of artifact that will serve, and the checkpoint with that and its template alone."""
        manifest = self._registry.manifest(checkpoint_id)
        check_manifest_fits(manifest, self._engines.base_sha256())
        kind = artifact_kind(manifest, self._engines.kinds)
        return kind, self._registry.fetch(checkpoint_id, self._cache, {kind, TEMPLATE_KIND})

    async def _start(self, model: ServedModel) -> None:
        started = time.perf_counter()
        try:
            await self._start_and_probe(model)
        except EngineError as error:
            raise CheckpointRefusedError(str(error)) from error
        seconds = round(time.perf_counter() - started, 3)
        _log.info("checkpoint_loaded", checkpoint_id=model.checkpoint_id, seconds=seconds)

    async def _start_and_probe(self, model: ServedModel) -> None:
        try:
            await model.engine.start(render(model.template, WARM_UP))
            answers, scores = await ask(
                model.engine,
                model.template,
                self._probes,
                max_rewrites=self._limits.max_rewrites,
                max_new_tokens=self._limits.max_new_tokens,
            )
            _log.info(
                "checkpoint_probed",
                checkpoint_id=model.checkpoint_id,
                valid=sum(answer.is_valid for answer in answers),
                answers=len(answers),
                slowest_ms=round(max(answer.seconds for answer in answers) * 1000),
                good_scores=[round(pair.good, 3) for pair in scores],
                bad_scores=[round(pair.bad, 3) for pair in scores],
            )
            if reason := probe_set.refusal(answers, scores, self._limits.probes):
                raise CheckpointRefusedError(reason)
        except BaseException:
            await model.engine.close()
            raise


def check_manifest_fits(manifest: Mapping[str, Any], base_sha256: str) -> None:
    """Raises CheckpointRefusedError if a checked manifest's checkpoint cannot serve on this base, or speaks another
    format."""
    base = manifest["base_model"]
    if base["sha256"] != base_sha256:
        raise CheckpointRefusedError(
            f"wrong base: it was trained on {base['name']} (SHA-256 {base['sha256'][:12]}), "
            f"this server's model.name has {base_sha256[:12]}"
        )
    if manifest["format_version"] != FORMAT_VERSION:
        raise CheckpointRefusedError(
            f"format_version: it writes {manifest['format_version']}, this server reads {FORMAT_VERSION}"
        )


def artifact_kind(manifest: Mapping[str, Any], kinds: Sequence[str]) -> str:
    """Returns the first of these kinds that a checkpoint has.

    Raises:
        CheckpointRefusedError: it has none of them.
    """
    has = {artifact["kind"] for artifact in manifest["artifacts"]}
    for kind in kinds:
        if kind in has:
            return kind
    raise CheckpointRefusedError(f"has no artifact of kind {' or '.join(sorted(kinds))}")


def artifact_folder(manifest: Mapping[str, Any], kind: str) -> Path:
    """Returns the folder, relative to the manifest, of an artifact that is there: its files' common parent."""
    files = next(artifact["files"] for artifact in manifest["artifacts"] if artifact["kind"] == kind)
    return min((Path(file["path"]).parent for file in files), key=lambda parent: len(parent.parts))


def read_checkpoint_template(fetched: FetchedCheckpoint) -> Template:
    """Returns the template the checkpoint was trained for; without one of its own, that of food delivery.

    Raises:
        CheckpointRefusedError: it is not a template.
    """
    own = [file.path for file in fetched.files if file.kind == TEMPLATE_KIND]
    try:
        return load_template(fetched.folder / own[0] if own else None)
    except TemplateError as error:
        raise CheckpointRefusedError(f"prompt template: {error}") from error


def _policy_json(manifest: Mapping[str, Any]) -> str:
    policy = manifest.get("policy")
    if policy is None:
        return ""
    line = json.dumps(policy, separators=(",", ":"))
    if len(line) > MAX_POLICY_CHARACTERS:
        raise CheckpointRefusedError(f"policy: is longer than {MAX_POLICY_CHARACTERS} characters, too long for a reply")
    return line
