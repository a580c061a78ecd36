"""Where annotated video is sent, and whether that can be."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from configs.errors import ConfigError, SourceError
from configs.outlets import RestreamSettings
from configs.sources import LiveSettings
from stream.address import printable
from stream.messages import SourceSpec
from stream.sources.credentials import user_in
from stream.sources.url import Url

_SOURCE = "{source}"
_PACKET_BYTES = 1316  # seven packets of MPEG-TS: the most that fits an Ethernet frame
_SEGMENT_S, _SEGMENTS = 1, 6
_FORMATS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv", "srt": "mpegts", "udp": "mpegts"}
"""Scheme -> FFmpeg's format."""


@dataclass(frozen=True, repr=False)
class Target:
    """Where the video of one source goes."""

    label: str
    """For people: without secrets."""
    url: str
    """With its secrets; for FFmpeg alone."""
    format: str
    """As FFmpeg calls it."""
    options: dict[str, str]
    """Of the format and the protocol."""
    playlist: str = ""
    """Path of HLS's playlist; empty: it is sent over the network."""


def target_of(address: str, source: str, live: LiveSettings) -> Target:
    """Where the video of a source goes.

    Args:
        address: `rtsp://HOST/PATH` and the like, or a path that ends in .m3u8; {source} stands for the source's name.
        source: the name; in a path its `/` and in a URL all that is special is written as %2F.
        live: timeouts, and the file that names user and password of a host.

    Raises:
        ConfigError: it is no address, or the file of credentials cannot be used.
        RefusedError: others may read that file.
    """
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:/", address):
        return _network(address.replace(_SOURCE, quote(source, safe="")), live)
    if not address.endswith(".m3u8") or re.search("%[0-9]*d", address):  # which FFmpeg would take for a number's place
        raise ConfigError(
            f"restream {printable(address)}: no address; it should be rtsp://, rtmp://, srt:// or udp://HOST…, or a "
            "path that ends in .m3u8 and holds no %d"
        )
    path = Path(os.path.abspath(os.path.expanduser(address.replace(_SOURCE, quote(source, safe=" ")))))
    return Target(printable(str(path)), str(path), "hls", _hls(path), str(path))


def check_restream(settings: RestreamSettings, specs: Sequence[SourceSpec], live: LiveSettings) -> None:
    """Find out early that the video cannot be sent.

    Raises:
        ConfigError: the address is none, several sources would share it, or this FFmpeg does not know its protocol.
        RefusedError: others may read the file of credentials.
    """
    from stream.sinks.restream_video import has_protocol

    if settings.address is None:
        return
    targets = [target_of(settings.address, spec.name, live) for spec in specs]
    if len(specs) > 1 and _SOURCE not in settings.address:
        raise ConfigError(
            f"restream {targets[0].label}: {len(specs)} sources need an address each; put {_SOURCE} where the name goes"
        )
    scheme = settings.address.partition(":")[0].lower()
    if not targets[0].playlist and not has_protocol(scheme):
        raise ConfigError(
            f"restream {targets[0].label}: FFmpeg as PyAV brings it lacks {scheme.upper()}; send to rtsp://, rtmp:// "
            "or udp://, or build PyAV with an FFmpeg that has it: pip install --no-binary av av"
        )


def _network(address: str, live: LiveSettings) -> Target:
    try:
        url = Url(address)
    except SourceError as error:
        raise ConfigError(f"restream {error}") from None
    if url.scheme not in _FORMATS:
        raise ConfigError(f"restream {url}: {url.scheme} is not sent to; it should be one of {', '.join(_FORMATS)}")
    label = str(url)
    if url.scheme in ("rtmp", "rtmps"):  # the last part is the key by which anybody may send
        label = re.sub(r"(?<=[^/]/)[^/]*$", "***", label)
    file = live.credentials
    if not url.has_user and file is not None and (found := user_in(os.path.expanduser(file), url.host)):
        url = url.with_user(*found)
    if url.scheme in ("rtsp", "rtsps"):
        timeout_us = str(round(live.connect_timeout_s * 1e6))
        options = {"rtsp_transport": url.transport or live.rtsp_transport, "timeout": timeout_us}
        return Target(label, url.revealed, "rtsp", options)
    whole = url.revealed
    if url.scheme == "udp":  # the protocol's own options PyAV hands on in the address alone
        whole += f"{'&' if '?' in whole else '?'}pkt_size={_PACKET_BYTES}"
    return Target(label, whole, _FORMATS[url.scheme], {"flush_packets": "1", "max_delay": "0"})


def _hls(path: Path) -> dict[str, str]:
    """Options of HLS. Numbers go on from the clock's, so that no player takes a new segment for an old one.

    The path begins with a slash: before an old file is deleted, FFmpeg would not take `file:` away.
    """
    return {
        "hls_time": str(_SEGMENT_S),
        "hls_list_size": str(_SEGMENTS),
        "hls_flags": "delete_segments+independent_segments+temp_file",
        "hls_start_number_source": "epoch",
        "hls_segment_filename": f"{path.with_suffix('')}-%d.ts",
    }
