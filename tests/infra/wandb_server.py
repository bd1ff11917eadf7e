"""A W&B server with just enough of its interface that runs and artifacts can be sent to it; it keeps what it was asked."""

import contextlib
import gzip
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class WandbServer:
    """`asked` holds (operation, variables) in order."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def variables(self, operation: str) -> list[dict[str, Any]]:
        return [variables.get("input") or variables for asked, variables in self.asked if asked == operation]

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        found = re.search(r"(?:query|mutation)\s*(\w+)", query)
        operation = found[1] if found else ""
        self.asked.append((operation, variables))
        given = variables.get("input") or variables
        match operation:
            case "UpsertBucket":
                project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "me"}}
                run = {"id": "r", "name": variables["name"], "displayName": variables["displayName"], "config": "{}", "project": project}
                return {"upsertBucket": {"bucket": run, "inserted": True}}
            case "Viewer":
                return {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
            case "ArtifactType":
                return {"project": None}
            case "CreateArtifact":
                sequence = {"id": "s", "latestArtifact": None}
                return {"createArtifact": {"artifact": {"id": given["digest"], "state": "PENDING", "artifactSequence": sequence}}}
            case "CreateArtifactManifest":
                return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": self._upload("manifest")}}}
            case "CreateArtifactFiles":
                nodes = [{"node": self._upload(file["name"]) | {"artifact": {"id": file["artifactID"]}}} for file in given["artifactFiles"]]
                return {"createArtifactFiles": {"files": {"edges": nodes}}}
            case "UseArtifact":
                return {"useArtifact": {"artifact": {"id": given["artifactID"]}}}
            case "CommitArtifact":
                return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": given["artifactID"]}}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in variables["files"]]
                return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return {}

    def _upload(self, name: str) -> dict[str, Any]:
        return {"id": "f", "name": name, "displayName": name, "uploadUrl": f"{self.url}/upload", "uploadHeaders": [], "storagePath": "x"}


@contextlib.contextmanager
def wandb_server() -> Iterator[WandbServer]:
    server = WandbServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            self._reply({})

        def do_PUT(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            asked = json.loads(body) if self.path == "/graphql" else None
            self._reply({"data": server.answer(asked["query"], asked.get("variables") or {})} if asked else {})

        def _reply(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
