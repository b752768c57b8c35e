"""asyncio_echo_client.py HOST PORT COUNT BYTES: COUNT connections at once, each compared."""

import asyncio
import hashlib
import os
import sys

HOST, PORT, COUNT, BYTES = sys.argv[1], *map(int, sys.argv[2:])


async def one():
    reader, writer = await asyncio.open_connection(HOST, PORT)
    data = os.urandom(BYTES)
    writer.write(data)
    writer.write_eof()
    back = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


async def main():
    right = await asyncio.gather(*(one() for _ in range(COUNT)))
    print(f"{sum(right)} echoes are right")


asyncio.run(main())
