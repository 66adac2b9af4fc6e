"""Tensors as kernels take them."""

import gc

import torch
import warp as wp

from apu.body.kernels import as_array, launch


@wp.kernel(enable_backward=False, module="apu_test_kernels")
def _lengths(vectors: wp.array2d(dtype=wp.vec3), lengths: wp.array2d(dtype=float)):  # pyright: ignore
    n, i = wp.tid()
    lengths[n, i] = wp.length(vectors[n, i])


def lengths(vectors: torch.Tensor) -> torch.Tensor:
    out = vectors.new_empty(vectors.shape[:2])
    launch(_lengths, out.shape, vectors, out)
    return out


def test_tensors_of_one_layout_are_each_read_where_they_lie() -> None:
    one, other = torch.rand(2, 5, 3), torch.rand(2, 5, 3)
    for vectors in (one, other, one):
        torch.testing.assert_close(lengths(vectors), vectors.norm(dim=-1))


def test_views_of_one_shape_keep_their_strides() -> None:
    whole = torch.rand(4, 5, 3)
    for vectors in (whole[:2], whole[::2], whole[1:3], whole.transpose(0, 1)[:2, :4].transpose(0, 1)):
        torch.testing.assert_close(lengths(vectors), vectors.norm(dim=-1))


def test_a_layout_that_is_remembered_keeps_no_memory() -> None:
    tensor = torch.rand(3, 977, 3)
    assert as_array(tensor, wp.vec3).data == tensor.data_ptr()
    del tensor
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is torch.Tensor and o.shape == (3, 977, 3)]
