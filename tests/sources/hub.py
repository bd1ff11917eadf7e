"""A small Hub on this machine: the addresses that `datasets` asks for, answered from a folder's files."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from typing import Any
from urllib.parse import urlsplit

COMMIT = "c0ffee" * 6 + "beef"


@contextmanager
def hub(dataset: str, files: dict[str, bytes]) -> Iterator[str]:
    """The address of a Hub that has one dataset, at one commit."""
    api, resolve = f"/api/datasets/{dataset}", f"/datasets/{dataset}/resolve/{COMMIT}/"

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                about = {"id": dataset, "sha": COMMIT, "private": False, "downloads": 0, "likes": 0, "tags": []}
                self.answer(json.dumps({**about, "siblings": [{"rfilename": name} for name in files]}).encode())
            elif path == f"{api}/tree/{COMMIT}":
                listed = [{"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()} for name, data in files.items()]
                self.answer(json.dumps(listed).encode())
            elif path.startswith(resolve) and path.removeprefix(resolve) in files:
                self.file(files[path.removeprefix(resolve)])
            elif path.startswith(f"{api}/revision/"):
                self.missing("RevisionNotFound")
            else:
                self.missing("RepoNotFound" if path.startswith("/api/") and not path.startswith(f"{api}/") else "EntryNotFound")

        do_HEAD = do_GET  # noqa: N815 (the name is the server's)

        def file(self, data: bytes) -> None:
            marks = {"ETag": f'"{sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            wanted = self.headers.get("Range")
            if wanted is None:
                self.answer(data, **marks)
                return
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            part = data[first : last + 1]
            self.answer(part, 206, **marks, **{"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(data)}"})

        def missing(self, code: str) -> None:
            self.answer(b"{}", 404, **{"X-Error-Code": code})

        def answer(self, data: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *message: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
