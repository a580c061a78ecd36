"""Nodes that would do other work than this machine are refused before they do any."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from configs.errors import ConfigError
from configs.load import load, resolve
from configs.schema import Settings
from stream.checks import check
from stream.distributed.site import refusal, shared_of, site
from stream.distributed.tasks import Shared
from stream.messages import SourceSpec
from stream.sources.find import find
from stream.unfinished import LOCK


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that name a file of weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    Path("w.pth").write_bytes(b"weights")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).write_text("process 1 on here\n")
    (tmp_path / "a.mp4").write_bytes(b"a")
    return resolve(load(None, (), {"engine.weights": "w.pth", "cluster.address": "auto"}))


def shared(folder: Path) -> Shared:
    return shared_of([SourceSpec("a", "file", str(folder / "a.mp4"), str(folder / "out"))])


def test_a_node_that_has_the_same_may_take_part(settings: Settings, tmp_path: Path) -> None:
    assert settings.engine.weights == str(tmp_path / "w.pth")
    here = site(settings.engine, shared(tmp_path))
    assert refusal(here, here, settings) is None
    assert here.weights


@pytest.mark.parametrize(
    ("harm", "code", "said"),
    [
        ({"version": "0.0.9"}, 2, "node n has posestream 0.0.9, this machine "),
        ({"code": "other"}, 2, "node n has other files of posestream "),
        ({"weights": ""}, 2, "node n has other weights at "),
        ({"missing": "/clips/a.mp4"}, 2, "node n does not see /clips/a.mp4 as this machine does; "),
        ({"asks_for_token": False}, 8, "node n lets anybody in: start Ray there with RAY_AUTH_MODE=token, or give "),
    ],
)
def test_one_that_differs_is_refused_in_one_line(
    harm: dict[str, object], code: int, said: str, settings: Settings, tmp_path: Path
) -> None:
    here = structs.replace(site(settings.engine, shared(tmp_path)), host="n")
    why = refusal(structs.replace(here, **harm), here, settings)
    assert why is not None
    assert (why.exit_code, str(why).startswith(said), "\n" in str(why)) == (code, True, False)


def test_other_weights_and_storage_of_its_own_are_seen(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.distributed.site._SEEN_WITHIN_S", 0.1)
    wanted = shared(tmp_path)
    before = site(settings.engine, wanted)
    Path("w.pth").write_bytes(b"weight5")
    assert site(settings.engine, wanted).weights != before.weights
    Path("a.mp4").unlink()
    assert site(settings.engine, wanted).missing == str(tmp_path / "a.mp4")
    elsewhere = structs.replace(wanted, source="", mark=str(tmp_path / "other" / LOCK))
    assert site(settings.engine, elsewhere).missing == str(tmp_path / "other")


@pytest.mark.parametrize(
    ("address", "options", "said"),
    [
        ("auto", {"web.address": "8080"}, "--ray writes files; leave out --web, which need a run on one machine"),
        ("ray://head:10001", {}, "--ray ray://head:10001: give auto or HOST:PORT, and run the command on a node of"),
        ("auto", {"source.realtime": True}, "--ray works on recordings; a.mp4 is none"),
    ],
)
def test_what_a_cluster_does_not_do_is_refused(
    address: str, options: dict[str, object], said: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    wanted = load(None, (), {"cluster.address": address, "source.uris": ["a.mp4"], **options})
    with pytest.raises(ConfigError) as caught:
        check(wanted, find(["a.mp4"], wanted.source.realtime))
    assert str(caught.value).startswith(said)


def test_without_ray_the_extra_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        ConfigError, match=r"^--ray needs Ray, which is not installed: pip install 'posestream\[ray\]'$"
    ):
        check(settings, find(["a.mp4"]))
