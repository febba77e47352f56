"""A store in odd states: what lies where a file of ours belongs, who may read it, where it is, who holds its locks."""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from engine.digest import Hasher, start_hash
from engine.errors import Busy
from engine.library.collection import collect
from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager
from engine.server import digests
from engine.server.run import BackgroundServer
from engine.store import waiting
from engine.store.at_work import at_work
from tests.command import Command, Result
from tests.hub import Hub
from tests.origin import Origin

CONTENT = b"GGUF" + os.urandom(600_000)
CONFIG = b'{"a": 1}\n'
SEGMENT = 64 << 10


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Hub with ns/one and ns/two."""
    for name in ("one", "two"):
        folder = tmp_path / "hub/ns" / name
        folder.mkdir(parents=True)
        (folder / f"{name}-Q8_0.gguf").write_bytes(CONTENT + name.encode())
        (folder / "config.json").write_bytes(CONFIG)
    with BackgroundServer(tmp_path / "hub") as server:
        yield {"HF_ENDPOINT": server.url}


@pytest.fixture
def pulled(command: Command, hub: dict[str, str], home: Path) -> Path:
    """The file of ns/one, in the store with all else of it."""
    command.run("pull", "ns/one", "--include", "*", "--segment-size", SEGMENT, env=hub).check()
    return home / "llm/ns/one/one-Q8_0.gguf"


def assert_in_words(result: Result, *words: str, code: int = 7) -> None:
    result.check(code)
    assert "Something went wrong" not in result.stderr, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


# What lies where a file of ours belongs


@pytest.mark.row("disk/odd-files-of-the-store")
@pytest.mark.parametrize("name", ["receipts", "aliases.json", "origins.json"])
def test_a_pipe_in_a_files_place_holds_nobody_up(
    command: Command, hub: dict[str, str], pulled: Path, home: Path, name: str
) -> None:
    """Nobody writes at its other end: it is passed over like anything else that is no file of ours."""
    places = list((home / name).iterdir()) if name == "receipts" else [home / name]
    for place in places:
        place.unlink(missing_ok=True)
        os.mkfifo(place)
    for words in (["verify", "ns/one"], ["show", "ns/one"], ["outdated", "ns/one"], ["pull", "ns/one"]):
        command.run(*words, env=hub, timeout_s=20).check()


@pytest.mark.row("disk/odd-files-of-the-store")
def test_a_folder_in_a_receipts_place_is_told(command: Command, pulled: Path, home: Path) -> None:
    """Exit 7 with its path, not a surprise."""
    for receipt in (home / "receipts").iterdir():
        receipt.unlink()
        receipt.mkdir()
    assert_in_words(command.run("rm", "ns/one"), str(home / "receipts"))


@pytest.mark.row("disk/odd-files-of-the-store")
@pytest.mark.parametrize("what", ["folder", "unreadable"])
def test_a_manifest_that_is_none_is_not_confused_with_one_that_may_not_be_read(
    command: Command, pulled: Path, home: Path, what: str
) -> None:
    """Only of the first is it said that it should go."""
    (manifest,) = (home / "manifests").glob("*.json")
    manifest.unlink()
    if what == "folder":
        manifest.mkdir()
        words = "is no manifest: it is no file. Move it away"
    else:
        manifest.symlink_to("elsewhere")
        words = "cannot be read: Too many levels of symbolic links"
    assert words in command.run("list").check().stderr


@pytest.mark.row("disk/odd-files-of-the-store")
def test_what_is_odd_among_unfinished_files_costs_itself_alone(command: Command, home: Path) -> None:
    """gc tells it, and sweeps the rest."""
    (home / "partial/odd/lock").mkdir(parents=True)
    (home / "partial/stale").mkdir()
    (home / "partial/stale/data").write_bytes(b"x" * 100)
    for path in (home / "partial").rglob("*"):
        os.utime(path, (0, 0))
    assert_in_words(command.run("gc"), "odd")
    assert [path.name for path in (home / "partial").iterdir()] == ["odd"]


def test_a_dry_run_of_gc_leaves_no_trace(command: Command, home: Path) -> None:
    """What it says is what the real one does, whenever that comes."""
    stale = home / "partial/stale"
    stale.mkdir(parents=True)
    for name in ("data", "journal", "lock"):
        (stale / name).write_bytes(b"x" * 100)
        os.utime(stale / name, (0, 0))
    os.utime(stale, (0, 0))
    before = {path: path.stat().st_mtime_ns for path in (stale, *stale.iterdir())}
    for _ in range(2):
        assert "1 would be removed" in command.run("gc", "--dry-run").check().stderr
    assert {path: path.stat().st_mtime_ns for path in (stale, *stale.iterdir())} == before
    assert "1 removed" in command.run("gc").check().stderr
    assert not stale.exists()


# Names


def test_an_alias_is_a_whole_name(command: Command, hub: dict[str, str], pulled: Path) -> None:
    """Of a model that is not here: another one whose name holds the alias is not meant."""
    command.run("alias", "one", "ns/two").check()
    for verb in ("show", "outdated", "update", "verify"):
        assert_in_words(command.run(verb, "one", env=hub), "'one' stands for huggingface.co/ns/two", code=3)


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are UTF-8")
@pytest.mark.row("disk/home-anywhere")
def test_a_home_whose_name_is_no_utf8(command: Command, hub: dict[str, str], tmp_path: Path) -> None:
    """All commands work there as anywhere."""
    original = tmp_path / "mine-Q4_0.gguf"
    original.write_bytes(CONTENT)
    env = {**hub, "JARVIS_HOME": os.fsdecode(os.fsencode(tmp_path) + b"/h\xff")}
    for words in (
        ["pull", "ns/one"],
        ["import", original],
        ["import", original],
        ["list"],
        ["show", "ns/one"],
        ["verify"],
        ["outdated"],
        ["gc"],
        ["rm", "ns/one"],
    ):
        command.run(*words, env=env).check()


@pytest.mark.row("disk/home-anywhere")
@pytest.mark.parametrize("words", [["pull", "ns/one"], ["gc"], ["show", "one"], ["list"]])
def test_a_home_with_too_long_a_name_is_told(
    command: Command, hub: dict[str, str], tmp_path: Path, words: list[str]
) -> None:
    """Exit 7, in words."""
    env = {**hub, "JARVIS_HOME": str(tmp_path / ("h" * 300))}
    assert_in_words(command.run(*words, env=env), "too long")


# Who holds its locks


@pytest.mark.parametrize("lock", ["manifests/.lock", "at-work.lock"])
@pytest.mark.row("together/lock-never-let-go")
def test_a_lock_that_nobody_lets_go_of_is_told(
    home: Path, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path, after a while; until then it is waited for."""
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.2)
    path = home / lock
    path.parent.mkdir(parents=True)
    with path.open("w") as file, pytest.raises(Busy, match=lock):
        fcntl.flock(file, fcntl.LOCK_EX)
        if lock == "at-work.lock":
            with at_work(home):
                pass
        else:
            ManifestManager(home / "manifests").create_manifest("m", "r", "n", "m")


