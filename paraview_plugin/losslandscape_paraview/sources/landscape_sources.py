"""Open a landscape in ParaView: with the plugin's reader, or with ParaView's own."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy

from ..errors import LandscapeError, LandscapeFileError
from . import provenance as words
from .netcdf import EXTENSIONS, LandscapeFile

# the array that says what each grid point's loss is, and two of its values; docs/file_format.md
STATUS, EVALUATED, INTERPOLATED = "status", 1, 2


@dataclass
class LandscapeSources:
    """A landscape's data as ParaView's pipeline objects.

    Attributes:
        surface: proxy of the grid, `vtkImageData` with one point array a quantity.
        trajectories, models: proxies of the polylines and of the labelled points, or None.
        provenance: dict, see `docs/file_format.md`; `{}` where the file has none.
        path: the file it came from, for messages.
        sliders: whether surfaces are drawn by the plugin's own filters, whose properties ParaView
            shows as sliders; False for ParaView's filters alone.
    """

    surface: Any
    trajectories: Optional[Any]
    models: Optional[Any]
    provenance: dict
    path: str
    sliders: bool = False

    def values(self, array):
        """The quantity at every grid point, flat, alpha fastest.

        Raises:
            LandscapeError: the grid has no such array.
        """
        data = fetch(self.surface)
        found = data.GetPointData().GetArray(array)
        if found is None:
            names = [data.GetPointData().GetArrayName(i) for i in range(_count(data))]
            raise LandscapeError(
                f"{self.path}: there is no array '{array}' on the surface "
                f"(found: {', '.join(names) or 'none'})"
            )
        return vtk_to_numpy(found)

    def plane(self, array):
        """The same of a plane, with the axes (beta, alpha)."""
        across, up, _ = self._shape
        return self.values(array).reshape(up, across)

    @property
    def dimensions(self):
        """1, 2 or 3: how many directions the grid has."""
        _nx, ny, nz = self._shape
        return 3 if nz > 1 else 2 if ny > 1 else 1

    @property
    def spacing(self):
        """The least distance of two neighbouring grid points."""
        bounds, shape = self.bounds, self._shape
        lengths = [bounds[2 * axis + 1] - bounds[2 * axis] for axis in range(3)]
        return min(length / (n - 1) for length, n in zip(lengths, shape) if n > 1)

    @property
    def bounds(self):
        """xmin, xmax, ymin, ymax, zmin, zmax of the grid."""
        return tuple(_information(self.surface).GetBounds())

    @property
    def _shape(self):
        extent = _information(self.surface).GetExtent()
        return [extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3)]


# names that a Calculator takes for its own functions or words, in any case of letters
_CALCULATOR = (
    "abs acos and asin atan avg break case ceil clamp continue cos cosh cross default dot else erf "
    "erfc exp expm1 false floor for frac hypot if ihat in inrange jhat khat like ln log log10 "
    "log1p log2 logn mag max min mod mul nand ncdf nor norm not null or pow repeat return root "
    "round roundn shl shr sgn sign sin sinc sinh sqrt sum swap switch tan tanh true trunc until "
    "var while xnor xor"
)
_WORDS = frozenset(_CALCULATOR.split())


def fit_for_expressions(name):
    """Whether ParaView's Calculator takes the name of an array in an expression.

    >>> [fit_for_expressions(name) for name in ("top5", "top-5", "2x", "sin", "\u03b1")]
    [True, False, False, False, False]
    """
    return bool(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)) and name.lower() not in _WORDS


def renamed(landscape, array):
    """A landscape whose array has a name that ParaView's Calculator takes in an expression.

    Args:
        landscape: `LandscapeSources`.
        array: name of a point array of the surface.

    Returns:
        `LandscapeSources` and the array's name in it: the same ones where the name is fit; else a
        copy in whose provenance the quantity keeps its own name as its title.
    """
    from paraview import simple

    if fit_for_expressions(array):
        return landscape, array
    landscape.values(array)  # is it there
    data = fetch(landscape.surface).GetPointData()
    safe = words.RENAMED + re.sub(r"\W", "_", array, flags=re.ASCII)
    while data.GetAbstractArray(safe) is not None:
        safe += "_"
    errors = f"{array}_standard_error"
    names = [array, safe]
    if data.GetAbstractArray(errors) is not None:
        names += [errors, f"{safe}_standard_error"]
    surface = simple.RenameArrays(
        registrationName=f"{Path(landscape.path).stem}, '{array}' as {safe}",
        Input=landscape.surface,
        PointArrays=names,
    )
    provenance = dict(landscape.provenance)
    quantities = dict(provenance.get("quantities") or {})
    quantities[safe] = words.quantity_title(provenance, array)
    provenance["quantities"] = quantities
    return replace(landscape, surface=surface, provenance=provenance), safe


def open_landscape(path, name=None):
    """Open a landscape's files in ParaView.

    Args:
        path: a landscape file (`.nc`, `.llnc`: the plugin's reader), a `surface.vti`, or a folder
            with `surface.vti` and, where there are such, `trajectory.vtp` and `models.vtp`
            (ParaView's own readers). Pipeline objects are also taken: a `LandscapeSources` as it
            is, a proxy as the surface.
        name: what to call it in the pipeline browser; None for the file's name.

    Returns:
        LandscapeSources

    Raises:
        LandscapeFileError: a file is missing, damaged or no landscape.
    """
    if isinstance(path, LandscapeSources):
        return path
    if not isinstance(path, (str, Path)):
        return _described(path, None, None, "the given source")
    path = Path(path)
    name = name or path.stem
    if path.suffix.lower() in EXTENSIONS:
        return _from_landscape_file(path, name)
    folder = path if path.is_dir() else path.parent
    surface = path / "surface.vti" if path.is_dir() else path
    return _from_vtk_files(surface, folder / "trajectory.vtp", folder / "models.vtp", name)


def sources_of(proxy, sliders=False):
    """A landscape that is open in the pipeline; nothing is opened twice.

    Args:
        proxy: the plugin's reader, or the reader of a `surface.vti`. Beside the latter, readers of
            its folder's `trajectory.vtp` and `models.vtp` are looked for, and made where needed.
        sliders: see `LandscapeSources`.

    Returns:
        LandscapeSources

    Raises:
        LandscapeFileError: it holds no grid.
    """
    from paraview import simple

    if proxy.SMProxy.GetXMLName() == "LossLandscapeReader":
        path = proxy.FileName
        surface, *more = [simple.OutputPort(proxy, number) for number in range(3)]
        trajectories, models = (port if fetch(port).GetNumberOfPoints() else None for port in more)
    else:
        path = Path(proxy.FileName[0])
        surface = proxy
        trajectories, models = (
            _reader_of(path.with_name(name)) for name in ("trajectory.vtp", "models.vtp")
        )
        _require_same(surface, (trajectories, models))
    found = _described(surface, trajectories, models, str(path))
    found.sliders = sliders
    return found


def _reader_of(path):
    """The pipeline's reader of a file of polygons, or a new one; None where there is no file."""
    from paraview import simple

    for source in simple.GetSources().values():
        if source.SMProxy.GetXMLName() == "XMLPolyDataReader" and str(path) in source.FileName:
            return source
    if not path.is_file():
        return None
    name = f"{path.parent.name} {path.stem}"
    return simple.XMLPolyDataReader(registrationName=name, FileName=[str(path)])


def fetch(source):
    """The data object of a proxy or of one of its ports, brought to this process."""
    from paraview import servermanager

    port = getattr(source, "Port", 0)
    source.UpdatePipeline()
    return servermanager.Fetch(source, idx=port)


def _from_landscape_file(path, name):
    from paraview import simple

    from ..plugin import load_plugin

    # The reader in the pipeline can only print; this raises, and before anything is built.
    file = LandscapeFile(path)
    file.grid_geometry()
    load_plugin()
    reader = simple.LossLandscapeReader(registrationName=name, FileName=str(path))
    has = {dimension for dims in file.variables.values() for dimension in dims}
    return _described(
        simple.OutputPort(reader, 0),
        simple.OutputPort(reader, 1) if "step" in has else None,
        simple.OutputPort(reader, 2) if "model" in has else None,
        str(path),
    )


def _from_vtk_files(surface, trajectory, models, name):
    from paraview import simple

    if not surface.is_file():
        raise LandscapeFileError(f"{surface}: no such file")
    grid = simple.XMLImageDataReader(registrationName=name, FileName=[str(surface)])
    trajectories, labelled = (
        simple.XMLPolyDataReader(registrationName=f"{name} {path.stem}", FileName=[str(path)])
        if path.is_file()
        else None
        for path in (trajectory, models)
    )
    _require_same(grid, (trajectories, labelled))
    return _described(grid, trajectories, labelled, str(surface))


def loss_sha256(surface):
    """The hash by which exports and reports name the surface they are of; "" without a loss."""
    loss = point_array(fetch(surface), "loss")
    return "" if loss is None else hashlib.sha256(np.ascontiguousarray(loss).tobytes()).hexdigest()


def _require_same(surface, parts):
    """Files that say which surface they belong to lie beside that one; older ones do not say."""
    for part in parts:
        said = fetch(part).GetFieldData().GetAbstractArray("loss_sha256") if part else None
        if said is not None and said.GetValue(0) != loss_sha256(surface):
            raise LandscapeFileError(
                f"{part.FileName[0]}: belongs to another landscape than {surface.FileName[0]}; "
                "write both again (losslandscape export --overwrite)"
            )


def _described(surface, trajectories, models, path):
    data = fetch(surface)
    if not data.IsA("vtkImageData") or data.GetNumberOfPoints() == 0:
        raise LandscapeFileError(f"{path}: no grid could be read from it (image data is needed)")
    text = data.GetFieldData().GetAbstractArray("provenance")
    text = text.GetValue(0) if text is not None and text.GetNumberOfValues() else ""
    return LandscapeSources(surface, trajectories, models, words.parse(text, path), path)


def point_array(data, name):
    """A point array of a data object as ndarray, or None."""
    array = data.GetPointData().GetArray(name)
    return None if array is None else vtk_to_numpy(array)


def points_of(data):
    """A data object's points, shape (n, 3); empty where it has none."""
    points = data.GetPoints() if data.GetNumberOfPoints() else None
    return np.zeros((0, 3)) if points is None else vtk_to_numpy(points.GetData())


def grid_points(source):
    """The points of a pipeline object's `vtkImageData`, shape (n, 3), the first axis fastest.

    They come of what ParaView knows of the grid: data that a server sends has its origin and its
    spacing in six digits.
    """
    known = _information(source)
    bounds, ends = known.GetBounds(), known.GetExtent()
    axes = [
        np.linspace(bounds[2 * axis], bounds[2 * axis + 1], ends[2 * axis + 1] - ends[2 * axis] + 1)
        for axis in range(3)
    ]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)


def _information(source):
    """What ParaView knows of a pipeline object's data, without their coming to this process."""
    proxy, port = getattr(source, "Proxy", source), getattr(source, "Port", 0)
    proxy.UpdatePipeline()
    return proxy.SMProxy.GetDataInformation(port)


def _count(data):
    return data.GetPointData().GetNumberOfArrays()
