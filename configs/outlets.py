"""The settings of where a run's messages and pictures go besides its files."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializationInfo, SerializerFunctionWrapHandler, field_serializer

from configs.fields import Section, one_or_more, text_of

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


class WebSettings(Section):
    """The page on which a browser shows the run."""

    address: Annotated[str, BeforeValidator(text_of)] | None = Field(
        None, description="Show the run in a browser at this address; without HOST only on this machine; null: no page."
    )
    hosts: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        (), description="Further names by which the page may be asked for, as that of a reverse proxy."
    )
    width_px_max: Annotated[int, Field(ge=160, le=3840)] = Field(
        1280, description="A wider picture is scaled down for the page."
    )
