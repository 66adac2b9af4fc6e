"""Arguments that many commands have."""

from pathlib import Path
from typing import Annotated

import typer

WorkspaceAt = Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Folder of the workspace.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
Body = Annotated[
    Path | None,
    typer.Option(
        envvar="APU_BODY",
        dir_okay=False,
        help="A licensed SMPLX_NEUTRAL.npz, with smplx_kid_template.npy beside it; default: the licence-free body.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")]