# Damage


@pytest.mark.row("disk/shortened-file")
@pytest.mark.parametrize("size", [0, 1, SEGMENT, 3 * SEGMENT + 7, len(CONTENT)])
def test_a_file_that_became_shorter_is_mended(
    command: Command, hub: dict[str, str], pulled: Path, size: int
) -> None:
    """The most usual damage: what is still there is kept, the disk is not accused."""
    sound = pulled.read_bytes()
    pulled.chmod(0o644)
    os.truncate(pulled, size)
    assert "bytes; it had" in command.run("verify", "ns/one", env=hub).check(6).stderr
    command.run("verify", "ns/one", "--repair", env=hub).check()
    assert pulled.read_bytes() == sound


@pytest.mark.row("disk/shortened-file")
def test_a_file_that_became_huge_is_not_hashed(command: Command, pulled: Path) -> None:
    """Its size says enough."""
    pulled.chmod(0o644)
    os.truncate(pulled, 1 << 42)
    started = time.monotonic()
    command.run("verify", "ns/one", timeout_s=20).check(6)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("changed", ["one-Q8_0.gguf", "config.json"])
def test_lost_receipts_make_nothing_outdated(
    command: Command, hub: dict[str, str], pulled: Path, home: Path, tmp_path: Path, changed: str
) -> None:
    """Files that the Hub knows by Git's digest are hashed again; one that has changed is told as before."""
    shutil.rmtree(home / "receipts")
    assert "up to date" in command.run("outdated", env=hub).check().stdout
    (tmp_path / "hub/ns/one" / changed).write_bytes(b"GGUF, another one")
    assert f"new or changed: {changed}\n" in command.run("outdated", env=hub).check().stdout


