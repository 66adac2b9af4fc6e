"""The Gaussian-mixture pose prior L_GMM, from a file that users bring (SMPLify's ``gmm_08``, licensed, not shipped).

Its owners hand it out as a pickle, which this program does not open; where that file is trusted, it is converted by

    data = pickle.load(open("gmm_08.pkl", "rb"), encoding="latin1")
    numpy.savez("pose_mixture.npz", **{name: data[name] for name in ("means", "covars", "weights")})
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from apu.errors import FormatError
from apu.files import load_npz

_BODY = 63
"""Of SMPL's 69 pose numbers, the first 63 are SMPL-X's 21 body joints; the two hands are left out."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """G Gaussians over the body pose (63 rotation-vector numbers).

    Attributes:
        means: (G, 63). roots: T with T T^T the inverse covariance. penalties: -log w_g + log det(cov_g) / 2, least 0.
    """

    means: Float[Tensor, "G 63"]
    roots: Float[Tensor, "G 63 63"]
    penalties: Float[Tensor, "G"]

    @classmethod
    def of(
        cls, means: np.ndarray, covars: np.ndarray, weights: np.ndarray, *, device: torch.device, dtype: torch.dtype
    ) -> "Mixture":
        """From a mixture over at least 63 numbers; further ones are marginalised out."""
        covars = covars[:, :_BODY, :_BODY]
        penalties = 0.5 * np.linalg.slogdet(covars)[1] - np.log(weights)
        roots = np.linalg.cholesky(np.linalg.inv(covars))
        tensors = (means[:, :_BODY], roots, penalties - penalties.min())
        return cls(*(torch.as_tensor(a, dtype=dtype, device=device) for a in tensors))


def load_mixture(path: Path, *, device: torch.device, dtype: torch.dtype) -> Mixture:
    """Read a mixture from npz with ``means`` (G, D), ``covars`` (G, D, D), ``weights`` (G), D >= 63.

    Raises:
        FormatError: an array is missing, misshapen, or a covariance is not positive definite.
    """
    data = load_npz(path)
    missing = {"means", "covars", "weights"} - data.keys()
    if missing:
        raise FormatError(f"{path}: not a pose mixture, it lacks {', '.join(sorted(missing))}")
    means, covars, weights = (np.asarray(data[name], float) for name in ("means", "covars", "weights"))
    groups, size = means.shape if means.ndim == 2 else (0, 0)
    if size < _BODY or covars.shape != (groups, size, size) or weights.shape != (groups,):
        raise FormatError(
            f"{path}: expected means (G, D >= 63), covars (G, D, D), weights (G); "
            f"got {means.shape}, {covars.shape}, {weights.shape}"
        )
    try:
        return Mixture.of(means, covars, weights, device=device, dtype=dtype)
    except np.linalg.LinAlgError as error:
        raise FormatError(f"{path}: a covariance of the mixture is not positive definite") from error
