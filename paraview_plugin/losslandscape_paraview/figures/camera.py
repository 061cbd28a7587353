"""Light and camera of a view, the same in all panels of a figure."""

import math

from ..errors import LandscapeError
from ..style import theme
from .fit import view_up


def dress_view(view):
    """White ground, neutral light, no orientation axes, smooth edges."""
    view.UseColorPaletteForBackground = 0
    view.BackgroundColorMode = "Single Color"
    view.Background = [1.0, 1.0, 1.0]
    view.OrientationAxesVisibility = 0
    view.CenterAxesVisibility = 0
    view.UseFXAA = 1
    view.CameraParallelProjection = 1
    # Warm and cool lamps would tint the colours that the colour bar promises.
    view.UseLight = 1
    view.KeyLightWarmth = view.FillLightWarmth = 0.5
    view.BackLightWarmth = view.HeadLightWarmth = 0.5
    view.KeyLightIntensity = 0.85
    view.FillLightKFRatio = 1.9


def direction_of(view, default=theme.VIEW_DIRECTION):
    """From where the camera looks.

    Args:
        view: `"top"`, from above with beta up; `"side"`, along beta; or a pair of degrees: the
            azimuth, 0 along beta and greater to the left, and the elevation, 90 from above. None
            for the default.
        default: a direction.

    Raises:
        LandscapeError: it is none of these.

    >>> direction_of("side"), [round(x, 6) for x in direction_of((90, 45))]
    ((0.0, -1.0, 0.0), [-0.707107, 0.0, 0.707107])
    """
    if view is None:
        return default
    named = {"top": (0.0, 0.0, 1.0), "side": (0.0, -1.0, 0.0)}
    if isinstance(view, str):
        if view in named:
            return named[view]
        raise LandscapeError(f"no view '{view}'; there are {', '.join(named)}, and two angles")
    azimuth, elevation = (math.radians(float(angle)) for angle in view)
    across = math.cos(elevation)
    found = (-math.sin(azimuth) * across, -math.cos(azimuth) * across, math.sin(elevation))
    # so close to it, up is not known
    return named["top"] if across < 1e-3 else tuple(x if abs(x) > 1e-9 else 0.0 for x in found)


def half_height(box, direction, aspect, letters=1.0):
    """Half the height of what the camera sees, in the view's space.

    Args:
        box: the panel's `Box`.
        direction: from where the camera looks.
        aspect: the view's width in units of its height.
        letters: scale of all texts.
    """
    if box.dimensions == 1:
        room = 1.0 + theme.ROOM_FOR_LETTERS * (letters - 1.0)
        return room * box.unit * max(theme.CURVE_HALF_HEIGHT, theme.CURVE_HALF_WIDTH / aspect)
    return box.unit * theme.HALF_HEIGHT_OF_VIEW[box.dimensions]


def place_camera(view, box, direction, aspect, letters=1.0, fitted=None):
    """Parallel projection along a direction, filled by the panel's box; see `half_height`.

    Args:
        fitted: half the height of what the camera sees and the distance of its middle from the
            box's middle, of a plane; see `fit.fitted_camera`.
    """
    bounds = box.bounds
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    if fitted is not None:
        half, shift = fitted
        view.CameraParallelScale = float(half)
        view.CameraFocalPoint = [float(c + x) for c, x in zip(centre, shift)]
        length = 10 * box.unit / math.hypot(*direction)
        view.CameraPosition = [
            float(c + length * d) for c, d in zip(view.CameraFocalPoint, direction)
        ]
        view.CameraViewUp = view_up(direction)
        return
    view.CameraParallelScale = half_height(box, direction, aspect, letters)
    if box.dimensions == 1:
        direction = (0.0, -1.0, 0.0)
        centre = [c + box.unit * d for c, d in zip(centre, theme.CURVE_SHIFT)]
    elif box.dimensions == 3 and direction == theme.VIEW_DIRECTION:
        direction = theme.VOLUME_DIRECTION
    view.CameraFocalPoint = centre
    view.CameraPosition = [c + 10 * box.unit * d for c, d in zip(centre, direction)]
    view.CameraViewUp = theme.VIEW_UP
