"""Opens pages in headless Chromium and fails on a console message, an error, or a request for anything but the page itself.

    python3 tests/report/browser.py PAGE.html [--out FOLDER]

With --out it leaves screenshots at 1280 and at 390 pixels' width and a PDF. Chromium is spoken to through its own pipe
(--remote-debugging-pipe); nothing but Python's standard library and Chromium is needed. Exit code 77 where there is no Chromium.
"""

import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

WIDTHS = {1280: 900, 390: 844}
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
]


def find():
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """A Chromium that is told what to do by JSON, each message ending with a zero byte."""

    def __init__(self, binary, profile):
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()

        def ends():
            # It reads from 3 and writes to 4; both may be taken, so that they are moved aside first.
            read, write = os.dup(to_browser), os.dup(from_browser)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=ends, close_fds=False,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events = b"", 0, []

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.read_end, 1 << 20)
            if not piece:
                raise SystemExit("Chromium ended before its time")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait(self, method):
        while not any(event["method"] == method for event in self.events):
            message = self.receive()
            if "method" in message:
                self.events.append(message)


def problems(page, events):
    """What a page must not do."""
    found, address = [], page.as_uri()
    for event in events:
        about = event["params"]
        match event["method"]:
            case "Runtime.consoleAPICalled":
                found.append(f"console: {[argument.get('value') for argument in about['args']]}")
            case "Runtime.exceptionThrown":
                found.append(f"exception: {about['exceptionDetails']['text']}")
            case "Log.entryAdded":
                found.append(f"{about['entry']['source']}: {about['entry']['text']}")
            case "Network.requestWillBeSent" if about["request"]["url"] != address and not about["request"]["url"].startswith("data:"):
                found.append(f"request: {about['request']['url'][:200]}")
    return found


def check(browser, page, out):
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    call = lambda method, **parameters: browser.call(method, session, **parameters)
    browser.events.clear()
    for domain in ["Page", "Runtime", "Log", "Network"]:
        call(f"{domain}.enable")
    found = []
    for width, height in WIDTHS.items():
        call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        browser.events = [event for event in browser.events if event["method"] != "Page.loadEventFired"]
        if call("Page.navigate", url=page.as_uri()).get("errorText"):
            found.append("the page does not open")
        browser.wait("Page.loadEventFired")
        wide = call("Runtime.evaluate", expression="document.documentElement.scrollWidth", returnByValue=True)["result"]["value"]
        if wide > width:
            found.append(f"at {width} pixels the page is {wide} wide: something does not scroll within its box")
        if out:
            shot = call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
            (out / f"{page.stem}-{width}.png").write_bytes(base64.b64decode(shot["data"]))
    call("Emulation.clearDeviceMetricsOverride")
    pdf = base64.b64decode(call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    if not pdf.startswith(b"%PDF"):
        found.append("the page does not print")
    if out:
        (out / f"{page.stem}.pdf").write_bytes(pdf)
    return found + problems(page, browser.events)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path, metavar="PAGE.html")
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    binary = find()
    if binary is None:
        print("skipped: no Chromium here (chromium, chromium-browser or google-chrome on the PATH)")
        return 77
    missing = [str(page) for page in arguments.pages if not page.is_file()]
    if missing:
        print(f"{', '.join(missing)}: is no file: name pages that `nodal report` wrote", file=sys.stderr)
        return 1
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(binary, profile)
        try:
            for page in arguments.pages:
                found = check(browser, page.resolve(), arguments.out)
                failed |= bool(found)
                print("\n".join(f"{page}: {problem}" for problem in found) or f"{page}: no message, no request")
            browser.call("Browser.close")
            browser.process.wait(timeout=30)
        finally:
            browser.process.kill()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
