"""What ParaView shows of this package: its proxies, their properties and help texts."""

from .compatibility import restore_getargspec

restore_getargspec()

from paraview.util.vtkAlgorithm import smdomain, smhint, smproperty, smproxy  # noqa: E402

from .reader import LandscapeReader  # noqa: E402

__all__ = ["LossLandscapeReader"]


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
