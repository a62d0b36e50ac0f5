"""Why bubblewrap does not work is told by what is known, and the command fits the machine."""

from __future__ import annotations

import errno
import shlex
import subprocess
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.sandbox.causes import Cause, failing_bubblewrap, no_bubblewrap, refused_namespaces
from dynamo_mcp.sandbox.machine import Machine, this_machine
from dynamo_mcp.sandbox.remedies import as_root, installation
from dynamo_mcp.settings import Settings, load

BWRAP = Path("/usr/bin/bwrap")
PERSON = Machine(root=False, distributions=("debian",))
ROOT = Machine(root=True, distributions=("debian",))

NONE_LEFT = {"user.max_user_namespaces": 0}
ONLY_ROOT = {"kernel.unprivileged_userns_clone": 0}
APPARMOR = {"kernel.apparmor_restrict_unprivileged_userns": 1}


WRITE_PROFILE = (
    'echo "abi <abi/4.0>, profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }" > /etc/apparmor.d/bwrap '
    "&& apparmor_parser -r /etc/apparmor.d/bwrap"
)


def settings(path: Path | str) -> Settings:
    return load({"PATH": str(path)}, home=Path("/nowhere"))


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize(
    ("switches", "error", "why", "repair"),
    [
        (
            NONE_LEFT,
            errno.ENOSPC,
            "`user.max_user_namespaces` is 0, and no more user namespaces are allowed",
            "sysctl -w user.max_user_namespaces=15000",
        ),
        (
            {"user.max_user_namespaces": 50_000},
            errno.ENOSPC,
            "`user.max_user_namespaces` is 50000, and no more user namespaces are allowed",
            "sysctl -w user.max_user_namespaces=100000",
        ),
        ({}, errno.ENOSYS, "this kernel has no user namespaces", None),
        ({}, errno.EPERM, "the kernel refuses user namespaces: Operation not permitted", None),
    ],
    ids=["none-allowed", "used-up", "not-built", "refused"],
)
def test_what_refuses_namespaces_is_told_with_what_mends_it(
    switches: dict[str, int], error: int, why: str, repair: str | None, *, root: bool
) -> None:
    assert refused_namespaces(Machine(root, switches=switches), error, BWRAP) == Cause(why, repair)


@pytest.mark.parametrize(
    ("switches", "error", "cause"),
    [
        (
            ONLY_ROOT,
            errno.EPERM,
            Cause(
                "`kernel.unprivileged_userns_clone` is 0: only root may make user namespaces",
                "sysctl -w kernel.unprivileged_userns_clone=1",
            ),
        ),
        (
            APPARMOR,
            0,
            Cause(
                "`kernel.apparmor_restrict_unprivileged_userns` is 1: AppArmor needs a profile for bubblewrap",
                WRITE_PROFILE,
            ),
        ),
    ],
    ids=["debian", "apparmor"],
)
def test_what_is_only_forbidden_to_ordinary_users_is_never_told_to_root(
    switches: dict[str, int], error: int, cause: Cause
) -> None:
    assert refused_namespaces(msgspec.structs.replace(PERSON, switches=switches), error, BWRAP) == cause
    assert refused_namespaces(msgspec.structs.replace(ROOT, switches=switches), 0, BWRAP) is None


def test_a_switch_that_forbids_nothing_is_no_cause() -> None:
    free = {"user.max_user_namespaces": 1, "kernel.unprivileged_userns_clone": 1}
    free["kernel.apparmor_restrict_unprivileged_userns"] = 0
    assert refused_namespaces(msgspec.structs.replace(PERSON, switches=free), 0, BWRAP) is None


def test_a_container_s_filter_is_named_where_this_process_is_under_one() -> None:
    cause = refused_namespaces(msgspec.structs.replace(PERSON, filtered=True), errno.EPERM, BWRAP)
    assert cause == Cause("a seccomp filter, such as a container engine's, refuses user namespaces", None)


