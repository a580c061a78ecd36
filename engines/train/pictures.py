"""Picture files and their pixels: the door to Pillow for training and evaluation.

Coordinates are continuous: the centre of the top left pixel lies at (0.5, 0.5), as Pillow has it too.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from configs.errors import SourceError
from engines.train.target import Matrix

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""


def read(path: str | Path) -> Pixels:
    """The pixels of a file as they lie in it: labels count before any turn that its EXIF data asks for.

    Raises:
        SourceError: it cannot be read, or not to its end.
    """
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise SourceError(f"picture {path} cannot be read: {_reason(error, path)}") from error


def size_hw(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture, from its head.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SourceError(f"picture {path} cannot be read: {_reason(error, path)}") from error


def write(path: str | Path, pixels: Pixels) -> None:
    """Write a picture; its kind follows the name, as .png or .jpg."""
    Image.fromarray(pixels).save(path)


def resized(pixels: Pixels, size_hw: tuple[int, int]) -> Pixels:
    """The picture at another size, without aliasing."""
    if pixels.shape[:2] == size_hw:
        return pixels
    picture = Image.fromarray(pixels).resize(size_hw[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(picture)


def warped(pixels: Pixels, matrix: Matrix, size_hw: tuple[int, int], fill: tuple[int, int, int]) -> Pixels:
    """The picture under an affine map, in a frame of another size.

    Args:
        pixels: the picture.
        matrix: (2, 3), from its pixels to those of the new frame; it can be inverted.
        size_hw: of the new frame.
        fill: the colour where the picture does not reach.
    """
    matrix = np.asarray(matrix, np.float64)
    scale = min(1.0, float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))
    height, width = pixels.shape[:2]
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = resized(pixels, small)  # Pillow's transform reads four pixels only: what shrinks would alias
    square = np.vstack((matrix @ np.diag([width / small[1], height / small[0], 1]), (0, 0, 1)))
    back = np.linalg.inv(square)[:2].ravel()
    picture = Image.fromarray(pixels).transform(
        size_hw[::-1], Image.Transform.AFFINE, tuple(back), Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(picture)


def blurred(pixels: Pixels, sigma_px: float) -> Pixels:
    """The picture under a Gaussian blur."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma_px)))


def _reason(error: Exception, path: str | Path) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()).replace(f" {os.fspath(path)!r}", "")
    return text or type(error).__name__
