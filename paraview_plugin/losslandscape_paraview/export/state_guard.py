"""Check a ParaView state file before it is loaded: it may only draw data that lie beside it.

Loading a state builds any object that ParaView knows, with any properties. Some of these run text
as Python (programmable filters, but also selections by a query, annotations of data, animation
cues, and whatever a state defines itself under a name of its own), others start programs or write
files. So a state may have the objects listed here, and no others.
"""

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ..errors import LandscapeFileError
from .png_chunks import SIGNATURE, state_in

# group -> types: what the figures of this plugin and plain figures of ParaView are made of. Not
# here, whatever they are good for: all that evaluates text as Python (besides what has Python in
# its name: SelectionQuerySource, AnnotateAttributeData, AnnotateGlobalData), all that passes text
# to printf (TimeToTextConvertor), writers, and readers of other formats.
_ALLOWED_TYPES = {
    "additional_lights": "Light",
    "animation": "AnimationScene CameraAnimationCue KeyFrameAnimationCue TimeAnimationCue",
    "animation_keyframes": "BooleanKeyFrame CameraKeyFrame CompositeKeyFrame ExponentialKeyFrame "
    "RampKeyFrame SinusoidKeyFrame",
    "annotations": "GridAxes3DActor LegendGridActor PolarGridActor",
    "cell_locators": "CellLocator CellTreeLocator ModifiedBSPTree OBBTree StaticCellLocator",
    "clip_implicit_functions": "Box Cylinder Plane Scalar Sphere",
    "extended_sources": "BoundedPlaneSource BoundedVolumeSource FixedRadiusPointSource "
    "HighResLineSource LineSource PointSource PolyLineSource RotateAroundOriginTransform "
    "Transform2 Transform3",
    "extract_implicit_functions": "Box Plane Sphere",
    "filters": "Append AppendArcLength AppendAttributes AppendPolyData AppendSelections Calculator "
    "CellCenters CellDataToPointData CellSize CleanPolyData CleanUnstructuredGrid Clip "
    "ClipClosedSurface Contour ConvertToPointCloud Curvatures Cut DataSetSurfaceFilter "
    "DataSetTriangleFilter DecimatePolyline DecimatePro Delaunay2D Delaunay3D ElevationFilter "
    "ExtractBlock "
    "ExtractComponent ExtractEdges ExtractGeometry ExtractGrid ExtractHistogram ExtractSelection "
    "FeatureEdges GenerateIdScalars GenericClip GenericContour GeometryFilter Glyph "
    "GlyphWithCustomSource Gradient GradientLegacy GroupDataSets IntegrateAttributes IsoVolume "
    "LinearExtrusionFilter LoopSubdivisionFilter MaskPoints MergeBlocks MeshQuality "
    "OutlineCornerFilter OutlineFilter PVConnectivityFilter PassArrays PlotOnIntersectionCurves "
    "PlotOnSortedLines PointAndCellIds PointDataToCellData PointDatasetInterpolator "
    "PolyDataNormals PolylineLength "
    "ProbeCustomLines ProbeLine ProbePoint QuadricClustering ReflectionFilter RenameArrays "
    "ResampleToImage ResampleToLine ResampleWithDataset ReverseSense RibbonFilter "
    "RotationalExtrusionFilter ShrinkFilter SliceAlongPolyLine SliceWithPlane "
    "SmoothPolyDataFilter StreamTracer Stripper Subdivide SurfaceNormals TableToPolyData "
    "TableToStructuredGrid TessellatorFilter Threshold ThresholdTable TransformFilter "
    "TriangleFilter TubeFilter WarpScalar WarpVector "
    "LossContours LossDisplayHeight LossFlatRegion LossMorseSmaleComplex ttkMorseSmaleComplex "
    "ttkPersistenceDiagram ttkTopologicalSimplificationByPersistence",
    "implicit_functions": "Box Cylinder Plane Planes Quadric Scalar Sphere",
    "incremental_point_locators": "IncrementalOctreeMergePoints IncrementalOctreePointLocator "
    "MergePoints NonMergingPointLocator PointLocator",
    "internal_filters": "PipelineConnection",
    "lookup_tables": "PVLookupTable",
    "materials": "MaterialLibrary",
    "misc": "RepresentationAnimationHelper TimeKeeper ViewLayout",
    "piecewise_functions": "PiecewiseFunction",
    "point_interpolation_kernels": "EllipsoidalGaussianKernel GaussianKernel LinearKernel "
    "ProbabilisticVoronoiKernel ShepardKernel VoronoiKernel",
    "point_locators": "StaticPointLocator",
    "representations": "FeatureEdgesRepresentation GeometryRepresentation "
    "GeometrySliceRepresentation GridAxesRepresentation HistogramChartRepresentation "
    "ImageSliceRepresentation OutlineRepresentation PolarAxesRepresentation "
    "RectilinearGridRepresentation RulerSourceRepresentation ScalarBarWidgetRepresentation "
    "SelectionRepresentation SpreadSheetRepresentation StructuredGridRepresentation "
    "TextSourceRepresentation UniformGridRepresentation UnstructuredGridRepresentation "
    "XYBarChartRepresentation "
    "XYChartRepresentation XYPointChartRepresentation",
    "seed_sources": "HighResLineSource PointSource",
    "settings": "ColorPalette GeneralSettings IOSettings RenderViewInteractionSettings "
    "RenderViewSettings RepresentedArrayListSettings",
    "slice_implicit_functions": "Box Cylinder Plane Sphere",
    "sources": "ArrowSource Axes BlockSelectionSource BlockSelectorsSelectionSource CSVReader "
    "CompositeDataIDSelectionSource ConeSource CubeSource CylinderSource DiskSource EllipseSource "
    "FrustumSelectionSource GlobalIDSelectionSource GlyphSource2D "
    "HierarchicalDataIDSelectionSource IDSelectionSource LineSource LocationSelectionSource "
    "LossLandscapeReader OutlineSource PLYReader PVDReader PedigreeIDSelectionSource "
    "PlaneSource PointSource PolyLineSource PolyPointSource Ruler SphereSource SplineSource "
    "SuperquadricSource TextSource ThresholdSelectionSource ValueSelectionSource VectorText "
    "XMLImageDataReader "
    "XMLPolyDataReader XMLRectilinearGridReader XMLStructuredGridReader XMLTableReader "
    "XMLUnstructuredGridReader",
    "transfer_2d_functions": "TransferFunction2D",
    "transforms": "GeoTransform Transform",
    "views": "RenderView SpreadSheetView XYBarChartView XYChartView XYHistogramChartView "
    "XYPointChartView",
}
ALLOWED = {group: frozenset(types.split()) for group, types in _ALLOWED_TYPES.items()}
# among the shapes that each Clip brings along; its name has spaces
ALLOWED["implicit_functions"] |= {"Axis Aligned Box"}

