"""langchain-mcp-adapters (see `clients.py` for what a driver is given and says)."""

import asyncio
import json
import sys

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient


def connection(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        return {"transport": "stdio", "command": command, "args": arguments, "env": given["env"]}
    return {"transport": "streamable_http" if given["transport"] == "http" else "sse", "url": given["url"]}


async def main(given):
    steps = []

    async def note(progress, total, message, context):
        steps.append(message)

    client = MultiServerMCPClient({"dynamo-mcp": connection(given)}, callbacks=Callbacks(on_progress=note))
    tools = {tool.name: tool for tool in await client.get_tools()}
    results = []
    for name, arguments in given["calls"]:
        call = {"type": "tool_call", "id": name, "name": name, "args": arguments}
        results.append((await tools[name].ainvoke(call)).artifact["structured_content"])
    print(json.dumps({"tools": [*tools], "results": results, "steps": len(steps), "version": None}))


asyncio.run(main(json.loads(sys.argv[1])))
