"""keys and users, from a shell to a server that runs."""

from __future__ import annotations

import json
import os
import pty
import stat
import sys

import anyio
import httpx2
import pytest

from integration.places import SECONDS, Place

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"  # noqa: S105 - of the tests alone
REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}}


async def status(url: str, **given: object) -> int:
    async with httpx2.AsyncClient(timeout=SECONDS) as client:
        return (await client.get(f"{url}/nothing", **given)).status_code  # type: ignore[arg-type]


async def test_a_key_is_shown_once_let_in_and_refused_once_it_is_revoked(place: Place) -> None:
    said, shown = await place.run("keys", "add", "ci", "--scope", "templates:read", "--expires", "30")
    key = said.strip()
    assert key.startswith("dmcp_")
    assert key not in shown
    place.environment["DYNAMO_MCP_AUTH"] = "keys"
    bearer = {"authorization": f"Bearer {key}"}
    async with place.serving() as (url, _):
        assert await status(url) == 401
        assert await status(url, headers=bearer) == 404
        listed = json.loads((await place.run("keys", "list", "--json"))[0])["keys"]
        assert [(each["name"], each["scopes"], each["expired"]) for each in listed] == [
            ("ci", ["templates:read"], False)
        ]
        assert "ci: templates:read, made " in (await place.run("keys", "list"))[0]
        await place.run("keys", "revoke", "ci")
        assert await status(url, headers=bearer) == 401
    assert (await place.run("keys", "list"))[0] == "no keys\n"
    kept = b"".join(path.read_bytes() for path in place.home.rglob("*") if path.is_file())
    assert key.split("_", 2)[2].encode() not in kept


async def test_a_users_password_comes_from_a_file_or_from_standard_input_and_from_no_argument(place: Place) -> None:
    (place.root / "password").write_text(f"{PASSWORD}\nand more\n")
    await place.run("users", "add", "anna", "--scope", "admin", "--password-file", "password")
    command = [sys.executable, "-m", "dynamo_mcp", "users", "add", "bert", "--scope", "admin"]
    for arguments in ([], ["--password-file", "-"]):
        await place.run("users", "remove", "bert", code=0 if arguments else 3)
        with anyio.fail_after(SECONDS):
            given = PASSWORD.encode()
            await anyio.run_process([*command, *arguments], input=given, env=place.environment, cwd=place.root)
    assert "--password " not in (await place.run("users", "add", "--help"))[0]
    place.environment["DYNAMO_MCP_AUTH"] = "basic"
    async with place.serving() as (url, _):
        for name in ("anna", "bert"):
            assert await status(url, auth=(name, PASSWORD)) == 404
            assert await status(url, auth=(name, "wrong")) == 401
        await place.run("users", "remove", "bert")
        assert await status(url, auth=("bert", PASSWORD)) == 401
    for path in (place.home / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("second", "code"), [(PASSWORD, 0), ("another one entirely", 2)])
