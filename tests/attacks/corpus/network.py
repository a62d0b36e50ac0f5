"""Whom could a template talk to?"""

from __future__ import annotations

from attacks.attack import Attack
from attacks.scene import LISTENED_SECONDS

ATTACKS = (
    Attack(
        "connects",
        "connect to a service of this machine by TCP",
        "exfiltration, and metadata services of clouds",
        lambda scene: "port" in scene.reached,
        hook="import socket; socket.create_connection(('127.0.0.1', <<port>>), timeout=5)",
    ),
    Attack(
        "listens",
        "open a port that others can reach",
        "landlock(7), `BIND_TCP`",
        lambda scene: scene.heard == b"hello",
        hook=f"""
import socket
listener = socket.create_server(('127.0.0.1', <<free>>))
listener.settimeout({LISTENED_SECONDS})
listener.accept()[0].sendall(b'hello')
""",
    ),
    Attack(
        "sends-datagrams",
        "send a datagram by UDP, as a query of DNS does",
        "landlock(7): UDP is not restricted",
        lambda scene: "datagrams" in scene.reached,
        hook="""
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'secret', ('127.0.0.1', <<datagrams>>))
""",
    ),
    Attack(
        "opens-a-socket-file",
        "connect to a socket file, such as docker.sock or the ssh agent",
        "landlock(7): socket files are not restricted",
        lambda scene: "path" in scene.reached,
        hook="import socket; socket.socket(socket.AF_UNIX).connect('<<socket>>')",
    ),
    Attack(
        "opens-an-abstract-socket",
        "connect to an abstract socket",
        "CVE-2024-27297, CVE-2025-46416 (Nix): descriptors passed on",
        lambda scene: "abstract" in scene.reached,
        hook="import socket; socket.socket(socket.AF_UNIX).connect('\\0<<abstract>>')",
    ),
    Attack(
        "asks-the-kernel-for-routes",
        "make a netlink socket",
        "CVE-2023-32233 and others: holes behind netlink",
        lambda scene: "made a socket" in scene.loot,
        hook="""
import socket
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
keep('made a ' + 'socket')
""",
    ),
    Attack(
        "talks-to-the-host",
        "make a vsock socket, to the host of a virtual machine",
        "vsock(7): of no network namespace",
        lambda scene: "made a socket" in scene.loot,
        hook="""
import socket
socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
keep('made a ' + 'socket')
""",
    ),
)