def test_bubblewrap_that_is_to_be_installed_gets_all_that_it_needs_with_one_command() -> None:
    blocked = refused_namespaces(msgspec.structs.replace(PERSON, switches=APPARMOR), 0)
    assert blocked is not None
    assert no_bubblewrap(PERSON, blocked) == Cause(
        f"bubblewrap is not installed, and {blocked.why}", f"apt-get install -y bubblewrap && {WRITE_PROFILE}"
    )
    assert no_bubblewrap(PERSON, None) == Cause("bubblewrap is not installed", "apt-get install -y bubblewrap")
    # Its package brings the profile, or somebody has written one.
    profiled = msgspec.structs.replace(PERSON, switches=APPARMOR, profiled=True)
    assert refused_namespaces(profiled, 0) is None


def test_bubblewrap_that_would_not_work_is_not_offered() -> None:
    told = no_bubblewrap(PERSON, Cause("the kernel refuses", None))
    assert told == Cause("bubblewrap is not installed, and would not work: the kernel refuses", None)


def test_where_nothing_is_known_bubblewrap_s_own_words_are_told() -> None:
    assert failing_bubblewrap("bwrap: odd", None) == Cause("bubblewrap is there but does not work: bwrap: odd", None)
    told = failing_bubblewrap("bwrap: odd", Cause("because", "mend"))
    assert told == Cause("bubblewrap is there but does not work: because", "mend")


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=debian\n", "apt-get install -y bubblewrap"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt-get install -y bubblewrap"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install -y bubblewrap"),
        ("ID=alpine\n", "apk add -U bubblewrap"),
        ("ID=arch\n", "pacman -S --noconfirm bubblewrap"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper --non-interactive install bubblewrap"),
        ("ID=nixos\n", None),
        ("", None),
    ],
)
def test_each_distribution_installs_by_its_own_command(tmp_path: Path, release: str, command: str | None) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text(release)
    lists = tmp_path / "var" / "lib" / "apt" / "lists"
    lists.mkdir(parents=True)
    (lists / "mirror_binary-amd64_Packages.lz4").touch()
    assert installation(this_machine(settings(tmp_path), tmp_path), "bubblewrap") == command


def test_a_machine_that_says_nothing_of_itself_is_still_one(tmp_path: Path) -> None:
    found = this_machine(settings(tmp_path), tmp_path)
    assert (found.switches, found.distributions, found.filtered, found.profiled) == ({}, (), False, False)
    cause = no_bubblewrap(found, None)
    assert cause == Cause("bubblewrap is not installed; install your system's package `bubblewrap`", None)


def test_switches_and_filters_are_read_where_the_kernel_tells_them(tmp_path: Path) -> None:
    for name, text in (
        ("proc/sys/user/max_user_namespaces", "7\n"),
        ("proc/sys/kernel/unprivileged_userns_clone", "0\n"),
        ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "odd"),
        ("proc/self/status", "Name:\tpython\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
        ("etc/apparmor.d/bwrap-userns-restrict", ""),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = this_machine(settings(tmp_path), tmp_path)
    assert found.switches == {"user.max_user_namespaces": 7, "kernel.unprivileged_userns_clone": 0}
    assert found.filtered
    assert found.profiled


@pytest.mark.parametrize("command", ["true", 'echo "a <b>" > /dev/null && true'])
def test_what_root_types_an_ordinary_user_types_behind_sudo_or_su(tmp_path: Path, command: str) -> None:
    assert as_root(ROOT, command) == command
    told = as_root(PERSON, command)
    assert told is not None
    assert shlex.split(told) == ["su", "-", "-c", command]
    # `sudo` that only runs what it is given, since a test can't be asked for a password.
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    told = as_root(msgspec.structs.replace(PERSON, sudo=True), command)
    assert told is not None
    assert told.startswith("sudo ")
    done = subprocess.run(["sh", "-c", told], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False, timeout=20)
    assert done.returncode == 0
    assert as_root(PERSON, None) is None
