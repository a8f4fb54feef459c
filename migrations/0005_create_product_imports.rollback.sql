-- Nothing is lost: the table is empty between imports.

DROP TABLE store.product_imports;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0004_create_carts';
