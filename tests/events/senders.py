"""Google's certificates address with a key of the tests, a recording engine, and requests to a running entry point."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.loopback import LoopbackServer, Reply, Request

from components.drift.event import signed
from pipelines.backends.remote import RemoteRun, keyed_run
from pipelines.events.meaning import Models

AUDIENCE = "https://events.example.org"
SENDER = "pubsub@my-project.iam.gserviceaccount.com"
MODELS = Models(
    sources={
        "demand": "gs://data/bikes/*.csv",
        "churn": "gs://data/churn",
        "chat": "talks.jsonl",
        "one": "gs://data/one.parquet",
    },
    registered={"base-encoder": "churn"},
    own=("gs://data/runs",),
)


@dataclass
class Engine:
    """Keeps the runs by their ids, as engines do; told to, it fails."""

    runs: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    calls: int = 0
    failure: Exception | None = None

    def submit(self, model: str, key: str, trigger: str, data: str | None) -> RemoteRun:
        self.calls += 1
        if self.failure:
            raise self.failure
        run = keyed_run(model, key)
        new = run not in self.runs
        time.sleep(0.01)  # an engine's answer takes its time, and looking and making are two requests
        self.runs[run] = (model, key, trigger)
        return RemoteRun(run, run, model, "pending", "", new=new)


class Google(LoopbackServer):
    """The address of the public keys, and tokens that fit them."""

    prefix = "/certs"

    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(65537, 2048)
        self.status = 200
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.document = {"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]}

    def answer(self, request: Request) -> Reply:
        return Reply(self.status, self.document)

    def token(self, key: Any = None, algorithm: str = "RS256", kid: str = "k1", **changed: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": SENDER,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        }
        return jwt.encode(claims | changed, self.key if key is None else key, algorithm, {"kid": kid})


@dataclass
class Point:
    """A running entry point."""

    url: str
    engine: Engine
    log: list[dict[str, Any]]
    google: Google

    def post(self, kind: str, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.post(f"{self.url}/events/{kind}", body, headers=headers or {}, timeout=20)

    def pubsub(self, uri: str = "bikes/2026.csv", generation: str = "7", token: str | None = None) -> requests.Response:
        attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": "data", "objectId": uri}
        body = {"message": {"attributes": attributes | {"objectGeneration": generation}, "messageId": "1"}}
        bearer = self.google.token() if token is None else token
        return self.post("pubsub", json.dumps(body).encode(), {"Authorization": f"Bearer {bearer}"})


Start = Callable[[Engine], Point]

DRIFT = json.dumps({"kind": "drift", "model": "demand", "window": "2026-W07", "version": "3"}).encode()


def signature(secret: str, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()


def drift(point: Point, body: bytes = DRIFT, secret: str = "drift secret", ago: int = 0) -> requests.Response:
    return point.post("drift", body, signed(secret.encode(), body, int(time.time()) - ago))
