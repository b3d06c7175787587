"""Why an appointment was cancelled."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ReasonCode(StrEnum):
    """Why an appointment was cancelled; the FHIR R4 code system appointment-cancellation-reason."""

    PAT = "pat"
    PAT_CRS = "pat-crs"
    PAT_CPP = "pat-cpp"
    PAT_DEC = "pat-dec"
    PAT_FB = "pat-fb"
    PAT_LT = "pat-lt"
    PAT_MT = "pat-mt"
    PAT_MV = "pat-mv"
    PAT_PREG = "pat-preg"
    PAT_SWL = "pat-swl"
    PAT_UCP = "pat-ucp"
    PROV = "prov"
    PROV_PERS = "prov-pers"
    PROV_DCH = "prov-dch"
    PROV_EDU = "prov-edu"
    PROV_HOSP = "prov-hosp"
    PROV_LABS = "prov-labs"
    PROV_MRI = "prov-mri"
    PROV_ONC = "prov-onc"
    MAINT = "maint"
    MEDS_INC = "meds-inc"
    OTHER = "other"
    OTH_CMS = "oth-cms"
    OTH_ERR = "oth-err"
    OTH_FIN = "oth-fin"
    OTH_IV = "oth-iv"
    OTH_INT = "oth-int"
    OTH_MU = "oth-mu"
    OTH_ROOM = "oth-room"
    OTH_OERR = "oth-oerr"
    OTH_SWIE = "oth-swie"
    OTH_WEATH = "oth-weath"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Why an appointment was given up, and whether its patient did that later than its doctor asks."""

    reason: str
    """In the words of the one who cancelled."""
    code: ReasonCode
    late: bool = False


EXPIRED: Final = Cancellation("expired", ReasonCode.OTHER)
RELEASED: Final = Cancellation("released", ReasonCode.PAT)
