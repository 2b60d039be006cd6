"""A load balancer as small as can be: one address on the LAN, port 6443, each connection to the next control plane that accepts one."""

import itertools
import select
import socket
import threading


def _pump(one, other):
    """Carries bytes both ways until a side ends."""
    with one, other:
        ends = {one: other, other: one}
        while True:
            for ready in select.select(list(ends), [], [])[0]:
                try:
                    data = ready.recv(65536)
                    ends[ready].sendall(data)
                except OSError:
                    return
                if not data:
                    return


def _connect(client, backends, start):
    """Finds a control plane for a connection; without one it ends, as HAProxy ends it."""
    for step in range(len(backends)):
        try:
            server = socket.create_connection((backends[(start + step) % len(backends)], 6443), timeout=2)
        except OSError:
            continue
        server.settimeout(None)
        _pump(client, server)
        return
    client.close()


def serve(address, backends):
    """Serves for ever."""
    listener = socket.create_server((address, 6443), backlog=64)
    for number in itertools.count():
        client, _ = listener.accept()
        threading.Thread(target=_connect, args=(client, backends, number), daemon=True).start()
