"""openai-agents (see `clients.py` for what a driver is given and says)."""

import asyncio
import json
import sys

from agents.mcp import MCPServerSse, MCPServerStdio, MCPServerStreamableHttp


def server(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        parameters = {"command": command, "args": arguments, "env": given["env"]}
        return MCPServerStdio(parameters, client_session_timeout_seconds=60)
    kind = MCPServerStreamableHttp if given["transport"] == "http" else MCPServerSse
    return kind({"url": given["url"]}, client_session_timeout_seconds=60)


async def main(given):
    async with server(given) as connected:
        tools = [tool.name for tool in await connected.list_tools()]
        results = [await connected.call_tool(*call) for call in given["calls"]]
    said = {"tools": tools, "results": [result.structured_content for result in results]}
    print(json.dumps(said | {"steps": None, "version": None}))


asyncio.run(main(json.loads(sys.argv[1])))
