"""From a checkpoint's id to a model that may take traffic: fetched, checked, started, probed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping
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

from iterqr_server.checkpoints import memory, probe_set
from iterqr_server.checkpoints.errors import CheckpointRefusedError
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
    def kinds(self) -> Collection[str]:
        """Artifacts that the backend runs."""
        ...

    def base_sha256(self) -> str:
        """Digest of the configured base model's weights; called when that model has been found."""
        ...

    def needed_bytes(self, artifact: Path) -> int:
        """About how much memory the model of this folder will take.

        Raises:
            ModelError: the folder is not a model that the backend runs.
        """
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
        available_bytes: Callable[[], int | None] = memory.available_bytes,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._engines = engines
        self._default_policy_json = default_policy_json
        self._probes = probes
        self._limits = limits
        self._available_bytes = available_bytes

    async def load(self, checkpoint_id: str) -> ServedModel:
        """Returns the checkpoint, warm and probed.

        Raises:
            CheckpointRefusedError: it must not serve here; the message says why.
            RegistryError: it is not in the registry, is damaged, or the registry cannot be read.
            OSError: the cache folder cannot be written.
        """
        started = time.perf_counter()
        fetched = await asyncio.to_thread(self._fetch, checkpoint_id)
        template = read_checkpoint_template(fetched)
        policy_json = _policy_json(fetched.manifest) or self._default_policy_json
        artifact = fetched.folder / artifact_folder(fetched.manifest, self._engines.kinds)
        try:
            await asyncio.to_thread(self._check_memory, artifact)
            engine = await asyncio.to_thread(self._engines.open, artifact)
            model = ServedModel(checkpoint_id, engine, template, policy_json)
            await self._start_and_probe(model)
        except (ModelError, EngineError) as error:
            raise CheckpointRefusedError(str(error)) from error
        _log.info("checkpoint_loaded", checkpoint_id=checkpoint_id, seconds=round(time.perf_counter() - started, 3))
        return model

    def _fetch(self, checkpoint_id: str) -> FetchedCheckpoint:
        manifest = self._registry.manifest(checkpoint_id)
        check_manifest_fits(manifest, self._engines.base_sha256())
        return self._registry.fetch(checkpoint_id, self._cache, {*self._engines.kinds, TEMPLATE_KIND})

    def _check_memory(self, artifact: Path) -> None:
        needed = self._engines.needed_bytes(artifact)
        if reason := memory.refusal(needed, self._available_bytes(), self._limits.memory_reserve_bytes):
            raise CheckpointRefusedError(reason)

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


def artifact_folder(manifest: Mapping[str, Any], kinds: Collection[str]) -> Path:
    """Returns the folder, relative to the manifest, of the first artifact of these kinds: its files' common parent.

    Raises:
        CheckpointRefusedError: there is none.
    """
    for artifact in manifest["artifacts"]:
        if artifact["kind"] in kinds:
            parents = [Path(file["path"]).parent for file in artifact["files"]]
            return min(parents, key=lambda parent: len(parent.parts))
    raise CheckpointRefusedError(f"has no artifact of kind {' or '.join(sorted(kinds))}")


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
