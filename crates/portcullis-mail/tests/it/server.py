"""A mail server for tests: takes its settings as JSON, prints its port, then each message it took, one JSON a line."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

settings = json.loads(sys.argv[1])
answers = list(settings.get("answers", []))


class Handler:
    async def handle_DATA(self, server, session, envelope):
        answer = answers.pop(0) if answers else "250 taken"
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("ascii"),
            "tls": session.ssl is not None or settings["security"] == "tls",
            "login": session.auth_data,
            "answer": answer,
        }), flush=True)
        return answer


def authenticate(server, session, envelope, mechanism, data):
    name, word = data.login.decode(), data.password.decode()
    good = (name, word) == ("portcullis", settings.get("password"))
    return AuthResult(success=good, handled=good, auth_data=name)


async def main():
    security = settings["security"]
    context = None
    if security != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"], settings["key"])

    def protocol():
        wants_login = settings.get("password") is not None
        return SMTP(
            Handler(),
            hostname="mx.example.org",
            require_starttls=security == "starttls",
            tls_context=context if security == "starttls" else None,
            auth_required=wants_login,
            auth_require_tls=security == "starttls",
            authenticator=authenticate if wants_login else None,
        )

    loop = asyncio.get_running_loop()
    implicit = context if security == "tls" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
