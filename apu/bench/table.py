"""The figures of ``apu bench fit`` for people to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from apu.bench.measure import PCC
from apu.bench.methods import METHODS
from apu.metrics import PCC_RADII

_Summary = Mapping[str, Mapping[str, Any]]
_RADII = "/".join(f"{radius * 1000:.0f}" for radius in PCC_RADII)


def tables(report: Mapping[str, Any]) -> list[Table]:
    """Every method over all pairs (accuracy, then touch and cost), then the joint PA-MPJPE class by class."""
    overall = report["overall"]
    return [_joint(overall), _others(overall), _touch(overall), _classes(report["classes"])]


def _joint(overall: _Summary) -> Table:
    table = _table(
        "Both people together [95 % intervals]",
        ("method", "pairs", "joint PA-MPJPE, mm", "x no contacts", "x start", "seconds", "MB"),
    )
    for method in METHODS:
        of = overall[method]
        ratios = [_with_interval(of, name, 3) for name in ("ratio_to_no_contacts", "ratio_to_start")]
        costs = _number(of["seconds_per_pair"], 2), _number(of["memory_mb"], 0)
        table.add_row(method, _count(of), _with_interval(of, "joint_pa_mpjpe_mm", 1), *ratios, *costs)
    return table


def _others(overall: _Summary) -> Table:
    columns = {"PA-MPJPE": "pa_mpjpe_mm", "MPJPE": "mpjpe_mm", "MPVPE": "mpvpe_mm",
               "interaction error": "interaction_error_mm", "512-scaled error": "reprojection_512"}  # fmt: skip
    table = _table("Each person, and where they are to each other, mm; in the image", ("method", *columns))
    for method in METHODS:
        table.add_row(method, *(_with_interval(overall[method], name, 1) for name in columns.values()))
    return table


def _touch(overall: _Summary) -> Table:
    columns = {"gap": "contact_gap_mm", "inside, mean": "mean_penetration_mm", "inside, deepest": "max_penetration_mm"}
    table = _table("At the true contacts, and inside the other body, mm", ("method", *columns, f"% within {_RADII} mm"))
    for method in METHODS:
        of = overall[method]
        lengths = (_with_interval(of, name, 1) for name in columns.values())
        table.add_row(method, *lengths, "/".join(_number(of[name], 0, 100) for name in PCC))
    return table


def _classes(classes: Mapping[str, _Summary]) -> Table:
    table = _table("Joint PA-MPJPE by class, mm (x no contacts)", ("class", "pairs", *METHODS))
    for name, methods in classes.items():
        cells = [_error_and_ratio(methods[method], method) for method in METHODS]
        table.add_row(name, _count(methods["no_contacts"]), *cells)
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def _count(of: Mapping[str, Any]) -> str:
    return f"{of['n']}" + (f" ({of['n_failed']} failed)" if of["n_failed"] else "")


def _error_and_ratio(of: Mapping[str, Any], method: str) -> str:
    error = _number(of["joint_pa_mpjpe_mm"], 0)
    ratio = "" if method == "no_contacts" or error == "-" else f" ({_number(of['ratio_to_no_contacts'], 2)})"
    return error + ratio


def _with_interval(of: Mapping[str, Any], name: str, digits: int) -> str:
    interval = of[f"{name}_ci95"]
    text = _number(of[name], digits)
    return f"{text} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else text


def _number(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "-" if value is None else f"{value * factor:.{digits}f}"
