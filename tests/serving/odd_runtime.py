"""A runtime on a real socket that speaks OpenAI's protocol from a list of answers, with one fault.

    python odd_runtime.py FAULT PORT

It knows the answers of :mod:`serving.talkers`; a token is a word with the space before it.
"""

import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = "guide"
SHAPED = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}


class OddRuntime(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fault = ""
    answers: dict[str, str] = {}

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/openai/v1/models":
            name = "another" if self.fault == "models" else NAME
            self._say(200, {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": ""}]})
        elif self.path == "/v2":
            self._say(200, {"name": "odd", "version": "1"})
        else:
            self._say(404 if self.fault == "never ready" else 200, {})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self.fault == "500":
            return self._say(500, "Internal Server Error", "text/plain")
        try:
            body = json.loads(raw)
        except ValueError:
            return self._refuse(200 if self.fault == "malformed request" else 400)
        if body["model"] != NAME and self.fault != "unknown model":
            return self._refuse(404)
        if body.get("max_tokens", 1) < 0:
            return self._refuse(500 if self.fault == "negative limit" else 400)
        if self.path.endswith("/chat/completions"):
            return self._chat(body)
        if self.fault == "completion":
            return self._refuse(404)
        return self._whole("text_completion", {"text": "on"}, "length", 1, 1)

    def _chat(self, body: dict[str, Any]) -> None:
        if self.fault == "dies" and body.get("max_tokens", 0) > 1:
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(7)
        read = body["messages"]
        if self.fault == "system message":
            read = [one for one in read if one["role"] != "system"]
        prompt = sum(len(one["content"].split()) for one in read)
        tokens = re.findall(r"\s*\S+", self.answers[body["messages"][-1]["content"]])
        limit = body.get("max_tokens", 1000)
        reason = "stop" if len(tokens) < limit and self.fault != "end" else "length"
        if self.fault != "token limit":
            tokens = tokens[:limit]
        text = "".join(tokens)
        for stop in body.get("stop") or []:
            if stop in text and self.fault != "stop":
                text, reason = text[: text.index(stop)], "stop"
        if self.fault == "empty":
            text = ""
        if body.get("stream"):
            return self._stream(text, reason, len(tokens))
        counted = 0 if self.fault == "usage" else len(tokens)
        return self._whole(
            "chat.completion", {"message": {"role": "assistant", "content": text}}, reason, prompt, counted
        )

    def _whole(self, kind: str, said: dict[str, Any], reason: str, prompt: int, tokens: int) -> None:
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}
        choice = {"index": 0, "finish_reason": reason, "logprobs": None, **said}
        self._say(200, {"id": "1", "object": kind, "created": 1, "model": NAME, "choices": [choice], "usage": usage})

    def _stream(self, text: str, reason: str, tokens: int) -> None:
        pieces = re.findall(r"\s*\S+", text)
        if self.fault == "streaming loses text":
            pieces = pieces[:-1]
        events: list[Any] = [({"content": piece}, None) for piece in pieces]
        events.append(({}, None if self.fault == "streaming has no end" else reason))
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": NAME}
        choices = [{"index": 0, "delta": delta, "finish_reason": end} for delta, end in events]
        said = [json.dumps({**head, "choices": [choice]}) for choice in choices]
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1 + tokens}
        said.append(json.dumps({**head, "choices": [], "usage": usage}))
        if self.fault != "streaming without [DONE]":
            said.append("[DONE]")
        self._say(200, "".join(f"data: {one}\n\n" for one in said), "text/event-stream")

    def _refuse(self, status: int) -> None:
        self._say(status, {"error": "no" if self.fault == "plain errors" else SHAPED})

    def _say(self, status: int, content: Any, kind: str = "application/json") -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    OddRuntime.fault, OddRuntime.answers = sys.argv[1], {"Hello": "Hi", **json.loads(sys.argv[3])}
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), OddRuntime).serve_forever()
