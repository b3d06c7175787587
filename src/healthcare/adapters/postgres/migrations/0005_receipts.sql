-- A receipt is given back as it is, and nobody looks into it. Whose it is, the transaction that keeps it has just looked up,
-- and nobody is ever deleted: to look once more took a fifth of what it takes to keep one.
ALTER TABLE idempotency_keys
    ALTER COLUMN answer TYPE json,
    DROP CONSTRAINT idempotency_keys_user_id_fkey;
