"""A socket that listens, with room for one connection and one more, and is never accepted from.
Prints its port."""

import socket
import sys

listener = socket.create_server(("127.0.0.1", 0), backlog=1)
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
