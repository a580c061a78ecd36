"""The house stands as it is drawn: one arrow, one door a heavy library, nothing loaded before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["configs", "engines", "stream", "recipes", "run_pipeline"]
DOORS = {
    "zmq": {"stream/runtime/transport.py", "stream/sinks/broadcast.py", "stream/client.py", "stream/keys.py"},
    "av": {
        "stream/sources/camera.py",
        "stream/sources/connection.py",
        "stream/sources/container.py",
        "stream/sources/file.py",
        "stream/sources/images.py",
        "stream/sources/network.py",
        "stream/sources/openers.py",
        "stream/sources/pipe.py",
        "stream/sources/ranges.py",
        "stream/sources/picture.py",
        "stream/sources/source.py",
        "stream/sources/timestamps.py",
        "stream/sources/tone.py",
        "stream/sinks/restream_video.py",
        "stream/sinks/sound.py",
        "stream/sinks/codecs.py",
        "stream/sinks/encoder.py",
        "stream/sinks/join.py",
        "stream/sinks/live_overlay.py",
        "stream/sinks/overlay.py",
        "stream/demo.py",
    },
    "cv2": {"stream/draw.py", "stream/sinks/window_process.py"},
    "filterpy": {"stream/tracking/kalman.py"},
    "matplotlib": {"stream/demo.py", "engines/evaluation/plots.py"},
    "torch_tensorrt": {"engines/backends/tensorrt_engine.py"},
    "openvino": {"engines/backends/openvino_models.py"},
    "nncf": {"engines/quantize.py"},
    "PIL": {"engines/quantize.py", "engines/train/pictures.py"},
    "paho": {"stream/sinks/mqtt.py"},
    "starlette": {"stream/web/pages.py"},
    "uvicorn": {"stream/web/server.py"},
    "h11": {"stream/web/server.py"},
    "prometheus_client": {"stream/web/metrics.py"},
    "pyarrow": {"stream/export/parquet.py"},
    "c3d": {"stream/export/c3d_points.py"},
    "supervision": {"stream/export/to_supervision.py"},
    "pandas": set[str](),
    "torchvision": set[str](),
    "ray": {"stream/cluster.py"},
    "yaml": {"configs/load.py"},
    "typer": {"run_pipeline.py"},
    "rich": {"stream/progress.py"},
}
BODY_LINES_MAX = 40
ARGUMENTS_MAX = 6
MANY_ARGUMENTS = {"load"}  # the public door to the engine


def sources() -> list[Path]:
    return [ROOT / "run_pipeline.py", *(path for layer in LAYERS[:4] for path in sorted((ROOT / layer).rglob("*.py")))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} imports relatively"
            yield node.module or ""


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_file_imports_its_own_layer_and_lower_ones_only(path: Path) -> None:
    mine = LAYERS.index(path.relative_to(ROOT).parts[0].removesuffix(".py"))
    for module in imports(path):
        top = module.partition(".")[0]
        assert top not in LAYERS or LAYERS.index(top) <= mine, f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_heavy_library_is_imported_at_its_door_only(path: Path) -> None:
    for module in imports(path):
        top = module.partition(".")[0]
        assert name(path) in DOORS.get(top, {name(path)}), f"{name(path)} imports {module}"
        if top == "torch":
            lesson = name(path) == "recipes/tiny_keypoints.py"
            assert lesson or name(path).startswith("engines/"), f"{name(path)} imports torch"
            assert not name(path).startswith("engines/ops/"), f"{name(path)} imports torch"


def test_test_files_differ_in_name() -> None:
    """pytest imports them by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_package_s_init_holds_a_sentence_and_no_code(path: Path) -> None:
    if path.name == "__init__.py":
        body = ast.parse(path.read_text()).body
        assert len(body) == 1
        assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", sources(), ids=name)
def test_functions_and_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            lines = node.body[-1].end_lineno or 0
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert lines - first.lineno < BODY_LINES_MAX, f"{name(path)}: {node.name} is too long"
            given = [each.arg for each in (*node.args.args, *node.args.kwonlyargs) if each.arg not in ("self", "cls")]
            assert len(given) <= ARGUMENTS_MAX or node.name in MANY_ARGUMENTS, f"{name(path)}: {node.name}"


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("run_pipeline", ["torch", "numpy", "cv2", "av", "zmq", "yaml"]),
        ("stream.runtime.supervisor", ["torch", "cv2", "av", "filterpy", "scipy", "matplotlib"]),
        ("stream.runtime.worker", ["torch", "cv2", "av", "filterpy", "scipy", "matplotlib"]),
        ("stream.track", ["torch", "cv2", "av", "zmq"]),
        ("stream.sinks.web", ["torch", "av", "zmq"]),
        ("stream.web.address", ["cv2", "starlette", "uvicorn"]),
        ("engines.pose_engine", ["cv2", "av", "zmq", "filterpy"]),
    ],
)
def test_a_module_loads_only_what_it_needs(module: str, unwanted: list[str]) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({unwanted})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
