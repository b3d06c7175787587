-- The least that a booking can be: one statement that locks the slot and keeps an appointment.
WITH turn AS MATERIALIZED (SELECT nextval('turns') AS number),
     wish AS MATERIALIZED (SELECT wishes.* FROM wishes JOIN turn USING (number)),
     slot AS MATERIALIZED (
         SELECT slots.*, wish.patient_id FROM slots JOIN wish ON slots.id = wish.slot_id FOR UPDATE OF slots)
INSERT INTO appointments (id, slot_id, doctor_id, patient_id, starts_at, ends_at, fee_amount, fee_currency, status, version)
SELECT gen_random_uuid(), id, doctor_id, patient_id, starts_at, ends_at, 4900, 'EUR', 'booked', 1 FROM slot;
