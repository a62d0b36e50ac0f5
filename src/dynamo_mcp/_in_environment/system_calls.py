"""How is the kernel asked? Two functions of the C library for what Python has no name for, with its errors raised."""

from __future__ import annotations

import ctypes
import functools
import os

_SYSTEM_CALL_ARGUMENTS = 6
"""How many arguments a Linux system call can have (syscall(2))."""

_PROCESS_CONTROL_ARGUMENTS = 4
"""How many arguments `prctl` has after the option; some options want the unused ones to be 0 (prctl(2))."""


@functools.cache
def library() -> ctypes.CDLL:
    """Return the C library that this process has loaded already."""
    loaded = ctypes.CDLL(None, use_errno=True)
    # Each argument is as wide as a register: what ctypes passes for a plain int leaves the upper half undefined.
    loaded.syscall.argtypes = [ctypes.c_long] + [ctypes.c_ulong] * _SYSTEM_CALL_ARGUMENTS
    loaded.syscall.restype = ctypes.c_long
    loaded.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * _PROCESS_CONTROL_ARGUMENTS
    loaded.prctl.restype = ctypes.c_int
    return loaded


def system_call(number: int, *arguments: int) -> int:
    """Make a system call by its number (syscall(2)).

    Args:
        number: Its number on this machine.
        arguments: At most six numbers; a pointer is the address of what the caller keeps alive.

    Returns:
        What the kernel returns, never negative.

    Raises:
        OSError: The kernel refused.
    """
    return _checked(library().syscall(number, *_padded(arguments, _SYSTEM_CALL_ARGUMENTS)))


def process_control(option: int, *arguments: int) -> int:
    """Ask the kernel to treat this thread, and what it starts, differently (prctl(2)).

    Args:
        option: A `PR_` number of linux/prctl.h.
        arguments: At most four numbers; a pointer is the address of what the caller keeps alive.

    Returns:
        What the kernel returns, never negative.

    Raises:
        OSError: The kernel refused.
    """
    return _checked(library().prctl(option, *_padded(arguments, _PROCESS_CONTROL_ARGUMENTS)))


def set_capabilities(header: bytes, data: bytes) -> None:
    """Set this thread's capabilities (capset(2)).

    Raises:
        OSError: The kernel refused.
    """
    _checked(library().capset(header, data))


def _padded(arguments: tuple[int, ...], length: int) -> tuple[int, ...]:
    return arguments + (0,) * (length - len(arguments))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
