"""A headless Chromium and the few words of its DevTools protocol that the tests need.

It is spoken through a pair of pipes (--remote-debugging-pipe), so that no port is open and no package has to be installed.
Messages are JSON, each ended by a zero byte. What the page logs and asks the network for is kept.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

# Virtual key codes, which Chromium wants beside the names.
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
        "0": 48, "+": 187, "-": 189}


def find():
    """The browser's path, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


class Browser:
    """A browser with one page."""

    def __init__(self, path):
        self.profile = tempfile.mkdtemp(prefix="meshsniff-browser-")
        to_browser, self.to = os.pipe()
        self.answers, from_browser = os.pipe()

        def at_start():
            # The protocol's places: it reads 3 and writes 4. Both are moved out of the way first.
            reads, writes = os.dup2(to_browser, 60), os.dup2(from_browser, 61)
            os.dup2(reads, 3)
            os.dup2(writes, 4)
            os.closerange(5, 256)

        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
                 "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                 f"--user-data-dir={self.profile}"]
        if os.geteuid() == 0:
            # Its sandbox does not work for root.
            flags.append("--no-sandbox")
        self.process = subprocess.Popen(
            [path, *flags, "about:blank"], preexec_fn=at_start, close_fds=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.buffer = 0, b""
        self.session = None
        self.logged, self.requested, self.events = [], [], []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of a method; what happens meanwhile is kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def message(self, seconds=60):
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], seconds)[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.logged.append(json.dumps(params["exceptionDetails"])[:2000])
        elif method == "Runtime.consoleAPICalled":
            self.logged.append(json.dumps(params["args"])[:2000])
        elif method == "Log.entryAdded":
            self.logged.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.logged.append(f"dialog: {params['message']}")
        self.events.append(method)

    def open(self, url):
        """Loads a page, and waits until it is there."""
        # To another place of the same page would be no load.
        self.load("about:blank")
        self.load(url)
        self.settle()

    def load(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 60
        while "Page.loadEventFired" not in self.events:
            if time.monotonic() > end:
                raise TimeoutError(f"{url} does not load")
            self.note(self.message())

    def settle(self):
        """Waits until the page has drawn what it was told."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 120)))")

    def evaluate(self, script):
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:2000])
        return result["result"].get("value")

    def press(self, key, times=1):
        for _ in range(times):
            code = KEYS[key]
            extra = {"text": "\r"} if key == "Enter" else {}
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                          **(extra if kind == "keyDown" else {}))
        self.settle()

    def drag(self, *places):
        """Presses the mouse at the first place, moves over the others, and lets go at the last; a click if there is but one."""
        for kind, (x, y) in [("mouseMoved", places[0]), ("mousePressed", places[0]), *[("mouseMoved", place) for place in places[1:]], ("mouseReleased", places[-1])]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="none" if kind == "mouseMoved" and len(places) == 1 else "left",
                      buttons=0 if kind == "mouseReleased" else 1, clickCount=1)
        self.settle()

    def names(self, *roles):
        """What a screen reader is told of the elements with these roles: role and name."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        told = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored") and "role" in node]
        return [one for one in told if one[0] in roles]

    def size(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 500)
        self.settle()

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": name}])
        self.settle()

    def screenshot(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def pdf(self, path):
        data = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.to)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)
