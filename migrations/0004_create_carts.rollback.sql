-- Destructive: every cart is lost.

DROP TABLE store.cart_items;
DROP TABLE store.carts;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0003_create_catalog';