# Those that ParaView from 5.13 on writes into every state, and whose texts a figure does not need:
# names of readers, and projections, which may be files.
WITHOUT_TEXTS = frozenset({"GeoTransform", "IOSettings"})

# The properties of all these that name files.
FILE_PROPERTIES = frozenset({"AutoSaveDirectory", "FileName", "FileNames", "LoadMaterials"})

# ParaView hands these to printf, whose other conversions read or write at places of their own, and
# from 6.1 on to std::format, where a wrong one ends ParaView.
_NUMBER_FORMATS = (
    re.compile(r"([^%]|%%)*(%[-+ #0]*\d{0,3}(\.\d{0,3})?[eEfFgGdiuxX]([^%]|%%)*)?"),
    re.compile(
        r"([^{}]|\{\{|\}\})*"
        r"(\{(:[<>^]?[-+ ]?#?\d{0,3}(\.\d{1,3})?[eEfFgG]?)?\}([^{}]|\{\{|\}\})*)?"
    ),
)

_NUMBER = re.compile(r"[-+.\deE]{0,30}")

_TRUST = (
    "it was not loaded; if it is your own, or of people you trust, say so (--trust-file, in Python "
    "trust=True)"
)


def checked_state(path, trust=False):
    """Parse a state file, and refuse one that could do more than draw what lies beside it.

    ParaView must be given what is returned here, and not the file: another parser may read that
    otherwise, and it may have changed meanwhile.

    Args:
        path: of a `.pvsm`, or of a `.png` that carries its state.
        trust: the state may have any objects, which may run any code, and read any file.

    Returns:
        ElementTree.Element

    Raises:
        LandscapeFileError: it is missing, no state file, or not trusted and with objects other
            than the `ALLOWED`, definitions of its own, or data outside of its folder.
    """
    path = Path(path).resolve()
    root = _parse(path)
    if not trust:
        _refuse_objects(root, path)
        _refuse_formats(root, path)
        _refuse_files_elsewhere(root, path)
    return root


