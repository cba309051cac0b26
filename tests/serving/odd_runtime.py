"""A runtime on a real socket that speaks OpenAI's protocol from a list of answers, with one fault.

    python odd_runtime.py FAULT PORT

It knows the answers of :mod:`serving.talkers`; a token is a word with the space before it.
"""

import json
import os
import re
import sys
from typing import Any

from harness.loopback import LoopbackServer, Reply, Request

NAME = "guide"
SHAPED = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}


class OddRuntime(LoopbackServer):
    def __init__(self, fault: str, port: int, answers: dict[str, str]) -> None:
        super().__init__(port=port)
        self.fault, self.answers = fault, answers

    def answer(self, request: Request) -> Reply:
        if request.method == "POST":
            return self._infer(request)
        if request.path == "/openai/v1/models":
            name = "another" if self.fault == "models" else NAME
            return Reply(
                200, {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": ""}]}
            )
        if request.path == "/v2":
            return Reply(200, {"name": "odd", "version": "1"})
        return Reply(404 if self.fault == "never ready" else 200, {})

    def _infer(self, request: Request) -> Reply:
        if self.fault == "500":
            return Reply(500, "Internal Server Error", {"Content-Type": "text/plain"})
        try:
            body = json.loads(request.body)
        except ValueError:
            return self._refuse(200 if self.fault == "malformed request" else 400)
        if body["model"] != NAME and self.fault != "unknown model":
            return self._refuse(404)
        if body.get("max_tokens", 1) < 0:
            return self._refuse(500 if self.fault == "negative limit" else 400)
        if request.path.endswith("/chat/completions"):
            return self._chat(body)
        if self.fault == "completion":
            return self._refuse(404)
        return self._whole("text_completion", {"text": "on"}, "length", 1, 1)

    def _chat(self, body: dict[str, Any]) -> Reply:
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

    def _whole(self, kind: str, said: dict[str, Any], reason: str, prompt: int, tokens: int) -> Reply:
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}
        choice = {"index": 0, "finish_reason": reason, "logprobs": None, **said}
        return Reply(200, {"id": "1", "object": kind, "created": 1, "model": NAME, "choices": [choice], "usage": usage})

    def _stream(self, text: str, reason: str, tokens: int) -> Reply:
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
        return Reply(200, "".join(f"data: {one}\n\n" for one in said), {"Content-Type": "text/event-stream"})

    def _refuse(self, status: int) -> Reply:
        return Reply(status, {"error": "no" if self.fault == "plain errors" else SHAPED})


if __name__ == "__main__":
    OddRuntime(sys.argv[1], int(sys.argv[2]), {"Hello": "Hi", **json.loads(sys.argv[3])}).serve_forever()
