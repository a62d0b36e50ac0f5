// The TypeScript SDK 1.x (see `clients.py` for what a driver is given and says).
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { modules, ...given } = JSON.parse(process.argv[2]);
const resolve = createRequire(`${modules}/package.json`).resolve;
const load = (name) => import(pathToFileURL(resolve(`@modelcontextprotocol/sdk/client/${name}.js`).replace("/cjs/", "/esm/")));
const { Client } = await load("index");

async function transport() {
  if (given.transport === "stdio") {
    const { StdioClientTransport } = await load("stdio");
    const [command, ...args] = given.command;
    return new StdioClientTransport({ command, args, env: given.env });
  }
  if (given.transport === "http") {
    const { StreamableHTTPClientTransport } = await load("streamableHttp");
    return new StreamableHTTPClientTransport(new URL(given.url));
  }
  const { SSEClientTransport } = await load("sse");
  return new SSEClientTransport(new URL(given.url));
}

const client = new Client({ name: "interop", version: "1" });
await client.connect(await transport());
let steps = 0;
const { tools } = await client.listTools();
const results = [];
for (const [name, args] of given.calls) {
  const result = await client.callTool({ name, arguments: args }, undefined, { onprogress: () => steps++ });
  results.push(result.structuredContent);
}
await client.close();
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), results, steps, version: null }));
