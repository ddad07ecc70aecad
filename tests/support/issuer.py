"""A real OpenID Connect issuer on this machine: Authlib's server, with keys that rotate while it runs.

It issues access tokens (RFC 9068) to clients by client credentials, and whatever else a test has it sign.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import httpx
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

SECRET = "what only the client knows"


def new_key(algorithm: str, key_id: str) -> Key:
    """A fresh private key for an algorithm."""
    if algorithm[:2] in ("RS", "PS"):
        made: Key = RSAKey.generate_key(2048, {"kid": key_id})
    elif algorithm[:2] == "ES":
        made = ECKey.generate_key(f"P-{algorithm[2:].replace('512', '521')}", {"kid": key_id})
    else:
        made = OKPKey.generate_key("Ed25519", {"kid": key_id})
    return made


@dataclass
class _Client(ClientMixin):
    name: str

    def get_client_id(self) -> str:
        return self.name

    def get_allowed_scope(self, scope: str) -> str:
        return scope or ""

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method, endpoint) == ("client_secret_basic", "token")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


@dataclass
class Issuer:
    """The running issuer. `published` is what its key set has; `signing` is the key that it signs with."""

    url: str
    audience: str = "https://tenure.example"
    algorithm: str = "ES256"
    extra: dict[str, Any] = field(default_factory=dict)
    published: list[Key] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: bool = False
    _rotations: int = 0

    def rotate(self) -> Key:
        """Sign with a new key from now on; the ones before stay published."""
        self._rotations += 1
        self.published.append(new_key(self.algorithm, f"key-{self._rotations}"))
        return self.published[-1]

    @property
    def signing(self) -> Key:
        return self.published[-1]

    def token(self, client: str = "agent-7", **form: str) -> str:
        """An access token, asked for over HTTP as a client does."""
        answer = httpx.post(
            f"{self.url}/token", data={"grant_type": "client_credentials", **form}, auth=(client, SECRET)
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a token that is fine. None takes one away."""
        now = int(time.time())
        fine = {"iss": self.url, "aud": self.audience, "sub": "agent-7", "exp": now + 600, "iat": now}
        return {name: value for name, value in {**fine, **changes}.items() if value is not None}

    def signed(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Any claims under any header, signed with the key in force."""
        fine = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.signing.kid}
        made = {name: value for name, value in {**fine, **(header or {})}.items() if value is not None}
        return jwt.encode(made, self.claims(**changes), self.signing, algorithms=[made["alg"]])


class _Generator(JWTBearerTokenGenerator):
    def __init__(self, issuer: Issuer) -> None:
        super().__init__(issuer.url, alg=issuer.algorithm)
        self._issuer = issuer

    def get_jwks(self) -> KeySet:
        return KeySet([self._issuer.signing])

    def get_audiences(self, *_of: Any) -> str:
        return self._issuer.audience

    def get_extra_claims(self, *_of: Any) -> dict[str, Any]:
        return self._issuer.extra


class _Server(AuthorizationServer):
    def __init__(self, issuer: Issuer) -> None:
        super().__init__()
        self.register_grant(ClientCredentialsGrant)
        self.register_token_generator("default", _Generator(issuer))

    def query_client(self, client_id: str) -> _Client:
        return _Client(client_id)

    def save_token(self, token: Any, request: Any) -> None:
        """Nothing is kept: tokens carry what they say."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(self, status: int, body: Any, _headers: Any) -> tuple[int, Any]:
        return status, body


@contextmanager
def issuer(**how: Any) -> Iterator[Issuer]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            if made.broken:
                self.reply(500, {})
            elif self.path == "/.well-known/openid-configuration":
                self.reply(200, {"issuer": made.url, "jwks_uri": f"{made.url}/jwks"})
            elif self.path == "/jwks":
                self.reply(200, {"keys": [key.as_dict(private=False) for key in made.published]})
            else:
                self.reply(404, {})

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = OAuth2Request("POST", f"http://localhost:{port}{self.path}", headers=dict(self.headers))
            asked.payload = BasicOAuth2Payload(dict(parse_qsl(form)))
            status, body = _Server(made).create_token_response(asked)
            self.reply(status, body)

        def reply(self, status: int, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    made = Issuer(f"http://localhost:{port}", **how)
    made.rotate()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