def test_imported_models_are_asked_of_nobody(command: Command, hub: dict[str, str], tmp_path: Path) -> None:
    """All models are up to date as far as anybody can tell; the one by name is an error."""
    (tmp_path / "mine-Q4_0.gguf").write_bytes(CONTENT)
    command.run("import", tmp_path / "mine-Q4_0.gguf").check()
    for verb in ("outdated", "update"):
        assert "mine-q4_0: imported from a file" in command.run(verb, env=hub).check().stderr
        command.run(verb, "mine-q4_0", env=hub).check(3)


def test_an_import_names_the_models_own_file(command: Command, home: Path, tmp_path: Path) -> None:
    """Not the original, which may go: also the second time, when both are one file; and it is vouched for."""
    original = tmp_path / "mine-Q4_0.gguf"
    original.write_bytes(CONTENT)
    view = home / "llm/local/mine-q4_0/mine-Q4_0.gguf"
    for _ in range(2):
        done = command.run("import", "--json", original).check()
        assert json.loads(done.stdout)["paths"] == [str(view)]
    original.write_bytes(CONTENT + b"more")
    command.run("import", original).check()
    original.unlink()
    command.run("verify", "mine-q4_0").check()
    assert view.read_bytes() == CONTENT + b"more"


def manifest_of(home: Path) -> ModelManifest:
    (found,) = ManifestManager(home / "manifests").list_manifests()
    return found


@pytest.mark.row("attack/damaged-file-served")
@pytest.mark.parametrize("damage", ["flip", "shorten"])
def test_what_is_damaged_is_not_served_as_sound(
    command: Command, pulled: Path, home: Path, tmp_path: Path, damage: str
) -> None:
    """Whoever pulled it would call it verified."""
    pulled.chmod(0o644)
    if damage == "flip":
        pulled.write_bytes(pulled.read_bytes()[:-1] + b"!")
    else:
        os.truncate(pulled, 1000)
    assert manifest_of(home).downloaded
    with BackgroundServer(home) as server:
        env = {"HF_ENDPOINT": server.url, "JARVIS_HOME": str(tmp_path / "other")}
        result = command.run("pull", "ns/one", "--retries", 0, "-o", tmp_path / "m.gguf", env=env)
    assert result.code == 5, result.stderr
    assert "is not what was pulled" in result.stderr
    assert not (tmp_path / "m.gguf").exists()


def test_a_small_file_that_its_owner_edits_is_served(
    command: Command, pulled: Path, home: Path, tmp_path: Path
) -> None:
    """A README or a chat template; it takes nothing else of the model away."""
    config = pulled.with_name("config.json")
    config.chmod(0o644)
    config.write_bytes(b'{"a": 1, "mine": true}')
    with BackgroundServer(home) as server:
        env = {"HF_ENDPOINT": server.url, "JARVIS_HOME": str(tmp_path / "other")}
        command.run("pull", "ns/one", "--include", "*", "-d", tmp_path / "d", env=env).check()
    assert (tmp_path / "d/config.json").read_bytes() == config.read_bytes()
    assert (tmp_path / "d" / pulled.name).read_bytes() == pulled.read_bytes()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "nosuch"], 3),
        (["update", "nosuch"], 3),
        (["outdated", "nosuch"], 3),
        (["import", "/nosuch"], 3),
        (["import", ""], 2),
        (["verify", "nosuch"], 3),
        (["verify", "x" * 5000], 7),
    ],
)
def test_an_error_is_an_event_too(command: Command, home: Path, words: list[str], code: int) -> None:
    """For whoever reads --json."""
    result = command.run(*words, "--json")
    (error,) = result.events_named("error")
    assert (result.code, error["exit_code"]) == (code, code), result.stderr
    assert error["message"][:40] in result.stderr


@pytest.mark.parametrize("words", [["list"], ["gc"], ["outdated"], ["verify"]])
def test_a_home_that_is_a_file_is_an_event_too(command: Command, home: Path, words: list[str]) -> None:
    """Of every command."""
    home.write_bytes(b"")
    (error,) = command.run(*words, "--json").check(7).events_named("error")
    assert str(home) in error["message"]


