-- One statement with the checks of the product: role, offer, slot, patient's time, key; and with its event and receipt.
WITH turn AS MATERIALIZED (SELECT nextval('turns') AS number),
     wish AS MATERIALIZED (SELECT wishes.* FROM wishes JOIN turn USING (number)),
     slot AS MATERIALIZED (
         SELECT slots.*, wish.patient_id, wish.key
           FROM slots JOIN wish ON slots.id = wish.slot_id FOR UPDATE OF slots),
     queued AS MATERIALIZED (
         SELECT pg_advisory_xact_lock(hashtextextended('patient:' || patient_id, 0)) FROM slot),
     allowed AS MATERIALIZED (
         SELECT slot.*, p.fee_amount, p.fee_currency, p.notice_hours
           FROM slot
           JOIN users u ON u.id = slot.patient_id AND u.role = 'patient'
           JOIN users d ON d.id = slot.doctor_id AND d.role = 'doctor'
           JOIN doctor_profiles p ON p.doctor_id = slot.doctor_id
          WHERE (SELECT count(*) FROM queued) > 0
            AND slot.withdrawn_at IS NULL
            AND slot.starts_at > clock_timestamp()
            AND NOT EXISTS (
                SELECT FROM appointments a
                 WHERE a.slot_id = slot.id AND a.status NOT IN ('cancelled', 'entered-in-error')
                   AND (a.expires_at IS NULL OR a.expires_at > clock_timestamp()))
            AND NOT EXISTS (
                SELECT FROM appointments a
                 WHERE a.patient_id = slot.patient_id AND a.status NOT IN ('cancelled', 'entered-in-error')
                   AND tstzrange(a.starts_at, a.ends_at) && tstzrange(slot.starts_at, slot.ends_at))
            AND NOT EXISTS (
                SELECT FROM idempotency_keys k
                 WHERE (k.user_id, k.action, k.key) = (slot.patient_id, 'book-appointment', slot.key))),
     booked AS (
         INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency,
                                   notice_hours, status, version)
         SELECT gen_random_uuid(), id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency,
                notice_hours, 'booked', 1
           FROM allowed
         RETURNING id, patient_id),
     event AS (
         INSERT INTO outbox (id, kind, at, actor_id, subject_id, outcome, request_id)
         SELECT gen_random_uuid(), 'appointment.booked', clock_timestamp(), patient_id, id, 'success', 'bench' FROM booked)
INSERT INTO idempotency_keys (user_id, action, key, fingerprint, answer, created_at)
SELECT booked.patient_id, 'book-appointment', allowed.key, '\x00', json_build_object('id', booked.id), clock_timestamp()
  FROM booked JOIN allowed USING (patient_id);