async def test_at_a_terminal_a_password_is_asked_for_twice_and_never_shown(
    second: str, code: int, place: Place
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dynamo_mcp", "users", "add", "anna", "--scope", "admin"]
    try:
        with anyio.fail_after(SECONDS):
            async with await anyio.open_process(
                command, stdin=theirs, stdout=theirs, stderr=theirs, env=place.environment, start_new_session=True
            ) as process:
                said = b""
                for wanted, given in ((b"a password: ", PASSWORD), (b"once more: ", second)):
                    while wanted not in said:
                        said += await anyio.to_thread.run_sync(os.read, ours, 1000)
                    os.write(ours, f"{given}\n".encode())
                assert await process.wait() == code
                said += await anyio.to_thread.run_sync(os.read, ours, 4000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert PASSWORD.encode() not in said
    assert (b"added anna" if code == 0 else b"The two passwords differ") in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("keys",), 2, "Missing command"),
        (("users",), 2, "Missing command"),
        (("keys", "add", "ci"), 2, "No scope was given"),
        (("keys", "add", "ci", "--scope", "Admin"), 2, "did you mean `admin`?"),
        (("keys", "add", "ci", "--scope", "templates:read,admin"), 2, "give `--scope` once for each"),
        (("keys", "add", "../../x", "--scope", "admin"), 2, "`../../x` can't be the name of a key"),
        (("keys", "add", "a" * 65, "--scope", "admin"), 2, "64 characters at most"),
        (("keys", "add", "ci", "--scope", "all"), 2, "There is no scope `all`"),
        (("keys", "add", "a b", "--scope", "admin"), 2, "can't be the name of a key"),
        (("keys", "add", "ci", "--scope", "admin", "--expires", "0"), 2, "can't be good for `0` days"),
        (("keys", "add", "ci", "--scope", "admin", "--expires", "nan"), 2, "can't be good for `nan` days"),
        (("keys", "revoke", "ci"), 3, "There is no key `ci`"),
        (("users", "remove", "anna"), 3, "There is no user `anna`"),
        (("users", "add", "anna", "--scope", "admin", "--password-file", "absent"), 1, "Can't read the password"),
        (("users", "add", "anna", "--scope", "admin"), 2, "No password was given"),
        (("users", "add", "anna", "--scope", "admin", "--password-file", "/dev/null"), 2, "No password was given"),
        (("serve", "--transport", "http", "--auth", "ldap"), 2, "There is no authentication `ldap`"),
        (("serve", "--transport", "http", "--host", "0.0.0.0"), 5, "`--auth`"),  # noqa: S104 - it is refused
        (("serve", "--transport", "http", "--host", "0.0.0.0", "--auth", "basic"), 5, "in clear"),  # noqa: S104 - likewise
        (("serve", "--transport", "http", "--auth", "oauth"), 2, "DYNAMO_MCP_OAUTH_ISSUER"),
        (("serve", "--auth", "keys"), 2, "`--auth` does nothing without HTTP"),
        (("serve", "--transport", "grpc", "--uds", "socket"), 2, "`--uds` does nothing without HTTP"),
        (("serve", "--transport", "http", "--grpc-port", "0"), 2, "`--grpc-port` does nothing without gRPC"),
        (("serve", "--transport", "http", "--uds", "socket", "--port", "0"), 2, "`--port` does nothing with `--uds`"),
        (("serve", "--transport", "http", "--allowed-origin", "app.example"), 2, "`app.example` is not an origin"),
        (("serve", "--transport", "http", "--allowed-origin", "https://a/"), 2, "`https://a/` is not an origin"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_what_can_not_be_meant_is_refused_with_what_can(
    arguments: tuple[str, ...], code: int, said: str, place: Place
) -> None:
    assert said in (await place.run(*arguments, code=code))[1]
    assert not list(place.home.glob("keys/*.json"))


async def test_who_has_a_name_is_said_before_a_password_is_asked_for_and_how_to_take_it_away(place: Place) -> None:
    (place.root / "password").write_text(f"{PASSWORD}\n")
    await place.run("users", "add", "anna", "--scope", "admin", "--password-file", "password")
    said = (await place.run("users", "add", "anna", "--scope", "admin", code=2))[1]
    assert "There is a user `anna` already" in said
    assert "`dynamo-mcp users remove anna`" in said
    await place.run("keys", "add", "ci", "--scope", "admin")
    said = (await place.run("keys", "add", "ci", "--scope", "admin", code=2))[1]
    assert "`dynamo-mcp keys revoke ci`" in said


async def test_what_json_prints_of_an_error_is_like_that_of_other_commands(place: Place) -> None:
    for arguments, kind, code in (
        (("keys", "add", "a b", "--scope", "admin"), "InvalidName", 2),
        (("keys", "add", "ci", "--expires", "x"), "UsageError", 2),
        (("users", "remove", "anna"), "NotFound", 3),
        (("keys",), "UsageError", 2),
    ):
        error = json.loads((await place.run(*arguments, "--json", code=code))[0])["error"]
        assert error["kind"] == kind
        assert error["message"]
        assert error["hint"]
