"""Serve `notebooks/app.ipynb` with Voilà, on the loopback address and to whoever has the token.

Voilà's defaults open the page to every user of the machine, load style sheets from another host, and start
whatever kernel is registered. Here the page needs a token, as in Jupyter, the browser may contact no other
host, and the kernel is this interpreter. The first page's kernel starts with the server, so that the page
waits for little; those of other pages start with them. TensorFlow loads once a page is shown. The kernel of
a page that was closed ends within a minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import webbrowser
from pathlib import Path

import traitlets
import zmq
from jupyter_client.kernelspec import KernelSpecManager
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler

from brainlib.errors import UsageError

_NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "app.ipynb"
#: What the page may load: itself, and what it makes. Widgets are modules made from text (blob).
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'self'; object-src 'none'"
)


class OwnKernel(KernelSpecManager):
    """Offers this interpreter's kernel only: another one of its name may belong to another environment."""

    kernel_dirs = traitlets.List([])

    def get_kernel_spec(self, kernel_name):
        """Return its specification, by which a kernel that is ended prints no traceback, even while it starts."""
        spec = super().get_kernel_spec(kernel_name)
        spec.interrupt_mode, spec.argv = "message", [*spec.argv, "--log-level=CRITICAL"]
        return spec


class Server(Voila):
    """Voilà that prints the address of the page, with its token."""

    opens = traitlets.Bool(True, help="Whether a browser is opened.")

    def init_settings(self):
        """Start one kernel ahead; more would take memory for pages that nobody may open."""
        settings = super().init_settings()
        self.kernel_manager.kernel_pools_config = {"default": {"pool_size": 0}}
        return settings

    def init_handlers(self):
        """Leave out what tells a kernel the request of its page: it tells the token, and asks for none."""
        return [each for each in super().init_handlers() if RequestInfoSocketHandler not in each]

    def stop(self):
        """Wait until the kernel that is started ahead is known, since only then can it be ended."""
        if starting := [task for pool in self.kernel_manager._pools.values() for task in pool]:
            self.ioloop.run_sync(lambda: asyncio.wait(starting))
        super().stop()

    def launch_browser(self):
        """Print the address and open it; Voilà's own method leaves out the token."""
        advice = "Open this address in a browser on this machine; Ctrl-C ends the program."
        print(f"{self.display_url}\n{advice}", file=sys.stderr, flush=True)
        if self.opens:
            # Through a file that only this user can read: every user sees the arguments of a browser.
            page = Path(self.connection_dir) / "open.html"
            page.write_text(f'<meta http-equiv="refresh" content="0; url={self.display_url}">', "utf-8")
            page.chmod(0o600)
            threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()


def serve(out: Path, data: str = "", *, port: int = 8866, browser: bool = True) -> None:
    """Serve the program until Ctrl-C, at the given port or the next that is free.

    `out` is the folder of the reports, whose store has the models, and `data` that of the data sets, or "".
    `UsageError` if the notebook is not beside the package, or no port is free.
    """
    if not _NOTEBOOK.is_file():
        raise UsageError(
            f"{_NOTEBOOK.name}: expected beside the package, found none; run from a checkout of the project"
        )
    # The kernel inherits them: Voilà hands no parameters to a notebook.
    os.environ["BRAINLIB_OUT"] = str(out)
    if data:
        os.environ["BRAINLIB_DATA"] = data
    server = Server(
        config_file_paths=[],  # one in the current folder could open the page to everybody
        notebook_path=str(_NOTEBOOK),
        ip="127.0.0.1",
        port=port,
        opens=browser,
        auto_token=True,
        log_level=logging.WARNING,
        tornado_settings={
            "headers": {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"},
            "allow_remote_access": False,  # nor a page whose host name was made to lead here
        },
    )
    server.config.VoilaConfiguration.file_allowlist = []  # images beside the notebook, to anybody without the token
    server.config.VoilaConfiguration.kernel_spec_manager_class = OwnKernel
    server.config.VoilaConfiguration.preheat_kernel = True
    # Other users of the machine can reach the kernel's ports; older versions have no choice.
    server.config.KernelManager.transport_encryption = "auto" if zmq.has("curve") else "disabled"
    # A kernel to which no page is connected ends, unless it is at work, as when it trains a model.
    server.config.MappingKernelManager.cull_idle_timeout = 40
    server.config.MappingKernelManager.cull_interval = 10
    server.config.KernelManager.shutdown_wait_time = 1.0  # seconds
    ended = signal.getsignal(signal.SIGTERM)
    server.initialize([])
    signal.signal(signal.SIGTERM, ended)  # Voilà's own would hide that the program was ended
    try:
        server.start()
    except (SystemExit, OverflowError):
        raise UsageError(f"--port {port}: expected a free port there or near it, found none; name another") from None
