"""An engine comes back as it was written, or it does not come back at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.backends.engine_cache import CacheError, EngineCache, engine_key

ROOT = Path(__file__).parents[3]
KEY = engine_key({"gpu": "a"})
ENGINE = bytes(range(256)) * 4


def never() -> bytes:
    raise AssertionError("built although the engine was there")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "deep" / "engines")


def stored(cache: EngineCache) -> Path:
    (path,) = cache.folder.glob("*.engine")
    return path


def test_an_engine_is_built_once_and_found_by_the_next_process_too(cache: EngineCache) -> None:
    assert cache.load(KEY) is None
    assert cache.load_or_build(KEY, lambda: ENGINE) == ENGINE
    assert cache.load_or_build(KEY, never) == ENGINE
    assert EngineCache(cache.folder).load(KEY) == ENGINE
    assert cache.notes == []


@pytest.mark.parametrize("other", [{"gpu": "b"}, {"gp": "ua"}, {"gpu": "a", "driver": ""}, {}])
def test_a_fact_that_differs_leads_to_another_engine(cache: EngineCache, other: dict[str, str]) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    assert cache.load(engine_key(other)) is None


def test_the_order_of_the_facts_does_not_matter() -> None:
    assert engine_key({"a": "1", "b": "2"}) == engine_key({"b": "2", "a": "1"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused_and_the_engine_is_built_anew(
    cache: EngineCache, data: st.DataObject
) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    path = stored(cache)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    assert cache.load(KEY) is None
    assert "altered" in cache.notes[-1]
    assert cache.load_or_build(KEY, lambda: ENGINE) == ENGINE
    assert cache.load_or_build(KEY, never) == ENGINE


@pytest.mark.parametrize("left", [0, 1, 20, 51, 52, 53, -1])
def test_a_file_cut_short_is_refused(cache: EngineCache, left: int) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    path = stored(cache)
    path.write_bytes(path.read_bytes()[:left])
    assert cache.load(KEY) is None


def test_a_file_with_something_behind_it_is_refused(cache: EngineCache) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    with stored(cache).open("ab") as file:
        file.write(b"x")
    assert cache.load(KEY) is None


def test_an_engine_under_the_name_of_another_is_refused(cache: EngineCache) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    other = engine_key({"gpu": "b"})
    stored(cache).rename(cache.folder / f"{other}.engine")
    assert cache.load(other) is None


def test_an_engine_from_another_installation_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    mine = EngineCache(tmp_path / "mine")
    (mine.folder / stored(cache).name).write_bytes(stored(cache).read_bytes())
    assert mine.load(KEY) is None


def test_a_link_and_a_pipe_are_refused_without_being_followed_or_waited_for(cache: EngineCache, tmp_path: Path) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)
    path = stored(cache)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.load(KEY) is None
    path.unlink()
    os.mkfifo(path)
    assert cache.load(KEY) is None
    assert len(cache.notes) == 2


def test_no_one_else_can_enter_the_folder_or_read_the_secret(cache: EngineCache) -> None:
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("", 0o770), ("secret", 0o640), ("secret", 0o604)])
def test_a_folder_or_secret_open_to_others_is_not_trusted(cache: EngineCache, name: str, mode: int) -> None:
    (cache.folder / name).chmod(mode)
    with pytest.raises(CacheError, match=rf"must be yours alone, but .* mode {mode:o}"):
        EngineCache(cache.folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to someone else")
def test_a_folder_of_someone_else_is_not_trusted(cache: EngineCache) -> None:
    os.chown(cache.folder, 12345, -1)
    with pytest.raises(CacheError, match="owned by user 12345"):
        EngineCache(cache.folder)


def test_a_short_secret_is_not_used(cache: EngineCache) -> None:
    (cache.folder / "secret").write_bytes(b"short")
    with pytest.raises(CacheError, match="holds 5 bytes, not 32: delete"):
        EngineCache(cache.folder)


def test_a_name_that_leaves_the_folder_is_no_key(cache: EngineCache) -> None:
    with pytest.raises(ValueError, match="expected the 64 hexadecimal digits"):
        cache.load("../secret")


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    keys = [engine_key({"n": str(n)}) for n in range(4)]
    cache = EngineCache(tmp_path / "engines", bytes_max=3300)
    for age, key in enumerate(keys[:3]):
        cache.load_or_build(key, lambda: ENGINE)
        os.utime(cache.folder / f"{key}.engine", (1000 + age, 1000 + age))
    assert cache.load(keys[0]) == ENGINE  # now the one used last
    cache.load_or_build(keys[3], lambda: ENGINE)
    assert [cache.load(key) is not None for key in keys] == [True, False, True, True]


def test_an_engine_larger_than_the_whole_cache_is_kept_alone(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines", bytes_max=100)
    cache.load_or_build(engine_key({}), lambda: ENGINE)
    cache.load_or_build(KEY, lambda: ENGINE)
    assert stored(cache).stem == KEY


def test_a_build_that_fails_leaves_nothing_and_the_next_one_may_try(cache: EngineCache) -> None:
    def fails() -> bytes:
        raise RuntimeError("no tactic")

    with pytest.raises(RuntimeError, match="no tactic"):
        cache.load_or_build(KEY, fails)
    assert cache.load_or_build(KEY, lambda: ENGINE) == ENGINE


def test_what_a_dead_writer_left_is_cleared(cache: EngineCache) -> None:
    (cache.folder / "scratch-abc").write_bytes(b"half")
    cache.load_or_build(KEY, lambda: ENGINE)
    assert sorted(path.name for path in cache.folder.iterdir()) == sorted(
        [f"{KEY}.engine", "lock", "secret", "secret.lock"]
    )


RACE = """
import os, sys
from pathlib import Path
from engines.backends.engine_cache import EngineCache
folder, key = Path(sys.argv[1]), sys.argv[2]

def build():
    with (folder.parent / "built").open("a") as log:
        log.write(f"{os.getpid()}\\n")
    lock = f":{(folder / 'lock').stat().st_ino} "
    # Go on when all others have found no engine, and wait for this one.
    while sum("->" in line and lock in line for line in Path("/proc/locks").read_text().splitlines()) < 3:
        os.sched_yield()
    return b"engine"

cache = EngineCache(folder)
sys.exit(cache.load_or_build(key, build) != b"engine")
"""


def test_of_processes_that_ask_together_one_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path / "engines"), KEY]
    racers = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    try:
        assert [racer.wait(60) for racer in racers] == [0] * 4
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert len((tmp_path / "built").read_text().split()) == 1


def test_what_is_there_is_found_while_another_engine_is_being_built(cache: EngineCache) -> None:
    cache.load_or_build(KEY, lambda: ENGINE)

    def build() -> bytes:
        assert EngineCache(cache.folder).load_or_build(KEY, never) == ENGINE
        return b"other"

    assert cache.load_or_build(engine_key({}), build) == b"other"


def test_the_lock_of_a_builder_that_was_killed_is_free(tmp_path: Path) -> None:
    dies = RACE.replace("def build():", "def build():\n    os.kill(os.getpid(), 9)")
    command = [sys.executable, "-c", dies, str(tmp_path / "engines"), KEY]
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == -9
    assert EngineCache(tmp_path / "engines").load_or_build(KEY, lambda: ENGINE) == ENGINE
