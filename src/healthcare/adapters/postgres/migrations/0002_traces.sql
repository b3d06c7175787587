-- The trace of the request that an event comes from (W3C Trace Context), where requests are traced.

ALTER TABLE outbox ADD COLUMN traceparent text;