def kinds(root):
    """The objects a state has: set of (group, type)."""
    return {
        (element.get("group"), element.get("type"))
        for element in root.iter()
        # others are only referred to, by their number
        if element.tag in ("Proxy", "SettingsProxy")
        and any(element.get(name) is not None for name in ("group", "type", "id"))
    }


def named_files(root):
    """The files a state reads, as they are named in it."""
    found = []
    for prop in root.iter("Property"):
        if is_file_property(prop):
            found += [e.get("value") for e in prop.iter("Element") if e.get("value")]
    return list(dict.fromkeys(found))


def is_file_property(prop):
    """Whether the values of a `Property` of a state file are names of files."""
    name = prop.get("name") or ""
    return (
        name in FILE_PROPERTIES
        or name.endswith("FontFile")
        or prop.find("Domain[@name='files']") is not None
    )


def _parse(path):
    try:
        text = path.read_bytes()
        if text.startswith(SIGNATURE):
            text = state_in(text)
            if text is None:
                raise LandscapeFileError(f"{path}: this picture carries no ParaView state")
        if b"<!" in text.replace(b"<!--", b"") or b"\0" in text:
            # entities may unfold to any size, and ParaView writes none
            raise LandscapeFileError(f"{path}: not a ParaView state file (it declares entities)")
        root = ElementTree.fromstring(text)
    except OSError as error:
        raise LandscapeFileError(f"{path}: {error.strerror or error}") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise LandscapeFileError(f"{path}: not a ParaView state file ({error})") from error
    if any(":" in element.tag or "}" in element.tag for element in root.iter()):
        # ParaView knows no namespaces: under another name here, an object would be one there
        raise LandscapeFileError(f"{path}: not a ParaView state file (it has XML namespaces)")
    return root


def _refuse_objects(root, path):
    if any(len(element) for element in root.iter("CustomProxyDefinitions")) or any(
        element.tag == "CustomProxyDefinition" or element.get("compound_name") is not None
        for element in root.iter()
    ):
        raise LandscapeFileError(
            f"{path}: defines objects of its own (CustomProxyDefinitions), which may run code, so "
            + _TRUST
        )
    others = sorted(
        f"{kind} ({group})" for group, kind in kinds(root) if kind not in ALLOWED.get(group, ())
    )
    if others:
        raise LandscapeFileError(
            f"{path}: has {', '.join(others)}, which may hold code, start programs or write files, "
            "or is not known to be harmless, so " + _TRUST
        )
    for element in root.iter():
        for value in element.iter("Element") if element.get("type") in WITHOUT_TEXTS else ():
            if not _NUMBER.fullmatch(value.get("value", "")):
                raise LandscapeFileError(
                    f"{path}: {element.get('type')} has the text '{value.get('value')}', which no "
                    "figure needs, so " + _TRUST
                )


def _refuse_formats(root, path):
    for prop in root.iter("Property"):
        name = prop.get("name") or ""
        for element in prop.iter("Element") if name.endswith("Format") else ():
            value = element.get("value", "")
            if not all(pattern.fullmatch(value) for pattern in _NUMBER_FORMATS):
                raise LandscapeFileError(
                    f"{path}: {name} is '{value}', which is no format of a number, so " + _TRUST
                )


def _refuse_files_elsewhere(root, path):
    outside = [name for name in named_files(root) if not _is_inside(name, path.parent)]
    if outside:
        raise LandscapeFileError(
            f"{path}: names data outside of its folder ({', '.join(outside)}), so {_TRUST}, or "
            "move them to the state"
        )


def _is_inside(name, folder):
    if name.startswith(("\\\\", "//")):
        return False  # another computer's, on Windows: even a look at it tells it who looks
    try:
        inside = os.path.commonpath([os.path.realpath(folder / name), folder])
    except ValueError:  # another drive, or no name at all
        return False
    return inside == str(folder)
