"""Who looks at a source gets its newest frame, and what nobody looks at is not made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray
from web_made import HEIGHT, WIDTH, tracks

from stream.messages import Drop, Tracks, WireError
from stream.records import record_of
from stream.web.views import Shot, View


class Drawn:
    """Draws nothing, and counts how often."""

    def __init__(self) -> None:
        self.indices: list[int] = []

    def __call__(self, given: Tracks) -> NDArray[np.uint8]:
        self.indices.append(given.frame.index)
        return given.frame.picture


@pytest.fixture
def encoders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await asyncio.wait_for(work(), 20)

    return asyncio.run(main())


async def asked(view: View, *pictures: bool) -> list[asyncio.Task[Shot | None]]:
    """So many who ask at once, each with or without a picture; returns when all wait."""
    tasks = [asyncio.ensure_future(view.next(picture)) for picture in pictures]
    await asyncio.sleep(0)
    return tasks


def index_of(shot: Shot | None) -> int:
    assert shot is not None
    index: int = msgspec.json.decode(shot.record)["index"]
    return index


def test_nothing_is_made_for_nobody(encoders: ThreadPoolExecutor) -> None:
    drawn = Drawn()
    view = View(True, 1280, drawn, encoders)

    async def work() -> None:
        view.show(structs.replace(tracks(0, picture=False), people=None))  # of which no record could be made
        (first,) = await asked(view, False)
        view.show(tracks(1, picture=False))
        assert index_of(await first) == 1
        view.show(tracks(2, picture=False))
        await asked(view, True)
        with pytest.raises(WireError, match="without its pixels"):
            view.show(tracks(3, picture=False))

    run(work)
    assert drawn.indices == []


def test_who_is_slow_gets_the_newest_and_never_one_that_was_there_before_he_asked(encoders: ThreadPoolExecutor) -> None:
    view = View(True, 1280, Drawn(), encoders)

    async def work() -> list[int]:
        got = []
        for at in range(5):
            (shot,) = await asked(view, True)
            for index in range(10 * at, 10 * at + 10):  # he takes the first; nine pass while he is busy with it
                view.show(tracks(index))
            got.append(index_of(await shot))
        return got

    assert run(work) == [0, 10, 20, 30, 40]


def test_a_frame_is_drawn_and_encoded_once_for_all_who_look(encoders: ThreadPoolExecutor) -> None:
    drawn = Drawn()
    view = View(True, 1280, drawn, encoders)

    async def work() -> tuple[set[bytes], set[bytes]]:
        waiting = await asked(view, *[True] * 20)
        view.show(tracks(3))
        shots = [shot for each in waiting if (shot := await each)]
        overlays = await asyncio.gather(*(shot.jpeg(overlay=True) for shot in shots))
        pictures = await asyncio.gather(*(shot.jpeg(overlay=False) for shot in shots))
        assert len({id(each) for each in (*overlays, *pictures)}) == 2
        return set(overlays), set(pictures)

    overlays, pictures = run(work)
    assert drawn.indices == [3]
    assert all(each.startswith(b"\xff\xd8\xff") for each in overlays | pictures)


def test_who_leaves_takes_nothing_from_the_others(encoders: ThreadPoolExecutor) -> None:
    view = View(True, 1280, Drawn(), encoders)

    async def work() -> None:
        one, other = await asked(view, True, True)
        one.cancel()
        await asyncio.sleep(0)
        view.show(tracks(0))
        shot = await other
        assert shot is not None
        leaving = asyncio.ensure_future(shot.jpeg(overlay=False))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await shot.jpeg(overlay=False)).startswith(b"\xff\xd8")
        (late,) = await asked(view, True)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        view.show(tracks(1, picture=False))  # nobody is left who would want its picture

    run(work)


def test_what_a_viewer_gets_has_square_pixels_fits_and_people_where_they_are(encoders: ThreadPoolExecutor) -> None:
    seen: list[Tracks] = []

    def draw(given: Tracks) -> NDArray[np.uint8]:
        seen.append(given)
        return given.frame.picture

    view = View(True, 160, draw, encoders)

    async def work() -> None:
        (waiting,) = await asked(view, True)
        view.show(tracks(10, pixel_aspect=(2, 1)))
        shot = await waiting
        assert shot is not None
        await shot.jpeg(overlay=True)

    run(work)
    (given,) = seen
    before = tracks(10, pixel_aspect=(2, 1))
    assert given.frame.picture.shape == (45, 160, 3), "320 x 180 of twice the width are 640 x 180"
    assert (given.frame.width, given.frame.height, given.frame.pixel_aspect) == (160, 45, (1, 1))
    by = np.array([160 / WIDTH, 45 / HEIGHT])
    assert given.smooth == pytest.approx(before.smooth * by)
    assert given.people.boxes == pytest.approx(before.people.boxes * [*by, *by])


def test_records_are_those_of_the_source_and_say_what_was_lost_while_somebody_looked(
    encoders: ThreadPoolExecutor,
) -> None:
    view = View(True, 1280, Drawn(), encoders)

    async def work() -> tuple[Any, Any]:
        view.drop(Drop(tracks(0).frame, "late"))
        reader = view.reader()
        view.show(tracks(1))
        view.drop(Drop(tracks(2).frame, "late"))
        view.drop(Drop(tracks(3, dropped={"busy": 4}).frame, "late"))
        view.show(tracks(9))
        return [msgspec.json.decode(await reader.get() or b"") for _ in range(2)], view.leave(reader)

    (first, second), _ = run(work)
    assert first["dropped_by"] == {}
    assert second["dropped_by"] == {"late": 2, "busy": 4}
    assert first["people"] == msgspec.to_builtins(record_of(tracks(1)).people)


def test_a_reader_who_does_not_keep_up_loses_the_oldest(encoders: ThreadPoolExecutor) -> None:
    view = View(False, 1280, Drawn(), encoders)

    async def work() -> list[int]:
        reader = view.reader()
        for index in range(200):
            view.show(tracks(index, picture=False))
        view.close()
        await asyncio.sleep(0)
        got = []
        while record := await reader.get():
            got.append(msgspec.json.decode(record)["index"])
        return got

    assert run(work) == list(range(137, 200))


def test_at_the_end_nobody_waits(encoders: ThreadPoolExecutor) -> None:
    view = View(True, 1280, Drawn(), encoders)

    async def work() -> None:
        (waiting,) = await asked(view, True)
        reader = view.reader()
        view.close()
        assert await waiting is None
        assert await reader.get() is None
        assert await view.next(picture=False) is None
        assert await view.reader().get() is None

    run(work)
