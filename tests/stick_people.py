"""Pairs of stick people that touch, as detectors and models might report them: a check of `apu.denoise`, not a claim.

Everything here is invented: bones and reaches of a plausible size, occlusion by trunks, detectors that guess hidden
hands, jump to the other person or confuse a person's sides, and five ways in which models get sides wrong.
``python tests/stick_people.py`` prints how many contacts have right sides under each.
"""

import numpy as np

from apu.denoise import SideModel, apply, denoise
from apu.types import HAND_21, KEYPOINTS, BodyPart, Contact, Side, mirror_name

INDEX = {name: index for index, name in enumerate(KEYPOINTS)}
MIRROR = [INDEX[mirror_name(name)] for name in KEYPOINTS]
ARM = [i for i, name in enumerate(KEYPOINTS) if i >= 25 or name.endswith(("elbow", "wrist"))]
DETECTORS = ("clean", "occluded", "biased")
MODELS = ("mirrored", "viewer", "pair", "contact", "side")

_TARGETS = ("shoulder", "upper arm", "back", "chest", "waist", "hand", "head", "neck")
_UNSIDED = {"back", "chest", "head", "neck"}
_HALF = {  # the left half of a person facing +z: x to the person's left, y up, metres
    "hip": (0.09, 0, 0), "shoulder": (0.18, 0.5, 0), "eye": (0.03, 0.71, 0.09), "ear": (0.075, 0.69, 0),
    "knee": (0.1, -0.42, 0.03), "ankle": (0.1, -0.84, -0.02), "big_toe": (0.09, -0.88, 0.18),
    "small_toe": (0.14, -0.88, 0.16), "heel": (0.1, -0.88, -0.05),
}  # fmt: skip
_MIDDLE = {"nose": (0, 0.67, 0.12), "neck": (0, 0.52, 0), "mid_hip": (0, 0, 0)}


class Person:
    """One stick person: places of the keypoints by name, y up, the viewer at +z."""

    def __init__(self, rng, size, yaw, position):
        c, s = np.cos(yaw), np.sin(yaw)
        self.turn, self.size = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), size
        local = {f"{side}_{n}": (x * sign, y, z) for n, (x, y, z) in _HALF.items() for side, sign in _SIDES}
        self.at = {name: self.turn @ np.array(p) * size + position for name, p in {**local, **_MIDDLE}.items()}
        for side, sign in _SIDES:
            hanging = np.array([sign * rng.uniform(0, 0.15), -rng.uniform(0.35, 0.53), rng.uniform(0, 0.2)])
            self.reach(side, self.at[f"{side}_shoulder"] + self.turn @ hanging * size)

    def reach(self, side, goal):
        """Two bones from shoulder to goal, the elbow down and outwards; the hand goes on along the forearm."""
        shoulder, upper, fore = self.at[f"{side}_shoulder"], 0.29 * self.size, 0.26 * self.size
        span = goal - shoulder
        length = np.clip(np.linalg.norm(span), 0.05 * self.size, 0.98 * (upper + fore))
        along = span / np.linalg.norm(span)
        foot = (upper**2 - fore**2 + length**2) / (2 * length)
        down = np.array([0, -1.0, 0]) + 0.5 * dict(_SIDES)[side] * self.turn[:, 0]
        down -= (down @ along) * along
        elbow = shoulder + foot * along + np.sqrt(max(upper**2 - foot**2, 0)) * down / np.linalg.norm(down)
        wrist = shoulder + length * along
        fingers = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        self.at |= {f"{side}_elbow": elbow, f"{side}_wrist": wrist}
        for i, name in enumerate(HAND_21):
            self.at[f"{side}_{name}"] = wrist + self.size * fingers * (0.07 + 0.03 * ((i - 1) % 4) if i else 0)

    def surface(self, part, side):
        """A point of the skin of a part."""
        sign, x, z = dict(_SIDES)[side], self.turn[:, 0] * self.size, self.turn[:, 2] * self.size
        shoulder, hip, ear, elbow, wrist = (
            self.at[f"{side}_{n}"] for n in ("shoulder", "hip", "ear", "elbow", "wrist")
        )
        up = np.array([0, 0.05 * self.size, 0])
        return {
            "shoulder": shoulder + up,
            "upper arm": (shoulder + elbow) / 2,
            "back": 0.55 * shoulder + 0.45 * hip - 0.06 * sign * x - 0.12 * z,
            "chest": 0.55 * shoulder + 0.45 * hip - 0.06 * sign * x + 0.12 * z,
            "waist": 0.15 * shoulder + 0.85 * hip + 0.05 * sign * x,
            "hand": wrist,
            "head": ear + up,
            "neck": 0.4 * shoulder + 0.6 * ear,
        }[part]


_SIDES = (("left", 1), ("right", -1))


def scene(rng):
    """(keypoints (2, 67, 3) in metres with z towards the viewer, true contacts, who faces the viewer)."""
    sizes = rng.permutation([1.0, rng.choice([1.0, 0.95, 0.7])])
    bearing, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.28, 0.6)
    facing = {0: (0, np.pi), 1: (np.pi / 2, np.pi / 2), 2: tuple(rng.uniform(0, 2 * np.pi, 2))}[int(rng.integers(3))]
    places = [np.zeros(3), distance * np.array([np.sin(bearing), 0, np.cos(bearing)])]
    places[1][1] = (sizes[1] - sizes[0]) * 0.88
    yaws = bearing + np.array(facing) + rng.normal(0, 0.35, 2)
    people = [Person(rng, *args) for args in zip(sizes, yaws, places, strict=True)]
    contacts = [c for p in (0, 1) for side, _ in _SIDES if (c := _touch(rng, people, p, side))]
    if people[1].at["mid_hip"][0] < people[0].at["mid_hip"][0]:
        people, contacts = people[::-1], [c[::-1] for c in contacts]
    points = np.array([[person.at[name.replace("wrist_root", "wrist")] for name in KEYPOINTS] for person in people])
    return points * (1, -1, 1), contacts, [person.turn[2, 2] > 0 for person in people]


