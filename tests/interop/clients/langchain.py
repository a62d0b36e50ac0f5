"""langchain-mcp-adapters (see `clients.py` for what a driver is given and says).

Each call is of a session of its own, as is its default.
"""

import asyncio
import json
import sys

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient

_TRANSPORTS = {"http": "streamable_http", "sse": "sse", "ws": "websocket"}


def connection(given):
    if given["transport"] == "stdio":
        command, *arguments = given["command"]
        return {"transport": "stdio", "command": command, "args": arguments, "env": given["env"]}
    return {"transport": _TRANSPORTS[given["transport"]], "url": given["url"]}


async def main(given):
    steps = []

    async def note(progress, total, message, context):
        steps.append(message)

    callbacks = Callbacks(on_progress=note)
    client = MultiServerMCPClient({"dynamo-mcp": connection(given)}, callbacks=callbacks)
    results = []
    tools = {tool.name: tool for tool in await client.get_tools()}
    for name, arguments in given["calls"]:
        call = {"type": "tool_call", "id": name, "name": name, "args": arguments}
        results.append((await tools[name].ainvoke(call)).artifact["structured_content"])
    print(json.dumps({"tools": [*tools], "results": results, "steps": len(steps), "version": None}))


asyncio.run(main(json.loads(sys.argv[1])))
