"""What a configuration was read from: which files count, and when they say something else."""

import os
from pathlib import Path

import pytest

from service_monitoring import bootstrap
from service_monitoring.settings import InvalidSettings, Origin, data_folder

MAIN = """\
include: [conf.d/*.yaml]
channels:
  log: {console: true}
routes: [{notify: [channel.log]}]
self: {notify: [channel.log]}
"""
HOOK = "channels: {hook: {webhook: {file: url.txt}}}\n"
TEA = "services: {tea: {checks: {port: {tcp: '192.0.2.1:1'}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "monitoring.yaml").write_text(MAIN)
    (tmp_path / "conf.d" / "tea.yaml").write_text(TEA)
    return tmp_path


def origin(folder: Path) -> Origin:
    read = bootstrap.load(folder / "monitoring.yaml").origin
    assert read is not None
    return read


def test_what_is_written_again_or_touched_looks_different_and_says_the_same(folder: Path) -> None:
    read = origin(folder)
    before = read.stamp()
    assert read.stamp() == before
    (folder / "monitoring.yaml").write_text(MAIN)
    os.utime(folder / "conf.d" / "tea.yaml", ns=(1, 1))
    assert read.stamp() != before
    assert not read.differs()


def test_a_file_that_is_changed_comes_or_goes_says_something_else(folder: Path) -> None:
    read = origin(folder)
    before = read.stamp()
    main = folder / "monitoring.yaml"
    for changed in (MAIN + "# more\n", None):
        main.unlink()
        if changed is not None:
            main.write_text(changed)
        assert read.differs()
        assert read.stamp() != before
        main.write_text(MAIN)
        assert not read.differs()
    (folder / "conf.d" / "more.yaml").write_text("people: {}\n")
    assert read.differs()
    (folder / "conf.d" / "more.yaml").unlink()
    (folder / "conf.d" / "tea.yaml").rename(folder / "conf.d" / "tea.off")
    assert read.differs()


def test_the_files_of_secrets_count_and_no_secret_shows(folder: Path) -> None:
    (folder / "url.txt").write_text("https://canary.example.com/hook\n")
    (folder / "conf.d" / "hook.yaml").write_text(HOOK)
    read = origin(folder)
    assert not read.differs()
    assert "canary" not in repr(read)
    (folder / "url.txt").write_text("https://other.example.com/hook\n")
    assert read.differs()


def test_a_link_that_is_pointed_elsewhere_is_a_change(folder: Path) -> None:
    versions = [folder / "v1", folder / "v2"]
    for version, text in zip(versions, (MAIN, MAIN + "timezone: Europe/Berlin\n"), strict=True):
        version.mkdir()
        (version / "m.yaml").write_text(text.replace("conf.d", "../conf.d"))
    (folder / "current").symlink_to(versions[0])
    read = bootstrap.load(folder / "current" / "m.yaml").origin
    assert read is not None
    before = read.stamp()
    (folder / "next").symlink_to(versions[1])
    (folder / "next").rename(folder / "current")
    assert read.stamp() != before
    assert read.differs()


def test_a_refused_file_says_what_it_was_read_from_so_that_mending_an_included_one_is_seen(folder: Path) -> None:
    (folder / "conf.d" / "shop.yaml").write_text("services: [\n")
    with pytest.raises(InvalidSettings) as refused:
        bootstrap.load(folder / "monitoring.yaml")
    read = refused.value.origin
    assert read is not None
    assert not read.differs()
    (folder / "conf.d" / "shop.yaml").write_text("people: {}\n")
    assert read.differs()


def test_a_secret_whose_file_is_missing_is_waited_for(folder: Path) -> None:
    (folder / "conf.d" / "hook.yaml").write_text(HOOK)
    with pytest.raises(InvalidSettings) as refused:
        bootstrap.load(folder / "monitoring.yaml")
    read = refused.value.origin
    assert read is not None
    assert not read.differs()
    (folder / "url.txt").write_text("https://hooks.example.com/\n")
    assert read.differs()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("store: {path: there}\n", "there"),
        ("store:\n  facts: {keep: 1d}\n  path: 'there'\nservices: [\n", "there"),
        ("services:\n  store: {path: elsewhere}\nstore: {path: /var/lib/x}\n", "/var/lib/x"),
        ("a: &x [1]\nb: *x\nstore: {path: there}\n", "there"),
        ("services: [[a], [b], store, {path: c}]\nstore: {facts: {path: no}}\n", "./data"),
        ("store: {path: [there]}\n", "./data"),
        ("services: [\nstore: {path: there}\n", "./data"),
        ("store: path\n", "./data"),
        ("[store, path]\n", "./data"),
        ("", "./data"),
        ("\x00", "./data"),
    ],
)
def test_the_data_folder_is_found_in_a_broken_file_as_well(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "monitoring.yaml").write_text(text)
    assert data_folder(tmp_path / "monitoring.yaml") == tmp_path / named


def test_a_file_that_is_not_there_has_the_data_folder_by_default(tmp_path: Path) -> None:
    assert data_folder(tmp_path / "none.yaml") == tmp_path / "data"
