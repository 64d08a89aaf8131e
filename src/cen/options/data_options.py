"""The ``data`` part of a configuration: which files are read, and as what."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cen.data.readers.registry import check_layout
from cen.errors import ConfigError, shown
from cen.options.augmentation_options import AugmentConfig
from cen.options.constraints import Size, Within

_Zoom = Annotated[float, Within(0.01, 100)]
_Crop = Annotated[int, Within(32, 16384)]
_Classes = Annotated[int, Within(2, 2**16)]

_OF_FILES = "the dataset.yaml of a folder (data.layout folder, docs/your-own-data.md) says it"

ELSEWHERE = {
    **dict.fromkeys(("values", "colours", "palette", "first", "ignore", "pattern"), _OF_FILES),
    "classes": f"data.classes names them, or {_OF_FILES}",
}
"""Where what is no key of a configuration is said, for messages."""


@dataclass
class ReadingConfig:
    """How the files of one modality become numbers for the network.

    The network sees ``(encoded * scale - mean) / std``; ``null`` means what the data set says, and
    where that says nothing the default of the kind and the encoding (docs/modalities.md). The
    number of channels is that of ``model.inputs``.

    Attributes:
        kind: ``image``: 8-bit colour or grey files; ``depth``: distances, in metres inside CEN;
            ``normal``, ``label``, ``edge``, ``continuous``: docs/modalities.md; null: what the data
            set says.
        unit: What one stored value is worth: metres for depth, 1 for white of edges.
        missing: Stored value, or list of values, that means "not measured", compared in the type of
            the file; what a TIFF itself calls no data is missing, too, unless the list is empty.
            null: what the data set says, else 0 for depth.
        bits: What a stored value must have; files of others, such as depth that was saved again
            with 8 bits, are refused. 16 also admits 16-bit images.
        bands: Which bands of a file are read, counted from 0, such as ``[3]`` for the thermal one
            beside RGB; null: all, and a file with other than the channels declared is refused.
        page: Which picture of a TIFF is read, counted from 0; null: the only one, or all of one
            band each as bands.
        variable: Which array of an NPZ, MATLAB or HDF5 file is read; null: the only one.
        exif: What is done with a picture that its header says is turned: ``turn`` shows it as
            viewers do, ``ignore`` reads the pixels as they are stored; null: it is refused.
        axes: Where the three stored channels of normals point; null: ``+x +y +z``, with x right, y
            down, z forward.
        encoding: What the network sees of a depth, an edge or continuous values: ``raw``,
            ``inverse``, ``log``, ``minmax``, ``jet``, ``normals``, ``hha``, or the released code's
            ``released_segmentation``, ``taskonomy_depth``, ``taskonomy_edge_texture``,
            ``taskonomy_edge_occlusion``.
        clip: Smallest and largest value of a depth or of continuous values; others are set to
            these. The range of ``jet``.
        fill_holes: How holes of a depth are filled in, before anything else.
        intrinsics: fx, fy, cx, cy of the camera in pixels, for ``hha`` and ``normals``; null: what
            the data set says.
        scale: Factor from the encoded value (raw: 0..255, or metres) to the value that is
            normalised.
        mean: One number per channel, subtracted after ``scale``.
        std: One number per channel, divided by last.
        fill: What the network sees where a value is missing and where a crop is padded.
        interpolation: How it is resized; null: cubic for images, nearest for depth and labels,
            linear for the others.
    """

    kind: Literal["image", "depth", "normal", "label", "edge", "continuous"] | None = None
    unit: float | None = None
    missing: float | list[float] | None = None
    bits: int | None = None
    bands: list[int] | None = None
    page: int | None = None
    variable: str | None = None
    exif: Literal["turn", "ignore"] | None = None
    axes: str | None = None
    encoding: str | None = None
    clip: list[float] | None = None
    fill_holes: Literal["nearest", "inpaint"] | None = None
    intrinsics: list[float] | None = None
    scale: float | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    fill: float | None = None
    interpolation: Literal["nearest", "linear", "cubic"] | None = None

    def check(self, name: str, channels: int | None) -> None:
        """Refuses what no single key shows.

        Args:
            name: The modality.
            channels: Its channels as an input of the network; None where it is none.
        """
        place = f"data.modalities.{name}"
        # A depth declared as an image would lose its unit.
        if self.kind == "image" and (self.unit is not None or self.missing is not None):
            raise ConfigError(
                f"{place}: unit and missing are for kind: depth, but its kind is image; say kind: "
                "depth"
            )
        for key, numbers in (("mean", self.mean), ("std", self.std)):
            if channels is not None and numbers is not None and len(numbers) != channels:
                raise ConfigError(
                    f"{place}.{key}: {len(numbers)} numbers for {channels} channels of "
                    f"model.inputs.{name}; give one for each"
                )


@dataclass
class ModalityConfig(ReadingConfig):
    """How the files of one modality become numbers for the network, and what training changes.

    Attributes:
        augment: What training changes of an input, beside the geometry of ``data.transforms``.
    """

    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class TransformConfig:
    """What training does to a sample, jointly for all its modalities and labels.

    Evaluation uses the images as they are, or at the size of ``resize``.

    Attributes:
        resize: Height and width in pixels to which every picture is brought first, in evaluation,
            too; null: its own size.
        shorter_side: Least length in pixels of an image's shorter side after random scaling.
        scale: Range of the random factor by which an image is resized; null: not resized.
        flip: Mirror every second sample, at random.
        rotate: Most degrees by which a sample is turned about its centre at random, either way
            (this project's extension); null: not turned.
        crop: Height and width in pixels of the random crop, padded where an image is smaller;
            null: whole images.
        divide_depth: Divide depth by the factor of ``scale``, as if the camera had come closer.
    """

    resize: tuple[Size, Size] | None = None
    shorter_side: Size | None = None
    scale: tuple[_Zoom, _Zoom] | None = None
    flip: bool = True
    rotate: Annotated[float, Within(0, 180)] | None = None
    crop: tuple[_Crop, _Crop] | None = None
    divide_depth: bool = False


@dataclass
class DataConfig:
    """Which files are read, and as what.

    Attributes:
        root: Folder of the data set.
        layout: How the data are laid out on disk, a key of ``cen.data.readers.registry.LAYOUTS``;
            ``nyudv2``: the folder of the released code (docs/datasets.md).
        options: Options of the layout's own, such as ``columns`` for ``nyudv2`` (docs/datasets.md).
        classes: Number of classes, or their names in the order of the label values; null: what
            dataset.yaml in the data folder says.
        ignore_index: Label value that neither trains nor counts, up to 65535; null: 255. With more
            than 255 classes it must be given, as 255 is one of them.
        validation: Share of the training list held out to choose the best checkpoint, in whole
            scenes where their names are known, else in blocks. The test split chooses nothing.
        modalities: How the fields of the data set are read, by name; what is left out or null is
            what the data set says of them.
        partial: Samples may lack the files of some outputs; they then teach the others
            (docs/multitask.md). By default a missing file is an error.
        transforms: What training does to a sample.
        workers: Processes that read samples; 0: the training process reads them itself.
    """

    root: str = "data/rooms"
    layout: str = "nyudv2"
    options: dict[str, Any] = field(default_factory=dict)
    classes: _Classes | list[str] | None = None
    ignore_index: Annotated[int, Within(0, 65535)] | None = None
    validation: Annotated[float, Within(0, 0.9)] = 0.1
    modalities: dict[str, ModalityConfig] = field(default_factory=dict)
    partial: bool = False
    transforms: TransformConfig = field(default_factory=TransformConfig)
    workers: Annotated[int, Within(0, 1024)] = 0

    def check(self) -> None:
        """Refuses what no single key shows."""
        check_layout(self.layout)
        scale = self.transforms.scale
        if scale is not None and scale[0] > scale[1]:
            raise ConfigError(
                f"data.transforms.scale: {list(scale)} falls; give the smaller one first"
            )
        names = self.classes if isinstance(self.classes, list) else []
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(
                f"data.classes: {shown(twice)} is there twice; give each its own name"
            )
