"""The cases in which our network must give torchvision's results."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """Pictures that go through the network as one batch."""

    name: str
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each picture."""
    seed: int
    score_min: float = 0.05
    people_max: int = 100
    short_px: int = 800
    long_px: int = 1333
    growth: float = 0.0
    """Sides of people's boxes are e**growth times as long as the weights of this seed alone would have them."""


CASES = (
    Case("default size", ((300, 400),), seed=1),
    Case("portrait at the long side's limit", ((420, 180),), seed=2),
    Case("batch of mixed sizes", ((240, 320), (320, 240), (150, 400)), seed=1, short_px=256, long_px=448),
    Case("few people", ((240, 320),), seed=2, people_max=3, short_px=256, long_px=448),
    Case("nobody", ((240, 320),), seed=7, short_px=256, long_px=448),
    Case("every score", ((256, 256),), seed=6, score_min=0.0, short_px=256, long_px=256),
    Case("tiny picture", ((7, 11),), seed=1, short_px=256, long_px=448),
    # Not wider: where padding makes a picture over 1.41 times as high, torchvision cuts boxes out at half the scale.
    Case("wide strip", ((120, 900),), seed=4, short_px=320, long_px=560),
)

GROWN = (
    Case(
        "people of a pixel", ((100, 150),), seed=4, score_min=0.02, people_max=25, short_px=128, long_px=224, growth=-4
    ),
    Case("people of a picture", ((100, 200),), seed=2, score_min=0.02, short_px=480, long_px=960, growth=0.7),
)
"""Cases of people far smaller than anchors are, and so large that they come from the coarsest level."""
