"""Which of FFmpeg's encoders writes a video, and with which options."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from configs.errors import ConfigError
from configs.video import CodecName, VideoSettings


@dataclass(frozen=True)
class Codec:
    """What a codec asks of pictures, and who writes it."""

    software: str
    """FFmpeg's name of the encoder that runs on any machine."""
    crf: int
    """Quality where none is set: overlays near the source's size whose text is crisp (docs/video.md)."""
    side_px_min: int
    side_px_max: int
    """Of a picture that encoder and decoder take."""
    tag: str = ""
    """How MP4 calls it, where FFmpeg's own choice is one that QuickTime and Safari do not play."""


CODECS: Mapping[CodecName, Codec] = {
    "h264": Codec("libx264", 24, 2, 16_384),
    "hevc": Codec("libx265", 27, 16, 8_192, "hvc1"),
    "av1": Codec("libsvtav1", 38, 64, 8_192),  # at 16 x 202 pixels it hangs
}
_HARDWARE = {
    "nvenc": {"preset": "p4", "rc": "vbr", "cq": "{crf}", "b": "0", "spatial-aq": "1", "forced-idr": "1"},
    "videotoolbox": {"q": "{crf}", "realtime": "0"},
    "qsv": {"global_quality": "{crf}", "forced_idr": "1"},
    "amf": {"rc": "cqp", "qp_i": "{crf}", "qp_p": "{crf}"},
}
"""Ending of the encoders' names -> options; the first that works is taken."""
_PROBE_PX = 256  # NVENC takes no pictures below some 160 pixels
_SVT_PRESETS = {"ultrafast": 10, "superfast": 9, "veryfast": 8, "faster": 7, "fast": 6, "medium": 5, "slow": 4}


def check_codec(video: VideoSettings, available: Collection[str] = av.codecs_available) -> None:
    """Whether FFmpeg as installed here can write the codec that is wanted.

    Args:
        video: settings.
        available: names of FFmpeg's encoders.

    Raises:
        ConfigError: it cannot.
    """
    wanted = CODECS[video.codec].software
    if wanted in available:
        return
    there = ", ".join(name for name, codec in CODECS.items() if codec.software in available)
    raise ConfigError(
        f"--codec {video.codec}: FFmpeg as installed here lacks {wanted}; "
        + (f"it has encoders of {there}" if there else "it has none that can be used; --no-video does without")
    )


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded."""

    video: VideoSettings
    encoder: str
    """FFmpeg's name of what does it."""

    @classmethod
    def of(cls, video: VideoSettings) -> Encoding:
        """That of these settings: by the hardware where that is wanted and works here."""
        if video.encoder == "hardware":
            for family in _HARDWARE:
                if _works(name := f"{video.codec}_{family}"):
                    return cls(video, name)
        return cls(video, CODECS[video.codec].software)

    @property
    def codec(self) -> Codec:
        """What is written."""
        return CODECS[self.video.codec]

    @property
    def note(self) -> str:
        """What the user should know of the choice; empty: nothing."""
        if self.video.encoder == "software":
            return ""
        if self.encoder == self.codec.software:
            return f"this machine has no {self.video.codec} encoder of its own that works; {self.encoder} does it"
        return f"{self.encoder} encodes the overlay"

    def options(self, rate: int | None, repeatable: bool) -> dict[str, str]:
        """FFmpeg's options of the encoder.

        Args:
            rate: bits a second at most, over two seconds; None: as many as the quality needs.
            repeatable: the same pictures always give the same bytes, if more slowly.
        """
        crf = str(self.codec.crf if self.video.crf is None else self.video.crf)
        # What x265 and SVT-AV1 make of a limit depends on how fast their threads are.
        is_limited = rate is not None and not (repeatable and self.encoder in ("libx265", "libsvtav1"))
        limit = {"maxrate": str(rate), "bufsize": str(2 * (rate or 0))} if is_limited else {}
        match self.encoder:
            case "libx264":
                # H.264 then says the frame rate, not that of the time base's ticks
                own = {"preset": self.video.preset, "tune": "animation", "crf": crf, "x264-params": "force-cfr=1"}
            case "libx265":
                # Without adaptive quantization, as in its fastest presets, x265 does not mind regions of interest.
                fixed = ":frame-threads=1" if repeatable else ""
                params = f"log-level=none:info=0:open-gop=0:aq-mode=2{fixed}"
                own = {"preset": self.video.preset, "crf": crf, "x265-params": params}
            case "libsvtav1":
                os.environ.setdefault("SVT_LOG", "1")  # else it writes its settings on standard error
                # Its temporal filter blends frames: digits of the frame before would shine through.
                preset = str(_SVT_PRESETS[self.video.preset])
                own = {"preset": preset, "crf": crf, "svtav1-params": "enable-tf=0"}
            case _:
                family = self.encoder.rpartition("_")[2]
                own = {key: value.format(crf=crf) for key, value in _HARDWARE[family].items()}
        return own | limit


def _works(encoder: str) -> bool:
    """Whether this machine has an encoder: only writing a picture tells."""
    try:
        context = VideoCodecContext.create(encoder, "w")
        assert isinstance(context, VideoCodecContext)
        context.width = context.height = _PROBE_PX
        context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
        grey = np.full((_PROBE_PX * 3 // 2, _PROBE_PX), 128, np.uint8)
        return bool([*context.encode(VideoFrame.from_ndarray(grey, "yuv420p")), *context.encode(None)])
    except (av.FFmpegError, ValueError, OSError):  # ValueError: FFmpeg as installed here does not know it
        return False
