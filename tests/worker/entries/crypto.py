"""A worker that encrypts and decrypts what it is told to, with the keys that it is told."""

import json
from base64 import b64decode, b64encode

from workers import WorkerEntrypoint

from openbolt.errors import OpenBoltError
from openbolt.http import Headers, Response
from openbolt_cloudflare.app import serve
from openbolt_cloudflare.crypto import WebCryptoCipher

WebCryptoCipher(["A" * 43])  # may be made before there is a request


async def handle(request):
    call = json.loads(await request.read(10_000_000))
    try:
        cipher = WebCryptoCipher(call["keys"])
        work = getattr(cipher, call["method"])
        made = await work(b64decode(call["data"]), context=b64decode(call["context"]))
        answer = {"made": b64encode(made).decode()}
    except OpenBoltError as error:
        answer = {"error": type(error).__name__, "message": error.public_message}
    fields = Headers.of(content_type="application/json")
    return Response(200, fields, json.dumps(answer).encode())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await serve(handle, request, self.ctx)
