"""What the window shows and what its keys do, without a window."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec import structs

from stream.messages import Begin, Status
from stream.sinks.view import Action, Tile, View
from stream.sinks.window_process import composed
from tests.drawn import begin, end, frame
from tests.media import number_of

ESC, TAB, SPACE, NOTHING = 27, 9, 32, -1


def sized(source: str, width: int, height: int) -> Begin:
    return structs.replace(begin(source), width=width, height=height)


def view_of(*sources: str) -> View:
    view = View()
    for source in sources:
        view.take(begin(source))
    return view


def keys(view: View, *pressed: int | str) -> list[Action | None]:
    return [view.press(ord(key) if isinstance(key, str) else key) for key in pressed]


def test_keys_ask_for_the_end_and_for_a_picture_and_others_mean_nothing() -> None:
    view = view_of("a")
    before = repr(view)
    assert keys(view, "q", ESC) == [Action.QUIT] * 2
    assert keys(view, "s") == [Action.SAVE]
    assert keys(view, NOTHING, "x", "0", 0, 255, 13) == [None] * 6
    assert repr(view) == before
    assert keys(view, "h") == [None]
    assert view.help
    keys(view, "h")
    assert not view.help


def test_a_digit_picks_a_source_and_the_same_again_shows_all() -> None:
    view = view_of("a", "b", "c")
    assert view.visible == ["a", "b", "c"]
    keys(view, "2")
    assert view.visible == ["b"]
    keys(view, "3")
    assert view.visible == ["c"]
    keys(view, "3")
    assert view.visible == ["a", "b", "c"]
    keys(view, "1", "9")  # there is no ninth
    assert view.visible == ["a", "b", "c"]


def test_tab_goes_round_by_all_sources() -> None:
    view = view_of("a", "b")
    seen = []
    for _ in range(4):
        keys(view, TAB)
        seen.append(view.visible)
    assert seen == [["a"], ["b"], ["a", "b"], ["a"]]
    alone = view_of("a")
    keys(alone, TAB, TAB)
    assert alone.visible == ["a"]
    assert keys(View(), TAB, "1", "h") == [None] * 3
    assert View().tiles(100, 100) == []


def test_a_held_view_stays_until_it_is_let_go_and_then_shows_the_newest() -> None:
    view = view_of("a", "b")
    view.take(frame(1, "a"))
    keys(view, SPACE)
    for number in (2, 3):
        view.take(frame(number, "a"))
    view.take(frame(9, "b"))
    picture = view.picture("a")
    assert picture is not None
    assert number_of(picture) == 1
    assert view.picture("b") is None
    assert view.caption("a") == "1 a | held"
    assert view.saved_name() == "frames-000001.png"
    keys(view, SPACE)
    assert [view.sources[name].frame.index for name in ("a", "b")] == [3, 9]  # type: ignore[union-attr]
    keys(view, SPACE, SPACE)
    assert view.sources["a"].frame.index == 3  # type: ignore[union-attr]


def test_a_source_says_why_nothing_comes() -> None:
    view = view_of("cam1")
    assert view.caption("cam1") == "waits for frames"
    view.take(frame(0))
    assert view.caption("cam1") == ""
    view.take(Status("cam1", "reconnecting", "no answer"))
    assert view.caption("cam1") == "reconnecting: no answer"
    view.take(begin())  # it was opened anew: the last picture stays
    assert view.caption("cam1") == ""
    view.take(Status("cam1", "degraded", "damaged"))
    assert view.caption("cam1") == ""
    view.take(structs.replace(end(), problem="cam1: cut short"))
    assert view.caption("cam1") == "cam1: cut short"
    assert view.picture("cam1") is not None
    for stranger in (frame(0, "other"), Status("other", "failed"), end("other")):
        view.take(stranger)
    assert view.visible == ["cam1"]


def test_a_png_s_name_tells_the_frame() -> None:
    view = view_of("a", "b")
    assert view.saved_name() == "frames-000000.png"
    view.take(frame(7, "a", epoch=2))
    view.take(frame(12, "b"))
    assert view.saved_name() == "frames-000012.png"
    keys(view, "1")
    assert view.saved_name() == "frame-2-000007.png"


def test_the_window_opens_as_large_as_the_first_source_but_not_larger_than_a_screen() -> None:
    sizes = [(640, 480), (3840, 2160), (1080, 1920), (1, 10_000)]
    views = [View() for _ in sizes]
    for view, (width, height) in zip(views, sizes, strict=True):
        view.take(sized("a", width, height))
    assert [view.first_size() for view in views] == [(640, 480), (1280, 720), (405, 720), (1, 720)]
    assert View().first_size() == (1280, 720)


@pytest.mark.parametrize(
    ("sources", "size", "columns"),
    [(4, (1280, 720), 2), (9, (1280, 720), 3), (3, (300, 2000), 1), (3, (3000, 200), 3), (2, (1280, 300), 2)],
)
def test_a_grid_has_the_columns_that_suit_the_window(sources: int, size: tuple[int, int], columns: int) -> None:
    view = View()
    for at in range(sources):
        view.take(sized(str(at), 1280, 720))
    assert len({tile.left for tile in view.tiles(*size)}) == columns


@given_any(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=12),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
def test_tiles_keep_their_shape_inside_the_window_and_do_not_overlap(
    sizes: list[tuple[int, int]], width: int, height: int
) -> None:
    view = View()
    for at, size in enumerate(sizes):
        view.take(sized(str(at), *size))
    tiles = view.tiles(width, height)
    assert [tile.source for tile in tiles] == [str(at) for at in range(len(sizes))]
    fits = min(width, height) >= len(sizes)
    for tile, (wide, high) in zip(tiles, sizes, strict=True):
        assert min(tile.width, tile.height) >= 1
        assert abs(tile.width * high - tile.height * wide) <= max(wide, high)  # a pixel's rounding, at most
        if fits:
            assert 0 <= tile.left <= tile.left + tile.width <= width
            assert 0 <= tile.top <= tile.top + tile.height <= height
    if fits:
        assert not any(overlap(*pair) for pair in itertools.combinations(tiles, 2))


def overlap(one: Tile, other: Tile) -> bool:
    return (
        one.left < other.left + other.width
        and other.left < one.left + one.width
        and one.top < other.top + other.height
        and other.top < one.top + one.height
    )


def test_the_composed_picture_holds_each_source_where_its_tile_is() -> None:
    view = view_of("a", "b", "c")
    for number, source in ((3, "a"), (77, "b")):
        view.take(frame(number, source))
    picture = composed(view, 512, 400)
    assert picture.shape == (400, 512, 3)
    for tile, number in zip(view.tiles(512, 400), (3, 77), strict=False):
        part = picture[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
        assert number_of(part) == number
    outside = np.ones((400, 512), bool)
    for tile in view.tiles(512, 400):
        outside[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = False
    assert not picture[outside].any()
    keys(view, "h")
    assert (composed(view, 512, 400) != picture).any()
    assert composed(view, 1, 1).shape == (1, 1, 3)  # a window may be that small
