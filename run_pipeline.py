"""Any video in, tracked human keypoints out: parses arguments, loads settings, launches, gives the exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from configs.errors import EXIT_FAILED, ConfigError, PosestreamError

if TYPE_CHECKING:
    from types import FrameType

    from stream.launch import Summary

EPILOG = """Exit codes: 0 done; 2 settings or usage; 3 source unusable; 4 done, but a source was damaged;
5 output; 6 model, engine or GPU; 7 a stage failed; 8 refused for security; 130, 143 interrupted."""

LATER = {
    "target_fps": "--target-fps comes with live sources, not in this version; a file is read frame by frame",
    "realtime": "--realtime comes with live sources, not in this version; files lose no frame",
    "resume": "--resume comes in a later version; --start goes on from a time",
    "show": "--show comes with live sources, not in this version; look at overlay.mp4 in the output folder",
    "web": "--web comes with live sources, not in this version; look at overlay.mp4 in the output folder",
    "publish": "--publish comes with live sources, not in this version; read keypoints.jsonl in the output folder",
}
"""Options of the grammar that do nothing yet -> what is said of them."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _in(panel: str, *names: str, **about: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, show_default=False, **about)


@app.command(
    epilog=EPILOG,
    context_settings={
        "token_normalize_func": lambda name: name.replace("_", "-"),
        "help_option_names": ["-h", "--help"],
    },
)
def run(
    context: typer.Context,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", show_default=False, help="Sources, as with --source.")
    ] = None,
    source: Annotated[
        list[str] | None,
        _in("Source", "--source", "-s", help="File, folder or glob; repeatable. None: a demo that needs no network."),
    ] = None,
    start: Annotated[str | None, _in("Source", "--start", metavar="TIME", help="From: seconds or hh:mm:ss.")] = None,
    end: Annotated[str | None, _in("Source", "--end", metavar="TIME", help="Up to: seconds or hh:mm:ss.")] = None,
    target_fps: Annotated[float | None, _in("Source", "--target-fps", help="Rate of a live source; later.")] = None,
    realtime: Annotated[
        bool | None, _in("Source", "--realtime/--lossless", help="Drop late frames (later), or lose none.")
    ] = None,
    model: Annotated[
        Literal["auto", "lite", "r50", "r50-d2", "r101", "x101"] | None,
        _in("Model", "--model", help="lite is bundled, others are downloaded. Default: lite on a CPU, r50 on a GPU."),
    ] = None,
    weights: Annotated[
        str | None,
        _in("Model", "--weights", metavar="FILE", help=".safetensors or .pth, or a published name as coco_legacy."),
    ] = None,
    device: Annotated[
        str | None, _in("Model", "--device", metavar="<auto|cpu|cuda:N>", help="Default: auto. Several: cuda:0,cuda:1.")
    ] = None,
    backend: Annotated[
        Literal["auto", "eager", "openvino", "inductor", "tensorrt"] | None,
        _in("Model", "--backend", help="What runs the network. Default: the quickest, measured once."),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "fp16"] | None,
        _in("Model", "--precision", help="What a GPU computes in. Default: fp16."),
    ] = None,
    mode: Annotated[
        Literal["exact", "fast"] | None, _in("Model", "--mode", help="torchvision's results, or less work.")
    ] = None,
    imgsz: Annotated[
        int | None, _in("Model", "--imgsz", help="Short side of what the network sees. Default: lite 320, r50 800.")
    ] = None,
    proposals: Annotated[
        int | None,
        _in("Model", "--proposals", help="Places a frame to look into. Default: lite 100, r50 1000."),
    ] = None,
    verify_engine: Annotated[
        bool | None, _in("Model", "--verify-engine", help="Compare the backend with eager torch first, and say so.")
    ] = None,
    conf: Annotated[float | None, _in("Model", "--conf", help="Lowest score of a new person. Default: 0.6.")] = None,
    kpt_thr: Annotated[float | None, _in("Model", "--kpt-thr", help="Lowest confidence of a drawn keypoint.")] = None,
    max_people: Annotated[int | None, _in("Model", "--max-people", help="At most so many people a frame.")] = None,
    smooth: Annotated[
        Literal["ema", "one-euro", "none"] | None, _in("Model", "--smooth", help="Steadies keypoints. Default: ema.")
    ] = None,
    output: Annotated[
        Path | None, _in("Output", "--output", "-o", metavar="DIR", help="Default: runs/NAME, numbered if taken.")
    ] = None,
    overwrite: Annotated[bool, _in("Output", "--overwrite", help="Write into --output though it is there.")] = False,
    save: Annotated[bool | None, _in("Output", "--save/--no-save", help="Write the overlay video, or not.")] = None,
    resume: Annotated[bool, _in("Output", "--resume", help="Go on with an interrupted run; later.")] = False,
    show: Annotated[bool, _in("Live view", "--show", help="In a window; later.")] = False,
    web: Annotated[str | None, _in("Live view", "--web", metavar="HOST:PORT", help="In a browser; later.")] = None,
    publish: Annotated[
        str | None, _in("Live view", "--publish", metavar="ADDRESS", help="Keypoints over ZeroMQ; later.")
    ] = None,
    config: Annotated[str | None, _in("Run", "--config", metavar="FILE", help="YAML, or a preset's name.")] = None,
    assign: Annotated[
        list[str] | None, _in("Run", "--set", metavar="KEY=VALUE", help="Any setting, as track.lost_after_s=2.")
    ] = None,
    quiet: Annotated[bool, _in("Run", "--quiet", "-q", help="Say nothing but errors.")] = False,
    as_json: Annotated[bool, _in("Run", "--json", help="Print the summary as JSON.")] = False,
    debug: Annotated[bool, _in("Run", "--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, _in("Run", "--version", help="Print the version.")] = False,
) -> int:
    """Turn any video into tracked human keypoints and an overlay."""
    given = context.params
    if version:
        from importlib.metadata import version as version_of

        print(f"posestream {version_of('posestream')}")
        return 0
    try:
        return _run([*(source or []), *(more or [])], given)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _say(error)


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        print(f"posestream: {error.format_message()}; --help lists the options", file=sys.stderr)
        sys.exit(2)


def _run(sources: list[str], given: dict[str, Any]) -> int:
    from configs.load import load
    from stream.launch import launch
    from stream.outputs import with_folders
    from stream.progress import ProgressLine
    from stream.render import check_opencv
    from stream.sources.find import find

    for name, said in LATER.items():
        if given[name]:
            raise ConfigError(said)
    settings = load(given["config"], given["assign"] or (), _changes(given))
    check_opencv()
    if given["quiet"]:
        os.environ["POSESTREAM_QUIET"] = "1"  # for the stages' processes, which write of downloads themselves
    if sources:
        specs = with_folders(find(sources), given["output"], given["overwrite"])
    else:
        from stream.demo import demo_source

        specs = demo_source(given["output"], given["overwrite"])
    interrupts = _Interrupts()
    with interrupts, ProgressLine(given["quiet"]) as line:
        summary, failure = launch(settings, specs, interrupts.count, line.show)
    _tell(summary, given)
    if not sources and summary.frames and settings.video.save:
        _show_frame(specs[0].folder, summary.frames // 2, given)
    if failure:
        raise failure
    return interrupts.exit_code() or _worst(summary)


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    """Give the settings that the command line's own options change; None: not given."""
    from configs.schema import TrackSettings

    conf = given["conf"]
    return {
        "decode.start_s": _seconds("--start", given["start"]),
        "decode.end_s": _seconds("--end", given["end"]),
        "engine.model": given["model"],
        "engine.weights": given["weights"],
        "engine.device": given["device"],
        "engine.backend": given["backend"],
        "engine.precision": given["precision"],
        "engine.mode": given["mode"],
        "engine.imgsz": given["imgsz"],
        "engine.proposals": given["proposals"],
        "engine.verify": given["verify_engine"],
        "engine.people_max": given["max_people"],
        "track.score_high": conf,
        "track.score_low": None if conf is None else min(conf, TrackSettings().score_low),
        "smooth.method": given["smooth"],
        "render.kpt_thr": given["kpt_thr"],
        "video.save": given["save"],
    }


def _seconds(option: str, text: str | None) -> float | None:
    """Read 90, 1:30 or 0:01:30.5."""
    if text is None:
        return None
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or min(parts) < 0:
        raise ConfigError(f"{option} {text}: expected seconds or hh:mm:ss, as 90 or 0:01:30")
    return float(sum(part * 60**at for at, part in enumerate(reversed(parts))))


def _tell(summary: Summary, given: dict[str, Any]) -> None:
    for source in summary.sources:
        if source.problem:
            print(f"posestream: {source.problem}", file=sys.stderr)
        elif source.damaged:
            print(f"posestream: {source.uri}: {source.damaged} of its parts are damaged", file=sys.stderr)
        for note in source.notes:
            print(f"posestream: {note}", file=sys.stderr)
    if given["as_json"]:
        import msgspec

        print(msgspec.json.encode(summary).decode())
    elif not given["quiet"]:
        for source in summary.sources:
            if source.outputs:
                print(f"{source.source}: {source.frames} frames" + ("" if source.complete else ", not complete"))
                for name in source.outputs:
                    print(f"  {Path(source.folder) / name}")
        print(f"{summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.1f} fps")


def _show_frame(folder: str, number: int, given: dict[str, Any]) -> None:
    from stream.demo import save_picture

    path = save_picture(Path(folder) / "overlay.mp4", number)
    if not given["quiet"] and not given["as_json"]:
        print(f"one of its frames as a picture: {path}")


def _worst(summary: Summary) -> int:
    if any(source.unusable for source in summary.sources):
        return 3
    return 4 if any(source.problem or source.damaged for source in summary.sources) else 0


def _say(error: Exception) -> int:
    """Put an error on standard error, a line for each thing wrong, and give its exit code."""
    if not isinstance(error, PosestreamError):
        print(f"posestream: internal error: {error!r}; --debug shows where", file=sys.stderr)
        return EXIT_FAILED
    for line in str(error).splitlines():
        print(f"posestream: {line}", file=sys.stderr)
    return error.exit_code


class _Interrupts:
    """Counts Ctrl-C and SIGTERM while a run lasts."""

    def __init__(self) -> None:
        self._signals: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def count(self) -> int:
        """Give how often the user has asked to stop."""
        return len(self._signals)

    def exit_code(self) -> int:
        """Give 128 and the first signal's number; 0 if none came."""
        return 128 + self._signals[0] if self._signals else 0


if __name__ == "__main__":
    main()
