import stat
import zipfile
from pathlib import Path

import pytest
from iterqr_dev_node import PluginError
from iterqr_dev_node.plugins import parse_descriptor, unpack_plugin

DESCRIPTOR = "# made by a build\nname=demo\nversion=1\nopensearch.version=3.8.0\nclassname=a.B\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("plugins", "config"):
        (tmp_path / "home" / name).mkdir(parents=True)
    return tmp_path / "home"


def make_zip(path: Path, entries: dict[str, str], *, link: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, text in entries.items():
            opened.writestr(name, text)
        if link:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            opened.writestr(entry, "/etc/passwd")
    return path


def unpack(zip_path: Path, home: Path, *, version: str = "3.8.0", replace: bool = False) -> str:
    return unpack_plugin(zip_path, home / "plugins", home / "config", opensearch_version=version, replace=replace)


def test_unpacks_plugin_and_configuration(tmp_path: Path, home: Path) -> None:
    entries = {"plugin-descriptor.properties": DESCRIPTOR, "demo.jar": "jar", "config/demo.yml": "a: 1"}
    assert unpack(make_zip(tmp_path / "a.zip", entries), home) == "demo"
    assert (home / "plugins" / "demo" / "demo.jar").read_text() == "jar"
    assert (home / "config" / "demo" / "demo.yml").read_text() == "a: 1"
    assert sorted(each.name for each in home.iterdir()) == ["config", "plugins"], "nothing is left over"


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "C:evil", "lib/../../../evil.jar"]
)
def test_an_entry_outside_the_plugins_folder_is_refused(tmp_path: Path, home: Path, name: str) -> None:
    bad = make_zip(tmp_path / "a.zip", {"plugin-descriptor.properties": DESCRIPTOR, name: "evil"})
    with pytest.raises(PluginError, match="unsafe entry"):
        unpack(bad, home)
    assert list(home.rglob("*evil*")) == []
    assert list((home / "plugins").iterdir()) == []


def test_a_link_is_refused(tmp_path: Path, home: Path) -> None:
    bad = make_zip(tmp_path / "a.zip", {"plugin-descriptor.properties": DESCRIPTOR}, link="passwords")
    with pytest.raises(PluginError, match="unsafe entry in the zip: 'passwords'"):
        unpack(bad, home)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a" * 65])
def test_a_name_that_is_no_plain_folder_name_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match="name"):
        parse_descriptor(f"name={name}\n")


def test_a_plugin_for_another_version_is_refused(tmp_path: Path, home: Path) -> None:
    zip_path = make_zip(tmp_path / "a.zip", {"plugin-descriptor.properties": DESCRIPTOR})
    with pytest.raises(PluginError, match=r"built for OpenSearch 3\.8\.0, the node is 3\.6\.0"):
        unpack(zip_path, home, version="3.6.0")


def test_an_installed_plugin_is_replaced_only_on_request(tmp_path: Path, home: Path) -> None:
    first = make_zip(tmp_path / "a.zip", {"plugin-descriptor.properties": DESCRIPTOR, "old.jar": "old"})
    second = make_zip(tmp_path / "b.zip", {"plugin-descriptor.properties": DESCRIPTOR, "new.jar": "new"})
    unpack(first, home)
    with pytest.raises(PluginError, match="already installed"):
        unpack(second, home)
    unpack(second, home, replace=True)
    assert not (home / "plugins" / "demo" / "old.jar").exists()
    assert (home / "plugins" / "demo" / "new.jar").exists()


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 torn"])
def test_a_damaged_zip_is_refused(tmp_path: Path, home: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(PluginError, match="is not a plugin zip"):
        unpack(tmp_path / "a.zip", home)


def test_a_zip_without_descriptor_is_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(PluginError, match="plugin-descriptor"):
        unpack(make_zip(tmp_path / "a.zip", {"a.jar": ""}), home)


def test_a_missing_zip_is_named(tmp_path: Path, home: Path) -> None:
    with pytest.raises(PluginError, match=r"no plugin zip at .*missing"):
        unpack(tmp_path / "missing.zip", home)
