#!/usr/bin/env python3
"""An RFB client without a screen (RFC 6143): asks for updates as fast as they come and prints how many there were a second.

vnc-client.py HOST PORT SECONDS [zrle|raw]: the server must ask for no password. Waits until the screen is 1024x768 and changing, then counts
for the time given. One line: updates a second, megabytes a second, and the part of the screen that an update had in the mean.
"""
import socket
import struct
import sys
import time

RAW, ZRLE, DESKTOP_SIZE = 0, 16, -223


class Client:
    def __init__(self, host, port, encoding):
        self.socket = socket.create_connection((host, port), 30)
        self.file = self.socket.makefile("rb", 1 << 20)
        self.received = 0
        self.read(12)
        self.socket.sendall(b"RFB 003.008\n")
        if 1 not in self.read(self.read(1)[0]):
            sys.exit("vnc-client: the server wants a password")
        self.socket.sendall(b"\x01")
        self.read(4)
        self.socket.sendall(b"\x01")
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.pixel_bytes = self.read(16)[0] // 8
        self.read(struct.unpack(">I", self.read(4))[0])
        self.socket.sendall(struct.pack(">BxH3i", 2, 3, encoding, RAW, DESKTOP_SIZE))

    def read(self, count):
        data = self.file.read(count)
        if len(data) < count:
            sys.exit("vnc-client: the server has gone")
        self.received += count
        return data

    def update(self):
        """Asks for an update and takes it. Returns its pixels."""
        self.socket.sendall(struct.pack(">BBHHHH", 3, 1, 0, 0, self.width, self.height))
        while (kind := self.read(1)[0]) != 0:
            if kind != 2:
                sys.exit(f"vnc-client: message {kind}")
        pixels = 0
        for _ in range(struct.unpack(">xH", self.read(3))[0]):
            _, _, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding == DESKTOP_SIZE:
                self.width, self.height = width, height
                continue
            pixels += width * height
            self.read(width * height * self.pixel_bytes if encoding == RAW else struct.unpack(">I", self.read(4))[0])
        return pixels


def main():
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    client = Client(host, port, RAW if sys.argv[4:] == ["raw"] else ZRLE)
    limit = time.monotonic() + 120
    warm = 0
    while warm < 40:
        warm = warm + 1 if client.update() > 0 and (client.width, client.height) == (1024, 768) else 0
        if time.monotonic() > limit:
            sys.exit("vnc-client: no scrolling screen of 1024x768 in 120 s")
    client.received = 0
    updates = pixels = 0
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        pixels += client.update()
        updates += 1
    print(f"{updates / elapsed:.1f} {client.received / elapsed / 1e6:.2f} {pixels / updates / (1024 * 768):.2f}")


main()
