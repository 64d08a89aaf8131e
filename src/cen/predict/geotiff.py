"""Predictions of GeoTIFF files as GeoTIFF files, read and written piece by piece."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cen.data import Modality
from cen.errors import CenWarning, DataError
from cen.predict.arrays import Arrays
from cen.predict.inputs import Intrinsics, common_size
from cen.predict.predictions import file_prefix, write_classes
from cen.predict.predictor import Predictor
from cen.predict.scenes import ArrayScene, Scene
from cen.predict.segmentations import classes_of
from cen.report.legend import legend_entries

_ENDINGS = (".tif", ".tiff")
_CACHE = 64 * 2**20
"""Bytes of blocks that GDAL keeps."""
_SAMPLE = 512
"""The side of the part in the middle that is compared with what the network has seen."""


def is_geotiff(file: str | Path) -> bool:
    """Whether a file is a TIFF with a place on the earth, and rasterio is there to keep it.

    A warning tells that the place is lost where it is not.
    """
    if Path(file).suffix.lower() not in _ENDINGS or not Path(file).is_file():
        return False
    if not _tagged(Path(file)):
        return False
    try:
        import rasterio  # noqa: F401
    except ImportError:
        warnings.warn(
            f"{file}: has a coordinate system, which pictures do not keep; to write GeoTIFF, "
            "install rasterio: pip install 'cen[geo]'",
            CenWarning,
            stacklevel=2,
        )
        return False
    return True


def _tagged(file: Path) -> bool:
    """Whether the first picture has the tags of a GeoTIFF."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            return bool(tiff.pages.first.tags.get("ModelPixelScaleTag")) or bool(
                tiff.pages.first.tags.get("ModelTransformationTag")
            )
    except Exception:  # whatever is wrong with it is told when it is read
        return False


def predict_geotiff(
    predictor: Predictor,
    files: Mapping[str, str | Path],
    out: Path,
    *,
    probabilities: bool = False,
    intrinsics: Intrinsics = None,
) -> dict[str, dict[str, Path]]:
    """Predicts a scene of GeoTIFF files and writes its outputs as GeoTIFF.

    Files are read window by window where no step of their preprocessing needs the whole picture
    (filling holes, HHA, normals from depth, ``data.transforms.resize``).

    Args:
        predictor: predicts it, in tiles as it is told.
        files: by modality; those with a coordinate system have the same one.
        out: folder, made if needed.
        probabilities: also those of the classes.
        intrinsics: see `Predictor`.

    Returns:
        The files by output: of a segmentation ``labels`` (with its colours as a palette),
        ``legend`` (PNG), ``classes`` (JSON) and ``probabilities``, of others ``values``; float32,
        a band for each channel.

    Raises:
        DataError: a file cannot be read or written, or the grids differ.
        StreamError, ShapeError: see `Predictor`.
    """
    import rasterio

    predictor.check_names(files)
    with rasterio.Env(GDAL_CACHEMAX=_CACHE, GDAL_PAM_ENABLED=False), ExitStack() as stack:
        opened = {name: stack.enter_context(_opened(file)) for name, file in files.items()}
        grid = _grid(files, opened)
        size = common_size({str(files[n]): (one.height, one.width) for n, one in opened.items()})
        scene = _scene(predictor, files, opened, intrinsics)
        out.mkdir(parents=True, exist_ok=True)
        draft = Path(stack.enter_context(tempfile.TemporaryDirectory(".part", ".", out)))
        reading = predictor.reading(probabilities)
        with ExitStack() as written:
            rasters = _Rasters(draft, grid, size, written)
            for first, outputs in predictor.in_bands(scene, size):
                for name, output in outputs.items():
                    rasters.write(name, reading.band(name, output, 0), first)
        predictor.tell_missing(files)
        return rasters.finish(predictor, out)


@contextmanager
def _opened(file: str | Path) -> Iterator[Any]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            raster = rasterio.open(file)
    except RasterioError as error:
        raise DataError(f"{file}: cannot be read as GeoTIFF ({error})") from error
    with raster:
        yield raster


def _grid(files: Mapping[str, str | Path], opened: Mapping[str, Any]) -> dict[str, Any]:
    """The coordinate system, and where in it the pixels are."""
    grids = {
        name: {"crs": raster.crs, "transform": raster.transform}
        for name, raster in opened.items()
        if raster.crs is not None or not raster.transform.is_identity
    }
    first = next(iter(grids))
    for name, grid in grids.items():
        same = grid["transform"].almost_equals(grids[first]["transform"], precision=1e-6)
        if grid["crs"] != grids[first]["crs"] or not same:
            raise DataError(
                f"{files[first]} and {files[name]} have other grids (coordinate system, origin, "
                "size of the pixels); bring them to one first, as with gdalwarp"
            )
    return grids[first]


def _scene(
    predictor: Predictor,
    files: Mapping[str, str | Path],
    opened: Mapping[str, Any],
    intrinsics: Intrinsics,
) -> Scene:
    """The scene by windows where its files allow that, else as a whole."""
    device = next(predictor.net.parameters()).device
    ways = {name: predictor.readings[name] for name in files}
    if predictor.net.metadata.get("resize") is None and all(
        _by_windows(ways[name], raster) for name, raster in opened.items()
    ):
        by_windows = _RasterScene(
            {name: (way, opened[name], str(files[name])) for name, way in ways.items()}, device
        )
        predictor.compare(files, by_windows.middle())
        return by_windows
    read = predictor.read(files, intrinsics)
    pictures = {name: [values] for name, values in read.prepared.items()}
    return ArrayScene(pictures, predictor.modalities, device)


