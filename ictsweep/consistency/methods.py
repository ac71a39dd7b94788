"""Training methods as values: which levels to compare (pairs), on which path to which image (path,
endpoint), with whose output (teacher), by what measure (distance), and how much it counts
(weighting)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated

from annotated_types import Gt

from ictsweep.consistency.curricula import Doubling, SquareRoot, StagedGap
from ictsweep.consistency.distances import L2, MeanSquare, Perceptual, PseudoHuber
from ictsweep.consistency.endpoints import Data, Generated
from ictsweep.consistency.levels import KarrasGrid, LogNormal, Uniform
from ictsweep.consistency.pairs import CleanPairs, ContinuousPairs, GridPairs
from ictsweep.consistency.paths import OneSample, PosteriorMean
from ictsweep.consistency.preconditioning import Scalings
from ictsweep.consistency.teachers import EmaTeacher, Student
from ictsweep.consistency.weightings import InverseCoutSquared, InverseGap, UniformWeight

__all__ = ["METHODS", "Method"]

# A step of 8-bit pixels in [-1, 1] is 0.0078; published are 0.002 and 0.003.
_MAX_EVAL_SIGMA_MIN = 0.01


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training method: (t, r) = pairs; y = endpoint; (x_t, x_r) = path; u = teacher(x_r, r);
    L = weighting * distance(f(x_t, t), u).

    `sigma_data` is the standard deviation of the data in [-1, 1]. `eval_sigma_min` is the level
    where f is made the identity in sampling, if another than in training: one so low, at most 0.01,
    that its noise cannot be seen in 8 bit.
    """

    pairs: GridPairs | ContinuousPairs | CleanPairs = field(default_factory=GridPairs)
    endpoint: Data | Generated = field(default_factory=Data)
    path: OneSample | PosteriorMean = field(default_factory=OneSample)
    teacher: Student | EmaTeacher = field(default_factory=Student)
    distance: PseudoHuber | L2 | MeanSquare | Perceptual = field(default_factory=PseudoHuber)
    weighting: InverseGap | UniformWeight | InverseCoutSquared = field(default_factory=InverseGap)
    sigma_data: Annotated[float, Gt(0)] = 0.5
    eval_sigma_min: Annotated[float, Gt(0)] | None = None

    @property
    def scalings(self) -> Scalings:
        """The preconditioning in training: the identity at the pairs' boundary."""
        return Scalings(sigma_data=self.sigma_data, sigma_min=self.pairs.boundary)

    @property
    def eval_scalings(self) -> Scalings:
        """The preconditioning in sampling."""
        if self.eval_sigma_min is None:
            return self.scalings
        return replace(self.scalings, sigma_min=self.eval_sigma_min)

    @property
    def eval_range(self) -> tuple[float, float]:
        """The noise levels between which sampling can pause: above the one where f is the identity,
        and above the boundary, whose noise f's outputs still carry.
        """
        return max(self.pairs.boundary, self.eval_scalings.sigma_min), self.pairs.sigma_max

    def misfits(self) -> list[tuple[tuple[str, ...], str]]:
        """Parts that do not fit together: (path inside the method, message naming both sides)."""
        found = [(("pairs", *path), message) for path, message in self.pairs.misfits()]
        if isinstance(self.teacher, EmaTeacher) and not isinstance(self.pairs, GridPairs):
            message = f"got ema; its decay follows the grid's levels, and pairs {self.pairs.name}"
            found.append((("teacher",), f"{message} has no grid; expected student, or pairs grid"))
        if isinstance(self.endpoint, Generated) and isinstance(self.pairs, CleanPairs):
            message = "got generated; the generator works at level r, and with pairs clean r is 0"
            found.append((("endpoint",), f"{message}; expected data, or pairs grid or continuous"))
        if isinstance(self.distance, Perceptual) and not Perceptual.available():
            message = "got perceptual; the package lpips is not installed: pip install"
            found.append((("distance",), f"{message} 'ictsweep[perceptual]', or choose another"))
        if self.eval_sigma_min is not None:
            found += self._eval_misfits(self.eval_sigma_min)
        return found

    def _eval_misfits(self, low: float) -> list[tuple[tuple[str, ...], str]]:
        """Levels of the identity that sampling cannot have."""
        place, high = ("eval_sigma_min",), self.pairs.sigma_max
        if isinstance(self.pairs, CleanPairs):
            message = f"got {low}; with pairs clean a denoiser is trained, the identity at 0 alone"
            return [(place, f"{message}; expected none, or pairs grid or continuous")]
        if low > _MAX_EVAL_SIGMA_MIN or low >= high:
            message = f"at most {_MAX_EVAL_SIGMA_MIN} and less than the highest level {high}"
            return [(place, f"got {low}; expected {message}")]
        return []


# Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models"
# (arXiv:2206.00364), Table 1: the diffusion model that ECT and SCT start from.
_EDM = Method(
    pairs=CleanPairs(density=LogNormal(mean=-1.2, std=1.2)),
    distance=MeanSquare(),
    weighting=InverseCoutSquared(),
)

# Song et al. 2023, "Consistency Models" (arXiv:2303.01469), Appendix C and Table 3, CIFAR-10: CT.
# The paper's best metric is LPIPS, `distance: {name: perceptual}`; this is its L2 form, which needs
# no network of its own.
_CT = Method(
    pairs=GridPairs(density=Uniform(), steps=SquareRoot(s0=2, s1=150)),
    teacher=EmaTeacher(mu0=0.9),
    distance=MeanSquare(),
    weighting=UniformWeight(),
)

# The same, ImageNet 64x64.
_CT_IMAGENET64 = replace(
    _CT,
    pairs=GridPairs(density=Uniform(), steps=SquareRoot(s0=2, s1=200)),
    teacher=EmaTeacher(mu0=0.95),
)

# Song & Dhariwal 2023, "Improved Techniques for Training Consistency Models" (arXiv:2310.14189),
# Table 1 (iCT). iCT-deep is the same method on a network of twice the depth.
_ICT = Method(
    pairs=GridPairs(
        density=LogNormal(mean=-1.1, std=2.0),
        steps=Doubling(s0=10, s1=1280, period=1 / 8),
        grid=KarrasGrid(sigma_min=0.002, sigma_max=80.0, rho=7.0),
    ),
    distance=PseudoHuber(c_scale=0.00054),
    weighting=InverseGap(),
    sigma_data=0.5,
)

# Geng et al. 2024, "Consistency Models Made Easy" (arXiv:2406.14548), CIFAR-10, and its released
# code: the boundary is 0 in training and 0.003 in sampling. Starts from an EDM diffusion model.
_ECT = Method(
    pairs=ContinuousPairs(
        density=LogNormal(mean=-1.1, std=2.0),
        steps=StagedGap(q=2.0, period=1 / 8, k=8.0, b=1.0),
    ),
    distance=L2(),
    weighting=InverseGap(),
    eval_sigma_min=0.003,
)

# The same, ImageNet 64x64: c = 0.06 = 0.00054 sqrt(3 64^2), four stages with q = 4, one boundary.
_ECT_IMAGENET64 = Method(
    pairs=ContinuousPairs(
        density=LogNormal(mean=-0.8, std=1.6),
        steps=StagedGap(q=4.0, period=1 / 4, k=8.0, b=1.0),
    ),
    distance=PseudoHuber(c_scale=0.06 / 12288**0.5),
    weighting=InverseCoutSquared(),
)

# Wang et al. 2024, "Stable Consistency Tuning" (arXiv:2410.18958): ECT with posterior means. What
# the paper does not report is ECT's, the stages of its gap too; it describes a smoother curriculum,
# which `steps: {name: smooth_gap}` is.
_SCT = replace(_ECT, path=PosteriorMean(references=1024))

# Issenhuth et al. 2024, "Improving Consistency Models with Generator-Augmented Flows"
# (arXiv:2406.09570): iCT with mu = 0.5, ECT with mu = 0.3. The paper trains them without dropout,
# which is the network's: a method leaves it as it is, so that `network: {dropout: 0}` belongs to
# these presets wherever the paper is to be followed.
_GAF = replace(_ICT, endpoint=Generated(share=0.5))
_GAF_ECT = replace(_ECT, endpoint=Generated(share=0.3))

# SCT's path on iCT's grid, which needs no diffusion model to start from.
_SCT_ICT = replace(_ICT, path=PosteriorMean(references=1024))

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "ict": _ICT,
        "edm": _EDM,
        "ct": _CT,
        "ct_imagenet64": _CT_IMAGENET64,
        "ect": _ECT,
        "ect_imagenet64": _ECT_IMAGENET64,
        "sct": _SCT,
        "sct_ict": _SCT_ICT,
        "gaf": _GAF,
        "gaf_ect": _GAF_ECT,
    }
)
