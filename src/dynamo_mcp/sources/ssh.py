"""How does ssh reach a host, and may it?

Over ssh, the operator's own keys and known hosts are what makes it work: ssh finds the user's home in the password
database, whatever HOME says, so it gets none. A host that is not known yet is refused rather than trusted. The user's
ssh configuration is read (it may say which key is for which host, and which machine a name means), but may not forward
anything, run a local command, or leave a connection behind.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from urllib.parse import urlsplit

from dynamo_mcp import process
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.hosts import check_written, checked

_COMMAND = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oClearAllForwardings=yes -oForwardAgent=no -oForwardX11=no "
    "-oPermitLocalCommand=no -oControlMaster=no -oControlPath=none "
    "-oConnectTimeout=20 -oServerAliveInterval=10 -oServerAliveCountMax=3"
)
_PORT = 22


async def command(address: str, settings: Settings, env: Mapping[str, str]) -> str:
    """Return the command that git runs for ssh, which reaches what was checked.

    Args:
        address: `ssh://git@host/…` or `git@host:…`, which `parse` has taken.
        settings: Who speaks, and the hosts that an operator allows.
        env: The environment that ssh will have.

    Raises:
        InvalidLocation: The host is none of the public internet, and neither allowed nor named by a person.
        FetchFailed: It can't be found, or ssh is not there.
    """
    if settings.person:
        return _COMMAND
    wanted = await _configured(address, settings, env)
    host, port = wanted["hostname"], int(wanted["port"])
    if wanted.keys() & {"proxyjump", "proxycommand"}:  # which looks the name up
        await check_written(host, port, settings)
        return _COMMAND
    addresses = await checked(host, port, settings)
    # The host's key is looked up by the name that it would have been without the pin (ssh_config(5), HostKeyAlias).
    alias = wanted.get("hostkeyalias", host if port == _PORT else f"[{host}]:{port}")
    return shlex.join([*_COMMAND.split(), f"-oHostName={addresses[0]}", f"-oHostKeyAlias={alias}"])


async def _configured(address: str, settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """Ask ssh what the operator's configuration makes of a host."""
    executable = shutil.which("ssh", path=settings.search_path)
    if executable is None:
        raise FetchFailed("ssh is not installed", hint="install ssh, or give the repository's https address")
    host, port = _host_and_port(address)
    ask = [executable, *_COMMAND.split()[1:], "-G", *(["-p", port] if port else []), f"git@{host}"]
    done = await process.run(ask, env=env, seconds=settings.fetch_seconds)
    lines = (line.partition(" ") for line in done.stdout.decode("utf-8", "replace").splitlines())
    wanted = {name: value for name, _, value in lines if value != "none"}
    if done.code or "hostname" not in wanted or not wanted.get("port", "").isdigit():
        raise FetchFailed(
            f"ssh does not say how it would reach `{host}`: {done.error}", hint="check your ssh configuration"
        )
    return wanted


def _host_and_port(address: str) -> tuple[str, str]:
    if address.startswith("ssh://"):
        parts = urlsplit(address)
        return parts.hostname or "", str(parts.port or "")
    found = re.match(r"git@(\[[^\]]*\]|[^:]*):", address)
    return found[1].strip("[]") if found else "", ""
