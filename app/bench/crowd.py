"""Other curators at work beside the one who is measured: plain requests as their pages would send them."""

import json
import random
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from review_db.bench.load import INTERACTIONS

PAUSE_S = 1.0
"""Between two actions of one curator: far less than anybody takes who looks at pictures."""


@contextmanager
def at_work(url: str, curators: int, seed: int) -> Iterator[list[str]]:
    """So many curators work until the block ends; gives what went wrong."""
    end, trouble = threading.Event(), []
    threads = [
        threading.Thread(target=_work, args=(url, number, random.Random(seed + number), end, trouble), daemon=True)  # noqa: S311 - no secret
        for number in range(1, curators + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        yield trouble
    finally:
        end.set()
        for thread in threads:
            thread.join()


def _work(url: str, number: int, chance: random.Random, end: threading.Event, trouble: list[str]) -> None:
    """Open the next free pair, turn a contact, look for others, decide; again and again."""
    who = f"bench {number}"
    try:
        screen = _act(url, who, name="open")
        while not end.wait(PAUSE_S * chance.uniform(0.5, 1.5)):
            pair, revision = screen["pair"]["id"], screen["pair"]["revision"]
            _get(url, f"image/{pair}")
            ahead = _act(url, who, name="ahead", pair=pair)
            end.wait(PAUSE_S)
            contact = screen["pair"]["contacts"][0]["id"]
            screen = _act(url, who, name="flip", pair=pair, contact=contact, revision=revision)
            end.wait(PAUSE_S)
            query = f"interaction={chance.choice(INTERACTIONS)}&order=worst_fit".replace(" ", "+")
            _get(url, f"queue/counts?{query}")
            _get(url, f"queue/lines?{query}")
            end.wait(PAUSE_S)
            done = {"revision": screen["pair"]["revision"], "verdict": "flag", "then": ahead["pair"]["id"]}
            screen = _act(url, who, name="decide", pair=pair, **done)
    except (OSError, KeyError, TypeError) as error:
        trouble.append(f"{who}: {error!r}")


def _act(url: str, who: str, **action: Any) -> Any:
    sent = json.dumps({"curator": who, **action}).encode()
    request = urllib.request.Request(f"{url}/act", sent, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - an address of this program's own server
        return json.load(answer)


def _get(url: str, address: str) -> bytes:
    with urllib.request.urlopen(f"{url}/{address}", timeout=60) as answer:  # noqa: S310 - as above
        return answer.read()
