"""The other side of `cargo xtask test interop`: PyJWT and cryptography, from PyPI.

In: a JSON document on standard input. Out: one on standard output.
`make`: {"keys": {algorithm: PEM or secret}, "fernet": key} -> tokens, one an algorithm, and a sealed secret.
`check`: {"rows": [{"algorithm", "key", "token"}], "fernet": key, "sealed": [...]} -> what each says, null when it does not hold.
"""

import json
import sys

import jwt
from cryptography.fernet import Fernet, InvalidToken

CLAIMS = {"iss": "https://id.example.com", "sub": "ann", "exp": 4102444800, "text": "caf\u00e9 \u2603"}


def make(order):
    tokens = {name: jwt.encode(CLAIMS, key, algorithm=name) for name, key in order["keys"].items()}
    sealed = Fernet(order["fernet"]).encrypt("caf\u00e9 \u2603".encode()).decode()
    return {"tokens": tokens, "sealed": sealed}


def claims(row):
    try:
        return jwt.decode(row["token"], row["key"], algorithms=[row["algorithm"]])["sub"]
    except jwt.PyJWTError:
        return None


def opened(key, token):
    try:
        return Fernet(key).decrypt(token.encode()).decode()
    except InvalidToken:
        return None


def check(order):
    return {
        "rows": [claims(row) for row in order["rows"]],
        "sealed": [opened(order["fernet"], token) for token in order["sealed"]],
    }


if __name__ == "__main__":
    json.dump({"make": make, "check": check}[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
