"""The part of the Hugging Face Hub's HTTP interface that files are fetched and sent with."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants


def commit_of(files: dict[str, bytes]) -> str:
    """The name of the state of a repository."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """Repositories in memory.

    Attributes:
        repositories: by name the files, by path.
        asked: every request, as method and path.
        private: by name whether a repository was made so.
        token: what a request must bring to write.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.private: dict[str, bool] = {}
        self.token = "hf_right"
        self.large: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def fetched(self) -> set[str]:
        """The files that were asked for, as repository and path."""
        paths = {urlsplit(line.split()[1]).path for line in self.asked if line[:4] != "POST"}
        return {p.replace("/resolve/main/", "/")[1:] for p in paths if "/resolve/" in p}


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As HF_ENDPOINT does before the library is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@contextmanager
def hub_at(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """A Hub to which huggingface_hub goes in place of the real one, logged in."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
    point_at(monkeypatch, hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    # Its own protocol for large files is compiled; the one before it is plain HTTP.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        path = unquote(urlsplit(self.path).path).lstrip("/")
        repository, _, rest = path.partition("/resolve/")
        files = self.server.repositories.get(repository)
        if files is None:
            self._answer(404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return
        content = files.get(rest.partition("/")[2])
        if content is None:
            self._answer(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
            return
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._answer(200, content, ETag=etag, X_Repo_Commit=commit_of(files))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.large[hashlib.sha256(content).hexdigest()] = content
        self._answer(200)

    def do_POST(self) -> None:
        self.server.asked.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._json({"error": "Invalid credentials"}, 401)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = bool(
                asked.get("private") or asked.get("visibility") == "private"
            )
            self._json({"url": f"{self.server.url}/{name}"})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._json({"files": modes})
        elif path.endswith("/info/lfs/objects/batch"):
            upload = {"upload": {"href": f"{self.server.url}/large"}}
            objects = [{**o, "actions": upload} for o in json.loads(body)["objects"]]
            self._json({"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            self._commit(path.removeprefix("/api/models/").partition("/commit/")[0], body)
        else:
            self._json({"error": f"no such address: {path}"}, 404)

    def _commit(self, repository: str, body: bytes) -> None:
        files = self.server.repositories[repository]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        commit = commit_of(files)
        url = f"{self.server.url}/{repository}/commit/{commit}"
        self._json({"commitUrl": url, "commitOid": commit, "success": True})
