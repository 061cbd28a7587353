"""Words for how a point is computed, where the caller decides it."""

from __future__ import annotations

AUTO, CHANNELS_LAST, CONTIGUOUS, PLAIN = "auto", "channels_last", "contiguous", "plain"
EXECUTIONS = (AUTO, CHANNELS_LAST, CONTIGUOUS, PLAIN)
