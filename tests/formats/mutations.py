"""Feeds every reader of other people's files with damaged ones, each reader in a process of its own.

``python tests/formats/mutations.py COUNT [SEED]`` prints per reader how many were read and refused, what went wrong,
and how much memory (above the imports) and processor time the worst one took. A reader that raises anything but its
documented errors, takes more than 500 MB or 20 s, or ends its process, has failed.
"""

import io
import json
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from apu.ask.schema import parse_answer
from apu.errors import AnswerError, FormatError, InputError, UnsafeFileError
from apu.files import load_npy, load_npz, read_json
from apu.formats import read_bev, read_coco, read_flickrci3d, read_image, read_openpose, read_smplx
from apu.formats.people import read_meshes, read_people
from apu.unpickle import unpickle

MEMORY_MB = 500
CPU_S = 20

Bytes = Callable[[np.random.Generator], bytes]


# Samples: small, valid, as the estimators write them ------------------------------------------------------------------


def image(kind: str) -> bytes:
    y, x = np.mgrid[:48, :64]
    picture = PIL.Image.fromarray(np.stack([4 * x, 5 * y, x * y % 256], axis=-1).astype(np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif, **({"progressive": True} if kind == "JPEG" else {}))
    return buffer.getvalue()


def points(count: int, seed: int = 0) -> list[float]:
    chance = np.random.default_rng(seed)
    return np.column_stack([chance.uniform(50, 500, (count, 2)), np.full(count, 0.9)]).ravel().tolist()


def openpose() -> Any:
    names = {"pose_keypoints_2d": 25, "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21}
    return {"version": 1.3, "people": [{n: points(c, i) for n, c in names.items()} for i in range(2)]}


def coco() -> Any:
    people = [
        {"image_id": 1, "keypoints": points(17, i), "foot_kpts": points(6, i), "foot_valid": True} for i in (1, 2)
    ]
    return {"images": [{"id": 1, "file_name": "a/hug.png"}, {"id": 2, "file_name": "b.png"}], "annotations": people}


def flickr() -> Any:
    sign = {"person_ids": [0, 1], "smplx": {"region_id": [[3, 70], [1, 2]], "face_id": [[9, 9]], "vertex_id": []}}
    return {"hug.png": {"bbxes": [[1, 2, 30, 40], [20, 2, 50, 40]], "ci_sign": [sign]}}


def answer() -> Any:
    part = {"part_name": "left_hand", "body_side": "left"}
    contact = {"body_part_person_left": {**part, "part_name": "hand"}, "confidence": 0.8}
    contact["body_part_person_right"] = {"part_name": "back", "body_side": None}
    people = {"person_left": "a man", "person_right": "a woman"}
    return {"interaction": "hug", "people": people, "orientation": "face to face", "contacts": [contact] * 2}


def bev() -> dict[str, np.ndarray]:
    joints = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 71, 3)).astype(np.float32)
    arrays = {
        "smpl_thetas": np.zeros((2, 72), np.float32), "smpl_betas": np.zeros((2, 11), np.float32), "joints": joints,
        "cam_trans": np.array([[0, 0, 3], [1, 0, 3]], np.float32), "pj2d_org": np.ones((2, 71, 2), np.float32),
        "names": np.array(["a", "b"]), "score": np.float32(0.5),
    }  # fmt: skip
    boxed = np.empty((), object)
    boxed[()] = arrays
    return {"results": boxed}


def smplx() -> dict[str, np.ndarray]:
    shapes = {"global_orient": (2, 3), "body_pose": (2, 63), "betas": (2, 10), "transl": (2, 3), "joints": (2, 55, 3)}
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(24.0).reshape(2, 3, 4))
    return buffer.getvalue()


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


# Damage ---------------------------------------------------------------------------------------------------------------

_NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF)
_VALUES = (
    None, True, False, 0, -1, 1e308, -1e308, 1e999, float("nan"), 10**30, 2**63, "", "x", "\ud800", "\0", "1", [], {},
    [[]], [None], {"": None}, "left", "hand", [1, 2, 3], "a" * 5000, [[1, 2]] * 300, [0.5] * 201,
)  # fmt: skip


def damage_bytes(data: bytes, chance: np.random.Generator) -> bytes:
    """Some bytes changed, left out, doubled, cut off, or taken for another number."""
    changed = bytearray(data)
    for _ in range(int(chance.integers(1, 6))):
        spot, length = int(chance.integers(len(changed) + 1)), int(chance.integers(1, 33))
        match int(chance.integers(6)):
            case 0:
                changed[spot : spot + length] = chance.bytes(length)
            case 1:
                del changed[spot : spot + length]
            case 2:
                changed[spot:spot] = changed[spot : spot + length] * int(chance.integers(1, 50))
            case 3:
                del changed[max(spot, 1) :]
            case 4:
                size = int(chance.choice([1, 2, 4, 8]))
                number = int(_NUMBERS[chance.integers(len(_NUMBERS))]) % 256**size
                changed[spot : spot + size] = number.to_bytes(size, "little" if chance.random() < 0.5 else "big")
            case 5 if changed:
                changed[spot % len(changed)] ^= 1 << int(chance.integers(8))
        if not changed:
            return bytes(changed)
    return bytes(changed)


