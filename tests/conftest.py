"""How hypothesis searches: always the same way, or at random with `HYPOTHESIS_PROFILE=random`."""

import os

import hypothesis

hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.register_profile("random", derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
