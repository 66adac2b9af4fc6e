"""Other people's files, read safely into the types of `apu.types`; everything that is wrong is one clear sentence."""

from apu.formats.bev import read_bev
from apu.formats.coco import read_coco
from apu.formats.flickrci3d import Signature, read_flickrci3d
from apu.formats.folder import Gathered, Skipped, gather
from apu.formats.images import Image, read_image
from apu.formats.match import border_mask, drop_duplicates, match_people, merge_keypoints
from apu.formats.meshes import Meshes
from apu.formats.openpose import read_openpose
from apu.formats.paper import PaperPair, read_paper
from apu.formats.smplx_params import read_smplx

__all__ = [
    "Gathered",
    "Image",
    "Meshes",
    "PaperPair",
    "Signature",
    "Skipped",
    "border_mask",
    "drop_duplicates",
    "gather",
    "match_people",
    "merge_keypoints",
    "read_bev",
    "read_coco",
    "read_flickrci3d",
    "read_image",
    "read_openpose",
    "read_paper",
    "read_smplx",
]
