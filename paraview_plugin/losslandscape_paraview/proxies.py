"""What ParaView shows of this package: its proxies, their properties and help texts."""

from .compatibility import restore_getargspec

restore_getargspec()

from paraview.util.vtkAlgorithm import smdomain, smhint, smproperty, smproxy  # noqa: E402

from .morse_smale import MorseSmaleFilter  # noqa: E402
from .reader import LandscapeReader  # noqa: E402
from .refine_here import LossLandscapeRefineHere  # noqa: E402

__all__ = ["LossLandscapeReader", "LossLandscapeRefineHere", "LossMorseSmaleComplex"]


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
      data, directions, seeds) is in the field data.
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


@smproxy.filter(name="LossMorseSmaleComplex", label="Loss Morse-Smale Complex")
@smhint.xml('<ShowInMenu category="Loss Landscape"/>')
@smproperty.xml(
    """
    <Documentation short_help="Minima, saddles, maxima and basins of a loss.">
      Computes the Morse-Smale complex of a point array on a grid with one or two directions, with
      the outputs and array names of TTKMorseSmaleComplex: critical points, 1-separatrices,
      2-separatrices (empty), segmentation. A fifth output is the persistence diagram. Points where
      the array is not a number lie outside the domain.
    </Documentation>
    <InputProperty name="Input" port_index="0" command="SetInputConnection">
      <ProxyGroupDomain name="groups">
        <Group name="sources"/>
        <Group name="filters"/>
      </ProxyGroupDomain>
      <DataTypeDomain name="input_type">
        <DataType value="vtkImageData"/>
      </DataTypeDomain>
      <InputArrayDomain name="input_array" attribute_type="point" number_of_components="1"/>
      <Documentation>A grid of losses.</Documentation>
    </InputProperty>
    <StringVectorProperty name="ScalarField" label="Scalar Field" command="SetScalarField"
        number_of_elements="5" element_types="0 0 0 0 2" animateable="0">
      <ArrayListDomain name="array_list" attribute_type="Scalars"
          input_domain_name="input_array">
        <RequiredProperties>
          <Property name="Input" function="Input"/>
        </RequiredProperties>
      </ArrayListDomain>
      <Documentation>The point array whose topology is computed.</Documentation>
    </StringVectorProperty>
    <DoubleVectorProperty name="Persistence" label="Persistence" command="SetPersistence"
        number_of_elements="1" default_values="0">
      <DoubleRangeDomain name="range" min="0" max="10"/>
      <Documentation>
        Pairs of critical points up to this persistence, in the array's unit, are removed first.
      </Documentation>
    </DoubleVectorProperty>
    <OutputPort name="Critical Points" index="0" id="port0"/>
    <OutputPort name="1-Separatrices" index="1" id="port1"/>
    <OutputPort name="2-Separatrices" index="2" id="port2"/>
    <OutputPort name="Segmentation" index="3" id="port3"/>
    <OutputPort name="Persistence Diagram" index="4" id="port4"/>
    """
)
class LossMorseSmaleComplex(MorseSmaleFilter):
    """`MorseSmaleFilter` with ParaView's properties."""
