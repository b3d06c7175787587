-- Holds, moves, and the life of an appointment. The rules are in the domain; the trigger here says the same once more.

ALTER TABLE doctor_profiles
    ADD COLUMN notice_hours smallint NOT NULL DEFAULT 0,
    ADD CONSTRAINT notice_is_not_negative CHECK (notice_hours >= 0);

ALTER TABLE appointments
    ADD COLUMN notice_hours      smallint NOT NULL DEFAULT 0,
    ADD COLUMN expires_at        timestamptz,
    ADD COLUMN extended          boolean NOT NULL DEFAULT false,
    ADD COLUMN cancellation_code text,
    ADD COLUMN cancelled_late    boolean NOT NULL DEFAULT false;

UPDATE appointments SET cancellation_code = 'other' WHERE status = 'cancelled';

ALTER TABLE appointments
    DROP CONSTRAINT status_is_known,
    ADD CONSTRAINT status_is_known CHECK (
        status IN ('pending', 'booked', 'checked-in', 'fulfilled', 'cancelled', 'noshow', 'entered-in-error')),
    ADD CONSTRAINT a_hold_has_an_end CHECK ((status = 'pending') = (expires_at IS NOT NULL)),
    ADD CONSTRAINT what_is_cancelled_says_why CHECK (status <> 'cancelled' OR cancellation_reason IS NOT NULL);

CREATE INDEX holds_by_patient ON appointments (patient_id) WHERE status = 'pending';
CREATE INDEX appointments_by_end ON appointments (ends_at, id) WHERE status = 'booked';

CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        ('pending', 'booked'), ('pending', 'cancelled'),
        ('booked', 'checked-in'), ('booked', 'fulfilled'), ('booked', 'cancelled'), ('booked', 'noshow'),
        ('booked', 'entered-in-error'),
        ('checked-in', 'booked'), ('checked-in', 'fulfilled'), ('checked-in', 'cancelled'),
        ('checked-in', 'entered-in-error'),
        ('fulfilled', 'entered-in-error'),
        ('noshow', 'checked-in'), ('noshow', 'entered-in-error'),
        ('cancelled', 'entered-in-error')
    ) THEN
        RAISE EXCEPTION 'an appointment that is % cannot become %', OLD.status, NEW.status;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER statuses_follow_the_table BEFORE UPDATE ON appointments
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_transition();
