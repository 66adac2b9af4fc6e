"""A user's folders: which files belong to which photograph, and what of them can be used."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from apu.body.model import BodyModel
from apu.errors import InputError
from apu.formats.images import SUFFIXES, Image, read_image
from apu.formats.people import People, read_people


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """A photograph with at least two people.

    Attributes:
        path: of the photograph. files: its estimators' files by kind, for `apu.formats.people.read_people`.
    """

    path: Path
    image: Image
    files: Mapping[str, Path]
    people: People


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A photograph that cannot be used, and why in one sentence."""

    path: Path
    reason: str


def gather(
    images: Path,
    *,
    keypoints: Path | None = None,
    openpose: Path | None = None,
    meshes: Path | None = None,
    body: BodyModel | None = None,
) -> Iterator[Gathered | Skipped]:
    """Go through the photographs of a folder, each with the files that share its stem.

    ``STEM_keypoints.json``, else ``STEM.json``, are its keypoints; ``STEM*.npz`` its meshes, where the longest stem
    takes the file and a letter or digit does not follow it (image_10_bev.npz is not image_1's).

    Args:
        images: folder of JPEG, PNG and WebP files; its subfolders are not searched.
        keypoints: folder of files in OpenPose's layout (ViTPose), or one COCO file; None: `images`.
        openpose: folder of a second estimator's files, in the same layout.
        meshes: folder of npz files; None: `images`.
        body: poses SMPL-X parameters whose files have no joints.

    Yields:
        For every photograph, in natural order, all that is known of it, or why it is skipped.

    Raises:
        InputError: a folder is missing or holds no photograph.
    """
    photographs = sorted((f for f in _files(images) if f.suffix.lower() in SUFFIXES), key=_natural)
    if not photographs:
        raise InputError(f"{images} holds no JPEG, PNG or WebP image")
    twins: dict[str, list[Path]] = defaultdict(list)
    for path in photographs:
        twins[path.stem].append(path)
    keypoints = keypoints or images
    kinds: dict[str, Mapping[str, Path]] = {}
    if keypoints.is_file():
        kinds["coco"] = dict.fromkeys(twins, keypoints)
    else:
        kinds["keypoints"] = _json_files(keypoints, twins)
    if openpose:
        kinds["openpose"] = _json_files(openpose, twins)
    archives = _owners((f for f in _files(meshes or images) if f.suffix == ".npz"), twins)

    def look(path: Path) -> Gathered | Skipped:
        files = {kind: of_stem[path.stem] for kind, of_stem in kinds.items() if path.stem in of_stem}
        try:
            image = read_image(path)
            _check_unique(path, twins[path.stem], archives[path.stem])
            if not files:
                raise InputError(f"{path.name} has no keypoints: {path.stem}_keypoints.json is not in {keypoints}")
            if archives[path.stem]:
                files["meshes"] = archives[path.stem][0]
            people = read_people(path.name, (image.width, image.height), files, body=body)
            _check_two(path, people)
        except InputError as error:
            return Skipped(path=path, reason=str(error))
        return Gathered(path=path, image=image, files=files, people=people)

    return map(look, photographs)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be read as a folder: {error.strerror}") from error


def _json_files(folder: Path, stems: Iterable[str]) -> Mapping[str, Path]:
    """The keypoint file of each stem that has one."""
    by_name = {f.name: f for f in _files(folder)}
    named = {stem: (f"{stem}_keypoints.json", f"{stem}.json") for stem in stems}
    return {stem: by_name[n] for stem, names in named.items() for n in reversed(names) if n in by_name}


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers by value: image_2 before image_10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _owners(archives: Iterable[Path], stems: Mapping[str, object]) -> Mapping[str, list[Path]]:
    """The archives of each stem: the longest stem that a name begins with, cut at something not alphanumeric."""
    owned: dict[str, list[Path]] = defaultdict(list)
    for path in archives:
        name = path.stem
        ends = (end for end in range(len(name), 0, -1) if end == len(name) or not name[end].isalnum())
        stem = next((name[:end] for end in ends if name[:end] in stems), None)
        if stem is not None:
            owned[stem].append(path)
    return owned


def _check_unique(path: Path, photographs: list[Path], archives: list[Path]) -> None:
    """A file that could belong to two, or two that could belong to one, are the user's to sort out."""
    if len(photographs) > 1:
        names = " and ".join(p.name for p in photographs)
        raise InputError(f"{names} share one stem, so their files cannot be told apart; rename one")
    if len(archives) > 1:
        names = ", ".join(p.name for p in archives[:5])
        raise InputError(f"{path.name} has {len(archives)} mesh files ({names}); leave one")


def _check_two(path: Path, people: People) -> None:
    count = int((people.keypoints[..., 2] > 0).any(axis=1).sum())
    if count < 2:
        raise InputError(
            f"{path.name} has {'one person only' if count else 'no people'} in its keypoints; a pair needs two"
        )
