"""How the command refuses: one line for each problem on standard error, exit status 2."""

from __future__ import annotations

from typing import IO, Any

import click


class Refusal(click.ClickException):
    """Bad usage or a bad file. Raised where the error is known to be the caller's to mend."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"apr: {line}", file=file, err=file is None)
