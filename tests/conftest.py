"""What holds for all tests."""

from __future__ import annotations

import hypothesis

# A machine that boots images beside the tests is slow now and then; what hangs meets pytest's own time-out.
hypothesis.settings.register_profile("rasura", deadline=None)
hypothesis.settings.load_profile("rasura")
