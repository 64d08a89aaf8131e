"""Distances between the distributions of generated and real images, in the features of a network.

With Inception features they are called FID and KID; with any other network they bear its name,
because their values are not comparable with published FID.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from cen.arguments import whole
from cen.errors import ConfigError, DataError, ShapeError, described
from cen.metrics.features import Features
from cen.tasks.image import Image
from cen.tasks.kind import plain_scores
from cen.tasks.pairs import check_numbers, check_together

Protocol = Literal["clean", "released"]

SUBSET = 1000
"""Images per subset of the kernel distance, as in the literature; all of them where fewer."""

SUBSETS = 50
"""Number of subsets, where there are more images than one subset takes."""

_LARGEST_FEATURE = 1e30


class DistanceScores(NamedTuple):
    """Distances between two sets of images, float64 on the CPU.

    Attributes:
        frechet: the Fréchet distance between Gaussians fitted to the features; FID with Inception.
        kernel: the squared maximum mean discrepancy with a cubic kernel, times 100; KID × 100 with
            Inception, the form in which the CEN and TokenFusion papers print it.
    """

    frechet: Tensor
    kernel: Tensor

    def to_dict(self, features: str) -> dict[str, Any]:
        """The scores as plain numbers under the names of :func:`score_names`."""
        values = plain_scores(self)
        return dict(zip(score_names(features), values.values(), strict=True))


def score_names(features: str) -> tuple[str, str]:
    """What the two distances are called on a feature network: FID and KID on Inception alone.

    These are the keys of evaluation.json. Under ``kid``, and under ``kernel_...`` alike, stands the
    distance times 100, see :class:`DistanceScores`.
    """
    if features == "inception":
        return "fid", "kid"
    return f"frechet_{features}", f"kernel_{features}"


def to_bytes(images: Tensor, protocol: Protocol = "clean") -> Tensor:
    """Images in [-1, 1] as the uint8 pictures that feature networks see.

    Args:
        images: (B, C, H, W) with one or three channels; one is repeated to three. Values that are
            not finite count as -1.
        protocol: ``"clean"``: -1 is 0 and 1 is 255, rounded. ``"released"``: every image is
            stretched on its own from its least to its greatest value and cut off to integers, as
            the released code did before it computed FID and KID; brightness and contrast then do
            not count.

    Returns:
        (B, 3, H, W) uint8.

    Raises:
        ConfigError: the protocol is unknown.
        ShapeError: there are neither one nor three channels.
        DataError: no floating point tensor: pictures in 0..255 are no images in [-1, 1].
    """
    if protocol not in get_args(Protocol):
        protocols = " or ".join(map(repr, get_args(Protocol)))
        raise ConfigError(f"the protocol of the image distances is {protocols}, not {protocol!r}")
    check_numbers(images, "images for the image distances", "B, C, H, W")
    if images.shape[1] not in (1, 3):
        raise ShapeError(
            f"image distances take (B, 1, H, W) or (B, 3, H, W), not {tuple(images.shape)}"
        )
    values = torch.where(torch.isfinite(images), images, -1).float()
    if protocol == "clean":
        values = ((values.clamp(-1, 1) + 1) * 127.5).round()
    else:
        low, high = values.amin((1, 2, 3), keepdim=True), values.amax((1, 2, 3), keepdim=True)
        values = (values - low) * 255 / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
    return values.to(torch.uint8).expand(-1, 3, -1, -1)


def frechet_distance(real: Tensor, generated: Tensor) -> Tensor:
    """Fréchet distance between Gaussians fitted to two sets of features (Heusel et al., 2017).

    |μ − μ'|² + tr(Σ + Σ' − 2 (Σ^½ Σ' Σ^½)^½), by symmetric eigendecompositions.

    Args:
        real: (N, F), N ≥ 2, finite floating point numbers.
        generated: (N', F), N' ≥ 2, likewise.

    Returns:
        Scalar, float64, at least 0.

    Raises:
        ShapeError: the features do not fit, or there are too few images for a covariance.
        DataError: the features are no finite floating point numbers, or on different devices.
    """
    _check_features(real, generated)
    mean, other = real.double().mean(0), generated.double().mean(0)
    first, second = real.double().T.cov(), generated.double().T.cov()
    values, vectors = torch.linalg.eigh(first)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    distance: Tensor = (mean - other).square().sum() + first.trace() + second.trace() - 2 * product
    return distance.clamp(min=0)


def kernel_distance(
    real: Tensor,
    generated: Tensor,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET,
    seed: int = 0,
) -> Tensor:
    """Squared maximum mean discrepancy with the kernel (x·y / F + 1)³ (Binkowski et al., 2018).

    Unbiased but for the cross term, as in the literature's code; the mean over random subsets, or
    one value where a subset would hold all images.

    Args:
        real: (N, F), N ≥ 2, finite floating point numbers.
        generated: (N', F), N' ≥ 2, likewise.
        subsets: number of subsets.
        subset_size: images per subset, at least 2, cut down to the number of images there are.
        seed: of the draws.

    Returns:
        Scalar, float64, not multiplied by anything; may be slightly below 0.

    Raises:
        ShapeError: the features do not fit, or there are too few images.
        DataError: the features are no finite floating point numbers, or on different devices.
        ConfigError: a number of the subsets is none.
    """
    _check_features(real, generated)
    count = whole("subsets", subsets)
    size = min(whole("subset_size", subset_size, 2), len(real), len(generated))
    generator = torch.Generator().manual_seed(whole("seed", seed, 0))
    if size == len(real) == len(generated):
        return _squared_mmd(real.double(), generated.double())
    values = [
        _squared_mmd(*(_draw(features, size, generator) for features in (real, generated)))
        for _ in range(count)
    ]
    return torch.stack(values).mean()


def _draw(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    chosen = torch.randperm(len(features), generator=generator)[:size]
    return features[chosen.to(features.device)].double()


def _squared_mmd(real: Tensor, generated: Tensor) -> Tensor:
    count = len(real)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = sum(k.sum() - k.trace() for k in (kernel(real, real), kernel(generated, generated)))
    return within / (count * (count - 1)) - 2 * kernel(real, generated).mean()


def _check_features(real: Tensor, generated: Tensor) -> None:
    check_together(generated, real, "the real features", "the generated ones")
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ShapeError(
            f"features are (N, F) with the same F, got {tuple(real.shape)} and "
            f"{tuple(generated.shape)}"
        )
    if not real.shape[1]:
        raise ShapeError("features are (N, F) with F at least 1, got F = 0")
    if min(len(real), len(generated)) < 2:
        raise ShapeError(
            f"a distribution needs at least 2 images, got {len(real)} and {len(generated)}"
        )
    for name, features in (("real", real), ("generated", generated)):
        check_numbers(features, f"the {name} features")
        # On any device: what is computed of them is read back anyway. Beyond, squares overflow.
        fits = features.double().abs() < _LARGEST_FEATURE
        if not bool(fits.all()):
            raise DataError(
                f"the {name} features hold NaN, infinity or numbers beyond {_LARGEST_FEATURE:g} in "
                f"{int((~fits).sum())} of {fits.numel()} values; a network that gives such "
                "features, or what it was given, is not finite"
            )


class _Given(nn.Module):
    """Hands on features that were computed already, where torchmetrics wants a network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class _Frechet(FrechetInceptionDistance):
    """Undefined, not refused, where there are fewer than two images."""

    orig_dtype = torch.float64  # what `update` sets, of a process that has counted nothing

    def compute(self) -> Tensor:
        counts = self.real_features_num_samples, self.fake_features_num_samples
        if min(int(count) for count in counts) < 2:
            return torch.tensor(torch.nan, dtype=torch.float64)
        return super().compute()


class _Kernel(KernelInceptionDistance):
    """Subsets no larger than the number of images; one where it would hold all of them."""

    real_features: list[Tensor]

    def put_together(self, width: int) -> None:
        """Makes one tensor of the features of every batch, (N, width); N may be 0.

        Processes hand them over one tensor after another: where one had counted more batches than
        another, real features met generated ones.
        """
        for name in ("real_features", "fake_features"):
            none = torch.empty(0, width, dtype=torch.float64, device=self.device)
            setattr(self, name, [torch.cat([none, *getattr(self, name)])])

    def compute(self) -> tuple[Tensor, Tensor]:
        count = sum(len(features) for features in self.real_features)
        if count < 2:
            return (torch.tensor(torch.nan, dtype=torch.float64),) * 2
        subset_options = self.subset_size, self.subsets
        if count <= self.subset_size:
            self.subset_size, self.subsets = count, 1
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return super().compute()
        finally:
            self.subset_size, self.subsets = subset_options


class ImageDistance(nn.Module):
    """Accumulates both distances of one or several sets of generated images to the real ones.

    The features of the real images are computed once for all sets. The distances themselves are
    torchmetrics', which also adds up over processes.

    Args:
        features: the feature network, see :func:`cen.metrics.load_features`.
        columns: names of the sets, for instance a network's streams and its ensemble.
        protocol: how images become pictures, see :func:`to_bytes`.
        subset_size: images per subset of the kernel distance.
        subsets: number of subsets.

    Raises:
        ConfigError: an argument is another thing, or a number of the subsets is none.
    """

    def __init__(
        self,
        features: Features,
        columns: tuple[str, ...],
        *,
        protocol: Protocol = "clean",
        subset_size: int = SUBSET,
        subsets: int = SUBSETS,
    ) -> None:
        super().__init__()
        if not isinstance(features, Features):
            raise ConfigError(f"features come from load_features, not {described(features)}")
        whole("subset_size", subset_size, 2)
        whole("subsets", subsets)
        self.features, self.columns, self.protocol = features, columns, protocol
        network = _Given(features.num_features)
        self.frechet = nn.ModuleList(_Frechet(network) for _ in columns)
        with warnings.catch_warnings():
            # That features are kept is known: there are at most some thousand images.
            warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance`")
            self.kernel = nn.ModuleList(
                _Kernel(network, subsets=subsets, subset_size=subset_size) for _ in columns
            )

    def update(self, generated: dict[str, Tensor], real: Tensor) -> None:
        """Counts one batch.

        Args:
            generated: (B, C, H, W) in [-1, 1] of every column.
            real: the true images, the same shape.

        Raises:
            ShapeError: the images have neither one nor three channels, or the shapes differ.
            DataError: no floating point images.
            ConfigError: a column is missing.
        """
        if missing := [column for column in self.columns if column not in generated]:
            raise ConfigError(f"no generated images for {missing[0]!r}, given: {list(generated)}")
        for column in self.columns:
            Image.check_same(generated[column], real)
        # In double precision, because the kernel takes the third power.
        truth = self.features(to_bytes(real, self.protocol)).double()
        for index, column in enumerate(self.columns):
            generated_features = self.features(to_bytes(generated[column], self.protocol)).double()
            for metric in (self.frechet[index], self.kernel[index]):
                metric.update(truth, real=True)  # type: ignore[operator]
                metric.update(generated_features, real=False)  # type: ignore[operator]

    def compute(self) -> dict[str, DistanceScores]:
        """The distances of every column, nan where fewer than two images were counted.

        On several processes every one must call it, however many batches it has counted.
        """
        scores = {}
        for index, column in enumerate(self.columns):
            distance = self.frechet[index].compute()  # type: ignore[operator]
            kernel_metric = self.kernel[index]
            assert isinstance(kernel_metric, _Kernel)
            kernel_metric.put_together(self.features.num_features)
            kernel, _ = kernel_metric.compute()
            scores[column] = DistanceScores(distance.double().cpu(), 100 * kernel.double().cpu())
        return scores

    def reset(self) -> None:
        """Forgets everything counted so far."""
        for metric in (*self.frechet, *self.kernel):
            metric.reset()
