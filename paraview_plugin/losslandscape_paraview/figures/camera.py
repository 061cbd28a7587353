"""Light and camera of a view, the same in all panels of a figure."""

from ..style import theme


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
    if direction == theme.STEEP_DIRECTION and box.dimensions == 2:
        return box.unit * theme.STEEP_HALF_HEIGHT
    return box.unit * theme.HALF_HEIGHT_OF_VIEW[box.dimensions]


def place_camera(view, box, direction, aspect, letters=1.0):
    """Parallel projection along a direction, filled by the panel's box; see `half_height`."""
    bounds = box.bounds
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    view.CameraParallelScale = half_height(box, direction, aspect, letters)
    if box.dimensions == 1:
        direction = (0.0, -1.0, 0.0)
        centre = [c + box.unit * d for c, d in zip(centre, theme.CURVE_SHIFT)]
    elif box.dimensions == 3 and direction == theme.VIEW_DIRECTION:
        direction = theme.VOLUME_DIRECTION
    view.CameraFocalPoint = centre
    view.CameraPosition = [c + 10 * box.unit * d for c, d in zip(centre, direction)]
    view.CameraViewUp = theme.VIEW_UP
