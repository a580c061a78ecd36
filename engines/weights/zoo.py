"""Published weights: where each file is, how it is told from any other, and what its makers measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ASSETS: Final = Path(__file__).parents[1] / "assets"
"""Files that come with the project."""


@dataclass(frozen=True)
class Entry:
    """One published file."""

    name: str
    """What `--weights` takes."""
    model: str
    """The one architecture that it is for."""
    url: str
    hash_kind: Literal["sha256", "md5"]
    """What `digest` is; an MD5 shows that a download is whole, not who made it: that is for HTTPS to do."""
    digest: str
    """The hexadecimal digits that are published, from the first on: all of them, or as few as 6."""
    licence: str
    box_ap: float
    """Published AP of its boxes on COCO val2017, people only, in percent."""
    keypoint_ap: float
    """Published AP of its keypoints there, in percent."""
    detectron2: bool = False
    """Whether it is Detectron2's and has to be converted before it is loaded."""

    @property
    def file(self) -> str:
        """Its name in a folder: the last part of the URL."""
        return self.url.rpartition("/")[2]

    def digest_of(self, path: Path) -> str:
        """As many digits of a file's hash as are published of this one's.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.hash_kind).hexdigest()[: len(self.digest)]


_TORCHVISION: Final = "https://download.pytorch.org/models/"
_DETECTRON2: Final = "https://dl.fbaipublicfiles.com/detectron2/COCO-Keypoints/"
_BSD: Final = "BSD-3-Clause"
_BY_SA: Final = "CC BY-SA 3.0"

COCO_V1: Final = Entry(
    name="coco_v1",
    model="r50",
    url=f"{_TORCHVISION}keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    hash_kind="sha256",
    digest="fc266e953d2b302cdcbb9ae66f71f6b0d4649928bf02dc573961e361e4918926",
    licence=_BSD,
    box_ap=54.6,
    keypoint_ap=65.0,
)
"""torchvision's KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.

Its makers publish the first 8 digits; all 64 stand with others who have the file, as in
https://github.com/a1443356159/kangshield/blob/eae5f569/configs/v1-m3-torchvision-pose-model.json and
https://github.com/obundh/gonggong-disaster-series-rescue79/blob/ffb76144/THIRD_PARTY_NOTICES.md.
"""

COCO_LEGACY: Final = Entry(
    name="coco_legacy",
    model="r50",
    url=f"{_TORCHVISION}keypointrcnn_resnet50_fpn_coco-9f466800.pth",
    hash_kind="sha256",
    digest="9f466800",
    licence=_BSD,
    box_ap=50.6,
    keypoint_ap=61.1,
)
"""torchvision's COCO_LEGACY: an early epoch of the same."""

D2_R50_3X: Final = Entry(
    name="d2_r50_3x",
    model="r50-d2",
    url=f"{_DETECTRON2}keypoint_rcnn_R_50_FPN_3x/137849621/model_final_a6e10b.pkl",
    hash_kind="md5",
    digest="a6e10b",
    licence=_BY_SA,
    box_ap=55.4,
    keypoint_ap=65.5,
    detectron2=True,
)
"""Detectron2's keypoint_rcnn_R_50_FPN_3x. A mirror's SHA-256 of it begins 48cc65c6; its makers publish none."""

D2_R101_3X: Final = Entry(
    name="d2_r101_3x",
    model="r101",
    url=f"{_DETECTRON2}keypoint_rcnn_R_101_FPN_3x/138363331/model_final_997cc7.pkl",
    hash_kind="md5",
    digest="997cc7",
    licence=_BY_SA,
    box_ap=56.4,
    keypoint_ap=66.1,
    detectron2=True,
)
"""Detectron2's keypoint_rcnn_R_101_FPN_3x."""

D2_X101_3X: Final = Entry(
    name="d2_x101_3x",
    model="x101",
    url=f"{_DETECTRON2}keypoint_rcnn_X_101_32x8d_FPN_3x/139686956/model_final_5ad38f.pkl",
    hash_kind="md5",
    digest="5ad38f",
    licence=_BY_SA,
    box_ap=57.3,
    keypoint_ap=66.0,
    detectron2=True,
)
"""Detectron2's keypoint_rcnn_X_101_32x8d_FPN_3x."""

ENTRIES: Final[Mapping[str, Entry]] = {
    entry.name: entry for entry in (COCO_V1, COCO_LEGACY, D2_R50_3X, D2_R101_3X, D2_X101_3X)
}
"""Name -> published file; of each model the one that `--weights auto` takes comes first.

Sources: https://docs.pytorch.org/vision/stable/models/keypoint_rcnn.html and
https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md: «any model on this page contains its md5 prefix
in its file name», and its models are CC BY-SA 3.0. All were trained on COCO train2017.
"""


def of_model(model: str) -> list[Entry]:
    """Files published for an architecture, the default first; empty for one whose weights are bundled."""
    return [entry for entry in ENTRIES.values() if entry.model == model]
