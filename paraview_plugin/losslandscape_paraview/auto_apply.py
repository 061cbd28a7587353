"""ParaView's setting Auto Apply, switched off for a while."""

from contextlib import contextmanager


@contextmanager
def without_auto_apply():
    """Nothing is applied by ParaView's window meanwhile; afterwards the setting is as it was.

    With it on, ParaView 5.11 applies the panel of properties of a filter that is half made, from a
    timer in the middle of a figure's making, and ends (`pqSelectionInputWidget::preAccept`).
    """
    from paraview import simple

    try:
        settings = simple.GetSettingsProxy("GeneralSettings")
        before = settings.AutoApply
    except (AttributeError, RuntimeError, TypeError):
        yield  # no such setting here
        return
    settings.AutoApply = 0
    try:
        yield
    finally:
        settings.AutoApply = before
