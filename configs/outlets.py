"""The settings of where a run's messages and pictures go besides its files."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, field_serializer

from configs.fields import Section

SECRETS = "secrets"
"""In a serialization context, true: secrets are kept, for a stage's process; else they are left out."""


class DumpSettings(Section):
    """Where the messages behind the network are written."""

    file: str | None = Field(
        None, description="FILE.psm: messages without pictures, which --source FILE.psm runs again; null: nowhere."
    )


class WindowSettings(Section):
    """The window on this machine's screen."""

    show: bool = Field(False, description="In a window: q ends the run, h tells of the other keys.")


class RestreamSettings(Section):
    """Where the annotated video goes as it comes."""

    address: str | None = Field(
        None,
        description="rtsp://, rtmp://, srt:// or udp://, or DIR/index.m3u8 for HLS; {source} stands for a source's "
        "name; null: nowhere.",
    )

    @field_serializer("address", mode="wrap")
    def _without_secrets(
        self, address: str | None, plain: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> Any:
        """The address as run.json may hold it: a URL's password or stream key can stand in any part behind `://`."""
        if address is None or (info.context and info.context.get(SECRETS)):
            return plain(address)
        return re.sub(r"(?<=://).*", "***", address, flags=re.DOTALL)
