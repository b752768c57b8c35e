"""asyncio_echo_server.py PORT: echoes on both families until it is ended."""

import asyncio
import sys


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    # None: every address of both families.
    server = await asyncio.start_server(echo, None, int(sys.argv[1]), backlog=512)
    await server.serve_forever()


asyncio.run(main())
