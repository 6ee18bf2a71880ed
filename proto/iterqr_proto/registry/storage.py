"""A registry's files: a folder or any fsspec URL. The only file of the package that does I/O.

What the rest relies on: `replace` and `create` show a file whole or not at all, and of several `create` of one path
exactly one succeeds. On a local disk that is rename and link; object stores write whole objects, and refuse a second
creation themselves.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from iterqr_proto.registry.errors import RegistryError, RegistryUnreachableError

CHUNK_BYTES = 1 << 22


class Storage:
    """Paths are relative to the registry's root, with `/` between their parts. Blocking; any thread.

    Every method but the constructor raises RegistryUnreachableError where the store fails, besides what it says.
    """

    def __init__(self, url: str) -> None:
        """Opens a folder or URL; nothing is read or written yet.

        Raises:
            RegistryUnreachableError: no file system for the URL's scheme is installed.
        """
        try:
            files, root = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise RegistryUnreachableError(f"{url}: {error}") from error
        self._files: fsspec.AbstractFileSystem = files
        self._root = root.rstrip("/")
        self.is_local = isinstance(files, LocalFileSystem)

    def read(self, path: str) -> bytes:
        """Returns a small file.

        Raises:
            FileNotFoundError: it is not there.
        """
        with self._told(path):
            content: bytes = self._files.cat_file(self._at(path))
            return content

    def chunks(self, path: str) -> Iterator[bytes]:
        """Reads a large file piece by piece.

        Raises:
            FileNotFoundError: it is not there.
        """
        with self._told(path), self._files.open(self._at(path), "rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield data

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        with self._told(path):
            return bool(self._files.isfile(self._at(path)))

    def names(self, path: str) -> list[str]:
        """Returns the names in a folder, hidden ones too; none if there is no such folder."""
        try:
            with self._told(path):
                self._files.invalidate_cache()
                found = self._files.ls(self._at(path), detail=False)
                return sorted(name.rstrip("/").rpartition("/")[2] for name in found)
        except FileNotFoundError:
            return []

    def replace(self, path: str, content: bytes) -> None:
        """Writes a small file, over an older one if need be."""
        with self._told(path):
            if not self.is_local:
                self._files.pipe_file(self._at(path), content)
                return
            with self._written_beside(path, content) as partial:
                partial.replace(self._at(path))

    def create(self, path: str, content: bytes) -> None:
        """Writes a small file that must not be there.

        Raises:
            FileExistsError: it is.
        """
        with self._told(path):
            if not self.is_local:
                self._files.pipe_file(self._at(path), content, mode="create")
                return
            with self._written_beside(path, content) as partial:
                os.link(partial, self._at(path))

    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is fine."""
        with self._told(path), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(path))

    def remove_folder(self, path: str) -> None:
        """Removes a folder with all that is in it; one that is not there is fine."""
        with self._told(path), contextlib.suppress(FileNotFoundError):
            self._files.rm(self._at(path), recursive=True)

    def upload(self, source: Path, path: str, on_chunk: Callable[[], None] = lambda: None) -> None:
        """Copies a local file; `on_chunk` is called before each piece. Not atomic."""
        with self._told(path), source.open("rb") as reading:
            self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
            with self._files.open(self._at(path), "wb") as writing:
                while data := reading.read(CHUNK_BYTES):
                    on_chunk()
                    writing.write(data)

    def rename_folder(self, path: str, target: str) -> None:
        """Renames a folder of a local disk to a name that is free.

        Raises:
            FileExistsError: it is not free.
        """
        with self._told(target):
            try:
                Path(self._at(path)).rename(self._at(target))
            except OSError as error:
                if Path(self._at(target)).exists():
                    raise FileExistsError(target) from error
                raise

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _written_beside(self, path: str, content: bytes) -> Iterator[Path]:
        """Yields a file with this content, on the disk for good, in the folder of `path`; removes it at the end."""
        target = Path(self._at(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError, RegistryError):
            raise
        except Exception as error:  # each store has errors of its own
            raise RegistryUnreachableError(f"{self._at(path)}: {error or type(error).__name__}") from error
