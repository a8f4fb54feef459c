-- Destructive: which cancellations were imported is forgotten; a second import of the same file would refund them again.

DROP TABLE store.order_imports;
DROP TABLE store.imported_cancellations;
DROP TABLE store.imported_orders;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0010_create_outbox';
