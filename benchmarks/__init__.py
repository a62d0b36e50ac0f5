"""Programs that measure dynamo-mcp against what people use today; see `README.md` beside this file."""
