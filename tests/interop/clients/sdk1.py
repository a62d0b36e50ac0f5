"""The Python SDK 1.x (see `clients.py` for what a driver is given and says)."""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


def connect(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        return stdio_client(StdioServerParameters(command=command, args=arguments, env=given["env"]))
    return (streamablehttp_client if given["transport"] == "http" else sse_client)(given["url"])


async def main(given):
    steps = []

    async def note(progress, total, message):
        steps.append(message)

    async with connect(given) as streams, ClientSession(*streams[:2]) as session:
        version = (await session.initialize()).protocolVersion
        tools = [tool.name for tool in (await session.list_tools()).tools]
        results = [await session.call_tool(*call, progress_callback=note) for call in given["calls"]]
    said = {"tools": tools, "results": [result.structuredContent for result in results]}
    print(json.dumps(said | {"steps": len(steps), "version": version}))


asyncio.run(main(json.loads(sys.argv[1])))
