"""Any video in, tracked human keypoints out: reads the command line, launches, leaves with the exit code."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.errors import EXIT_FAILED, PosestreamError
from configs.options import OPTIONS, TYPED, changes

if TYPE_CHECKING:
    from configs.schema import Settings
    from stream.messages import SourceSpec
    from stream.runtime.progress import Progress
    from stream.summary import Summary

EPILOG = """Exit codes: 0 done; 2 settings or usage; 3 no usable source; 4 done, but a source was damaged or unusable;
5 output; 6 model, engine or GPU; 7 a stage failed; 8 refused for security; 129, 130, 143 interrupted."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    from stream.standard_streams import make_unfailing

    make_unfailing()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    names = {"token_normalize_func": lambda name: name.replace("_", "-"), "help_option_names": ["-h", "--help"]}
    app.command(epilog=EPILOG, context_settings=names)(_command())
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        print(f"posestream: {error.format_message()}; --help lists the options", file=sys.stderr)
        sys.exit(2)


def _command() -> Any:
    """A function with the parameters that the table of options asks for, as typer reads them."""

    def command(**given: Any) -> int:
        """Turn any video into tracked human keypoints and an overlay."""
        return run(given)

    about = typer.Argument(metavar="[SOURCE]...", show_default=False, help="Sources, as with --source.")
    kinds: dict[str, Any] = {"more": Annotated[list[str] | None, about]}
    for option in OPTIONS:
        typed = typer.Option(
            *option.names.split(),
            rich_help_panel=option.panel,
            show_default=False,
            help=option.help,
            metavar=option.metavar,
        )
        kinds[option.parameter] = Annotated[option.type | None, typed]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in kinds.items()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = kinds
    return command


def run(given: dict[str, Any]) -> int:
    """Do what the options ask for; an error becomes lines on standard error.

    Args:
        given: parameter -> value; None: not given.

    Returns:
        The exit code.
    """
    if given["version"]:
        from importlib.metadata import version

        print(f"posestream {version('posestream')}")
        return 0
    try:
        return _run(given)
    except Exception as error:
        if given["debug"]:
            traceback.print_exc()
        return _say(error)


def _run(given: dict[str, Any]) -> int:
    from configs.load import load, resolve

    given["source"] = [*(given["source"] or []), *(given["more"] or [])] or None
    settings = resolve(load(given["config"], given["set"] or (), changes(given), TYPED))
    if settings.runtime.quiet:
        os.environ["POSESTREAM_QUIET"] = "1"  # for the stages' processes, which write of downloads themselves
    sources = _sources(settings)
    if given["realtime"] is False and any(spec.live for spec in sources):
        print("posestream: a camera cannot wait: frames that nobody has time for are dropped", file=sys.stderr)

    from stream.checks import check
    from stream.expected import Expected
    from stream.interrupts import Interrupts
    from stream.outputs import output_folders
    from stream.progress import ProgressLine

    if link := check(settings, sources):
        print(f"posestream: whoever has this address can watch: {link}", file=sys.stderr)
    interrupts = Interrupts()
    with interrupts, output_folders(sources, settings) as specs:
        if not settings.source.uris:
            from stream.demo import with_scene

            specs = [with_scene(specs[0])]
        with ProgressLine(settings.runtime.quiet, Expected(specs)) as line:
            summary, failure = _launch(settings, specs, interrupts.count, line.show)
        _tell(summary, settings.runtime.quiet, given["json"])
        if not settings.source.uris and summary.frames:
            from stream.demo import outcome

            lines = outcome(Path(specs[0].folder), summary.frames // 2)
            print(*([] if settings.runtime.quiet or given["json"] else [*lines, ""]), sep="\n", end="")
    if failure:
        raise failure
    return interrupts.exit_code() or summary.exit_code


def _launch(
    settings: Settings, specs: list[SourceSpec], stops: Callable[[], int], watch: Callable[[Progress], None]
) -> tuple[Summary, PosestreamError | None]:
    if settings.cluster.address is not None:
        from stream.cluster import launch_on_cluster

        return launch_on_cluster(settings, specs, stops, watch)
    from stream.launch import launch

    return launch(settings, specs, stops, watch)


def _sources(settings: Settings) -> list[SourceSpec]:
    from stream.messages import SourceSpec
    from stream.sources.find import find
    from stream.sources.folder import Wanted

    source = settings.source
    if not source.uris:
        return [SourceSpec("demo", "file", "")]
    wanted = Wanted(source.recursive, source.include, source.exclude)
    return find(source.uris, source.realtime, source.allow_pipe, wanted=wanted)


def _tell(summary: Summary, quiet: bool, as_json: bool) -> None:
    from stream.closing_words import problems, results

    for line in problems(summary):
        print(f"posestream: {line}", file=sys.stderr)
    if as_json:
        import msgspec

        print(msgspec.json.encode(summary).decode())
    elif not quiet:
        print(*results(summary), sep="\n")


def _say(error: Exception) -> int:
    """Put an error on standard error, a line for each thing wrong; the exit code."""
    if not isinstance(error, PosestreamError):
        print(f"posestream: internal error: {error!r}; --debug shows where", file=sys.stderr)
        return EXIT_FAILED
    for line in str(error).splitlines():
        print(f"posestream: {line}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
