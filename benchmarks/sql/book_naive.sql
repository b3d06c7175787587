-- A transaction of many statements for each booking, as most programs would write it, with the same checks.
SELECT nextval('turns') AS number \gset
SELECT slot_id, patient_id, key FROM wishes WHERE number = :number \gset
BEGIN;
SELECT answer FROM idempotency_keys WHERE user_id = :patient_id::uuid AND action = 'book-appointment' AND key = :key::text;
SELECT doctor_id, starts_at, ends_at, withdrawn_at FROM slots WHERE id = :slot_id::uuid FOR UPDATE \gset
SELECT pg_advisory_xact_lock(hashtextextended('patient:' || :patient_id::text, 0));
SELECT role FROM users WHERE id = :patient_id::uuid;
SELECT fee_amount, fee_currency, role FROM doctor_profiles JOIN users ON users.id = doctor_id WHERE doctor_id = :doctor_id::uuid;
SELECT 1 FROM appointments WHERE slot_id = :slot_id::uuid AND status NOT IN ('cancelled', 'entered-in-error');
SELECT 1 FROM appointments WHERE patient_id = :patient_id::uuid AND status NOT IN ('cancelled', 'entered-in-error')
   AND tstzrange(starts_at, ends_at) && tstzrange(:starts_at::timestamptz, :ends_at::timestamptz);
INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency, status, version)
VALUES (gen_random_uuid(), :slot_id::uuid, :doctor_id::uuid, :patient_id::uuid, :starts_at::timestamptz,
        :ends_at::timestamptz, 4900, 'EUR', 'booked', 1);
INSERT INTO outbox (id, kind, at, actor_id, subject_id, outcome, request_id)
VALUES (gen_random_uuid(), 'appointment.booked', clock_timestamp(), :patient_id::uuid, :slot_id::uuid, 'success', 'bench');
INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at)
VALUES (:patient_id::uuid, 'book-appointment', :key::text, '\x00', '{}', clock_timestamp());
COMMIT;
