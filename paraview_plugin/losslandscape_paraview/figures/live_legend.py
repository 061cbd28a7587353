"""The colour bar of a figure with sliders: it shows their values.

A filter on the server cannot write a colour bar. The process that drew the figure can: it observes
the properties of the filters. A state file that is opened later has no such process, so its colour
bar stays as it was saved.
"""

import math

from ..filters.contour_levels import contour_levels
from ..filters.display_height import CEILING
from ..sources.landscape_sources import fetch


def follow_sliders(figure):
    """Have a figure's colour bar follow the ceilings and the numbers of contours of its panels."""
    for panel in figure.panels:
        if panel.sliders:
            for proxy in (panel.valued, panel.level_slider):
                if proxy is not None:
                    # after its properties were sent, and before anything is drawn
                    proxy.SMProxy.AddObserver("UpdateEvent", lambda *_: update_legend(figure))


def update_legend(figure):
    """Update the colour bar to the current values of the sliders."""
    cuts = []
    for panel in figure.panels:
        if not panel.sliders:
            continue
        grid = fetch(panel.flat)
        ceiling = grid.GetFieldData().GetArray(CEILING).GetValue(0)
        if math.isfinite(ceiling):
            cuts.append((panel.name, f"heights cut at {ceiling:.3g}"))
        if panel.level_slider is not None:
            levels, _scale = contour_levels(grid, int(panel.level_slider.Contours))
            figure.bar_ticks = panel.report["levels"] = levels.tolist()
    if len(cuts) == len(figure.panels) and len({words for _name, words in cuts}) == 1:
        figure.cut_words = cuts[0][1]
    else:
        figure.cut_words = ", ".join(f"{name}: {words}" for name, words in cuts)
    figure.refresh_bar()
