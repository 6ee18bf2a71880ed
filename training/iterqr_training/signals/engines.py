"""Where attribution is computed: DuckDB in this process, or Spark here or on a cluster, by URL.

`duckdb://?memory_limit=4GB&threads=2&temp_folder=/big/disk`
`spark+local`, `spark+local?driver_memory=8g`, `spark://host:7077?spark.executor.memory=8g`, `spark+yarn`, `spark+k8s://...`
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from iterqr_training.errors import EngineError, SettingError, StoreError
from iterqr_training.signals.tables import TableSpec

DEFAULT_ENGINE = "duckdb://"
_DUCKDB_OPTIONS = ("memory_limit", "threads", "temp_folder")
_SPARK_OPTIONS = ("driver_memory", "shuffle_partitions", "temp_folder")


@dataclass(frozen=True, slots=True)
class EngineUrl:
    """What a URL asks for. `kind`: duckdb or spark; `master`: Spark's; `options` by name."""

    kind: str
    master: str
    options: Mapping[str, str]


class Engine(Protocol):
    """An open engine. Expressions made of its tables are computed when they are written."""

    kind: str

    def read(self, spec: TableSpec, files: Sequence[Path]) -> ir.Table:
        """Returns the rows of Parquet files, with the columns of the schema; no files are no rows.

        Raises:
            EngineError: A file is damaged.
            StoreError: The files lack a column.
        """

    def collect(self, table: ir.Table) -> pa.Table:
        """Computes a small table and returns its rows.

        Raises:
            EngineError: It could not be computed.
        """

    def write(self, table: ir.Table, folder: Path) -> None:
        """Computes a table and writes it as Parquet files into a folder that is not there yet.

        Raises:
            EngineError: It could not be computed.
        """


def parse_engine_url(url: str) -> EngineUrl:
    """Reads an engine's URL.

    Raises:
        SettingError: It is none; the message says what could be.
    """
    address, _, query = url.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise SettingError(f"engine {url!r} has options that are not name=value&...") from error
    if address == "duckdb://":
        return EngineUrl("duckdb", "", _checked(url, options, _DUCKDB_OPTIONS, free_prefix=""))
    if address == "spark+local":
        master = "local[*]"
    elif address.startswith("spark://") and len(address) > len("spark://"):
        master = address
    elif address.startswith("spark+") and len(address) > len("spark+"):
        master = address.removeprefix("spark+")
    else:
        raise SettingError(f"engine {url!r} is none of duckdb://, spark+local, spark://HOST:PORT, spark+MASTER")
    return EngineUrl("spark", master, _checked(url, options, _SPARK_OPTIONS, free_prefix="spark."))


def _checked(url: str, options: dict[str, str], known: Sequence[str], free_prefix: str) -> dict[str, str]:
    for name, value in options.items():
        if name not in known and not (free_prefix and name.startswith(free_prefix)):
            raise SettingError(f"engine {url!r}: option {name!r} is none of {', '.join(known)}")
        if not value:
            raise SettingError(f"engine {url!r}: option {name} has no value")
        if name in ("threads", "shuffle_partitions") and not 1 <= int(value if value.isdecimal() else 0) <= 10_000:
            raise SettingError(f"engine {url!r}: {name} must be from 1 to 10000")
    return options


@contextlib.contextmanager
def open_engine(url: str) -> Iterator[Engine]:
    """Opens an engine; closed, with what it wrote for itself, on leaving.

    Raises:
        SettingError: The URL is none.
        EngineError: It cannot be started; the message says what is missing.
    """
    asked = parse_engine_url(url)
    temp_folder = asked.options.get("temp_folder")
    if temp_folder and not Path(temp_folder).is_dir():
        raise SettingError(f"engine {url!r}: temp_folder is no folder")
    own = Path(tempfile.mkdtemp(prefix="iterqr-engine-", dir=temp_folder))
    try:
        with _start(asked, own) as engine:
            yield engine
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _start(asked: EngineUrl, own: Path) -> contextlib.AbstractContextManager[Engine]:
    if asked.kind == "duckdb":
        from iterqr_training.signals.duckdb_engine import duckdb_engine  # noqa: PLC0415 - only when used

        return duckdb_engine(asked.options, own)
    try:
        from iterqr_training.signals.spark_engine import spark_engine  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EngineError("Spark is not installed; install iterqr-training[spark]") from error
    if asked.master.startswith("local") and not _java():
        raise EngineError("Spark needs Java 17 or later; set JAVA_HOME or put java on the PATH")
    return spark_engine(asked.master, asked.options, own)


def conform(table: ir.Table, spec: TableSpec) -> ir.Table:
    """Returns the columns of a schema in its order and of its types.

    Raises:
        StoreError: The table lacks one.
    """
    schema = ibis.Schema.from_pyarrow(spec.schema)
    if missing := [name for name in schema if name not in table.columns]:
        raise StoreError(f"{spec.name} lacks columns: {', '.join(missing)}")
    return table.select(**{name: table[name].cast(kind) for name, kind in schema.items()})


def first_line(error: Exception) -> str:
    """What a vendor's error says, without the query and the stack that follow."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return (Path(home) / "bin" / "java").is_file() if home else shutil.which("java") is not None