def _touch(rng, people, p, side):
    """The hand of one person goes to a part of the other, where it is within reach."""
    part, other = rng.choice(_TARGETS), rng.choice(["left", "right"])
    goal = people[1 - p].surface(part, other)
    if np.linalg.norm(goal - people[p].at[f"{side}_shoulder"]) > 0.55 * people[p].size or rng.random() < 0.4:
        return None
    people[p].reach(side, goal)
    unsided = part in _UNSIDED and rng.random() < 0.6
    parts = (BodyPart(name="hand", side=Side(side)), BodyPart(name=part, side=Side.BOTH if unsided else Side(other)))
    return parts if p == 0 else parts[::-1]


def detect(rng, points, detector):
    """What a 2D detector makes of the true points: (2, 67, 3) as (x, y, confidence)."""
    seen = np.concatenate([points[..., :2] + rng.normal(0, 0.015, (2, 67, 2)), rng.uniform(0.8, 0.97, (2, 67, 1))], -1)
    if detector == "clean":
        return seen
    hidden = _hidden(points)
    seen[hidden, 2] = rng.uniform(0.05, 0.75, hidden.sum())
    seen[hidden, :2] += rng.normal(0, 0.1, (hidden.sum(), 2))
    if detector == "occluded":
        return seen
    for p in (0, 1):
        for side, _ in _SIDES:
            hand = [i for i in ARM if KEYPOINTS[i].startswith(side) and not KEYPOINTS[i].endswith("elbow")]
            other, fate = [MIRROR[i] for i in hand], rng.random()
            if hidden[p, INDEX[f"{side}_wrist"]] and fate < 0.5:  # the own other hand, or the other person's
                seen[p, hand, :2] = seen[p, other, :2] if fate < 0.3 else points[1 - p, other, :2]
                seen[p, hand, 2] = rng.uniform(0.3, 0.8)
            elif fate > 0.96:
                seen[p, hand, :2] += rng.normal(0, 0.4, 2)
        fate = rng.random()
        confused = range(67) if fate < 0.06 else ARM if fate < 0.12 else ()
        seen[p, list(confused)] = seen[p, [MIRROR[i] for i in confused]]
    return seen


def _hidden(points):
    """Behind the trunk of either person."""
    hidden = np.zeros((2, 67), bool)
    for trunk in points:
        left, right, hip = (trunk[INDEX[name]] for name in ("left_shoulder", "right_shoulder", "mid_hip"))
        half = max(0.13, abs(left[0] - right[0]) / 2)
        inside = abs(points[..., 0] - hip[0]) < half
        inside &= (points[..., 1] > left[1] - 0.05) & (points[..., 1] < hip[1] + 0.05)
        hidden |= inside & (points[..., 2] < hip[2] - 0.08)
    return hidden


def state(rng, truth, facing, model):
    """The contacts with the sides that a model would state."""
    if model == "contact":  # exchanges both sides of single contacts
        return [_flip(parts, (f, f)) for parts, f in zip(truth, rng.random(len(truth)) < 0.35, strict=True)]
    mirrored, slip = {
        "mirrored": (rng.random(2) < 0.3, 0.08),  # either person throughout, and slips
        "viewer": ((rng.random(2) < 0.5) & facing, 0.05),  # only people who face the viewer
        "pair": (np.full(2, rng.random() < 0.35), 0.08),  # both people together
        "side": (np.zeros(2, bool), 0.25),  # every side by itself
    }[model]
    return [_flip(parts, mirrored ^ (rng.random(2) < slip)) for parts in truth]


def _flip(parts, flips):
    return tuple(part.flipped if flip else part for part, flip in zip(parts, flips, strict=True))


def dataset(seed, pairs, detector, model):
    """Pairs as (detected keypoints, true parts, stated parts), each with a contact."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < pairs:
        points, truth, facing = scene(rng)
        if truth:
            found.append((detect(rng, points, detector), truth, state(rng, truth, facing, model)))
    return found


def right_sides(data, **rule):
    """Share of the contacts with a side that have the right ones: as stated, or after a rule."""
    right = []
    for keypoints, truth, stated in data:
        contacts = [Contact(parts=parts) for parts in stated]
        judged = apply(denoise(contacts, keypoints, **rule)) if rule else contacts
        right += [c.parts == t for c, t in zip(judged, truth, strict=True) if any(p.side is not Side.BOTH for p in t)]
    return float(np.mean(right))


def main():
    """The table: per cent of right sides as stated, by the paper's rule, by evidence within a kind, by evidence."""
    rules = {
        "stated": {},
        "nearest": {"rule": "nearest"},
        "same kind": {"rule": "evidence", "model": SideModel(same_kind=True)},
        "evidence": {"rule": "evidence"},
    }
    print(f"{'model':10}{'detector':10}" + "".join(f"{name:>10}" for name in rules))  # noqa: T201
    for model in MODELS:
        for detector in DETECTORS:
            data = dataset(0, 500, detector, model)
            shares = "".join(f"{100 * right_sides(data, **rule):10.1f}" for rule in rules.values())
            print(f"{model:10}{detector:10}{shares}")  # noqa: T201


if __name__ == "__main__":
    main()
