"""An RTSP server that takes video and writes it down; run with Debian's own python3, which knows GStreamer.

Usage: python3 tests/rtsp_recorder.py PORT FILE [--user USER:PASSWORD]
It takes what is announced at rtsp://127.0.0.1:PORT/live, writes H.264 in Matroska, and prints "ready" once it listens.
"""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("file")
    parser.add_argument("--user")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=options.port, address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(
        "( rtph264depay name=depay0 ! h264parse ! matroskamux streamable=true ! "
        f"filesink location={options.file} buffer-mode=unbuffered )"
    )
    server.get_mount_points().add_factory("/live", factory)
    if options.user:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*options.user.split(":")), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
