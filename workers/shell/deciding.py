"""Commands by which a person decides what rules cannot."""

from typing import Annotated

import typer

from indexer.errors import ConfigurationError
from workers import report
from workers.redacting import redact_records
from workers.shell.parts import FAILED, Json, stored, wired

app = typer.Typer()


@app.command(epilog='Example: mcp-indexer redact io.github.acme/pdf-tools --reason "holds a private key"')
def redact(
    what: Annotated[str, typer.Argument(metavar="NAME|DIGEST", help="A server's name, or a record's digest.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the log.")],
    as_json: Json = False,
) -> None:
    """Blank raw records everywhere, for good; what has to go and never come back."""
    if not reason.strip():
        raise ConfigurationError("A redaction needs its reason: --reason must not be empty.")
    with wired() as wiring:
        result = redact_records(wiring, stored(what), reason)
    report.redacted(result, as_json=as_json)
    if result.index_error is not None:
        raise typer.Exit(FAILED)