def damage_json(value: Any, chance: np.random.Generator) -> bytes:
    """Some values of the tree replaced, left out or exchanged; sometimes the text is damaged too."""
    tree = json.loads(json.dumps(value))
    for _ in range(int(chance.integers(1, 4))):
        nodes = list(_nodes(tree))
        holder, key = nodes[int(chance.integers(len(nodes)))]
        match int(chance.integers(4)):
            case 0:
                del holder[key]
            case 1:
                other_holder, other = nodes[int(chance.integers(len(nodes)))]
                if other in (other_holder if isinstance(other_holder, dict) else range(len(other_holder))):
                    holder[key] = json.loads(json.dumps(other_holder[other]))
            case _:
                holder[key] = _VALUES[int(chance.integers(len(_VALUES)))]
        if not list(_nodes(tree)):
            break
    data = json.dumps(tree).encode()
    return damage_bytes(data, chance) if chance.random() < 0.25 else data


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _nodes(tree[key])


def damage_npz(data: bytes, chance: np.random.Generator) -> bytes:
    """The archive damaged, or rather what is in it, with checksums that are right."""
    if chance.random() < 0.3:
        return damage_bytes(data, chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        victim = names[int(chance.integers(len(names)))]
        for name in names:
            content = old.read(name)
            new.writestr(name, damage_bytes(content, chance) if name == victim else content)
    return buffer.getvalue()


# Readers --------------------------------------------------------------------------------------------------------------


def from_file(read: Callable[[Path], Any], name: str) -> Callable[[bytes], Any]:
    path = Path(tempfile.mkdtemp(prefix="apu-mutations-")) / name

    def run(data: bytes) -> Any:
        path.write_bytes(data)
        return read(path)

    return run


def people(path: Path) -> Any:
    return read_people("hug.png", (800, 600), {"keypoints": path, "openpose": path, "meshes": path})


FILE = (InputError,)
_image = {kind: image(kind) for kind in ("JPEG", "PNG", "WEBP")}
_bev, _smplx = npz(bev()), npz(smplx())
_pickle = pickle.dumps(bev()["results"], protocol=4)

READERS: dict[str, tuple[Callable[[bytes], Any], bytes, Bytes, tuple[type[Exception], ...]]] = {
    **{
        f"read_image {kind}": (
            from_file(read_image, f"a.{kind.lower()}"), data, lambda c, data=data: damage_bytes(data, c), FILE,
        )
        for kind, data in _image.items()
    },
    "read_openpose": (
        from_file(read_openpose, "a.json"), text(openpose()), lambda c: damage_json(openpose(), c), FILE,
    ),
    "read_coco": (from_file(read_coco, "a.json"), text(coco()), lambda c: damage_json(coco(), c), FILE),
    "read_flickrci3d": (from_file(read_flickrci3d, "a.json"), text(flickr()), lambda c: damage_json(flickr(), c), FILE),
    "read_people": (from_file(people, "a.json"), text(openpose()), lambda c: damage_json(openpose(), c), FILE),
    "read_json": (from_file(read_json, "a.json"), text(coco()), lambda c: damage_bytes(text(coco()), c), FILE),
    "read_bev": (from_file(read_bev, "a.npz"), _bev, lambda c: damage_npz(_bev, c), FILE),
    "read_smplx": (from_file(read_smplx, "a.npz"), _smplx, lambda c: damage_npz(_smplx, c), FILE),
    "read_meshes": (from_file(read_meshes, "a.npz"), _bev, lambda c: damage_npz(_bev, c), FILE),
    "load_npz": (from_file(load_npz, "a.npz"), _smplx, lambda c: damage_bytes(_smplx, c), FILE),
    "load_npy": (from_file(load_npy, "a.npy"), npy(), lambda c: damage_bytes(npy(), c), FILE),
    "unpickle": (unpickle, _pickle, lambda c: damage_bytes(_pickle, c), (FormatError, UnsafeFileError)),
    "parse_answer": (
        lambda data: parse_answer(data.decode("utf-8", "replace"), model="toy"), text(answer()),
        lambda c: damage_json(answer(), c), (AnswerError,),
    ),
}  # fmt: skip


class TooSlow(Exception):
    """More than `CPU_S` of processor time."""


def try_out(name: str, count: int, seed: int) -> dict[str, Any]:
    """Run one reader over its damaged inputs, in this process."""
    read, sample, damage, expected = READERS[name]
    read(sample)  # is valid, and loads what is loaded late
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_MB * 2**20,) * 2)
    signal.signal(signal.SIGPROF, _too_slow)
    result: dict[str, Any] = {"tried": count, "read": 0, "refused": 0, "failures": [], "slowest_s": 0.0}
    for number in range(count):
        data = damage(np.random.default_rng([seed, number]))
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        try:
            read(data)
            result["read"] += 1
        except expected as error:
            result["refused"] += 1
            if not str(error).strip() or "\n" in str(error):
                result["failures"].append(f"{number}: the sentence is {str(error)!r}")
        except Exception as error:  # noqa: BLE001 - whatever else it is, is a fault
            result["failures"].append(f"{number}: {type(error).__name__}: {str(error)[:200]}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        result["slowest_s"] = round(max(result["slowest_s"], time.process_time() - began), 3)
    result["peak_mb"] = round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1)
    return result


def _too_slow(*_: Any) -> None:
    raise TooSlow


def in_a_child(name: str, count: int, seed: int) -> dict[str, Any]:
    """`try_out` in a process of its own, so that a crash is a result too."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(try_out(name, count, seed), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        return {"tried": count, "failures": [f"the process ended with {status}"], "peak_mb": None, "slowest_s": None}
    return json.loads(said)


if __name__ == "__main__":
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print(json.dumps({name: in_a_child(name, count, seed) for name in READERS}, indent=1))  # noqa: T201
