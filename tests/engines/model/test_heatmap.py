from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from engines.model import heatmap
from engines.model.peaks import _upper_bounds, peaks
from engines.model.stretched import Stretched


def slow_keypoints(maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The definition: stretch each person's maps to whole pixels, take the highest one's centre."""
    points, values = torch.zeros(*maps.shape[:2], 2), torch.zeros(maps.shape[:2])
    for person, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        w, h = max(x2 - x1, 1), max(y2 - y1, 1)
        columns, rows = math.ceil(w), math.ceil(h)
        for kind, heat in enumerate(maps[person]):
            stretched = interpolate(heat[None, None], (rows, columns), mode="bicubic", align_corners=False)[0, 0]
            at = int(stretched.argmax())
            points[person, kind, 0] = (at % columns + 0.5) * w / columns + x1
            points[person, kind, 1] = (at // columns + 0.5) * h / rows + y1
            values[person, kind] = stretched.flatten()[at]
    return points, values


def keypoints(maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    found = heatmap.keypoints([(maps, boxes)])
    assert found.finite.all()
    return found.xy, found.logits, found.confidence


def people(count: int) -> Tensor:
    corners = torch.rand(count, 2) * 100
    boxes = torch.cat((corners, corners + torch.rand(count, 2) ** 2 * 400), 1)
    boxes[0, 2:] = boxes[0, :2] + torch.tensor([0.3, 0.0])  # less than a pixel
    boxes[1, 2:] = boxes[1, :2] + torch.tensor([30.5, 310.2])  # fewer pixels across than cells
    return boxes


def bumps(count: int, width: float) -> Tensor:
    """Smooth hills, anywhere, also on the edge."""
    cells = torch.arange(56.0)
    x, y = torch.rand(2, count, 17, 1, 1) * 60 - 2
    return 15 * torch.exp(-((cells - x) ** 2 + (cells[:, None] - y) ** 2) / width) + torch.randn(count, 17, 56, 56) / 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["noise", "faint noise", "narrow", "broad"])
def test_keypoints_lie_where_the_stretched_map_is_highest(seed: int, kind: str) -> None:
    torch.manual_seed(seed)
    noise = interpolate(torch.randn(5, 17, 28, 28), scale_factor=2.0, mode="bilinear")
    maps = {"noise": 5 * noise, "faint noise": noise / 1000, "narrow": bumps(5, 6.0), "broad": bumps(5, 400.0)}[kind]
    boxes = people(5)
    xy, logits, _ = keypoints(maps, boxes)
    slow_xy, slow_logits = slow_keypoints(maps, boxes)
    torch.testing.assert_close(logits, slow_logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(xy, slow_xy, rtol=0, atol=1e-3)


@pytest.mark.parametrize("sides", [(1, 12), (12, 56), (56, 300)])
@pytest.mark.parametrize("kind", ["noise", "narrow", "broad"])
def test_around_the_highest_cell_the_same_pixel_is_found_wherever_it_is_there(
    kind: str, sides: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    maps = {"noise": torch.randn(40, 17, 56, 56), "narrow": bumps(40, 6.0), "broad": bumps(40, 400.0)}[kind]
    sizes = torch.randint(*sides, (40, 2)).float()
    exact, near = peaks(maps, sizes), peaks(maps, sizes, exact=False)
    assert near.sure.all()
    assert (near.logits <= exact.logits).all()
    highest = maps.flatten(2).argmax(2)
    cells = torch.stack((highest % 56, highest // 56), -1) + 0.5
    cells_a_pixel = 56 / sizes[:, None]
    there = (((exact.at + 0.5) * cells_a_pixel - cells).abs() < cells_a_pixel.clamp(min=1) - 1e-4).all(-1)
    assert torch.equal(near.at[there], exact.at[there])
    assert torch.equal(near.logits[there], exact.logits[there])
    assert there.float().mean() > (0.1 if kind == "noise" else 0.5)


def test_around_the_highest_cell_of_a_picture_of_one_pixel_that_one_is_found() -> None:
    near = peaks(torch.randn(1, 17, 56, 56), torch.ones(1, 2), exact=False)
    assert (near.at == 0).all()
    assert near.logits.isfinite().all()


def test_patches_without_pixels_can_be_looked_into_for_a_gpu_is_not_asked_whether_there_are_any() -> None:
    stretched = Stretched.of(torch.randn(2, 17, 56, 56), torch.tensor([[1.0, 3.0], [2.0, 3.0]]))
    every = torch.arange(57 * 57)
    for of in (0, 33):
        assert stretched.look(torch.full_like(every, of), every).logit.isfinite().all()


def test_of_equal_pixels_the_first_in_reading_order_is_taken() -> None:
    boxes = torch.tensor([[10.0, 20.0, 110.0, 320.0]])
    xy, _, _ = keypoints(torch.zeros(1, 17, 56, 56), boxes)
    assert xy.tolist() == [[[10.5, 20.5]] * 17]


def test_of_equal_pixels_of_several_patches_the_first_is_taken_though_others_promise_more() -> None:
    maps = torch.zeros(1, 17, 56, 56)
    maps[..., 30, 30] = -1.0  # a pixel a cell: all others are 0, but between cells beside this one more is possible
    xy, logits, _ = keypoints(maps, torch.tensor([[0.0, 0.0, 56.0, 56.0]]))
    assert xy.tolist() == [[[0.5, 0.5]] * 17]
    assert (logits == 0).all()


def test_between_four_equal_cells_a_map_can_be_higher_than_on_top_of_a_higher_one() -> None:
    maps = torch.zeros(1, 17, 56, 56)
    maps[..., 10:12, 10:12], maps[..., 40, 40] = 1.0, 1.407
    xy, logits, _ = keypoints(maps, torch.tensor([[0.0, 0.0, 532.0, 532.0]]))
    assert xy.tolist() == [[[104.5, 104.5]] * 17]
    torch.testing.assert_close(logits, torch.full((1, 17), 1.41016), rtol=0, atol=1e-5)


def test_points_move_with_their_box() -> None:
    torch.manual_seed(0)
    maps, box = bumps(1, 20.0), torch.tensor([[0.0, 0.0, 120.0, 240.0]])
    here, _, _ = keypoints(maps, box)
    there, _, _ = keypoints(maps, box + torch.tensor([32.0, 64.0, 32.0, 64.0]))
    torch.testing.assert_close(there, here + torch.tensor([32.0, 64.0]))


def test_confidence_is_the_share_of_the_softmax_within_two_cells() -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 17, 56, 56)
    maps[0, :, 30, 40] = 9.0
    maps[0, 3, 30, 40] = 0.0
    maps[0, 3, 0, 55] = 9.0  # in a corner only nine cells are near
    maps[0, 4, 30, 40], maps[0, 4, 55, 0] = 0.0, 9.0
    _, _, confidence = keypoints(maps, torch.tensor([[0.0, 0.0, 56.0, 56.0]]))
    shares = maps[0].flatten(1).softmax(1).view(17, 56, 56)
    torch.testing.assert_close(confidence[0, 0], shares[0, 28:33, 38:43].sum())
    torch.testing.assert_close(confidence[0, 3], shares[3, 0:3, 53:56].sum())
    torch.testing.assert_close(confidence[0, 4], shares[4, 53:56, 0:3].sum())


@pytest.mark.parametrize("side_px", [8, 448])
def test_where_a_pixel_is_wider_than_a_cell_all_its_cells_count_and_two_around_them(side_px: int) -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 17, 56, 56)
    xy, _, confidence = keypoints(maps, torch.tensor([[0.0, 0.0, side_px, side_px]]))
    shares = maps[0].flatten(1).softmax(1).view(17, 56, 56)
    for at, heat, mine in zip(xy[0].tolist(), shares, confidence[0], strict=True):
        first = [max(0, int((side - 0.5) * 56 / side_px) - 2) for side in at]
        end = [math.ceil((side + 0.5) * 56 / side_px) + 2 for side in at]
        torch.testing.assert_close(mine, heat[first[1] : end[1], first[0] : end[0]].sum())


def test_confidence_rises_as_a_peak_sharpens_and_stays_within_0_and_1() -> None:
    torch.manual_seed(0)
    hill, box = bumps(1, 30.0), torch.tensor([[0.0, 0.0, 100.0, 200.0]])
    confidence = torch.stack([keypoints(hill * sharpness, box)[2][0] for sharpness in (0.0, 0.3, 1.0, 3.0, 100.0)])
    assert (confidence.diff(dim=0) >= 0).all()
    assert (confidence[0] < 0.01).all()
    assert ((confidence[-1] > 0.99) & (confidence[-1] <= 1)).all()


@pytest.mark.parametrize("seed", range(3))
def test_no_pixel_passes_the_bound_of_its_patch_and_some_come_near(seed: int) -> None:
    torch.manual_seed(seed)
    maps = torch.randn(1, 17, 56, 56)
    stretched = interpolate(maps, (448, 448), mode="bicubic", align_corners=False)
    patch = ((torch.arange(448) + 0.5) / 8 - 0.5).floor().long() + 1
    highest = torch.full((17, 57 * 57), -torch.inf)
    which = (patch[:, None] * 57 + patch).flatten().expand(17, -1)
    highest = highest.scatter_reduce(1, which, stretched[0].flatten(1), "amax")
    slack = _upper_bounds(pad(maps, (2, 2, 2, 2), mode="replicate"))[0].flatten(1) - highest
    assert slack.min() > -1e-5
    assert slack.min() < 0.05


def of_all_sizes() -> tuple[Tensor, Tensor]:
    """Boxes of five people, and the sizes that their maps are stretched to."""
    boxes = people(5)
    boxes[2, 2:] = boxes[2, :2] + torch.tensor([2.6, 3.0])  # most patches have no pixel
    return boxes, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).ceil()


@pytest.mark.parametrize("kind", ["noise", "white noise", "narrow"])
def test_what_a_gpu_is_sure_of_is_highest_and_it_is_sure_where_it_can_be(kind: str) -> None:
    torch.manual_seed(1)
    noise = interpolate(torch.randn(5, 17, 28, 28), scale_factor=2.0, mode="bilinear")
    maps = {"noise": noise, "white noise": torch.randn(5, 17, 56, 56), "narrow": bumps(5, 6.0)}[kind]
    boxes, sizes = of_all_sizes()
    at, logits, sure = peaks(maps, sizes, on_cpu=False)
    slow_xy, slow_logits = slow_keypoints(maps, boxes)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    xy = (at + 0.5) * (sides / sizes)[:, None] + boxes[:, None, :2]
    torch.testing.assert_close(logits[sure], slow_logits[sure], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(xy[sure], slow_xy[sure], rtol=0, atol=1e-3)
    assert sure[[0, 2]].all()  # they have fewer patches with pixels than are looked into
    assert sure.all() == (kind == "narrow")


def test_where_a_gpu_is_not_sure_a_cpu_looks_into_that_map_of_that_person() -> None:
    torch.manual_seed(0)
    steps = torch.randn(5, 17, 56, 56).round().clamp(max=1)  # the highest pixel is one of many that are nearly as high
    steps[:, ::3] = bumps(5, 6.0)[:, ::3]
    boxes, sizes = of_all_sizes()
    wanted, alone = peaks(steps, sizes), peaks(steps, sizes, on_cpu=False)
    off = (alone.at != wanted.at).any(-1)
    assert off.any(1).sum() > 1
    assert not (off & alone.sure).any()
    groups = [(steps[:2], boxes[:2]), (steps[2:], boxes[2:])]
    for mine, other in zip(heatmap.keypoints(groups, on_cpu=False), heatmap.keypoints(groups), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-6)  # of the confidence the last digit may differ


def test_groups_are_joined_in_order_whether_their_peaks_are_sure_or_not() -> None:
    torch.manual_seed(0)
    noise = interpolate(torch.randn(2, 17, 28, 28), scale_factor=2.0, mode="bilinear") / 1000
    groups = [(bumps(3, 20.0), people(3)), (noise, people(2)), (bumps(2, 400.0), people(2))]
    together = heatmap.keypoints(groups)
    alone = [heatmap.keypoints([group]) for group in groups]
    for mine, others in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(mine, torch.cat(others))


def test_a_person_whose_maps_are_not_finite_is_told_apart_and_leaves_the_others_as_they_are() -> None:
    torch.manual_seed(0)
    maps, boxes = bumps(6, 20.0), people(6)
    whole = heatmap.keypoints([(maps.clone(), boxes)])
    maps[1, 3, 20, 20], maps[2, 0, 0, 0], maps[3, 1, 55, 55], maps[4] = torch.nan, -torch.inf, torch.inf, torch.nan
    found = heatmap.keypoints([(maps, boxes)])
    assert found.finite.tolist() == [True, False, False, False, False, True]
    for mine, other in zip(found[:3], whole[:3], strict=True):
        assert torch.equal(mine[found.finite], other[found.finite])
