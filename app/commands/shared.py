"""Arguments that many commands have."""

from pathlib import Path
from typing import Annotated

import typer

WorkspaceAt = Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Folder of the workspace.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
