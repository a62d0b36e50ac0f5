// The TypeScript SDK 2.x (see `clients.py` for what a driver is given and says).
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { modules, ...given } = JSON.parse(process.argv[2]);
const resolve = createRequire(`${modules}/package.json`).resolve;
const load = (name) => import(pathToFileURL(resolve(name).replace(/\.cjs$/, ".mjs")));
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");

async function transport() {
  if (given.transport === "stdio") {
    const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
    const [command, ...args] = given.command;
    return new StdioClientTransport({ command, args, env: given.env });
  }
  const kind = given.transport === "http" ? StreamableHTTPClientTransport : SSEClientTransport;
  return new kind(new URL(given.url));
}

const options = given.era === "auto" ? { versionNegotiation: { mode: "auto" } } : {};
const client = new Client({ name: "interop", version: "1" }, options);
await client.connect(await transport());
let steps = 0;
const { tools } = await client.listTools();
const results = [];
for (const [name, args] of given.calls) {
  const result = await client.callTool({ name, arguments: args }, { onprogress: () => steps++ });
  results.push(result.structuredContent);
}
const version = client.getNegotiatedProtocolVersion?.() ?? null;
await client.close();
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), results, steps, version }));
