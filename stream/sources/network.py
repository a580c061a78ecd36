"""Opening a network address with PyAV: what each scheme may use, and no more."""

from __future__ import annotations

import av
from av.container import InputContainer

from configs.sources import LiveSettings
from stream.sources.url import Url

STREAMED = "flv,live_flv,h264,hevc,ivf,matroska,webm,mjpeg,mpjpeg,mov,mpeg,mpegts,mpegvideo,nut,ogg,yuv4mpegpipe"
"""Formats of video that can be read from its beginning on, without going back; none names other files."""
_WEB = f"hls,{STREAMED},aac,ac3,mp3,webvtt"
ALLOWED = {
    "http": ("http,https,tls,tcp,crypto,httpproxy", _WEB),
    "https": ("https,http,tls,tcp,crypto,httpproxy", _WEB),
    "rtsp": ("rtp,srtp,tcp,udp", "rtsp"),
    "rtsps": ("tls,rtp,srtp,tcp,udp", "rtsp"),
    "rtmp": ("rtmp,tcp", "flv,live_flv"),
    "rtmps": ("rtmps,tls,tcp", "flv,live_flv"),
    "srt": ("srt", STREAMED),
    "tcp": ("tcp", STREAMED),
    "udp": ("udp", STREAMED),
}
"""Scheme -> FFmpeg's protocols and formats that it may lead to: never a file of this machine."""

_LATER_S = 1.0  # at its own time limit FFmpeg gives the frame that it still held, as if the source were alive


def open_network(url: Url, live: LiveSettings, pixels_max: int) -> InputContainer:
    """Connect to an address.

    Raises:
        av.FFmpegError: it cannot be had; the error's text holds the address with its secrets.
    """
    protocols, formats = ALLOWED[url.scheme]
    read_s = live.read_timeout_s + _LATER_S
    read_us = str(round(read_s * 1e6))
    options = {"protocol_whitelist": protocols, "format_whitelist": formats, "max_pixels": str(pixels_max)}
    if url.scheme in ("rtsp", "rtsps"):
        options |= {"rtsp_transport": url.transport or live.rtsp_transport, "timeout": read_us}
        options |= {"fpsprobesize": "0"}  # SDP and parameter sets say enough: pictures come after 0.4 s, not 1.2 s
        options |= {"buffer_size": "4194304"}  # of a UDP socket: a key frame is many packets at once
    elif url.scheme in ("http", "https", "tcp"):
        options |= {"rw_timeout": read_us}
    timeouts = (live.connect_timeout_s, read_s)
    return av.open(url.revealed, options=options, timeout=timeouts, metadata_errors="ignore")
