"""The page in a headless Chromium."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest
from browser import Tab, chromium, needs_chromium
from PIL import Image
from web_made import begin, put, run_figures, source_figures, tracks, web

from stream.messages import End
from stream.sinks.web import Web
from stream.web.address import TOKEN

pytestmark = needs_chromium
EVIL = "<img src=x onerror=\"document.title='owned'\">"
GOOD = "a-token-nobody-guesses"


@contextmanager
def going(sink: Web, *names: str) -> Iterator[None]:
    """Frames and figures of live sources come all the time, as from a pipeline."""
    over = threading.Event()

    def go() -> None:
        for index in count():
            for name in names:
                put(sink, tracks(index, name))
            if index % 10 == 0:
                sink.figures(run_figures(*(source_figures(name, frames=index) for name in names), seconds=index / 30))
            if over.wait(1 / 30):
                return

    thread = threading.Thread(target=go)
    put(sink, *(begin(name) for name in names))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("c")) as tab:  # not the test's: a socket in it has 108 bytes for its path
        yield tab


def pixels(tab: Tab) -> np.ndarray:
    """What is to be seen of the first source, (H, W, 3)."""
    x, y, width, height = tab.value(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('.view').getBoundingClientRect())"
    )
    picture = np.asarray(Image.open(io.BytesIO(tab.picture())).convert("RGB")).astype(int)
    return picture[int(y) : int(y + height), int(x) : int(x + width)]


def person_px(picture: np.ndarray) -> float:
    """Where the coloured skeleton is on the grey or dark ground: the mean column."""
    coloured = np.ptp(picture, axis=2) > 60
    assert coloured.sum() > 50, "no skeleton is to be seen"
    return float(np.nonzero(coloured)[1].mean())


def looked(tab: Tab, port: int, path: str = "/") -> None:
    tab.events.clear()
    tab.open(f"http://127.0.0.1:{port}{path}")
    tab.until("document.querySelector('.card .empty')?.textContent === ''")


@pytest.mark.parametrize("mode", ["overlay", "skeleton"])
def test_a_skeleton_moves(tab: Tab, mode: str) -> None:
    tab.size(1000, 700)
    with web() as (sink, port), going(sink, "cam"):
        looked(tab, port)
        tab.value(f"document.querySelector('input[value={mode}]').click()")
        tab.value("new Promise(done => setTimeout(done, 300))")
        one = person_px(pixels(tab))
        tab.value("new Promise(done => setTimeout(done, 500))")
        assert abs(person_px(pixels(tab)) - one) > 10
        assert tab.complaints() == []


def test_the_picture_alone_has_nobody_drawn_on_it_and_a_pause_holds_it(tab: Tab) -> None:
    tab.size(1000, 700)
    with web() as (sink, port), going(sink, "cam"):
        looked(tab, port)
        tab.value("document.querySelector('input[value=picture]').click()")
        tab.value("document.getElementById('pause').click()")
        tab.value("new Promise(done => setTimeout(done, 300))")
        tab.value("document.querySelector('.enlarge').hidden = true")
        one = pixels(tab)
        assert np.ptp(one, axis=2).max() < 30
        tab.value("new Promise(done => setTimeout(done, 300))")
        assert (pixels(tab) == one).all()


def test_a_name_that_is_a_script_is_shown_and_not_run(tab: Tab) -> None:
    tab.size(1000, 700)
    with web() as (sink, port), going(sink, EVIL):
        sink.figures(run_figures(source_figures(EVIL), source_figures(f"{EVIL}2", state="failed", reason=EVIL)))
        looked(tab, port)
        assert tab.value("document.querySelector('.card h2').textContent") == EVIL
        assert tab.value("document.title") == "posestream"
        assert tab.value("document.querySelectorAll('img[src=x]').length") == 0
        assert tab.complaints() == []


def test_the_token_leaves_the_address_and_the_page_works_on(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, GOOD)
    with web() as (sink, port), going(sink, "cam"):
        looked(tab, port, f"/?token={GOOD}")
        assert tab.value("location.href") == f"http://127.0.0.1:{port}/"
        assert tab.value("document.cookie") == ""
        assert tab.complaints() == []
        tab.open(f"http://127.0.0.1:{port}/")
        tab.until("!!document.querySelector('.card')")


def test_another_site_s_page_gets_nothing(tab: Tab) -> None:
    with web() as (sink, port), web() as (other, other_port), going(sink, "cam"):
        put(other, begin("other"))
        tab.open(f"http://127.0.0.1:{other_port}/style.css")  # a page of another origin, without this one's policy
        tab.until("document.readyState === 'complete' && location.port == " + str(other_port))
        for script in (
            f"fetch('http://127.0.0.1:{port}/api/sources').then(() => 'read', () => '')",
            f"fetch('http://127.0.0.1:{port}/api/sources', {{mode: 'no-cors'}}).then(r => r.type, () => '')",
            f"new Promise(done => {{ const s = new WebSocket('ws://127.0.0.1:{port}/api/view?source=cam');"
            " s.onopen = () => done('open'); s.onerror = () => done('') })",
        ):
            assert tab.value(script) == ""


def test_the_page_fits_a_telephone_and_says_what_happens(tab: Tab) -> None:
    with web() as (sink, port), going(sink, "one", "two"):
        for width, height in ((360, 780), (1440, 900)):
            tab.size(width, height, "dark")
            looked(tab, port)
            tab.until("document.querySelectorAll('.card').length === 2")
            assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.until("document.getElementById('run').textContent") == "running"
        assert float(tab.until("document.querySelector('.out').textContent.replace(/[^0-9.]/g, '')")) > 1
        unlabelled = "[...document.querySelectorAll('canvas, button, progress')].filter(e => !e.closest('[hidden]')"
        assert tab.value(f"{unlabelled} && !e.ariaLabel && !e.textContent).length") == 0


def test_a_source_that_ends_leaves_and_a_server_that_is_gone_is_said(tab: Tab) -> None:
    tab.size(1000, 700)
    with web() as (sink, port):
        with going(sink, "cam"):
            looked(tab, port)
        put(sink, End("cam", 9))
        sink.figures(run_figures(source_figures(state="failed", reason="it is no video"), sources_ended=1))
        tab.until("!document.querySelector('.card')")
        tab.until("document.querySelector('#files tbody').textContent.includes('failed: it is no video')")
        tab.until("document.getElementById('run').textContent === 'finished'")
    tab.until("document.getElementById('run').textContent.startsWith('connection lost')")
