# pyright: reportInvalidTypeForm=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportGeneralTypeIssues=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false
# Kernels are Warp's language in Python's syntax; its names and operators are not Python's.
"""The forward model's inner loops, as NVIDIA Warp kernels: one source for CPU and CUDA, single and double precision.

A step of a fit has little arithmetic in many small pieces. As products of small tensors it is mostly PyTorch's
overhead, on a GPU its launches; a kernel has one per batch, and its loop body reads like the formula.
`apu.body.skinning` says what the kernels compute and calls them.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor

wp.config.log_level = logging.ERROR  # before anything of Warp's is used: it would greet on standard output

_SCALARS = {torch.float32: wp.float32, torch.float64: wp.float64}
_LAYOUTS: dict[tuple[Any, ...], Any] = {}
"""An array of every layout that was met; only how it lies is used, not where."""
_MOST_LAYOUTS = 4096
_BONES = wp.constant(22)
_SHAPES = wp.constant(11)


def scalar_of(dtype: torch.dtype) -> type:
    """Warp's name of a number of this precision, for kernels that are made for each."""
    return _SCALARS[dtype]


def launch(kernel: wp.Kernel, dim: Sequence[int], *args: Tensor | float) -> None:
    """Run a kernel for every index below `dim`, on the tensors' device, behind PyTorch's work there.

    Args:
        args: in the kernel's order; tensors become arrays of its vectors and matrices without a copy.
    """
    if 0 in dim:
        return
    tensors = [a for a in args if isinstance(a, Tensor)]
    given = [
        as_array(a, of.type.dtype) if isinstance(a, Tensor) else a for a, of in zip(args, kernel.adj.args, strict=True)
    ]
    with torch_stream(tensors[0]):
        wp.launch(kernel, dim=tuple(dim), inputs=given, device=str(tensors[0].device))


def as_array(tensor: Tensor, dtype: type) -> Any:
    """A tensor as a kernel takes it, an array of numbers, vectors or matrices, without a copy.

    The caller keeps the tensor as long as the kernel runs. Warp's own conversion takes 2 us, which a fit would spend
    five thousand times, so that it is asked once for each layout.
    """
    layout = tensor.shape, tensor.stride(), tensor.dtype, dtype
    like = _LAYOUTS.get(layout)
    if like is None:
        like = wp.from_torch(tensor, dtype=dtype, requires_grad=False, return_ctype=True)
        like._ref = None  # the tensor is not kept
        if len(_LAYOUTS) >= _MOST_LAYOUTS:
            _LAYOUTS.clear()
        _LAYOUTS[layout] = like
    array = type(like).from_buffer_copy(like)
    array.data = tensor.data_ptr()
    return array


def compile_all(kernels: Iterable[wp.Kernel], device: torch.device) -> None:
    """Compile kernels now, seconds where this machine never ran them, instead of within the first fit's time."""
    for module in {kernel.module for kernel in kernels}:
        wp.load_module(module, device=str(device), block_dim=1 if device.type == "cpu" else None)  # as `launch` does


def torch_stream(tensor: Tensor) -> AbstractContextManager[object]:
    """On a GPU, queue Warp's work behind PyTorch's; their streams know nothing of each other."""
    if not tensor.is_cuda:
        return nullcontext()
    return wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(tensor.device)))


class SkinningKernels(NamedTuple):
    """Of one precision; `apu.body.skinning` has their formulas, each argument's meaning is in the function that calls.

    Attributes:
        frames: forward kinematics. points: skinning. rows: the Jacobian. step: a step on the manifold.
        logarithm: rotation vectors and their derivative.
    """

    frames: wp.Kernel
    points: wp.Kernel
    rows: wp.Kernel
    step: wp.Kernel
    logarithm: wp.Kernel


