"""`python -m dynamo_mcp` is `dynamo-mcp`."""

from dynamo_mcp.cli import main

if __name__ == "__main__":
    main()
