"""`apr`, or `python -m apr_agents`."""

from apr_agents.cli import main

if __name__ == "__main__":
    main()
