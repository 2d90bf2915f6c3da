"""The URL that `make run` prints, as printed, in the programs that people have.

Each does what the README shows: a deferred PUT, then its Location until the operation has
ended. None is told anything about the host, a proxy or a certificate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from .bodies import sample, sample_text
from .deployment import ROOT, Deployment
from .queues import Queue
from .resources import path_of

CLIENTS = ROOT / ".tools" / "clients" / "bin"
# Left out: the proxy settings of the machine, which have nothing to do with the URL.
ENVIRONMENT = {"PATH": f"{CLIENTS}{os.pathsep}{os.environ['PATH']}", "HOME": str(ROOT / ".local")}

CURL = """
location=$(curl -sS -o /dev/null -w '%header{location}' -X PUT "$1$2" \
    -H 'Content-Type: application/json' -H 'Prefer: respond-async' -d "$3")
until curl -sS --fail "$1$location" | grep succeeded; do sleep 0.1; done
"""

HTTPIE = """
location=$(http --headers PUT "$1$2" Prefer:respond-async <<<"$3" |
    tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
until http --ignore-stdin --check-status --body "$1$location" | grep succeeded; do sleep 0.1; done
"""

URLLIB = """
import sys, time, urllib.parse, urllib.request
url = sys.argv[1] + sys.argv[2]
fields = {"Content-Type": "application/json", "Prefer": "respond-async"}
put = urllib.request.Request(url, sys.argv[3].encode(), fields, method="PUT")
with urllib.request.urlopen(put) as answer:
    url = urllib.parse.urljoin(url, answer.headers["Location"])
while b"succeeded" not in (text := urllib.request.urlopen(url).read()):
    time.sleep(0.1)
print(text)
"""

# requests and httpx are the same to this.
LIBRARY = """
import json, sys, time, urllib.parse, {library}
url = sys.argv[1] + sys.argv[2]
body = json.loads(sys.argv[3])
answer = {library}.put(url, json=body, headers={{"Prefer": "respond-async"}})
url = urllib.parse.urljoin(url, answer.headers["Location"])
while "succeeded" not in (text := {library}.get(url).text):
    time.sleep(0.1)
print(text)
"""

FETCH = """
const [base, path, body] = process.argv.slice(-3);
const accepted = await fetch(`${base}${path}`, {
  method: "PUT",
  headers: { "Content-Type": "application/json", Prefer: "respond-async" },
  body,
});
const status = new URL(accepted.headers.get("location"), accepted.url);
let text = "";
while (!text.includes("succeeded")) text = await (await fetch(status)).text();
console.log(text);
"""

PYTHON = str(CLIENTS / "python")
COMMANDS = {
    "curl": ["bash", "-euc", CURL, "bash"],
    "HTTPie": ["bash", "-euc", HTTPIE, "bash"],
    "urllib": [PYTHON, "-c", URLLIB],
    "requests": [PYTHON, "-c", LIBRARY.format(library="requests")],
    "httpx": [PYTHON, "-c", LIBRARY.format(library="httpx")],
    "fetch of Node": ["node", "--input-type=module", "-e", FETCH],
}


@pytest.mark.parametrize("client", COMMANDS)
def test_from_202_to_succeeded(
    deployment: Deployment, queue: Queue, resource: str, client: str
) -> None:
    program = COMMANDS[client][0]
    if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
        pytest.skip(f"{program} is not installed")
    command = [*COMMANDS[client], deployment.environment["API_URL"]]
    command += [path_of(resource), sample_text()]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done
    assert '"status":"succeeded"' in done.stdout.replace(" ", ""), done
    assert json.loads(deployment.body_of(resource)) == json.loads(sample())


def test_the_url_is_plain(deployment: Deployment) -> None:
    """No name that must be looked up, no prefix that the API's own paths lack."""
    port = deployment.endpoint.rpartition(":")[2]
    assert deployment.environment["API_URL"] == f"http://127.0.0.1:{port}"
