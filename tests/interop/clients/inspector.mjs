// The command line of MCP Inspector (see `clients.py` for what a driver is given and says). Each command connects anew.
import { execFileSync } from "node:child_process";

const given = JSON.parse(process.argv[2]);
const program = `${given.modules}/node_modules/@modelcontextprotocol/inspector`;
const { bin } = JSON.parse((await import("node:fs")).readFileSync(`${program}/package.json`, "utf8"));
const entry = `${program}/${bin["mcp-inspector"]}`;

function run(...wanted) {
  const options = ["--cli", "--protocol-era", given.era, "--format", "json", "-q", ...wanted];
  const stdio = given.transport === "stdio";
  const target = stdio ? ["--", ...given.command] : [given.url, "--transport", given.transport];
  // A server on stdio gets a few variables, and those that are named.
  const named = stdio ? Object.entries(given.env).filter(([name]) => name.startsWith("DYNAMO_MCP_")) : [];
  const env = named.flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const all = stdio ? [...options, ...env, ...target] : ["--cli", ...target, ...options.slice(1)];
  return JSON.parse(execFileSync(process.execPath, [entry, ...all], { encoding: "utf8", timeout: 60_000 }));
}

const listed = run("--method", "tools/list");
const results = given.calls.map(([name, args]) => {
  const words = Object.entries(args).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const said = run("--method", "tools/call", "--tool-name", name, ...words.flatMap((word) => ["--tool-arg", word]));
  return (said.result ?? said).structuredContent;
});
const tools = (listed.result ?? listed).tools.map((tool) => tool.name);
console.log(JSON.stringify({ tools, results, steps: null, version: null }));
