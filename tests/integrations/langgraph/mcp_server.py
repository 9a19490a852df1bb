"""An MCP server over stdio with one tool; the tests start it as a process."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP

server = FastMCP("numbers")


@server.tool()
def add(first: int, second: int) -> str:
    """The sum of two numbers."""
    return f"the sum is {first + second}"


if __name__ == "__main__":
    server.run("stdio")
