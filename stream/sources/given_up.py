"""A recording whose reading has killed its reader again and again."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from stream.messages import Begin, End, Frame, GivenUp, SourceSpec


class GivenUpSource:
    """Opens nothing: the stages behind finish what they have of it, and its End says why."""

    live = False

    def __init__(self, spec: SourceSpec, given_up: GivenUp) -> None:
        self._spec, self._given_up = spec, given_up

    def open(self) -> Begin | None:
        begin = self._given_up.begin
        return None if begin is None else structs.replace(begin, spec=self._spec)

    def read(self) -> Iterator[Frame]:
        yield from ()

    def state(self) -> bytes:
        return b""

    def end(self, problem: str = "") -> End:
        return End(self._spec.name, 0, problem=f"{self._spec.label}: {problem or self._given_up.problem}")

    def close(self) -> None:
        """Nothing is open."""