def _by_windows(modality: Modality, raster: Any) -> bool:
    """Whether a window of a file can be read and prepared without the rest of it."""
    from rasterio.enums import PhotometricInterp

    plain = raster.photometric in (None, PhotometricInterp.black, PhotometricInterp.rgb)
    needs_rest = (
        modality.fill_holes is not None or modality.before_geometry or modality.page is not None
    )
    same = len(set(raster.dtypes)) == 1 and raster.subdatasets == []
    return plain and same and not needs_rest


class _RasterScene:
    """A scene of which windows are read from files."""

    def __init__(
        self, rasters: Mapping[str, tuple[Modality, Any, str]], device: torch.device
    ) -> None:
        self._rasters, self._device = rasters, device
        _, raster, _ = next(iter(rasters.values()))
        self.size: tuple[int, int] = (raster.height, raster.width)

    def window(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """See `Scene`."""
        inputs = {}
        for name, values in self._read(rows, columns).items():
            modality = self._rasters[name][0]
            numbers = torch.from_numpy(modality.normalise(modality.prepare(values)))
            inputs[name] = numbers[None].to(self._device)
        return inputs

    def middle(self) -> dict[str, NDArray[Any]]:
        """Raw values of the part in the middle."""
        rows, columns = (
            slice(max(0, (side - _SAMPLE) // 2), min(side, (side + _SAMPLE) // 2))
            for side in self.size
        )
        return self._read(rows, columns)

    def _read(self, rows: slice, columns: slice) -> dict[str, NDArray[Any]]:
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        place = Window.from_slices(rows, columns)
        raw_values = {}
        for name, (modality, raster, source) in self._rasters.items():
            bands = None if modality.bands is None else [band + 1 for band in modality.bands]
            try:
                stored = raster.read(bands, window=place)
            except (RasterioError, IndexError) as error:
                raise DataError(f"{source}: cannot be read ({error})") from error
            told = list(zip(raster.scales, raster.offsets, strict=True))
            chosen = [told[band - 1] for band in bands or raster.indexes]
            modality.check_scalings(chosen, source)
            picture = stored[0] if len(stored) == 1 else np.moveaxis(stored, 0, 2)
            raw_values[name] = modality.from_stored(picture, source, nodata=raster.nodata)
        return raw_values


class _Rasters:
    """The files of the outputs, in a folder of their own until a stack closes them."""

    def __init__(
        self, draft: Path, grid: Mapping[str, Any], size: tuple[int, int], stack: ExitStack
    ) -> None:
        self._draft, self._grid, self._size, self._stack = draft, grid, size, stack
        self._opened: dict[tuple[str, str], Any] = {}
        self._arrays: dict[str, Arrays] = {}
        self._counts: dict[str, NDArray[Any]] = {}

    def write(self, name: str, arrays: Arrays, first: int) -> None:
        """Writes rows of an output."""
        self._arrays[name] = arrays
        if not arrays.task.rules.labels:
            self._put(name, "values", arrays.values, first)
            return
        self._put(name, "labels", arrays.values, first)
        counts = np.bincount(arrays.values.ravel(), minlength=arrays.task.channels)
        self._counts[name] = self._counts.get(name, 0) + counts
        if arrays.probabilities is not None:
            self._put(name, "probabilities", np.moveaxis(arrays.probabilities, 0, 2), first)

    def _put(self, name: str, what: str, values: NDArray[Any], first: int) -> None:
        """Writes (rows, W) or (rows, W, bands)."""
        import rasterio
        from rasterio.windows import Window

        planes = values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)
        if (name, what) not in self._opened:
            file = rasterio.open(
                self._draft / f"{name}-{what}.tif",
                "w",
                driver="GTiff",
                height=self._size[0],
                width=self._size[1],
                count=len(planes),
                dtype=planes.dtype,
                compress="deflate",
                tiled=True,
                blockxsize=256,
                blockysize=256,
                bigtiff="if_safer",
                **self._grid,
            )
            self._opened[name, what] = self._stack.enter_context(file)
        window = Window(0, first, self._size[1], planes.shape[1])
        self._opened[name, what].write(planes, window=window)

    def finish(self, predictor: Predictor, out: Path) -> dict[str, dict[str, Path]]:
        """Puts the finished files in their place, and what tells of classes beside them."""
        files: dict[str, dict[str, Path]] = {name: {} for name in self._arrays}
        for name, what in self._opened:
            prefix = file_prefix(name, self._arrays)
            draft, file = self._draft / f"{name}-{what}.tif", out / f"{prefix}{what}.tif"
            if what == "labels":
                names, colours = classes_of(predictor.net, name)
                _paint(draft, colours.tolist())
                entries = legend_entries(self._counts[name].tolist(), names, colours.tolist())
                files[name] = write_classes(out, prefix, entries, self._arrays[name].alpha)
                # Those of an earlier prediction are not of these labels.
                (out / f"{prefix}probabilities.tif").unlink(missing_ok=True)
            draft.replace(file)
            files[name][what] = file
        return files


def _paint(file: Path, colours: list[list[int]]) -> None:
    """Gives a file of class numbers its palette."""
    import rasterio

    with rasterio.open(file, "r+") as raster:
        raster.write_colormap(1, {number: tuple(colour) for number, colour in enumerate(colours)})
