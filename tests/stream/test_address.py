"""Any path travels in a message and back; what people see of it is one line without secrets."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.address import label_of, path_of, uri_of

names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@given(names)
def test_any_name_comes_back_from_a_message(name: bytes) -> None:
    path = os.fsdecode(name)
    assert path_of(msgspec.json.decode(msgspec.json.encode(uri_of(path)))) == path


@given(names)
def test_any_name_is_shown_as_one_line_of_unicode(name: bytes) -> None:
    label = label_of(uri_of(os.fsdecode(name)))
    label.encode()
    assert len(label.splitlines()) <= 1
    assert not [char for char in label if ord(char) < 32 or 0x7F <= ord(char) < 0xA0]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("clips/a b.mp4", "clips/a b.mp4"),
        ("grüße 日本.mp4", "grüße 日本.mp4"),
        (os.fsdecode(b"caf\xe9.mp4"), r"caf\xe9.mp4"),
        ("two\nlines.mp4", r"two\nlines.mp4"),
        ("file:a.mp4", "file:a.mp4"),
        ("14:30.mp4", "14:30.mp4"),
    ],
)
def test_a_path_is_shown_as_it_is_where_that_can_be_shown(path: str, label: str) -> None:
    assert label_of(uri_of(path)) == label


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("rtsp://me:secret@host:554/a", "rtsp://***@host:554/a"),
        ("rtsp://me:se@cret@host/a", "rtsp://***@host/a"),
        ("https://host/a.mp4?token=secret&x=secret", "https://host/a.mp4?token=***&x=***"),
        ("https://host/a.mp4?v2", "https://host/a.mp4?v2"),
    ],
)
def test_no_secret_of_an_address_is_shown(address: str, label: str) -> None:
    assert label_of(address) == label
