"""`iterqr-train attribute`: from files to marts, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from iterqr_training.main import main
from iterqr_training.signals.attribution_check.planting import INDEX_PREFIX
from iterqr_training.signals.marts import Marts, read_marts
from iterqr_training.signals.store.partitions import DatedRows
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, RAW
from support.signals.marketplace import TOWN
from support.signals.raw_rows import START, Event, Hit, Page, Signals, write_raw

# "again" is a retry of "once"; the bot clicks all it is shown; "planted" is what an attribution check left.
_VISITS = Signals(
    (
        Page("p", hits=(Hit("a", 1, original=1),)),
        *(
            Page(f"p-bot-{page}", f"q-bot-{page}", "bot", hits=tuple(Hit(f"h{n}", n, original=n) for n in range(1, 31)))
            for page in range(2)
        ),
    ),
    (
        Event("once"),
        Event("again", at_s=60.5),
        *(
            Event(f"bot-{page}-{n}", query_id=f"q-bot-{page}", object_id=f"h{n}", client_id="bot")
            for page in range(2)
            for n in range(1, 31)
        ),
        Event("planted", object_id="b", application=f"{INDEX_PREFIX}1a2b"),
    ),
)


def test_it_writes_the_marts_and_tells_what_became_of_the_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_raw(TOWN, tmp_path / "signals")
    main(["attribute", "--signals", str(tmp_path / "signals"), "--out", str(tmp_path / "marts"), "--min-clients", "2"])
    told = capsys.readouterr().out
    marts = read_marts(tmp_path / "marts")
    assert marts.files(ATTRIBUTED_EVENTS)
    assert marts.about["settings"]["min_clients"] == 2
    assert marts.about["rows"]["hints"] > 0
    assert {"kind": "order", "status": "no_touch", "level": None, "events": 1} in marts.about["events"]
    assert "no_touch" in told
    assert "generation 1" in told
    assert not [path for path in (tmp_path / "marts").rglob("*") if path.name.startswith(".")]
    json.dumps(dict(marts.about))


def attributed(folder: Path, *flags: str) -> Marts:
    main(["attribute", "--signals", str(folder / "signals"), "--out", str(folder / "marts"), *flags])
    return read_marts(folder / "marts")


def credited(marts: Marts) -> set[str]:
    rows = [row for file in marts.files(ATTRIBUTED_EVENTS) for row in pq.read_table(file).to_pylist()]
    return {row["event_id"] for row in rows if row["status"] == "credited"}


def left_out(marts: Marts) -> dict[tuple[str, str, str], int]:
    return {
        (each["filter"], each["reason"], each["table"]): each["rows"]
        for each in marts.about["left_out"]
        if each["filter"] != "kept"
    }


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_raw(_VISITS, tmp_path / "signals")
    marts = attributed(tmp_path)
    assert credited(marts) == {"once"}
    assert left_out(marts) == {
        ("planted", "attribution_check", "events"): 1,
        ("duplicates", "repeated", "events"): 1,
        ("bots", "clicks_nearly_everything", "client_days"): 1,
        ("bots", "clicks_nearly_everything", "events"): 60,
        ("bots", "clicks_nearly_everything", "impressions"): 2,
    }
    assert marts.about["rows"]["query_outcomes"] == 1
    assert "clicks_nearly_everything" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "also"),
    [
        (["--keep-duplicates"], {"again"}),
        (["--repeat-window-ms", "499"], {"again"}),
        (["--min-hits-to-judge", "61"], {f"bot-{page}-{n}" for page in range(2) for n in range(1, 31)}),
        (["--keep-bots"], {f"bot-{page}-{n}" for page in range(2) for n in range(1, 31)}),
    ],
)
def test_what_is_left_out_is_a_matter_of_flags(tmp_path: Path, flags: list[str], also: set[str]) -> None:
    write_raw(_VISITS, tmp_path / "signals")
    assert credited(attributed(tmp_path, *flags)) == {"once", *also}


def test_only_one_application_is_read(tmp_path: Path) -> None:
    signals = Signals(
        (Page("p", application="shop", hits=(Hit("a", 1, original=1),)), Page("p2", "q2", application="kiosk")),
        (Event("e", application="shop"), Event("e2", query_id="q2", application="kiosk")),
    )
    write_raw(signals, tmp_path / "signals")
    marts = attributed(tmp_path, "--applications", "shop")
    assert marts.about["rows"]["query_outcomes"] == 1
    assert marts.about["rows"]["attributed_events"] == 1
    assert marts.about["applications"] == ["shop"]


def test_of_a_store_only_what_is_committed_is_read(tmp_path: Path) -> None:
    written = write_raw(TOWN, tmp_path / "raw")
    with SignalStore(tmp_path / "signals") as store:
        rows = [
            DatedRows(spec.name, f"{START:%Y-%m-%d}", pq.read_table(file)) for spec in RAW for file in written.of(spec)
        ]
        store.commit(rows, [])
    first = attributed(tmp_path)
    stray = next((tmp_path / "signals" / "events").rglob("*.parquet"))
    (stray.parent / "under-way.parquet").write_bytes(stray.read_bytes())
    second = attributed(tmp_path)
    for told in ("read", "left_out", "rows", "events"):
        assert second.about[told] == first.about[told]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--engine", "sqlite://"], "iterqr-train: engine 'sqlite://' is none of"),
        (["--max-weight", "0"], "iterqr-train: max_weight is 0, and must be from 1 to 1000"),
        ([], "has no raw tables"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str
) -> None:
    if flags:
        write_raw(TOWN, tmp_path / "signals")
    with pytest.raises(SystemExit) as ended:
        main(["attribute", "--signals", str(tmp_path / "signals"), "--out", str(tmp_path / "marts"), *flags])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["attribute", "--help"])
    assert "--engine 'spark+local?driver_memory=8g'" in capsys.readouterr().out
