-- Destructive: every product and its stock is lost.

DROP TABLE store.inventory;
DROP TABLE store.products;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0002_create_users';
