"""Why a request about care is refused."""

from healthcare.domain.kernel import Conflict


class PrescriptionIssued(Conflict):
    """The prescription of this consultation has already been issued; it cannot be changed."""

    code = "prescription-issued"