def test_what_was_pulled_is_served_without_a_hash(
    command: Command, pulled: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipt has the digest, and whoever pulls it compares."""
    monkeypatch.setattr(digests, "start_hash", start_git_hash)
    with BackgroundServer(home) as server:
        env = {"HF_ENDPOINT": server.url, "JARVIS_HOME": str(tmp_path / "other")}
        command.run("pull", "ns/one", "-o", tmp_path / "m.gguf", env=env).check()
    assert (tmp_path / "m.gguf").read_bytes() == pulled.read_bytes()


def start_git_hash(name: str, size_bytes: int) -> Hasher:
    assert name == "git-sha1"
    return start_hash(name, size_bytes)


@pytest.mark.row("process/update-interrupted")
def test_an_interrupted_update_is_told_as_that(
    command: Command, hub: dict[str, str], pulled: Path, home: Path, tmp_path: Path
) -> None:
    """A file has its new version, the manifest the old one: nothing is damaged, and `update` finishes it."""
    (manifest,) = (home / "manifests").glob("*.json")
    before = manifest.read_bytes()
    published = tmp_path / "hub/ns/one/one-Q8_0.gguf"
    published.write_bytes(CONTENT + b"another")
    command.run("update", env=hub).check()
    manifest.write_bytes(before)
    result = command.run("verify", "ns/one", env=hub).check(6)
    assert "of another version" in result.stderr and "`jarvis update`" in result.stderr
    command.run("update", env=hub).check()
    command.run("verify", "ns/one", env=hub).check()
    assert pulled.read_bytes() == published.read_bytes()


def test_errors_of_several_models_name_them(command: Command, hub: dict[str, str]) -> None:
    """Which one, where the text does not say it."""
    result = command.run("pull", "ns/one", "ns/two", "--include", "*.none", env=hub).check(3)
    for name in ("one", "two"):
        assert f"error: huggingface.co/ns/{name}: No file matches" in result.stderr


@pytest.mark.row("process/kill-in-the-store")
def test_gc_takes_what_killed_commands_have_left(
    command: Command, pulled: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies and manifests on their way, and files that no manifest came to name. A user's own files stay, also one
    that is one with a blob because it was imported, and so does what is young."""
    own = pulled.with_name("notes.txt")
    own.write_bytes(b"mine")
    imported = home / "llm/mine/mine.gguf"
    imported.parent.mkdir()
    os.link(pulled, imported)
    scraps = [
        *(home / folder / f".{'ab' * 8}.incomplete" for folder in ("blobs", "llm/ns/one", "registry/h")),
        home / "manifests/.123-456.tmp",
        home / "llm/ns/one/.jarvis-123-456.copy",
        home / "receipts/.123-456.probe",
        home / f"receipts/{'0' * 64}.json.123.tmp",
    ]
    for path in scraps:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for path in (home / "manifests").glob("*.json"):
        path.unlink()
    monkeypatch.setenv("JARVIS_HOME", str(home))
    assert collect().removed == []
    told = {one.path for one in collect(dry_run=True, grace_s=0, stale_s=0).removed}
    gone = {one.path for one in collect(grace_s=0, stale_s=0).removed}
    assert told == gone >= {pulled, *scraps}
    assert {path for path in (home / "llm").rglob("*") if path.is_file()} == {own, imported}
    assert [path.samefile(imported) for path in (home / "blobs").iterdir()] == [True]


@pytest.mark.row("disk/file-of-the-users-own")
def test_a_file_of_the_users_own_is_not_replaced(
    command: Command, hub: dict[str, str], home: Path, tmp_path: Path
) -> None:
    """A server chose the name. What was pulled is ours to replace, and what is the very content is adopted."""
    own, model = tmp_path / "w/config.json", tmp_path / "w/one-Q8_0.gguf"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    model.write_bytes(CONTENT + b"one")
    words = ("pull", "ns/one", "--include", "*", "-d", own.parent)
    assert_in_words(command.run(*words, env=hub), str(own), "--force")
    assert own.read_bytes() == b"mine"
    assert sorted(path.name for path in own.parent.iterdir()) == [own.name, model.name]
    command.run(*words, "--force", env=hub).check()
    assert own.read_bytes() == CONFIG
    own.write_bytes(b"damaged")
    command.run(*words, env=hub).check()
    assert own.read_bytes() == CONFIG
    own.write_bytes(b"damaged")
    (tmp_path / "link").symlink_to(own.parent)
    command.run(*words[:-1], tmp_path / "link", env=hub).check()
    assert own.read_bytes() == CONFIG


@pytest.mark.row("attack/13-version-control")
def test_a_listing_that_leads_into_version_control_is_refused(
    command: Command, origin_factory: Callable[..., Origin], home: Path, tmp_path: Path
) -> None:
    """Its programs would run what stands there."""
    site = Hub(origin_factory(), origin_factory())
    site.add("ns/m", {"m-Q4_0.gguf": CONTENT, ".git/config": b"[core]"})
    words = ("pull", "ns/m", "--include", "*", "-d", tmp_path / "w")
    assert_in_words(command.run(*words, env={"HF_ENDPOINT": site.site.base}), "Git keeps its own", code=2)
    assert not (tmp_path / "w").exists()
