{% if cookiecutter.transport == "stdio" %}
"""Serves notes to the MCP client that started this program, on stdin and stdout."""

from {{ cookiecutter.package_name }} import Notes, build_server


def main() -> None:
    """Serves until the client closes stdin."""
    build_server(Notes()).run("stdio")
{% else %}
"""Serves notes to MCP clients over Streamable HTTP."""

import argparse

from {{ cookiecutter.package_name }} import Notes, build_server


def main() -> None:
    """Serves until interrupted."""
    parser = argparse.ArgumentParser(description="Serve notes over Streamable HTTP")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default={{ cookiecutter.port }}, type=int, help="port to listen on")
    options = parser.parse_args()
    server = build_server(Notes())
    server.run("streamable-http", host=options.host, port=options.port)
{% endif %}


if __name__ == "__main__":
    main()
