# pyright: reportInvalidTypeForm=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportGeneralTypeIssues=false, reportArgumentType=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false, reportReturnType=false
# The kernel is Warp's language in Python's syntax; its names and operators are not Python's.
"""The floor's inner loops, as a Warp kernel; `apu.fit.ground` says what it computes and calls it."""

from functools import lru_cache
from typing import Any

import torch
import warp as wp

from apu.body.kernels import scalar_of


@lru_cache
def ground_kernel(dtype: torch.dtype) -> wp.Kernel:  # noqa: C901 - a formula of many rows
    """Of one precision."""
    scalar = scalar_of(dtype)
    vec2, vec3 = wp.types.vector(2, scalar), wp.types.vector(3, scalar)
    mat33: Any = wp.types.matrix((3, 3), scalar)
    one, half = scalar(1.0), scalar(0.5)

    @wp.func
    def lay(
        n: int, plane: vec3, middle: vec3, soles: wp.array3d(dtype=vec3), mass: wp.array2d(dtype=vec3),
        weight: wp.array3d(dtype=scalar), floor_sigma: scalar, floor_scale: scalar, tilt_sigma: vec2,
        balance_sigma: scalar, balance_scale: scalar, carries: wp.array3d(dtype=scalar),
        residual: wp.array2d(dtype=scalar), columns: wp.array2d(dtype=vec3),
    ) -> vec2:  # fmt: skip
        """Rows, their columns and the values with the floor at `plane` = (h, a, b) about the middle of the feet."""
        people, points = weight.shape[1], weight.shape[2]
        floor, balance = scalar(0.0), scalar(0.0)
        for p in range(people):
            counts = scalar(0.0)
            for k in range(points):
                if weight[n, p, k] > scalar(0.0):
                    counts = one
            stands, whole = scalar(0.0), scalar(1e-9)
            foot = vec3()
            for k in range(points):
                x = soles[n, p, k] - middle
                off = x[1] - plane[0] - plane[1] * x[0] - plane[2] * x[2]
                hold = one / (one + (off / floor_scale) * (off / floor_scale))
                firm = weight[n, p, k] * hold / floor_sigma
                r = p * points + k
                residual[n, r] = firm * off
                columns[n, r] = firm * vec3(one, x[0], x[2])
                floor += half * weight[n, p, k] * firm * off * off / floor_sigma
                # Which soles carry: held, like the weights of reweighted least squares. A foot that nobody saw may.
                carries[n, p, k] = counts * hold * hold
                stands = wp.max(stands, carries[n, p, k])
                whole += carries[n, p, k]
                foot += carries[n, p, k] * x
            up = mass[n, p] - middle - foot / whole
            beside = vec2(up[0] + plane[1] * up[1], up[2] + plane[2] * up[1])  # across the floor's normal
            aside = wp.length_sq(beside)
            near = one / (one + aside / (balance_scale * balance_scale))
            firm = wp.sqrt(stands) * near / balance_sigma
            for d in range(2):
                residual[n, people * points + 2 * p + d] = firm * beside[d]
            columns[n, people * points + 2 * p] = vec3(scalar(0.0), -firm * up[1], scalar(0.0))
            columns[n, people * points + 2 * p + 1] = vec3(scalar(0.0), scalar(0.0), -firm * up[1])
            balance += half * stands * near * aside / (balance_sigma * balance_sigma)
            for k in range(points):
                carries[n, p, k] = firm * carries[n, p, k] / whole
        last = people * (points + 2)
        residual[n, last] = -plane[1] / tilt_sigma[0]
        residual[n, last + 1] = -plane[2] / tilt_sigma[1]
        columns[n, last] = vec3(scalar(0.0), one / tilt_sigma[0], scalar(0.0))
        columns[n, last + 1] = vec3(scalar(0.0), scalar(0.0), one / tilt_sigma[1])
        for d in range(2):
            floor += half * residual[n, last + d] * residual[n, last + d]
        return vec2(floor, balance)

    @wp.kernel(enable_backward=False, module=f"apu_ground_{scalar.__name__}")
    def ground(  # noqa: C901 - see above
        soles: wp.array3d(dtype=vec3), mass: wp.array2d(dtype=vec3), weight: wp.array3d(dtype=scalar),
        floor_sigma: scalar, floor_scale: scalar, roll_sigma: scalar, pitch_sigma: scalar, balance_sigma: scalar,
        balance_scale: scalar, rounds: int, carries: wp.array3d(dtype=scalar), floor: wp.array(dtype=scalar),
        balance: wp.array(dtype=scalar), residual: wp.array2d(dtype=scalar), slope: wp.array3d(dtype=vec3),
        columns: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        n = wp.tid()
        people, points, count = weight.shape[1], weight.shape[2], residual.shape[1]
        tilt_sigma = vec2(roll_sigma, pitch_sigma)
        # The floor is looked for about the feet, where its height and its tilts hardly depend on each other.
        middle, seen, lowest = vec3(), scalar(0.0), scalar(-wp.inf)
        for p in range(people):
            for k in range(points):
                if weight[n, p, k] > scalar(0.0):
                    middle += soles[n, p, k]
                    seen += one
                    lowest = wp.max(lowest, soles[n, p, k][1])
        plane = vec3()
        if seen > scalar(0.0):
            middle = middle / seen
            plane[0] = lowest - middle[1]
        inverse = mat33()
        for i in range(rounds + 1):
            values = lay(
                n, plane, middle, soles, mass, weight, floor_sigma, floor_scale, tilt_sigma, balance_sigma,
                balance_scale, carries, residual, columns,
            )  # fmt: skip
            floor[n] = values[0]
            balance[n] = values[1]
            normal, right = scalar(1e-6) * wp.identity(n=3, dtype=scalar), vec3()  # where nobody stands
            for r in range(count):
                normal += wp.outer(columns[n, r], columns[n, r])
                right += residual[n, r] * columns[n, r]
            inverse = wp.inverse(normal)
            if i < rounds:
                plane += inverse * right
        across, along = vec3(one, plane[1], scalar(0.0)), vec3(scalar(0.0), plane[2], one)
        for p in range(people):
            carried = scalar(0.0)
            for m in range(points + 1):
                mark = p * (points + 1) + m
                for r in range(count):
                    slope[n, r, mark] = vec3()
                # Of the floor held; the sum of what soles carry is what the centre of mass weighs.
                first = people * points + 2 * p
                lever = carried
                if m < points:
                    lever = -carries[n, p, m]
                    carried += carries[n, p, m]
                    r = p * points + m
                    slope[n, r, mark] = columns[n, r][0] * vec3(-plane[1], one, -plane[2])
                slope[n, first, mark] = lever * across
                slope[n, first + 1, mark] = lever * along
                # And of what it does then.
                pull = wp.outer(columns[n, first], slope[n, first, mark])
                pull += wp.outer(columns[n, first + 1], slope[n, first + 1, mark])
                if m < points:
                    r = p * points + m
                    pull += wp.outer(columns[n, r], slope[n, r, mark])
                follows = wp.transpose(inverse * pull)
                for r in range(count):
                    slope[n, r, mark] = slope[n, r, mark] - follows * columns[n, r]

    return ground
