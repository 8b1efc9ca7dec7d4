"""A server on an event loop. Prints its port. /block blocks the loop until a line comes on standard
input, /slow waits for one without blocking it, all else is answered at once."""

import asyncio
import sys


async def serve(reader, writer):
    while request := await reader.readline():
        while (await reader.readline()).strip():
            pass
        path = request.split()[1]
        if path == b"/block":
            print("holds", flush=True)
            sys.stdin.readline()
        elif path == b"/slow":
            print("holds", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
