"""The network of the nodes, all of it in namespaces of our own: a switch that every node's LAN card is on, and for each node's other card a
NAT look-alike that gives everybody the same address by DHCP, as VirtualBox does. Nothing of this machine's network is touched or reached."""

import json
import socket
import struct
import subprocess
import zlib

LAN = "192.168.56"
NAT_ADDRESS, NAT_GATEWAY = "10.0.2.15", "10.0.2.2"


def ip(*arguments):
    """The ip program, which must succeed."""
    subprocess.run(["ip", *arguments], check=True)


def switch():
    """The LAN: a bridge in the namespace we are in."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "lan", "type", "bridge")
    ip("addr", "add", f"{LAN}.1/24", "dev", "lan")
    ip("link", "set", "lan", "up")


def _mac(text):
    return "08:00:27:" + ":".join(f"{byte:02x}" for byte in struct.pack(">I", zlib.crc32(text.encode()))[1:])


def _short(name):
    """A node's part in the names of cards, which have at most 15 characters."""
    return f"{zlib.crc32(name.encode()):08x}"


def plug(name, lan_card, nat_card=None):
    """Cards in a namespace by the node's name: on the LAN, and behind a NAT of its own, where it has a second. Returns the NAT's namespace."""
    short = _short(name)
    nat = name + "-nat" if nat_card else None
    ip("netns", "add", name)
    if nat:
        ip("netns", "add", nat)
    for card, peer, where in ((lan_card, "l" + short, None), (nat_card, "gw", nat)):
        if not card:
            continue
        ip("link", "add", "w" + short, "type", "veth", "peer", "name", peer)
        ip("link", "set", "w" + short, "netns", name, "name", card, "address", _mac(f"{name} {card}"))
        if where:
            ip("link", "set", peer, "netns", where)
            for line in (["addr", "add", NAT_GATEWAY + "/24", "dev", peer], ["link", "set", peer, "up"], ["link", "set", "lo", "up"]):
                ip("-n", where, *line)
        else:
            ip("link", "set", peer, "master", "lan", "up")
    return nat


def still(name):
    """What the cards of a machine are that is off: without address, and down. The namespace would answer for it."""
    ip("-n", name, "address", "flush", "scope", "global")
    for card in json.loads(subprocess.run(["ip", "-j", "-n", name, "link"], check=True, capture_output=True, text=True).stdout):
        if card["ifname"] != "lo":
            ip("-n", name, "link", "set", card["ifname"], "down")


def unplug(name, nat):
    """Takes a node's cards away. The kernel tidies up behind a namespace when it has time; the next case's cards have the same names."""
    ip("link", "del", "l" + _short(name))
    for it in filter(None, (name, nat)):
        ip("netns", "del", it)


def _options(data):
    """The options of a DHCP message."""
    found, at = {}, 240
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def dhcp():
    """Answers on card `gw` for ever: everybody is 10.0.2.15 (RFC 2131, as little as systemd-networkd needs)."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"gw")
    server.bind(("", 67))
    own, yours = (socket.inet_aton(it) for it in (NAT_GATEWAY, NAT_ADDRESS))
    while True:
        asked = server.recv(4096)
        kind = _options(asked).get(53)
        if kind not in (b"\x01", b"\x03"):
            continue
        answer = bytearray(asked[:240])
        answer[0] = 2
        answer[16:24] = yours + own
        options = {53: b"\x02" if kind == b"\x01" else b"\x05", 54: own, 51: struct.pack(">I", 86400), 1: bytes([255, 255, 255, 0]), 3: own}
        answer += b"".join(bytes([code, len(text)]) + text for code, text in options.items()) + b"\xff"
        server.sendto(bytes(answer), ("255.255.255.255", 68))
