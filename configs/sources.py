"""The settings of what is read: which sources, which part of them, how live ones are kept alive."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf

from configs.fields import Section, Time, one_or_more


class SourceSettings(Section):
    """What is read."""

    # InstanceOf: a path need not be valid Unicode. exclude: an address may hold a password, and no stage needs it.
    uris: Annotated[tuple[InstanceOf[str], ...], BeforeValidator(one_or_more)] = Field(
        (),
        exclude=True,
        description="Files, folders, globs, cameras, network addresses or lists of them; none: a demo that needs no "
        "network.",
    )
    realtime: bool = Field(False, description="Play files at their own clock, as if they were live: late frames drop.")
    recursive: bool = Field(False, description="Take the files of all folders in a folder, too.")
    include: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        (), description="Of folders and globs only files whose path, name or folder fits one of these globs."
    )
    exclude: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        (), description="Of folders and globs no file whose path, name or folder fits one of these globs."
    )
    allow_pipe: bool = Field(False, description="Read named pipes too; standard input is - and needs no leave.")

    @property
    def is_recorded(self) -> bool:
        """Whether messages of a file are read, and no video."""
        return any(uri.endswith(".psm") for uri in self.uris)


class DecodeSettings(Section):
    """How a source becomes frames."""

    start_s: Time = Field(0.0, description="From this time of the source on: seconds or hh:mm:ss.")
    end_s: Time | None = Field(
        None, description="Up to this time of the source: seconds or hh:mm:ss; null: to its end."
    )
    assumed_fps: Annotated[float, Field(ge=0.001, le=1000)] = Field(
        25.0,
        description="Frame rate of a source that has no clock of its own: an image folder, a raw stream.",
    )
    frame_pixels_max: Annotated[int, Field(ge=1, le=1 << 28)] = Field(
        8192 * 8192, description="A frame with more pixels is refused before it is decoded."
    )


class LiveSettings(Section):
    """How cameras and streams are kept alive."""

    connect_timeout_s: Annotated[float, Field(ge=0.1, le=600)] = Field(
        5.0, description="A source that does not answer for so long is connected anew."
    )
    read_timeout_s: Annotated[float, Field(ge=0.1, le=600)] = Field(
        5.0, description="A source that gives no new frame for so long is connected anew."
    )
    retry_s: Annotated[float, Field(ge=0.01, le=600)] = Field(
        0.5, description="Wait before the first new attempt; each further one waits half as long again."
    )
    retry_max_s: Annotated[float, Field(ge=0.01, le=3600)] = Field(5.0, description="Longest wait between attempts.")
    retry_denied_s: Annotated[float, Field(ge=0.01, le=86_400)] = Field(
        60.0, description="Wait after a source that worked refuses the password or the path: accounts lock."
    )
    reconnect_limit: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="Attempts in a row without a frame before the source is given up; null: no limit."
    )
    rtsp_transport: Literal["tcp", "udp"] = Field(
        "tcp", description="How RTSP carries video; udp loses packets instead of waiting for them."
    )
    skip_damaged: bool = Field(False, description="After a damaged frame, leave out all before the next key frame.")
    credentials: str | None = Field(
        None,
        description="File of mode 0600 with `machine HOST login USER password PASSWORD` lines, as netrc has them; "
        "null: POSESTREAM_USER and POSESTREAM_PASSWORD, if set.",
    )
