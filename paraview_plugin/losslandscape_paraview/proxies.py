"""The readers and filters as ParaView shows them: proxies, properties and help texts."""

from .compatibility import restore_getargspec, warn_if_untried

restore_getargspec()
warn_if_untried()

from paraview.util.vtkAlgorithm import smdomain, smhint, smproperty, smproxy  # noqa: E402

from .filters.contour_levels import ContourLevelsFilter  # noqa: E402
from .filters.definitions import join_definitions  # noqa: E402
from .filters.display_height import DisplayHeightFilter  # noqa: E402
from .filters.flat_region import FlatRegionFilter  # noqa: E402
from .filters.morse_smale import MorseSmaleFilter  # noqa: E402
from .sources.reader import LandscapeReader  # noqa: E402
from .window.refine_here import RefineFilter  # noqa: E402

__all__ = [
    "LossContours",
    "LossDisplayHeight",
    "LossFlatRegion",
    "LossLandscapeReader",
    "LossLandscapeRefineHere",
    "LossMorseSmaleComplex",
]

_MENU = '<ShowInMenu category="Loss Landscape"/>'


def _input(type_of_data, array_domain=True):
    """The XML of a filter's input."""
    arrays = (
        '<InputArrayDomain name="input_array" attribute_type="point" number_of_components="1"/>'
    )
    return f"""
    <InputProperty name="Input" port_index="0" command="SetInputConnection">
      <ProxyGroupDomain name="groups">
        <Group name="sources"/>
        <Group name="filters"/>
      </ProxyGroupDomain>
      <DataTypeDomain name="input_type">
        <DataType value="{type_of_data}"/>
      </DataTypeDomain>
      {arrays if array_domain else ""}
    </InputProperty>
    """


def _scalar_field(words):
    """The XML of the choice of a point array."""
    return f"""
    <StringVectorProperty name="ScalarField" label="Scalar Field" command="SetScalarField"
        number_of_elements="5" element_types="0 0 0 0 2" animateable="0">
      <ArrayListDomain name="array_list" attribute_type="Scalars"
          input_domain_name="input_array">
        <RequiredProperties>
          <Property name="Input" function="Input"/>
        </RequiredProperties>
      </ArrayListDomain>
      <Documentation>{words}</Documentation>
    </StringVectorProperty>
    """


_SCALE = """
    <IntVectorProperty name="Scale" command="SetScale" number_of_elements="1" default_values="0"
        panel_visibility="advanced">
      <EnumerationDomain name="enum">
        <Entry value="0" text="Automatic"/>
        <Entry value="1" text="Linear"/>
        <Entry value="2" text="Logarithmic"/>
      </EnumerationDomain>
      <Documentation>
        Automatic: the scale that the file asks for. If it asks for none: logarithmic if the
        positive values span more than two decades, else linear.
      </Documentation>
    </IntVectorProperty>
    """


def _slider_following(name, default, where, words):
    """The XML of a number whose slider's range is what `Get<name>Range` says.

    A new filter begins at `where` of its range (`min`, `mid`, `max`), if that is known by then.
    """
    return f"""
    <DoubleVectorProperty name="{name}RangeInfo" command="Get{name}Range" information_only="1">
      <SimpleDoubleInformationHelper/>
    </DoubleVectorProperty>
    <DoubleVectorProperty name="{name}" command="Set{name}"
        number_of_elements="1" default_values="{default}">
      <DoubleRangeDomain name="range" default_mode="{where}">
        <RequiredProperties>
          <Property name="{name}RangeInfo" function="RangeInfo"/>
        </RequiredProperties>
      </DoubleRangeDomain>
      <Documentation>{words}</Documentation>
    </DoubleVectorProperty>
    """


# ParaView asks the readers of an extension in the order of their XML names, so this one comes
# before its own NetCDF readers; CanReadFile leaves those the files that are no landscapes.
@smproxy.reader(
    name="LossLandscapeReader",
    label="LossLandscapeReader",
    extensions="nc llnc",
    file_description="Loss landscape",
)
@smproperty.xml(
    """
    <Documentation short_help="Read a loss landscape.">
      Reads a loss landscape measured by losslandscape: the grid of losses with their errors, the
      trajectories projected on its plane, and the models that span it. The provenance (model,
      data, directions, seeds) is in the field data. Points that were not evaluated are NaN. Reload
      Files reads the file again.
    </Documentation>
    <OutputPort name="Surface" index="0" id="port0"/>
    <OutputPort name="Trajectories" index="1" id="port1"/>
    <OutputPort name="Models" index="2" id="port2"/>
    <Property name="ReloadFiles" command="Reload" panel_visibility="never"/>
    """
)
@smhint.xml('<ReloadFiles property="ReloadFiles"/>')
class LossLandscapeReader(LandscapeReader):
    """`LandscapeReader` with ParaView's properties."""

    @smproperty.stringvector(name="FileName", panel_visibility="never")
    @smdomain.filelist()
    @smhint.filechooser(extensions="nc llnc", file_description="Loss landscape")
    def SetFileName(self, path):
        super().SetFileName(path)

    @smproperty.dataarrayselection(name="Arrays")
    def GetArraySelection(self):
        return super().GetArraySelection()


