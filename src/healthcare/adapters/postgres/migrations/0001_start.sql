-- Names of constraints are sentences: one that fires is mapped to the refusal of the same meaning.
-- The rules themselves are in the domain; what stands here is the last line of defence.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    email_key     text NOT NULL,
    full_name     text NOT NULL,
    role          text NOT NULL,
    time_zone     text NOT NULL,
    password_hash text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT one_account_per_email UNIQUE (email_key),
    CONSTRAINT role_is_known CHECK (role IN ('patient', 'doctor', 'admin'))
);
CREATE INDEX admins ON users (id) WHERE role = 'admin';

CREATE TABLE doctor_profiles (
    doctor_id           uuid PRIMARY KEY REFERENCES users,
    specialty           text NOT NULL,
    languages           text[] NOT NULL,
    fee_amount          bigint NOT NULL,
    fee_currency        text NOT NULL,
    time_zone           text NOT NULL,
    registration_number text NOT NULL,
    CONSTRAINT fee_is_not_negative CHECK (fee_amount >= 0)
);
CREATE INDEX profiles_by_specialty ON doctor_profiles (specialty);

-- A slot names its specialty, so that a search reads one index, and so that a doctor's change of
-- specialty and a booking of one of their slots wait for each other on the slot's row.
CREATE TABLE slots (
    id           uuid PRIMARY KEY,
    doctor_id    uuid NOT NULL REFERENCES users,
    specialty    text NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CONSTRAINT slot_ends_after_it_starts CHECK (starts_at < ends_at),
    CONSTRAINT slot_keeps_its_doctor_and_time UNIQUE (id, doctor_id, starts_at, ends_at),
    CONSTRAINT doctor_offers_one_slot_at_a_time
        EXCLUDE USING gist (doctor_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (withdrawn_at IS NULL)
);
CREATE INDEX slots_by_specialty ON slots (specialty, starts_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX slots_by_doctor ON slots (doctor_id, starts_at, id) WHERE withdrawn_at IS NULL;

CREATE TABLE appointments (
    id                  uuid PRIMARY KEY,
    slot_id             uuid NOT NULL,
    doctor_id           uuid NOT NULL,
    patient_id          uuid NOT NULL REFERENCES users,
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz NOT NULL,
    fee_amount          bigint NOT NULL,
    fee_currency        text NOT NULL,
    status              text NOT NULL,
    version             integer NOT NULL,
    cancellation_reason text,
    booked_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT status_is_known CHECK (status IN ('booked', 'fulfilled', 'cancelled', 'entered-in-error')),
    CONSTRAINT appointment_has_the_doctor_and_time_of_its_slot
        FOREIGN KEY (slot_id, doctor_id, starts_at, ends_at) REFERENCES slots (id, doctor_id, starts_at, ends_at),
    CONSTRAINT patient_is_in_one_place
        EXCLUDE USING gist (patient_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (status NOT IN ('cancelled', 'entered-in-error'))
);
CREATE UNIQUE INDEX one_live_appointment_per_slot ON appointments (slot_id)
    WHERE status NOT IN ('cancelled', 'entered-in-error');
CREATE INDEX appointments_by_patient ON appointments (patient_id, starts_at, id);
CREATE INDEX appointments_by_doctor ON appointments (doctor_id, starts_at, id);

CREATE TABLE idempotency_keys (
    user_id     uuid NOT NULL REFERENCES users,
    action      text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    answer      jsonb NOT NULL,
    replays     integer NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    CONSTRAINT one_effect_per_key PRIMARY KEY (user_id, action, key)
);
CREATE INDEX keys_by_age ON idempotency_keys (created_at);

CREATE TABLE consultations (
    id             uuid PRIMARY KEY,
    appointment_id uuid NOT NULL REFERENCES appointments,
    status         text NOT NULL,
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    CONSTRAINT one_consultation_per_appointment UNIQUE (appointment_id),
    CONSTRAINT progress_is_known CHECK (status IN ('in-progress', 'finished'))
);

-- People are named as they were called on the day of issue, and doctors by the specialty they were booked for.
CREATE TABLE prescriptions (
    id                uuid PRIMARY KEY,
    consultation_id   uuid NOT NULL REFERENCES consultations,
    doctor_id         uuid NOT NULL REFERENCES users,
    doctor_full_name  text NOT NULL,
    doctor_specialty  text NOT NULL,
    patient_id        uuid NOT NULL REFERENCES users,
    patient_full_name text NOT NULL,
    items             jsonb NOT NULL,
    issued_at         timestamptz NOT NULL,
    CONSTRAINT one_prescription_per_consultation UNIQUE (consultation_id)
);

-- What happened, and has still to have its effects.
CREATE TABLE outbox (
    id         uuid PRIMARY KEY,
    position   bigint GENERATED ALWAYS AS IDENTITY,
    kind       text NOT NULL,
    at         timestamptz NOT NULL,
    actor_id   uuid,
    subject_id uuid,
    outcome    text NOT NULL,
    request_id text NOT NULL,
    tries      smallint NOT NULL DEFAULT 0
);
CREATE INDEX outbox_by_turn ON outbox (tries, position);

CREATE TABLE dead_letters (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    at         timestamptz NOT NULL,
    actor_id   uuid,
    subject_id uuid,
    outcome    text NOT NULL,
    request_id text NOT NULL,
    reason     text NOT NULL,
    died_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit_entries (
    id         uuid,
    at         timestamptz NOT NULL,
    actor_id   uuid,
    kind       text NOT NULL,
    subject_id uuid,
    outcome    text NOT NULL,
    request_id text NOT NULL,
    CONSTRAINT one_entry_per_event PRIMARY KEY (id)
);
CREATE INDEX entries_by_time ON audit_entries (at, id);
CREATE INDEX entries_by_actor ON audit_entries (actor_id, at, id);
CREATE INDEX entries_by_subject ON audit_entries (subject_id, at, id);
CREATE INDEX entries_by_kind ON audit_entries (kind, at, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed nor deleted', TG_TABLE_NAME;
END $$;
CREATE TRIGGER prescriptions_never_change BEFORE UPDATE OR DELETE ON prescriptions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_never_change BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
