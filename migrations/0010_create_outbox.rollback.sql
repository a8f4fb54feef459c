-- Destructive: events that nobody has read yet are lost.

DROP TABLE store.outbox;
DROP FUNCTION store.order_payload(bigint, integer, text, numeric, text);

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0009_create_payments';
