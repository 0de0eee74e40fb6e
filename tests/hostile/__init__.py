"""Requests that no approver may approve, each with the reason for which ours does not.

`vector` holds what one is and the world in which they are made, `names`, `subjects`, `encodings`
and `requesters` the requests by what is wrong with them. Unit tests judge them; the tests on the
lab make them for real, with a stolen certificate and a stolen token, while a node joins.
"""

from tests.hostile.encodings import ENCODINGS
from tests.hostile.names import NAMES
from tests.hostile.requesters import REQUESTERS
from tests.hostile.subjects import SUBJECTS

VECTORS = (*NAMES, *SUBJECTS, *ENCODINGS, *REQUESTERS)
