"""--web as a user meets it: the address that is printed opens the page, and nothing else does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from web_made import free_port, get

from stream.demo import make_scene

ROOT = Path(__file__).parents[2]


def test_whoever_has_the_printed_address_can_watch(tmp_path: Path) -> None:
    make_scene(tmp_path / "scene.mp4", people=2, seconds=2.0)
    port = free_port()
    command = [sys.executable, ROOT / "run_pipeline.py", "scene.mp4", "-o", "run", "--no-save", "--realtime"]
    environment = {name: value for name, value in os.environ.items() if name != "POSESTREAM_WEB_TOKEN"}
    run = subprocess.Popen(
        [*command, "--web", f"0.0.0.0:{port}"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert run.stderr is not None
    link = run.stderr.readline()
    found = re.fullmatch(
        rf"posestream: whoever has this address can watch: http://\S+:{port}/\?token=(\S{{32,}})\n", link
    )
    assert found, link
    seen: list[Any] = []
    refused = set[int]()
    while run.poll() is None:
        with suppress(OSError, IndexError):  # not open yet, or over
            refused.add(get(port, "/api/sources")[0])
            status, _, body = get(port, "/api/sources", Authorization=f"Bearer {found[1]}")
            assert status == 200
            seen += json.loads(body)["sources"]
    said = run.communicate()[1]
    assert run.returncode == 0, said
    assert refused == {401}
    assert any(source["people"] == 2 for source in seen)
    assert max(source["of"]["frames"] for source in seen) > 0
    assert "the run can be seen at http://" in said
    assert found[1] not in said
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"run.json", "keypoints.jsonl"} <= {path.name for path in written}
    assert not [path for path in written if found[1] in path.read_text()], "the token is the user's alone"
