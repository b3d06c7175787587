"""Why a request about people and their roles is refused."""

from healthcare.domain.kernel import Conflict, Overloaded, Unauthenticated


class EmailTaken(Conflict):
    """Somebody has already registered with this e-mail address."""

    code = "email-taken"


class LastAdmin(Conflict):
    """This is the last admin; make somebody else an admin first."""

    code = "last-admin"


class SignInFailed(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "sign-in-failed"


class InvalidToken(Unauthenticated):
    """The access token is missing, expired or not one of ours."""

    code = "invalid-token"


class HashingQueueFull(Overloaded):
    """Too many passwords are waiting to be checked; try again in a moment."""

    code = "hashing-queue-full"
