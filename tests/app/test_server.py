"""The program's server: who may open the page, reach its kernel and read files, and what may be sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from serving import serving
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NO_KERNEL = "00000000-0000-0000-0000-000000000000"
IMAGE = "an image for a test.png"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The program without a model: `host`, `token`, the `cookie` of a page that was opened, and its `kernel`."""
    with serving(tmp_path_factory.mktemp("served")) as address:
        found = SimpleNamespace(host=urlsplit(address).netloc, token=urlsplit(address).query)
        status, headers, page = ask(found, f"/?{found.token}")
        assert status == 200
        found.cookie = "; ".join(value.split(";")[0] for value in headers.get_all("Set-Cookie"))
        found.kernel = re.search(r'"kernelId": "([^"]+)"', page)[1]
        yield found


def ask(served, path, method="GET", **headers):
    """The status, headers and text of an answer; nothing is followed."""
    connection = http.client.HTTPConnection(served.host, timeout=60)
    connection.request(method, path, headers={"Host": served.host} | headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, answer.headers, text


def channels(served, talk, cookie=None, **headers):
    """Connect to the kernel of the page and talk to it: what the coroutine `talk` returns."""
    known = {"Cookie": served.cookie if cookie is None else cookie, "Origin": f"http://{served.host}"}
    address = f"ws://{served.host}/api/kernels/{served.kernel}/channels?session_id={uuid.uuid4().hex}"
    request = HTTPRequest(address, headers=known | headers)

    async def connected():
        connection = await websocket_connect(request)
        try:
            return await asyncio.wait_for(talk(connection), 60)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:  # a browser of another test has a loop in this thread
        return pool.submit(lambda: asyncio.run(connected())).result()


def message(kind, **content):
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "session": "test",
        "username": "",
        "date": "",
        "version": "5.3",
    }
    whole = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    return json.dumps(whole | {"buffers": []})


async def targets(connection):
    """Ask which widgets the page has: an answer shows that what was sent before has been read."""
    await connection.write_message(message("comm_info_request"))
    while (answer := await connection.read_message()) is not None:
        if json.loads(answer)["msg_type"] == "comm_info_reply":
            return json.loads(answer)["content"]["comms"]
    raise AssertionError("the connection was closed")


@pytest.mark.fault("11a", "page, kernel or login are asked for without the token", "login page or status 403")
def test_the_page_is_for_this_machine_and_whoever_has_the_token(served):
    assert served.host.startswith("127.0.0.1:") and served.token.startswith("token=")
    for path in ("/", "/?token=0123", "/voila/render/app.ipynb"):
        status, headers, text = ask(served, path)
        assert status == 302 and "/login" in headers["Location"] and "rendered_cells" not in text
    assert ask(served, f"/api/kernels/{served.kernel}/channels")[0] == 403
    assert ask(served, f"/api/kernels/{served.kernel}")[0] == 403
    # What Voilà adds to tell a kernel that was started ahead its page's address asks for no token.
    assert "/login" in ask(served, f"/voila/query/{NO_KERNEL}")[1]["Location"]
    with pytest.raises(HTTPClientError, match="403"):
        channels(served, targets, cookie="")


@pytest.mark.fault("11n", "the page tries to load from or send to another host", "its policy allows this machine alone")
def test_the_page_may_contact_no_other_host_and_tells_nobody_its_address(served):
    headers = ask(served, f"/?{served.token}")[1]
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["form-action"] == policy["base-uri"] == "'self'"
    assert policy["object-src"] == "'none'" and "http" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"  # its address has the token
    assert "object-src" in ask(served, "/login")[1]["Content-Security-Policy"]


@pytest.mark.fault("11b", "a page of another origin connects to the kernel", "status 403")
@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9", "null"])
def test_a_page_of_another_origin_does_not_reach_the_kernel(served, origin):
    with pytest.raises(HTTPClientError, match="403"):
        channels(served, targets, Origin=origin)
    assert channels(served, targets)


@pytest.mark.fault(
    "11d", "a host name of elsewhere leads to the program (DNS rebinding)", "status 403, even with token"
)
def test_only_names_of_this_machine_are_answered(served):
    port = served.host.split(":")[1]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "10.0.0.1"):
        assert ask(served, f"/?{served.token}", Host=host)[0] == 403, host
        with pytest.raises(HTTPClientError, match="403"):
            channels(served, targets, Host=host, Origin=f"http://{host}")
    assert ask(served, "/", Host=f"localhost:{port}", Cookie=served.cookie)[0] in (200, 302)


@pytest.mark.fault("11c", "files, notebooks, images or a new kernel are asked for by address", "nothing is given")
def test_no_file_is_given_and_no_kernel_started(served):
    image = NOTEBOOKS / IMAGE
    image.write_bytes(b"a slice of a patient")
    try:
        for path in ("/api/contents", "/files/app.ipynb", "/app.ipynb", "/%2e%2e/README.md", f"/{IMAGE}"):
            for start in ("", "/voila/files"):
                status, _, text = ask(served, (start + path).replace(" ", "%20"), Cookie=served.cookie)
                assert status in (302, 403, 404) and "slice" not in text and "import" not in text, path
    finally:
        image.unlink()
    assert ask(served, "/api/kernels", "POST", Cookie=served.cookie)[0] in (403, 404, 405)


@pytest.mark.fault("11h", "the page's connection is used to run code", "only widgets' messages reach the kernel")
def test_the_kernel_runs_nothing_that_is_sent(served, tmp_path):
    async def talk(connection):
        code = f"open({str(tmp_path / 'run')!r}, 'w').close()"
        await connection.write_message(message("execute_request", code=code, silent=True))
        return await targets(connection)

    assert channels(served, talk)
    assert not (tmp_path / "run").exists()


@pytest.mark.fault("11i", "32 MB are sent over the page's connection", "it is closed; the program goes on")
def test_what_is_sent_is_bounded_before_it_is_read(served):
    async def talk(connection):
        with contextlib.suppress(WebSocketClosedError):  # it may be closed before all is sent
            await connection.write_message(bytes(32 * 2**20), binary=True)
        while await connection.read_message() is not None:
            pass
        return "closed"

    assert channels(served, talk) == "closed"
    assert channels(served, targets)


@pytest.mark.fault("11j", "the connection sends what is no message", "the program goes on")
def test_nonsense_over_the_connection_is_survived(served):
    async def talk(connection):
        for nonsense in ("", "[]", "{", '{"channel": "shell"}', "[" * 100_000, bytes(9)):
            await connection.write_message(nonsense, binary=isinstance(nonsense, bytes))
        await asyncio.sleep(0.2)

    channels(served, talk)
    assert channels(served, targets)
