"""An RTSP server whose pictures carry their number; run with Debian's own python3, which knows GStreamer.

Usage: python3 tests/rtsp_server.py PORT [--user USER:PASSWORD] [--size 128x96] [--loss SHARE]
It serves rtsp://127.0.0.1:PORT/live at 25 frames a second, and prints "ready" once it listens.
"""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BITS = 8
PERIOD_MS = 40
PIPELINE = (
    "( appsrc name=src is-live=true format=time do-timestamp=true block=false "
    "caps=video/x-raw,format=GRAY8,width={width},height={height},framerate=25/1 ! "
    "videoconvert ! video/x-raw,format=I420 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 option-string=slices=4 ! "
    "rtph264pay config-interval=1 mtu=600 {pay} )"
)


def numbered(number: int, width: int, height: int) -> bytes:
    """As in tests/media.py: a bar for each bit over the upper half; below it noise, so that a frame is many packets."""
    row = b"".join(bytes([235 if number >> bit & 1 else 16]) * (width // BITS) for bit in range(BITS))
    below = bytes((x * 7 + y * number * 13) % 160 + 40 for y in range(height // 2) for x in range(width))
    return row * (height // 2) + below


class Numbers:
    """Feeds one media with pictures, numbered from 0."""

    def __init__(self, width: int, height: int) -> None:
        self.size, self.number = (width, height), 0

    def begin(self, _factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_by_name_recurse_up("src")
        GLib.timeout_add(PERIOD_MS, self.push, source)

    def push(self, source: Gst.Element) -> bool:
        buffer = Gst.Buffer.new_wrapped(numbered(self.number % 256, *self.size))
        self.number += 1
        return source.emit("push-buffer", buffer) == Gst.FlowReturn.OK


def only_for(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str) -> None:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*user.split(":")), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--user")
    parser.add_argument("--size", default="128x96")
    parser.add_argument("--loss", type=float, default=0.0)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=options.port, address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory()
    pay = f"! identity drop-probability={options.loss} name=pay0" if options.loss else "name=pay0"
    factory.set_launch(PIPELINE.format(width=width, height=height, pay=pay))
    factory.set_shared(True)
    factory.connect("media-configure", Numbers(width, height).begin)
    server.get_mount_points().add_factory("/live", factory)
    if options.user:
        only_for(server, factory, options.user)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
