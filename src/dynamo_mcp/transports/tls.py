"""With which certificate do we speak TLS? One from files, since a key on a command line would be everybody's."""

from __future__ import annotations

import ssl
from pathlib import Path

from dynamo_mcp.errors import Failed, UsageError


def context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return how TLS is spoken, 1.2 at least; None without a certificate.

    Args:
        certificate: A file of PEM: ours first, then those that lead to who vouches for it.
        key: A file of PEM; None if it is in the certificate's.

    Raises:
        UsageError: There is a key without a certificate.
        Failed: They can't be read, or do not belong together.
    """
    if certificate is None:
        if key is None:
            return None
        raise UsageError(f"`{key}` is the key of no certificate", hint="name that with `--tls-certificate`")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(certificate, key, password=lambda: b"")  # or OpenSSL would ask at the terminal
    except (OSError, ValueError) as error:  # of which an SSLError is one
        named = f"`{certificate}`" if key is None else f"`{certificate}` and `{key}`"
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise Failed(
            f"Can't speak TLS with {named}: {reason}",
            hint="name files of PEM that belong together, of which the key has no password",
        ) from error
    return made