@lru_cache
def skinning_kernels(dtype: torch.dtype) -> SkinningKernels:  # noqa: C901 - five kernels of one precision
    """Made when first asked for; Warp keeps what it compiled on disk."""
    scalar = scalar_of(dtype)
    module = f"apu_skinning_{scalar.__name__}"
    vec3, vec4 = wp.types.vector(3, scalar), wp.types.vector(4, scalar)
    mat33: Any = wp.types.matrix((3, 3), scalar)

    @wp.kernel(enable_backward=False, module=module)
    def frames(
        parents: wp.array(dtype=wp.int32),
        joints: wp.array(dtype=vec3),
        joint_dirs: wp.array2d(dtype=vec3),
        rotations: wp.array2d(dtype=mat33),
        betas: wp.array2d(dtype=scalar),
        transl: wp.array(dtype=vec3),
        rotation: wp.array2d(dtype=mat33),
        place: wp.array2d(dtype=vec3),
        origin: wp.array2d(dtype=vec3),
        place_dirs: wp.array3d(dtype=vec3),
        origin_dirs: wp.array3d(dtype=vec3),
    ):
        n = wp.tid()
        rest = wp.zeros(shape=(_BONES,), dtype=vec3)
        for j in range(_BONES):
            shaped = joints[j]
            for m in range(_SHAPES):
                shaped += betas[n, m] * joint_dirs[j, m]
            rest[j] = shaped
            above = parents[j]
            if above < 0:
                rotation[n, j] = rotations[n, j]
                place[n, j] = shaped + transl[n]
            else:
                rotation[n, j] = rotation[n, above] * rotations[n, j]
                place[n, j] = place[n, above] + rotation[n, above] * (shaped - rest[above])
            origin[n, j] = place[n, j] - rotation[n, j] * shaped
            for m in range(_SHAPES):
                along = joint_dirs[j, m]
                if above < 0:
                    place_dirs[n, j, m] = along
                else:
                    place_dirs[n, j, m] = place_dirs[n, above, m] + rotation[n, above] * (along - joint_dirs[above, m])
                origin_dirs[n, j, m] = place_dirs[n, j, m] - rotation[n, j] * along

    @wp.kernel(enable_backward=False, module=module)
    def points(
        bone: wp.array2d(dtype=wp.int32),
        share: wp.array2d(dtype=scalar),
        rotation: wp.array2d(dtype=mat33),
        origin: wp.array2d(dtype=vec3),
        shaped: wp.array2d(dtype=vec3),
        posed: wp.array2d(dtype=vec3),
    ):
        n, i = wp.tid()
        x = vec3()
        for c in range(bone.shape[1]):
            w = share[i, c]
            if w == scalar(0.0):  # the largest come first
                break
            x += w * (rotation[n, bone[i, c]] * shaped[n, i] + origin[n, bone[i, c]])
        posed[n, i] = x

    @wp.kernel(enable_backward=False, module=module)
    def rows(  # noqa: C901 - a sum over bones, then a row per joint
        parents: wp.array(dtype=wp.int32),
        bone: wp.array2d(dtype=wp.int32),
        share: wp.array2d(dtype=scalar),
        dirs: wp.array2d(dtype=vec3),
        rotation: wp.array2d(dtype=mat33),
        place: wp.array2d(dtype=vec3),
        origin: wp.array2d(dtype=vec3),
        origin_dirs: wp.array3d(dtype=vec3),
        shaped: wp.array2d(dtype=vec3),
        index: wp.array3d(dtype=wp.int64),
        weight: wp.array3d(dtype=scalar),
        slope: wp.array3d(dtype=vec3),
        by_shape: bool,
        columns: wp.array4d(dtype=scalar),
    ):
        n, r = wp.tid()
        people, asked = columns.shape[2], slope.shape[2]
        pair, person = n // people, n % people
        size = scalar(0.0)
        for q in range(asked):
            size += wp.length_sq(slope[n, r, q])
        if size == scalar(0.0):
            for q in range(asked):
                for c in range(columns.shape[3]):
                    columns[pair, r * asked + q, person, c] = scalar(0.0)
            return
        # Over each bone: sums of W x, and of W.
        sums = wp.zeros(shape=(_BONES,), dtype=vec4)
        shapes = wp.zeros(shape=(_SHAPES,), dtype=vec3)
        for k in range(index.shape[2]):
            if weight[n, r, k] != scalar(0.0):
                i = int(index[n, r, k])
                for c in range(bone.shape[1]):
                    w = weight[n, r, k] * share[i, c]
                    if w != scalar(0.0):
                        j = bone[i, c]
                        x = w * (rotation[n, j] * shaped[n, i] + origin[n, j])
                        sums[j] += vec4(x[0], x[1], x[2], w)
                        if by_shape:
                            for m in range(_SHAPES):
                                shapes[m] += w * (rotation[n, j] * dirs[i, m] + origin_dirs[n, j, m])
        for back in range(_BONES):
            j = _BONES - 1 - back
            beneath = sums[j]  # by now with all that hangs on it
            above = parents[j]
            if above >= 0:
                sums[above] += beneath
            arm = vec3(beneath[0], beneath[1], beneath[2]) - beneath[3] * place[n, j]
            moves = wp.length_sq(arm) != scalar(0.0)
            for q in range(asked):
                turn = vec3()
                if moves:  # n^T (-[arm]x) G = (G^T (arm x n))^T
                    turn = wp.cross(arm, slope[n, r, q])
                    if above >= 0:
                        turn = wp.transpose(rotation[n, above]) * turn
                for d in range(3):
                    columns[pair, r * asked + q, person, 3 * j + d] = turn[d]
        first = 3 * _BONES
        for q in range(asked):
            for m in range(_SHAPES):
                columns[pair, r * asked + q, person, first + m] = wp.dot(shapes[m], slope[n, r, q])
            for d in range(3):
                columns[pair, r * asked + q, person, first + _SHAPES + d] = sums[0][3] * slope[n, r, q][d]

    @wp.kernel(enable_backward=False, module=module)
    def step(
        rotation: wp.array(dtype=mat33),
        turn: wp.array(dtype=vec3),
        stepped: wp.array(dtype=mat33),
    ):
        n = wp.tid()
        w = turn[n]
        square = wp.length_sq(w)
        # sin t / t and (1 - cos t) / t^2
        once, twice = scalar(1.0) - square / scalar(6.0), scalar(0.5) - square / scalar(24.0)
        if square > scalar(1e-6):
            angle = wp.sqrt(square)
            once, twice = wp.sin(angle) / angle, (scalar(1.0) - wp.cos(angle)) / square
        cross = wp.skew(w)
        stepped[n] = (wp.identity(n=3, dtype=scalar) + once * cross + twice * (cross * cross)) * rotation[n]

    @wp.kernel(enable_backward=False, module=module)
    def logarithm(
        rotation: wp.array(dtype=mat33),
        rotvec: wp.array(dtype=vec3),
        by_turn: wp.array(dtype=mat33),
    ):
        n = wp.tid()
        m = rotation[n]
        # A quaternion from its largest entry (Shepperd, 1978), so that nothing is divided by little.
        trace = m[0, 0] + m[1, 1] + m[2, 2]
        real = scalar(1.0) + trace
        imaginary = vec3(m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1])
        if trace < m[0, 0] or trace < m[1, 1] or trace < m[2, 2]:
            i = int(wp.argmax(vec3(m[0, 0], m[1, 1], m[2, 2])))
            j, k = (i + 1) % 3, (i + 2) % 3
            real = imaginary[i]
            imaginary[i] = scalar(1.0) + m[i, i] - m[j, j] - m[k, k]
            imaginary[j] = m[j, i] + m[i, j]
            imaginary[k] = m[k, i] + m[i, k]
        if real < scalar(0.0):
            real, imaginary = -real, -imaginary
        size = wp.length(imaginary)
        angle = scalar(2.0) * wp.atan2(size, real)
        vector = (scalar(2.0) / real) * imaginary
        quadratic = scalar(1.0) / scalar(12.0)
        if angle > scalar(1e-3):
            vector = (angle / size) * imaginary
            half = scalar(0.5) * angle
            quadratic = scalar(1.0) / (angle * angle) - scalar(1.0) / (scalar(2.0) * angle * wp.tan(half))
        rotvec[n] = vector
        cross = wp.skew(vector)
        by_turn[n] = wp.identity(n=3, dtype=scalar) - scalar(0.5) * cross + quadratic * (cross * cross)

    return SkinningKernels(frames, points, rows, step, logarithm)
