"""Every object of the system, wired in one place.

Declarations only, and synchronous only: one awaitable provider would turn every dependant into a future. Pools are
built closed; whoever drives the system opens them (`opened`).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dependency_injector import containers, providers

from healthcare.adapters.memory.bell import SilentBell
from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.memory.database import MemoryDatabase
from healthcare.adapters.postgres.database import PostgresDatabase
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.adapters.security.passwords import Argon2Passwords
from healthcare.adapters.security.tokens import SignedTokens
from healthcare.adapters.system import SystemClock, new_id
from healthcare.adapters.taskiq.bell import TaskiqBell
from healthcare.adapters.taskiq.broker import create_broker
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
from healthcare.application.identity.enrolment import Enrolment
from healthcare.application.identity.log_in import LogIn
from healthcare.application.identity.read_self import ReadSelf
from healthcare.application.identity.register import RegisterPatient
from healthcare.application.scheduling.book import BookAppointment
from healthcare.application.scheduling.cancel import CancelAppointment
from healthcare.application.scheduling.cancel_day import CancelDay
from healthcare.application.scheduling.check_in import CheckIn
from healthcare.application.scheduling.decide import DecideOne, DecideTogether, LookForOthers
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
from healthcare.application.together import Together
from healthcare.application.uow import Transactions
from healthcare.application.use_cases import UseCases
from healthcare.domain.kernel import Happened
from healthcare.entrypoints.settings import Settings
from healthcare.entrypoints.tracing import create_tracing, traced


class Container(containers.DeclarativeContainer):
    """`backend` is `postgres`, or `memory` for the whole system in one process and nothing else."""

    backend = providers.Object("postgres")
    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    new_id = providers.Object(new_id)
    happened = providers.Singleton(Happened, clock, new_id)

    tracing = providers.Singleton(create_tracing, settings)

    database = providers.Selector(
        backend,
        postgres=providers.Singleton(
            PostgresDatabase,
            settings.provided.postgres,
            size=settings.provided.postgres_pool_size,
            traces=tracing,
        ),
        memory=providers.Singleton(MemoryDatabase, clock),
    )
    cache = providers.Selector(
        backend,
        postgres=providers.Singleton(
            RedisSearchCache,
            host=settings.provided.redis_host,
            port=settings.provided.redis_port,
            clock=clock,
        ),
        memory=providers.Singleton(MemorySearchCache, clock=clock),
    )
    broker = providers.Singleton(
        create_broker, host=settings.provided.queue_redis_host, port=settings.provided.queue_redis_port
    )
    bell = providers.Selector(
        backend,
        postgres=providers.Singleton(TaskiqBell, broker),
        memory=providers.Singleton(SilentBell),
    )
    passwords = providers.Singleton(Argon2Passwords)
    tokens = providers.Singleton(SignedTokens.from_file, settings.provided.signing_key_file, new_id=new_id)

    begin = providers.Singleton(Transactions, database, bell, happened).provided.begin

    together = providers.Singleton(DecideTogether, begin, cache, happened)
    decide = providers.Singleton(
        DecideOne,
        providers.Singleton(Together, together),
        providers.Singleton(Together, providers.Singleton(LookForOthers, database.provided.read)),
    )

    enrolment = providers.Singleton(Enrolment, begin, passwords, happened)

    plain_use_cases = providers.Singleton(
        UseCases,
        register_patient=providers.Singleton(RegisterPatient, enrolment),
        log_in=providers.Singleton(
            LogIn, begin, database.provided.read, database.provided.record, passwords, tokens, happened
        ),
        read_self=providers.Singleton(ReadSelf, begin),
        change_role=providers.Singleton(ChangeRole, begin, cache, happened),
        create_admin=providers.Singleton(CreateAdmin, enrolment),
        keep_profile=providers.Singleton(KeepProfile, begin, cache, clock),
        list_specialties=providers.Singleton(ListSpecialties, begin),
        publish_slots=providers.Singleton(PublishSlots, begin, cache, happened),
        list_slots=providers.Singleton(ListSlots, begin),
        take_slot_back=providers.Singleton(TakeSlotBack, together),
        search_slots=providers.Singleton(SearchSlots, database.provided.read, cache, clock),
        hold_slot=providers.Singleton(HoldSlot, decide),
        release_hold=providers.Singleton(ReleaseHold, decide),
        book_appointment=providers.Singleton(BookAppointment, decide),
        list_appointments=providers.Singleton(ListAppointments, begin),
        read_appointment=providers.Singleton(ReadAppointment, begin),
        reschedule_appointment=providers.Singleton(RescheduleAppointment, decide),
        cancel_appointment=providers.Singleton(CancelAppointment, decide),
        cancel_day=providers.Singleton(CancelDay, begin, cache, happened, decide),
        check_in=providers.Singleton(CheckIn, decide),
        undo_status=providers.Singleton(UndoStatus, decide),
        mark_no_shows=providers.Singleton(MarkNoShows, begin, clock, together),
        forget_keys=providers.Singleton(ForgetKeys, begin, clock),
        start_consultation=providers.Singleton(StartConsultation, begin, happened),
        issue_prescription=providers.Singleton(IssuePrescription, begin, happened),
        read_prescription=providers.Singleton(ReadPrescription, begin, happened),
        record_events=providers.Singleton(RecordEvents, begin),
        list_dead_letters=providers.Singleton(ListDeadLetters, begin),
        requeue_events=providers.Singleton(RequeueEvents, begin, happened),
        search_audit=providers.Singleton(SearchAudit, begin),
    )
    use_cases = providers.Singleton(traced, plain_use_cases, tracing)


@asynccontextmanager
async def opened(container: Container) -> AsyncIterator[UseCases]:
    """Open what connects to other processes, and close it in the opposite order."""
    use_cases = container.use_cases()  # first, because a setting that is wrong shows here
    async with AsyncExitStack() as stack:
        if tracing := container.tracing():
            stack.push_async_callback(tracing.close)
        for resource in (container.database(), container.cache(), container.bell(), container.passwords()):
            await resource.open()
            stack.push_async_callback(resource.close)
        yield use_cases
