"""The program in a process of its own, as `brainlib app` starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the models of ``folder/reports`` for the length of a block, which receives the address with the token."""
    # Settings of Voilà in the folder that it is started in must not count: these would open it to everybody.
    (folder / "voila.json").write_text('{"Voila": {"ip": "0.0.0.0", "auto_token": false, "token": ""}}')
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_DATA_DIR": str(folder)}
    environment.pop("BRAINLIB_DATA", None)
    command = [sys.executable, "-P", "-m", "brainlib", "app", "--out", str(folder / "reports"), "--no-browser"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        lines = []
        try:
            for line in process.stderr:
                lines.append(line)
                if line.startswith("http"):
                    break
            else:
                raise AssertionError(f"the program did not start: {lines}")
            # Its log must not fill the pipe.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield line.strip()
        finally:
            process.terminate()  # SIGINT is ignored by what a script runs in the background
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
