"""pydantic-ai (see `clients.py` for what a driver is given and says)."""

import asyncio
import json
import sys

from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from pydantic_ai.mcp import MCPToolset


def target(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        return StdioTransport(command, arguments, env=given["env"])
    return (StreamableHttpTransport if given["transport"] == "http" else SSETransport)(given["url"])


def structured(result):
    """Return what a model reads: beside a link to a resource, the library leaves structured content out."""
    return {"text": result[0]} if isinstance(result, list) else result


async def main(given):
    steps = []

    async def note(progress, total, message):
        steps.append(message)

    toolset = MCPToolset(target(given), progress_handler=note)
    async with toolset:
        tools = [tool.name for tool in await toolset.list_tools()]
        results = [structured(await toolset.direct_call_tool(*call)) for call in given["calls"]]
    print(json.dumps({"tools": tools, "results": results, "steps": len(steps), "version": None}))


asyncio.run(main(json.loads(sys.argv[1])))
