"""Whether what a run is asked to give can be given: found out before a model is loaded."""

from __future__ import annotations

import importlib.util

from configs.errors import ConfigError
from configs.schema import Settings
from engines.ops.skeleton import Skeleton
from stream.export.formats import check_formats
from stream.job import is_recording
from stream.messages import SourceSpec
from stream.render import check_opencv


def check(settings: Settings, sources: list[SourceSpec]) -> str | None:
    """The page's address where only who has it can see the page; None: there is no page, or anybody here can.

    Raises:
        PosestreamError: something cannot be written, sent or shown.
    """
    check_opencv()
    if settings.cluster.address is not None:
        _check_cluster(settings.cluster.address, settings, sources)
    if settings.smooth.method == "offline" and any(spec.live for spec in sources):
        raise ConfigError("--smooth offline needs recordings; of a live source --smooth one-euro has the least lag")
    if settings.video.save:
        from stream.sinks.codecs import check_codec  # loads FFmpeg

        check_codec(settings.video)
    check_formats(settings.records.formats, Skeleton(settings.skeleton))
    if settings.publish.addresses:
        from stream.sinks.endpoint import check_publish

        check_publish(settings.publish)
    if settings.dump.file is not None:
        from stream.sinks.dump import check_dump

        check_dump(settings.dump, sources, settings.output.overwrite)
    if settings.window.show:
        from stream.sinks.window import check_window

        check_window()
    if settings.restream.address is not None:
        from stream.sinks.restream_target import check_restream

        check_restream(settings.restream, sources, settings.live)
    if settings.web.address is not None:
        from stream.web.address import check_web

        return check_web(settings.web)
    return None


def _check_cluster(address: str, settings: Settings, sources: list[SourceSpec]) -> None:
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--ray needs Ray, which is not installed: pip install 'posestream[ray]'")
    if "://" in address:
        raise ConfigError(f"--ray {address}: give auto or HOST:PORT, and run the command on a node of the cluster")
    if unfit := [spec.label or spec.name for spec in sources if not is_recording(spec)]:
        raise ConfigError(f"--ray works on recordings; {unfit[0]} is none")
    outlets = {
        "--dump": settings.dump.file,
        "--publish": settings.publish.addresses,
        "--web": settings.web.address,
        "--restream": settings.restream.address,
        "--show": settings.window.show,
    }
    if given := [name for name, value in outlets.items() if value]:
        raise ConfigError(f"--ray writes files; leave out {', '.join(given)}, which need a run on one machine")
