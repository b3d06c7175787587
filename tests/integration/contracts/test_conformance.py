"""Every adapter has the methods of its port, as the type checker sees it: nothing here has to be run."""

from healthcare.adapters.memory.bell import SilentBell
from healthcare.adapters.memory.cache import MemorySearchCache
from healthcare.adapters.memory.database import MemoryDatabase, MemoryUnitOfWork
from healthcare.adapters.postgres.database import PostgresDatabase, PostgresUnitOfWork
from healthcare.adapters.redis.cache import RedisSearchCache
from healthcare.adapters.security.passwords import Argon2Passwords
from healthcare.adapters.security.tokens import SignedTokens
from healthcare.adapters.system import SystemClock
from healthcare.adapters.taskiq.bell import TaskiqBell
from healthcare.application.uow import Begin, Bell, Outbox, Read, UnitOfWork
from healthcare.domain.audit.ports import Entries
from healthcare.domain.consultation.ports import Consultations, Prescriptions
from healthcare.domain.directory.ports import Profiles
from healthcare.domain.identity.ports import Passwords, Tokens, Users
from healthcare.domain.kernel import Clock
from healthcare.domain.scheduling.ports import Appointments, Bookings, SearchCache, Slots
from tests.builders import FakeClock, FakePasswords, FakeTokens
from tests.clinic import Database


def adapters_conform(
    *,
    memory: MemoryUnitOfWork,
    postgres: PostgresUnitOfWork,
    databases: tuple[MemoryDatabase, PostgresDatabase],
    caches: tuple[MemorySearchCache, RedisSearchCache],
    bells: tuple[SilentBell, TaskiqBell],
    hashers: tuple[FakePasswords, Argon2Passwords],
    issuers: tuple[FakeTokens, SignedTokens],
    clocks: tuple[FakeClock, SystemClock],
) -> None:
    """Say which adapters stand for which port."""
    _units: list[UnitOfWork] = [memory, postgres]
    _users: list[Users] = [memory.users, postgres.users]
    _profiles: list[Profiles] = [memory.profiles, postgres.profiles]
    _slots: list[Slots] = [memory.slots, postgres.slots]
    _bookings: list[Bookings] = [memory.bookings, postgres.bookings]
    _appointments: list[Appointments] = [memory.appointments, postgres.appointments]
    _consultations: list[Consultations] = [memory.consultations, postgres.consultations]
    _prescriptions: list[Prescriptions] = [memory.prescriptions, postgres.prescriptions]
    _entries: list[Entries] = [memory.entries, postgres.entries]
    _outboxes: list[Outbox] = [memory.outbox, postgres.outbox]
    _databases: list[Database] = [*databases]
    _begins: list[Begin] = [databases[0].begin, databases[1].begin]
    _reads: list[Read] = [databases[0].read, databases[1].read]
    _caches: list[SearchCache] = [*caches]
    _bells: list[Bell] = [*bells]
    _passwords: list[Passwords] = [*hashers]
    _tokens: list[Tokens] = [*issuers]
    _clocks: list[Clock] = [*clocks]
