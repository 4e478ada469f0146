#!/usr/bin/env python3
"""Push an act as a partner would: signs and sends one call. Standard library only; a reference to port from.

    python3 scripts/push.py http://127.0.0.1:8000 /open/v1/records '{"record_id": "…", …}' \\
        --app demo-ev --key k1 --secret 0123456789abcdef0123456789abcdef

Prints the answer. Exit 0 when it was accepted or known, 1 when it was refused.
"""

import argparse
import hashlib
import hmac
import secrets
import sys
import time
import urllib.error
import urllib.request


def signature(secret, path, timestamp, nonce, body):
    """HMAC-SHA256 over method, path, timestamp, nonce and the body's SHA-256, each on a line; lower-case hex."""
    lines = ("POST", path, timestamp, nonce, hashlib.sha256(body).hexdigest())
    return hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def main():
    parser = argparse.ArgumentParser(description="Sign and send one partner call.")
    parser.add_argument("host")
    parser.add_argument("path")
    parser.add_argument("body", help="JSON text, or - for standard input")
    parser.add_argument("--app", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    given = parser.parse_args()
    body = sys.stdin.buffer.read() if given.body == "-" else given.body.encode()
    timestamp, nonce = str(int(time.time())), secrets.token_hex(12)
    headers = {
        "Content-Type": "application/json",
        "X-App-Id": given.app,
        "X-Key-Id": given.key,
        "X-Timestamp": timestamp,
        "X-Nonce": nonce,
        "X-Signature": signature(given.secret, given.path, timestamp, nonce, body),
    }
    request = urllib.request.Request(given.host.rstrip("/") + given.path, body, headers)  # noqa: S310 - the user's host
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            print(answer.read().decode())
    except urllib.error.HTTPError as refused:
        print(refused.read().decode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
