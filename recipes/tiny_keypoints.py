"""A lesson: how a network finds keypoints, and whose they are. A minute on a CPU.

    python -m recipes.tiny_keypoints

Part 1: a network of three layers learns four points of one person, finer than its cells.
Part 2: with two people in the picture, fields along the limbs (PAFs) say which hand is whose.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from engines.model import losses, targets
from engines.ops.oks import oks

SIDE, CELL, CELLS = 64, 2, 32  # a picture, in pixels; a cell, in pixels; a map, in cells
COLOURS = torch.tensor([[1.0, 1, 0.2], [1, 0.3, 0.3], [0.3, 1, 0.3], [0.4, 0.5, 1]])  # belly, head, left, right hand
LIMBS = [(0, 1), (0, 2), (0, 3)]  # from the belly to each of the others


class TinyKeypointNet(nn.Module):
    """(B, 3, 64, 64) pictures to (B, channels, 32, 32) maps; a cell sees the 29 pixels around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 24, 5, CELL, 2), nn.Conv2d(24, 24, 9, padding=4)
        self.maps = nn.Conv2d(24, channels, 5, padding=2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Of each point a map of logits; behind these, of each limb a map of x and one of y."""
        maps: Tensor = self.maps(self.second(self.first(pictures).relu()).relu())
        return maps


def people(rng: np.random.Generator, count: int) -> Tensor:
    """(count, 4, 2) points of people, in pixels, turned anyhow; two of them reach into each other."""
    bodies = np.array([[0, 0], [0, -12], [-13, 4], [13, 4]]) + rng.normal(0, 1.5, (count, 4, 2))
    (cos, sin), side = (f(rng.uniform(0, 2 * np.pi, count)) for f in (np.cos, np.sin)), np.array([-7, 7])
    turns = np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)
    middles = SIDE / 2 + rng.uniform(-6, 6, (count, 2))
    middles[:, 0] += side[:count] if count == 2 else 0
    return torch.tensor(bodies @ turns + middles[:, None], dtype=torch.float32)


def along(start: Tensor, end: Tensor, cell_px: int) -> tuple[Tensor, Tensor]:
    """How far each cell (n, n) of the picture is from a limb, in pixels; and (2,) the limb's unit vector."""
    middles = (torch.arange(SIDE // cell_px) + 0.5) * cell_px
    places, way = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), -1) - start, end - start
    share = (places @ way / way.square().sum()).clamp(0, 1)
    return (places - share[..., None] * way).norm(dim=-1), way / way.norm()


def picture(xy: Tensor, rng: np.random.Generator) -> Tensor:
    """(3, 64, 64) in 0..1 of people (P, 4, 2): noise, a grey line for each limb, a dot of its own colour on a point."""
    pixels = torch.tensor(rng.uniform(0, 0.3, (3, SIDE, SIDE)), dtype=torch.float32)
    for person in xy:
        for start, end in LIMBS:
            pixels = torch.where(along(person[start], person[end], 1)[0] < 1, 0.6, pixels)
    for dots in targets.gaussian(xy - 0.5, (SIDE, SIDE), 1.5):
        pixels = pixels + ((COLOURS[:, :, None, None] - pixels) * dots[:, None]).sum(0)
    return pixels.clamp(0, 1)


def wanted(xy: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point shares (4, 32, 32) of the cells, which sum to 1; (6, 32, 32) unit vectors in the cells on limbs."""
    fields = torch.zeros(len(LIMBS), 2, CELLS, CELLS)
    for person in xy:
        for at, (start, end) in enumerate(LIMBS):
            off_px, unit = along(person[start], person[end], CELL)
            fields[at] = torch.where(off_px < CELL, unit[:, None, None], fields[at])
    return targets.soft_cells(xy / CELL - 0.5, (CELLS, CELLS), 1.0).mean(0), fields.flatten(0, 1)


def learn(channels: int, count: int, steps: int, say: Callable[[str], None] = print) -> TinyKeypointNet:
    """A network after so many steps of 8 pictures with `count` people each."""
    torch.manual_seed(0)
    network, rng, began = TinyKeypointNet(channels), np.random.default_rng(0), time.perf_counter()
    optimizer = torch.optim.Adam(network.parameters())
    for step in range(1, steps + 1):
        some = [people(rng, count) for _ in range(8)]
        maps = network(torch.stack([picture(xy, rng) for xy in some]))
        shares, fields = (torch.stack(each) for each in zip(*(wanted(xy) for xy in some), strict=True))
        loss = losses.soft_cells(maps[:, :4], shares).mean()
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / (steps + 1))  # long steps at first, fine ones at the end
        if channels > 4:  # most cells lie on no limb: without a weight, fields of zeros would be a good answer
            loss = loss + 0.02 * ((maps[:, 4:] - fields).square() * (fields.abs() + 0.05)).sum((2, 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (1, steps // 4, steps // 2, steps):
            say(f"  step {step:4}   loss {loss.item():6.2f}   {time.perf_counter() - began:3.0f} s")
    return network.eval()


@torch.no_grad()
def errors_px(network: TinyKeypointNet, pictures: int = 100) -> tuple[float, float]:
    """Mean distance of found points from true ones: by the highest cell, and by a parabola through its neighbours."""
    rng = np.random.default_rng(1)
    some = [people(rng, 1) for _ in range(pictures)]
    maps = network(torch.stack([picture(xy, rng) for xy in some]))[:, :4]
    found = [(how(maps) + 0.5) * CELL for how in (targets.argmax, targets.parabola)]
    coarse, fine = ((xy - torch.cat(some)).norm(dim=-1).mean().item() for xy in found)
    return coarse, fine


def peaks(logits: Tensor) -> Tensor:
    """(n, 2) x, y of cells that are the highest within two cells, and a twentieth as likely as the highest of all."""
    around = nn.functional.max_pool2d(logits[None], 5, 1, 2)[0]
    likely: Tensor = (logits == around) & (logits > logits.max() + np.log(0.05))
    return likely.nonzero().flip(1).float()


def grouped(maps: Tensor, by_fields: bool) -> Tensor:
    """(P, 4, 2) pixels of the people in maps (10, 32, 32): each belly is one, and takes the points that fit it best.

    That is where the mean field along the way to them points to them; without fields, the nearest ones.
    """
    bellies = peaks(maps[0])
    found = bellies[:, None].repeat(1, 4, 1)  # a hand that nobody sees stays at the belly
    for at, (_, end) in enumerate(LIMBS):
        others = peaks(maps[end])
        ways = others - bellies[:, None]  # (bellies, others, 2)
        x, y = (bellies[:, None, None] + torch.linspace(0, 1, 10)[:, None] * ways[:, :, None]).round().long().unbind(-1)
        field = maps[4 + 2 * at : 6 + 2 * at][:, y, x].mean(-1).permute(1, 2, 0)
        fit = (field * nn.functional.normalize(ways, dim=-1)).sum(-1) if by_fields else -ways.norm(dim=-1)
        for mine, other in zip(*linear_sum_assignment(fit.numpy(), maximize=True), strict=True):
            found[mine, end] = others[other]
    return (found + 0.5) * CELL


@torch.no_grad()
def oks_of_two(network: TinyKeypointNet, pictures: int = 60) -> tuple[float, float]:
    """Mean OKS of two people in a picture with whom is found: grouped by distance, and by fields."""
    rng, found = np.random.default_rng(2), []
    for _ in range(pictures):
        true = people(rng, 2)
        maps = network(picture(true, rng)[None])[0]
        found.append([_alike(true, grouped(maps, by_fields)) for by_fields in (False, True)])
    by_distance, by_fields = np.mean(found, 0).tolist()
    return by_distance, by_fields


def _alike(true: Tensor, found: Tensor) -> float:
    area_px2, sigmas = np.full(2, 26.0 * 16), np.full(4, 0.08)
    return float(oks(true.double().numpy(), found.double().numpy(), area_px2, sigmas).max(1, initial=0.0).mean())


def main() -> None:
    """Both parts, with what is to be seen in them."""
    print("1. One person of four points. On each a network learns to put a spot over the cells of a map:")
    coarse, fine = errors_px(learn(4, 1, 200))
    print(f"  The highest cell is {coarse:.2f} px off on average; a cell is {CELL} px wide, and cannot say it finer.")
    print(f"  The top of a parabola through it and its neighbours is {fine:.2f} px off: the spot knew more.")
    print("2. Two people who reach into each other. Six more maps: in the cells of a limb, which way it goes:")
    by_distance, by_fields = oks_of_two(learn(10, 2, 300))
    print(
        f"  Who takes the nearest hands and head is like the true people by OKS {by_distance:.2f}: some are mixed up."
    )
    print(f"  Who takes those that the fields lead to, by OKS {by_fields:.2f}.")


if __name__ == "__main__":
    main()
