"""Opening a camera of this machine with PyAV: Video4Linux, DirectShow or AVFoundation."""

from __future__ import annotations

import errno
import os
import stat
import sys

import av
from av.container import InputContainer

from stream.sources.connection import Disconnected

_SYSTEMS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
"""Platform -> FFmpeg's name of its camera interface, and of a camera."""
_WHY = {
    errno.ENOENT: "no such camera; check that it is plugged in",
    errno.ENODEV: "no such camera; check that it is plugged in",
    errno.ENXIO: "no such camera; check that it is plugged in",
    errno.EBUSY: "the camera is in use by another program",
    errno.EACCES: "no permission to use the camera; on Linux its users are in the group video",
    errno.ENOTTY: "not a camera",
    errno.EINVAL: "not a camera, or one without a video format that can be read",
}


def open_camera(name: str, pixels_max: int) -> InputContainer:
    """Open a camera; its own MJPEG is preferred, for raw pictures are slow over USB.

    Args:
        name: its number, or a path such as /dev/video2.
        pixels_max: larger pictures are not decoded.

    Raises:
        Disconnected: it is not there, busy, or no camera.
    """
    interface, pattern = _SYSTEMS.get(sys.platform, _SYSTEMS["linux"])
    device = pattern.format(name) if name.isdecimal() else name
    why = _why_no_device(device) if interface == "v4l2" else ""
    if why:
        raise Disconnected(why, lasting=True)
    code = 0
    for options in ({"input_format": "mjpeg"}, dict[str, str]()) if interface == "v4l2" else (dict[str, str](),):
        try:
            return av.open(device, format=interface, options={**options, "max_pixels": str(pixels_max)})
        except (av.ArgumentError, av.InvalidDataError, ValueError):  # ValueError: PyAV has no such interface
            code = errno.EINVAL
        except av.FFmpegError as error:
            code = error.errno or 0
            break
    raise Disconnected(_WHY.get(code, f"the camera cannot be opened: {os.strerror(code)}"), lasting=True)


def _why_no_device(path: str) -> str:
    try:
        return "" if stat.S_ISCHR(os.stat(path).st_mode) else _WHY[errno.ENOTTY]
    except OSError as error:
        return _WHY.get(error.errno or 0, f"the camera cannot be opened: {error.strerror}")
