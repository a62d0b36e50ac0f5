"""langchain-mcp-adapters (see `clients.py` for what a driver is given and says).

All calls are of one session, as `docs/interop.md` advises.
"""

import asyncio
import json
import sys

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools

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
    async with client.session("dynamo-mcp") as session:
        loaded = await load_mcp_tools(session, callbacks=callbacks, server_name="dynamo-mcp")
        tools = {tool.name: tool for tool in loaded}
        for name, arguments in given["calls"]:
            call = {"type": "tool_call", "id": name, "name": name, "args": arguments}
            results.append((await tools[name].ainvoke(call)).artifact["structured_content"])
    print(json.dumps({"tools": [*tools], "results": results, "steps": len(steps), "version": None}))


asyncio.run(main(json.loads(sys.argv[1])))