@smproxy.filter(name="LossDisplayHeight", label="Loss Display Height")
@smhint.xml(_MENU)
@smproperty.xml(
    f"""
    <Documentation short_help="The height a loss is drawn at, with a ceiling.">
      Adds the point array height: the loss, or its base-10 logarithm, cut at a ceiling. Warp By
      Scalar with this array draws the surface. The loss itself does not change. Points without a
      finite loss have no height.
    </Documentation>
    {_input("vtkImageData")}
    {_scalar_field("The point array that is drawn.")}
    <DoubleVectorProperty name="Ceiling" label="Ceiling (%)" command="SetCeiling"
        number_of_elements="1" default_values="100">
      <DoubleRangeDomain name="range" min="0" max="100"/>
      <Documentation>
        The share of the range of heights that is drawn, from the lowest up. Higher points are drawn
        at the ceiling. 100 cuts nothing. The field data give the loss at the ceiling.
      </Documentation>
    </DoubleVectorProperty>
    {_SCALE}
    """
)
class LossDisplayHeight(DisplayHeightFilter):
    """`DisplayHeightFilter` with ParaView's properties."""


@smproxy.filter(name="LossContours", label="Loss Contours")
@smhint.xml(_MENU)
@smproperty.xml(
    f"""
    <Documentation short_help="Contours of a loss, evenly spaced in height.">
      Contours at round values of the loss, evenly spaced in height. The input is the output of
      Loss Display Height, or of a filter after it. Each contour has its level as its loss.
    </Documentation>
    {_input("vtkDataSet", array_domain=False)}
    <IntVectorProperty name="Contours" command="SetCount"
        number_of_elements="1" default_values="10">
      <IntRangeDomain name="range" min="1" max="50"/>
      <Documentation>The largest number of contours. Their levels are round values.</Documentation>
    </IntVectorProperty>
    """
)
class LossContours(ContourLevelsFilter):
    """`ContourLevelsFilter` with ParaView's properties."""


@smproxy.filter(name="LossFlatRegion", label="Loss Flat Region")
@smhint.xml(_MENU + '<OutputPort index="2" type="text"/>')
@smproperty.xml(
    f"""
    <Documentation short_help="Where the loss is close to its minimum.">
      The connected region around the lowest grid point where the loss is at most the minimum plus a
      threshold, as `losslandscape flatness` defines it, and its outline. The field data hold its
      area in the plane's coordinates, and lower_bound: 1 if the region reaches the edge of the grid
      or a hole, so that it may be larger. The third output is the area as text.
    </Documentation>
    {_input("vtkImageData")}
    {_scalar_field("The point array whose flat region is drawn.")}
    {
        _slider_following(
            "Threshold",
            0.1,
            "mid",
            "The largest loss above the minimum, in the array's unit. The slider ends where the "
            "region reaches the edge of the grid, and starts at half of that.",
        )
    }
    {_SCALE}
    <OutputPort name="Region" index="0" id="port0"/>
    <OutputPort name="Outline" index="1" id="port1"/>
    <OutputPort name="Area in Words" index="2" id="port2"/>
    """
)
class LossFlatRegion(FlatRegionFilter):
    """`FlatRegionFilter` with ParaView's properties."""


@smproxy.filter(name="LossMorseSmaleComplex", label="Loss Morse-Smale Complex")
@smhint.xml(_MENU)
@smproperty.xml(
    f"""
    <Documentation short_help="Minima, saddles, maxima and basins of a loss.">
      Computes the Morse-Smale complex of a point array on a grid with one or two directions, with
      the outputs and array names of TTKMorseSmaleComplex: critical points, 1-separatrices,
      2-separatrices (empty), segmentation. The fifth output is the persistence diagram. Points
      where the array is NaN lie outside the domain.
    </Documentation>
    {_input("vtkImageData")}
    {_scalar_field("The point array whose topology is computed.")}
    {
        _slider_following(
            "Persistence",
            0,
            "min",
            "Pairs of critical points up to this persistence are removed first. The unit is "
            "that of the array: decades for height on a logarithmic scale.",
        )
    }
    <OutputPort name="Critical Points" index="0" id="port0"/>
    <OutputPort name="1-Separatrices" index="1" id="port1"/>
    <OutputPort name="2-Separatrices" index="2" id="port2"/>
    <OutputPort name="Segmentation" index="3" id="port3"/>
    <OutputPort name="Persistence Diagram" index="4" id="port4"/>
    """
)
class LossMorseSmaleComplex(MorseSmaleFilter):
    """`MorseSmaleFilter` with ParaView's properties."""


