"""A real HTTP server that speaks enough of OpenAI's chat completions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Pairs = Sequence[Mapping[str, Any]]
Answer = Callable[[Pairs, int], "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back: a text by the model, or an error's status."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ChatEndpoint:
    """Bodies of the requests so far. `answer` is called with the pairs and the number of the request, from 1."""

    url: str
    answer: Answer
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    @property
    def pairs(self) -> list[list[str]]:
        """The subjects of each request."""
        return [[str(pair.get("rewrite", pair.get("item"))) for pair in pairs_of(body)] for body in self.bodies]


def verdicts(pairs: Pairs, relevant: Callable[[str], bool]) -> Reply:
    """A well-formed answer: all are usable, some relevant."""
    told = [
        {"id": pair["id"], "quality": "yes", "relevance": "yes" if relevant(str(pair.get("rewrite"))) else "no"}
        for pair in pairs
    ]
    return Reply(json.dumps({"answers": told}))


def pairs_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of a request."""
    pairs: list[dict[str, Any]] = json.loads(body["messages"][1]["content"])
    return pairs


@contextmanager
def chat_endpoint(answer: Answer) -> Iterator[ChatEndpoint]:
    """Runs the endpoint on a free port. Each request costs 100 prompt tokens and 10 others."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                endpoint.bodies.append(body)
                endpoint.keys.add(self.headers["Authorization"])
                number = len(endpoint.bodies)
            reply = endpoint.answer(pairs_of(body), number)
            message = {"role": "assistant", "content": reply.text}
            document: dict[str, Any] = {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            }
            data = json.dumps(document if reply.status == 200 else {"error": {"message": "refused"}}).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = ChatEndpoint(f"http://127.0.0.1:{server.server_address[1]}/v1", answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
