"""With which certificate do we speak TLS? One from files, since a key on a command line would be everybody's."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from dynamo_mcp.disk import words
from dynamo_mcp.errors import Failed, UsageError

_HINT = "name files of PEM that belong together, of which the key has no password"


def context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return how TLS is spoken, 1.2 at least; None without a certificate.

    Args:
        certificate: A file of PEM: ours first, then those that lead to who vouches for it.
        key: A file of PEM; None if it is in the certificate's.

    Raises:
        UsageError: There is a key without a certificate.
        DynamoError: They can't be read, or do not belong together.
    """
    read = pair(certificate, key)
    if certificate is None or read is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    locked = False

    def password() -> bytes:  # or OpenSSL would ask at the terminal
        nonlocal locked
        locked = True
        return b""

    try:
        made.load_cert_chain(certificate, key, password=password)
    except (OSError, ValueError) as error:  # of which an SSLError is one
        named = f"`{certificate}`" if key is None else f"`{certificate}` and `{key}`"
        if b"BEGIN CERTIFICATE" not in read[0]:
            reason = f"there is no certificate in `{certificate}`"
        elif b"PRIVATE KEY" not in read[1]:
            reason = f"there is no key in `{key or certificate}`" + ("" if key else ", and `--tls-key` names no other")
        elif locked:
            reason = "the key has a password"
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            reason = "the key is that of another certificate"
        else:
            reason = getattr(error, "reason", None) or str(error)
        raise Failed(f"Can't speak TLS with {named}: {reason}", hint=_HINT) from error
    return made


def dated(certificate: Path, now: dt.datetime | None = None) -> str | None:
    """Say what clients will find wrong with the dates of a certificate that could be read; None if nothing.

    Args:
        certificate: A file of PEM, of which the first is ours.
        now: The time to compare with; None is the clock's.
    """
    from cryptography import x509  # noqa: PLC0415 - only who speaks TLS needs it

    try:
        ours = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    now = now or dt.datetime.now(dt.UTC)
    if now > ours.not_valid_after_utc:
        when = f"expired on {ours.not_valid_after_utc:%Y-%m-%d at %H:%M} UTC"
    elif now < ours.not_valid_before_utc:
        when = f"holds only from {ours.not_valid_before_utc:%Y-%m-%d at %H:%M} UTC on"
    else:
        return None
    return (
        f"the certificate in `{certificate}` {when}: clients will refuse it until you renew it, and restart the server"
    )


def pair(certificate: Path | None, key: Path | None) -> tuple[bytes, bytes] | None:
    """Return what the files of a certificate and its key hold; None without a certificate.

    Raises:
        UsageError: There is a key without a certificate.
        StorageFailed: They can't be read.
    """
    if certificate is None:
        if key is None:
            return None
        raise UsageError(f"`{key}` is the key of no certificate", hint="name that with `--tls-certificate`")
    with words("read the certificate", certificate, hint=_HINT):
        chain = certificate.read_bytes()
    if key is None:
        return chain, chain
    with words("read the certificate's key", key, hint=_HINT):
        return chain, key.read_bytes()