@smproxy.filter(name="LossLandscapeRefineHere", label="Refine Here")
@smhint.xml(_MENU)
@smproperty.xml(
    """
    <Documentation short_help="Evaluate a box of a landscape on a finer grid.">
      Evaluates the same model, data and loss on a finer grid over a box of the plane. The package
      losslandscape does this in a separate process, and the new file is shown while it is computed.
      The file stays.
    </Documentation>
    <IntVectorProperty name="Factor" command="SetFactor" number_of_elements="1" default_values="4">
      <IntRangeDomain name="range" min="1" max="16"/>
      <Documentation>The number of new grid intervals for each old one.</Documentation>
    </IntVectorProperty>
    <StringVectorProperty name="OutputFile" label="Output File" command="SetOutputFile"
        number_of_elements="1">
      <FileListDomain name="files"/>
      <Documentation>
        The new landscape file (.nc). Without one, the file is written beside the landscape. An
        existing file is never replaced.
      </Documentation>
      <Hints>
        <FileChooser extensions="nc" file_description="Loss landscape"/>
        <AcceptAnyFile/>
      </Hints>
    </StringVectorProperty>
    <StringVectorProperty name="Python" command="SetPython" number_of_elements="1"
        panel_visibility="advanced">
      <Documentation>
        The Python with the package losslandscape. Without one, the Python that ran 'losslandscape
        paraview' or its --install. A Python named in a state file is ignored.
      </Documentation>
    </StringVectorProperty>
    <IntVectorProperty name="TrustFile" label="Trust the file's model code" command="SetTrustFile"
        number_of_elements="1" default_values="0">
      <BooleanDomain name="bool"/>
      <Documentation>
        A landscape of your own model names the functions that build it. Tick this to let them run,
        only for files of your own or of people you trust. A tick in a state file is ignored.
      </Documentation>
    </IntVectorProperty>
    <Property name="Cancel" command="Cancel" panel_widget="command_button">
      <Documentation>Cancel the evaluation. Finished points are kept.</Documentation>
    </Property>
    <Property name="GoOn" label="Go On" command="GoOn" panel_widget="command_button">
      <Documentation>Continue a cancelled evaluation.</Documentation>
    </Property>
    <InputProperty name="Input" port_index="0" command="SetInputConnection">
      <ProxyGroupDomain name="groups">
        <Group name="sources"/>
        <Group name="filters"/>
      </ProxyGroupDomain>
      <DataTypeDomain name="input_type"><DataType value="vtkImageData"/></DataTypeDomain>
      <Documentation>The surface of a landscape, as the reader gives it.</Documentation>
    </InputProperty>
    <IntVectorProperty name="UseReferenceBounds" number_of_elements="1" default_values="0"
        panel_visibility="never"><BooleanDomain name="bool"/></IntVectorProperty>
    <DoubleVectorProperty name="ReferenceBounds" number_of_elements="6"
        default_values="0 1 0 1 0 1" panel_visibility="never"/>
    <DoubleVectorProperty name="Position" label="Box Position" command="SetPosition"
        number_of_elements="3" default_values="0 0 0">
      <BoundsDomain name="range" mode="normal" default_mode="min">
        <RequiredProperties><Property name="Input" function="Input"/></RequiredProperties>
      </BoundsDomain>
      <Documentation>The box's corner with the least coordinates, alpha first.</Documentation>
    </DoubleVectorProperty>
    <DoubleVectorProperty name="Length" label="Box Length" command="SetLength"
        number_of_elements="3" default_values="1 1 1">
      <BoundsDomain name="range" mode="component_magnitude" default_mode="max">
        <RequiredProperties><Property name="Input" function="Input"/></RequiredProperties>
      </BoundsDomain>
      <Documentation>The box's sides along alpha, beta and gamma.</Documentation>
    </DoubleVectorProperty>
    <PropertyGroup label="Box" panel_widget="InteractiveBox">
      <Property function="Position" name="Position"/>
      <Property function="Scale" name="Length"/>
      <Property function="Input" name="Input"/>
      <Property function="UseReferenceBounds" name="UseReferenceBounds"/>
      <Property function="ReferenceBounds" name="ReferenceBounds"/>
    </PropertyGroup>
    """
)
class LossLandscapeRefineHere(RefineFilter):
    """`RefineFilter` with ParaView's properties."""


join_definitions([globals()[name] for name in __all__])
