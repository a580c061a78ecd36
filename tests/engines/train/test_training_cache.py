"""Decoded pictures: the same pixels and labels, made once, made anew when a file changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_people import people

from configs.errors import OutputError, SourceError
from engines.ops import skeleton
from engines.train import pictures
from engines.train.cache import open_cache
from engines.train.dataset import Dataset, Picture


def dataset(folder: Path, sizes: list[tuple[int, int]]) -> Dataset:
    found = []
    for number, size_hw in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (*size_hw, 3), np.uint8)
        pictures.write(folder / f"{number}.png", pixels)
        found.append(Picture(number, folder / f"{number}.png", people(number, 2, size_hw), ""))
    return Dataset(tuple(found), skeleton.COCO.names)


def test_small_pictures_come_back_bit_for_bit(tmp_path: Path) -> None:
    of = dataset(tmp_path, [(30, 40), (50, 20)])
    for cache in (open_cache(of, tmp_path / "cache", 64), open_cache(of, tmp_path / "cache", 64)):
        assert len(cache) == 2
        for number in range(2):
            sample = cache.sample(number)
            assert np.array_equal(sample.pixels, pictures.read(of.pictures[number].path))
            assert np.array_equal(sample.target.boxes, of.pictures[number].target.boxes)


def test_large_pictures_are_reduced_with_their_labels(tmp_path: Path) -> None:
    of = dataset(tmp_path, [(60, 100)])
    sample = open_cache(of, tmp_path / "cache", 50).sample(0)
    assert sample.pixels.shape == (30, 50, 3)
    assert sample.target.size_hw == (30, 50)
    assert sample.target.boxes == pytest.approx(of.pictures[0].target.boxes / 2, rel=1e-5)


def test_pictures_are_decoded_once_and_anew_where_one_has_changed(tmp_path: Path) -> None:
    of = dataset(tmp_path, [(30, 40), (50, 20)])
    told: list[tuple[int, int]] = []
    for _ in range(2):
        open_cache(of, tmp_path / "cache", 64, lambda done, count: told.append((done, count)))
    assert told == [(1, 2), (2, 2)]
    pictures.write(of.pictures[1].path, np.full((50, 20, 3), 7, np.uint8))
    assert (open_cache(of, tmp_path / "cache", 64).sample(1).pixels == 7).all()


def test_a_broken_picture_is_named_and_the_others_keep_their_labels(tmp_path: Path) -> None:
    of = dataset(tmp_path, [(30, 40), (50, 20), (20, 20)])
    whole = of.pictures[0].path.read_bytes()
    of.pictures[0].path.write_bytes(whole[: len(whole) // 2])
    pictures.write(of.pictures[1].path, np.zeros((20, 50, 3), np.uint8))
    cache = open_cache(of, tmp_path / "cache", 64)
    assert len(cache) == 1
    assert np.array_equal(cache.sample(0).target.boxes, of.pictures[2].target.boxes)
    assert "0.png cannot be read: " in cache.problems[0]
    assert cache.problems[1].endswith("1.png is 50 x 20, its labels are for 20 x 50")


def test_no_picture_at_all_is_an_error(tmp_path: Path) -> None:
    of = dataset(tmp_path, [(30, 40)])
    of.pictures[0].path.unlink()
    with pytest.raises(SourceError, match=r"none of 1 pictures can be decoded; picture .*0\.png .* No such file"):
        open_cache(of, tmp_path / "cache", 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    of = dataset(tmp_path, [(30, 40)])
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match=r"the decoded pictures cannot be kept in .*cache: File exists"):
        open_cache(of, tmp_path / "cache", 64)
