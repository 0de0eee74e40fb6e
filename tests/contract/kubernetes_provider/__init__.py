"""The kubernetes provider's contract, checked on a real API server."""

import pytest

from tests.contract.driver import IS_OWN

only_own = pytest.mark.skipif(
    not IS_OWN, reason="here the lab's own provider is stricter than the official one, or does less"
)
