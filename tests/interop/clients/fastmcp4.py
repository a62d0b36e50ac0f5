"""fastmcp 4 (see `clients.py` for what a driver is given and says)."""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport


def target(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        return StdioTransport(command, arguments, env=given["env"])
    return (StreamableHttpTransport if given["transport"] == "http" else SSETransport)(given["url"])


async def main(given):
    steps = []

    async def note(progress, total, message):
        steps.append(message)

    async with Client(target(given), progress_handler=note) as client:
        tools = [tool.name for tool in await client.list_tools()]
        results = [await client.call_tool(*call) for call in given["calls"]]
    said = {"tools": tools, "results": [result.structured_content for result in results]}
    print(json.dumps(said | {"steps": len(steps), "version": None}))


asyncio.run(main(json.loads(sys.argv[1])))
