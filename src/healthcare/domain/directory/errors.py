"""Why a request about doctors' profiles is refused."""

from healthcare.domain.kernel import Conflict


class ProfileMissing(Conflict):
    """The doctor has no profile yet, and patients could not find the slots."""

    code = "profile-missing"
