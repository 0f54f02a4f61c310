"""A page by Chromium through a proxy that wants a password. PROXY PASSWORD URL PINS

Speaks Chromium's own protocol (CDP) over pipes. Writes the page's text, or what went wrong. PINS are those of the
certificates that nobody has signed.
"""

import json
import os
import subprocess
import sys
import tempfile

proxy, password, url, pins = sys.argv[1:]
profile = tempfile.mkdtemp(dir=os.environ["HOME"])
there, commands = os.pipe()
answers, back = os.pipe()


def descriptors():
    # Where Chromium looks for them; both copies first, since either may be in the other's place.
    held = os.dup(there), os.dup(back)
    os.dup2(held[0], 3)
    os.dup2(held[1], 4)


browser = subprocess.Popen(
    [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        f"--proxy-server={proxy}",
        f"--ignore-certificate-errors-spki-list={pins}",
        "about:blank",
    ],
    preexec_fn=descriptors,
    close_fds=False,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
os.close(there)
os.close(back)
heard = os.fdopen(answers, "rb", buffering=0)
pending = b""
number = 0


def say(method, session=None, **parameters):
    global number
    number += 1
    message = {"id": number, "method": method, "params": parameters}
    if session:
        message["sessionId"] = session
    os.write(commands, json.dumps(message).encode() + b"\0")
    return number


def hear():
    global pending
    while b"\0" not in pending:
        piece = heard.read(65536)
        assert piece, f"the browser has ended: {browser.wait()}"
        pending += piece
    message, pending = pending.split(b"\0", 1)
    return json.loads(message)


def ask(method, session=None, **parameters):
    """The answer. What happens meanwhile is seen to."""
    asked = say(method, session, **parameters)
    while True:
        message = hear()
        if message.get("id") == asked:
            assert "error" not in message, message
            return message["result"]
        happened(message)


def happened(message):
    parameters, session = message.get("params", {}), message.get("sessionId")
    if message.get("method") == "Fetch.requestPaused":
        say("Fetch.continueRequest", session, requestId=parameters["requestId"])
    if message.get("method") == "Fetch.authRequired":
        assert parameters["authChallenge"]["source"] == "Proxy", parameters
        answer = {"response": "ProvideCredentials", "username": "browser", "password": password}
        say("Fetch.continueWithAuth", session, requestId=parameters["requestId"], authChallengeResponse=answer)


try:
    target = ask("Target.createTarget", url="about:blank")["targetId"]
    session = ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    ask("Page.enable", session)
    ask("Fetch.enable", session, handleAuthRequests=True)
    navigated = ask("Page.navigate", session, url=url)
    if "errorText" in navigated:
        print(navigated["errorText"])
    else:
        message = {}
        while message.get("method") != "Page.loadEventFired":
            message = hear()
            happened(message)
        text = ask("Runtime.evaluate", session, expression="document.body.innerText")
        print(text["result"]["value"])
finally:
    browser.kill()
    browser.wait()
