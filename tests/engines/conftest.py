"""What several tests of the engine need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from weights_server import Place, serving


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test may ask a network for anything."""
    monkeypatch.delenv("POSESTREAM_OFFLINE")


@pytest.fixture
def place(online: None) -> Iterator[Place]:
    """A server of weights on this machine."""
    with serving() as place:
        yield place
