"""A real browser for tests: headless chromium, driven through its DevTools protocol."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ERRORS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
PATIENCE = 60


class Page:
    """A page that is open; what it complains about is in `errors`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.ids, self.errors = socket, count(1), list[str]()

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command; events on the way that tell of an error are kept."""
        number = next(self.ids)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self.socket.receive(timeout=PATIENCE)).data)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        about = message.get("params", {})
        level = about.get("entry", {}).get("level") or about.get("type")
        if message.get("method") in ERRORS and level in (None, "error"):
            self.errors.append(json.dumps(about)[:2000])

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        for _ in range(10 * PATIENCE):
            if await self.evaluate(script):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never true in the browser: {script}")

    async def screenshot(self, path: Path) -> None:
        """A PNG of what is visible."""
        path.write_bytes(base64.b64decode((await self.send("Page.captureScreenshot"))["data"]))


async def _visit(port: int, url: str, visitor: Any) -> tuple[Any, list[str]]:
    async with aiohttp.ClientSession() as session:
        async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
            target = (await answer.json())["webSocketDebuggerUrl"]
        async with session.ws_connect(target, max_msg_size=2**28) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.send(f"{domain}.enable")
            await page.send("Page.navigate", url=url)
            await page.until(f"location.href == {json.dumps(url)} && document.readyState == 'complete'")
            return await visitor(page), page.errors


def visit(path: Path, visitor: Any) -> tuple[Any, list[str]]:
    """What `visitor(page)` (a coroutine function) returns on a local file, and the errors that the page reported."""
    assert CHROMIUM is not None
    # Chromium's own processes may write into its profile for a moment after it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        command += ["--window-size=1400,1000", f"--user-data-dir={folder}", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                port = next(int(found[1]) for line in process.stderr if (found := re.search(r"ws://[^:]+:(\d+)", line)))
                return asyncio.run(_visit(port, path.resolve().as_uri(), visitor))
            finally:
                process.kill()
