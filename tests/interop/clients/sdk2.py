"""The Python SDK 2.x (see `clients.py` for what a driver is given and says)."""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client


def target(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        return StdioServerParameters(command=command, args=arguments, env=given["env"])
    return given["url"] if given["transport"] == "http" else sse_client(given["url"])


async def main(given):
    steps = []

    async def note(progress, total, message):
        steps.append(message)

    async with Client(target(given), mode=given["era"]) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        results = [await client.call_tool(*call, progress_callback=note) for call in given["calls"]]
        version = client.protocol_version
    said = {"tools": tools, "results": [result.structured_content for result in results]}
    print(json.dumps(said | {"steps": len(steps), "version": version}))


asyncio.run(main(json.loads(sys.argv[1])))
