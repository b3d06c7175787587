"""Everything the system can do, as its drivers are handed it."""

from dataclasses import dataclass

from healthcare.application.audit.list_dead_letters import ListDeadLetters
from healthcare.application.audit.record import RecordEvents
from healthcare.application.audit.requeue import RequeueEvents
from healthcare.application.audit.search import SearchAudit
from healthcare.application.consultation.prescribe import IssuePrescription
from healthcare.application.consultation.read_prescription import ReadPrescription
from healthcare.application.consultation.start import StartConsultation
from healthcare.application.directory.keep_profile import KeepProfile
from healthcare.application.directory.list_specialties import ListSpecialties
from healthcare.application.identity.change_role import ChangeRole
from healthcare.application.identity.create_admin import CreateAdmin
from healthcare.application.identity.log_in import LogIn
from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.identity.register import RegisterPatient
from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.cancel import CancelAppointment
from healthcare.application.scheduling.cancel_day import CancelDay
from healthcare.application.scheduling.check_in import CheckIn
from healthcare.application.scheduling.forget_keys import ForgetKeys
from healthcare.application.scheduling.hold import HoldSlot
from healthcare.application.scheduling.list_appointments import ListAppointments
from healthcare.application.scheduling.list_slots import ListSlots
from healthcare.application.scheduling.mark_no_shows import MarkNoShows
from healthcare.application.scheduling.publish import PublishSlots
from healthcare.application.scheduling.read_appointment import ReadAppointment
from healthcare.application.scheduling.release import ReleaseHold
from healthcare.application.scheduling.reschedule import RescheduleAppointment
from healthcare.application.scheduling.search import SearchSlots
from healthcare.application.scheduling.take_back import TakeSlotBack
from healthcare.application.scheduling.undo_status import UndoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """One of each."""

    register_patient: RegisterPatient
    log_in: LogIn
    read_self: ReadSelf
    change_role: ChangeRole
    create_admin: CreateAdmin
    keep_profile: KeepProfile
    list_specialties: ListSpecialties
    publish_slots: PublishSlots
    list_slots: ListSlots
    take_slot_back: TakeSlotBack
    search_slots: SearchSlots
    hold_slot: HoldSlot
    release_hold: ReleaseHold
    book_appointment: BookAppointment
    list_appointments: ListAppointments
    read_appointment: ReadAppointment
    reschedule_appointment: RescheduleAppointment
    cancel_appointment: CancelAppointment
    cancel_day: CancelDay
    check_in: CheckIn
    undo_status: UndoStatus
    mark_no_shows: MarkNoShows
    forget_keys: ForgetKeys
    start_consultation: StartConsultation
    issue_prescription: IssuePrescription
    read_prescription: ReadPrescription
    record_events: RecordEvents
    list_dead_letters: ListDeadLetters
    requeue_events: RequeueEvents
    search_audit: SearchAudit
