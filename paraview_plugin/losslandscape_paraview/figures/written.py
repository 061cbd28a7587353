"""What a figure and a sheet are written into: a picture, a page, a state."""

from pathlib import Path
from typing import Any

from ..export.outputs import write_output
from ..export.states import render_layout, save_state
from ..export.vector import VECTOR, write_vector


class Written:
    """Writes a layout of ParaView's, `layout`, at its size in pixels, `size`."""

    layout: Any
    size: "tuple[int, ...]"

    def save_picture(self, path):
        """Render into a PNG of its size. Returns the path."""
        return render_layout(self.layout, path, self.size)

    def save(self, path, **options):
        """Write a picture (.png, .pdf, .svg), glTF (.glb, .gltf) or a web page (.html).

        Args:
            path: its ending says what.
            options: of the picture; see `outputs.write_output`, also for what is returned.
        """
        if Path(path).suffix.lower() in VECTOR:
            options.pop("transparent", None)
            return write_vector(self, path, **{"size": self.size, **options})
        return write_output(self.layout, path, **{"size": self.size, **options})

    def save_thumbnail(self, path):
        """Render into a PNG of half its size, as its state file opens, beside that."""
        return render_layout(self.layout, path, carries_state=False)

    def save_state(self, path):
        """Write a state file with file names relative to it. Returns the path."""
        return save_state(path)
