-- Destructive: every address is lost.

DROP TABLE store.addresses;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0006_create_stock_ledger';
