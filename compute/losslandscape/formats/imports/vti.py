"""VTK image data (``.vti``), exported by this package or any other program."""

from __future__ import annotations

import re

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringOutputWindow
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
from vtkmodules.vtkIOXML import vtkXMLImageDataReader

from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    chosen,
    grid_from_bounds,
)

TOOL = "VTK image data"
OPTIONS = ("array", "bounds")


def recognizes(source: Source) -> bool:
    return source.vtk_type == "ImageData"


def read(source: Source, options: Options) -> Imported:
    image = _image(source)
    counts = image.GetDimensions()
    kept = [axis for axis in range(3) if counts[axis] > 1]
    shape = tuple(counts[axis] for axis in kept)[::-1]
    if not shape:
        raise source.error("has a single point; a landscape needs 2 or more")
    bounds = options.bounds
    if bounds is None:
        if not image.GetDirectionMatrix().IsIdentity():
            raise source.error(
                "its axes are rotated; give the ends of each axis with bounds= (--bounds)"
            )
        ends = np.reshape(image.GetBounds(), (3, 2))
        bounds = [(float(ends[axis, 0]), float(ends[axis, 1])) for axis in kept]
    arrays = {}
    data = image.GetPointData()
    for i in range(data.GetNumberOfArrays()):
        array = data.GetArray(i)  # None if it does not contain numbers
        if array is not None and array.GetNumberOfComponents() == 1:
            arrays[array.GetName() or f"array_{i}"] = vtk_to_numpy(array).reshape(shape)
    status = None
    if "status" in arrays and arrays["status"].dtype.kind in "iu":
        status = arrays.pop("status")
    active = data.GetScalars().GetName() if data.GetScalars() is not None else None
    loss = chosen(source, list(arrays), options, ("loss", *([active] if active else [])))
    return Imported(
        grid_from_bounds(source, shape, bounds),
        arrays,
        loss,
        titles={name: name.replace("_", " ") for name in arrays},
        status=status,
    )


def _image(source: Source) -> vtkImageData:
    """Read the image; what VTK would print about a damaged file becomes the message."""
    shown, collected = vtkOutputWindow.GetInstance(), vtkStringOutputWindow()
    verbosity = vtkLogger.GetCurrentVerbosityCutoff()
    vtkOutputWindow.SetInstance(collected)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        reader = vtkXMLImageDataReader()
        reader.SetFileName(str(source.path))
        reader.UpdateInformation()
        information = reader.GetOutputInformation(0)
        extent = (
            information.Get(vtkStreamingDemandDrivenPipeline.WHOLE_EXTENT())
            if information
            else None
        )
        if extent is not None and not collected.GetOutput():
            source.check_size([max(0, high - low + 1) for low, high in zip(*[iter(extent)] * 2)])
            reader.Update()
    finally:
        vtkOutputWindow.SetInstance(shown)
        vtkLogger.SetStderrVerbosity(verbosity)
    problem = collected.GetOutput().strip()
    if problem or extent is None or not reader.GetOutput().GetPointData().GetNumberOfArrays():
        first = re.search(r"\): (.+)", problem)  # after the name and address of VTK's object
        said = first.group(1).strip() if first else "it has no point arrays"
        raise source.error(f"damaged, or not VTK image data ({said})")
    return reader.GetOutput()
