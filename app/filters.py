"""A queue in an address: filters, order and seed as a page's query, the same on every page.

``/library?state=fitted&state=asked&q=hug&gap=..3&order=worst_fit`` are the pairs that are asked about or fitted, have
"hug" in a name and no gap above 3 cm, the worst fit first.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.datastructures import QueryParams

from review_db import Order, PairFilter, PairState
from review_db.records import Range

STATE_WORDS: Mapping[PairState, str] = {
    state: "no answer" if state is PairState.ASK_FAILED else str(state) for state in PairState
}
"""States as people read them, on every page."""

ORDER_WORDS: Mapping[Order, str] = {
    Order.UNCERTAIN: "most uncertain first",
    Order.WORST_FIT: "worst fit first",
    Order.STRATIFIED: "each interaction in turn",
    Order.RANDOM: "by chance",
    Order.ID: "by number",
}
"""Orders as people read them, on every page."""

_SCALES = {"confidence": 1.0, "gap": 0.01, "error": 1.0}
"""Ranges by their names in the address, gaps in centimetres there; the filter's own units are multiples."""

_FIELDS = {"confidence": "confidence", "gap": "gap_m", "error": "reprojection"}
_LARGEST = 2**31


def filter_of(query: QueryParams) -> PairFilter:
    """The filter of an address; what is not in it is not filtered by.

    Raises:
        ValueError: a value that no page of this program writes.
    """
    ranges = {_FIELDS[name]: _range(name, query[name]) for name in _SCALES if query.get(name)}
    return PairFilter(
        states=_set(query.getlist("state"), _state),
        source=query.get("source"),
        interactions=_set(query.getlist("interaction"), str),
        simulated=_flag("simulated", query.get("simulated")),
        image=_number("image", query["image"]) if query.get("image") else None,
        text=query.get("q", "").strip(),
        curator=query.get("curator") or None,
        disagrees=_flag("disagrees", query.get("disagrees")),
        **ranges,
    )


def order_of(query: QueryParams, *, default: Order = Order.ID) -> tuple[Order, int]:
    """Order and seed of an address; ValueError as `filter_of`."""
    name = query.get("order") or default.value
    if name not in set(Order):
        raise ValueError(f"order must be one of {', '.join(Order)}; got {name!r}")
    return Order(name), _number("seed", query.get("seed") or "0")


def address_of(where: PairFilter, order: Order = Order.ID, seed: int = 0) -> list[tuple[str, str]]:
    """The names and values of an address that `filter_of` and `order_of` read."""
    parts = [("state", state.value) for state in PairState if state in (where.states or ())]
    parts += [("interaction", name) for name in sorted(where.interactions or ())]
    single = {"source": where.source, "image": where.image, "q": where.text or None, "curator": where.curator}
    parts += [(name, str(value)) for name, value in single.items() if value is not None]
    for name, flag in (("simulated", where.simulated), ("disagrees", where.disagrees)):
        parts += [] if flag is None else [(name, str(int(flag)))]
    for name, scale in _SCALES.items():
        limits = getattr(where, _FIELDS[name])
        parts += [(name, "..".join("" if end is None else f"{end / scale:g}" for end in limits))] if limits else []
    parts += [("order", order.value)] if order is not Order.ID else []
    return parts + ([("seed", str(seed))] if seed else [])


def _set(values: Iterable[str], read: Callable[[str], Any]) -> frozenset[Any] | None:
    return frozenset(map(read, values)) or None


def _state(text: str) -> PairState:
    if text not in set(PairState):
        raise ValueError(f"state must be one of {', '.join(PairState)}; got {text!r}")
    return PairState(text)


def _flag(name: str, text: str | None) -> bool | None:
    if text in (None, ""):
        return None
    if text not in ("0", "1"):
        raise ValueError(f"{name} must be 0 or 1, got {text!r}")
    return text == "1"


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < _LARGEST):
        raise ValueError(f"{name} must be a whole number below {_LARGEST}, got {text!r:.40}")
    return int(text)


def _range(name: str, text: str) -> Range:
    ends = text.split("..")
    try:
        low, high = (float(end) * _SCALES[name] if end.strip() else None for end in ends)
    except ValueError:
        raise ValueError(f"{name} must be FROM..TO with numbers, got {text!r:.40}") from None
    return low, high
