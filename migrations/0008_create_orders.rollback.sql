-- Destructive: every order is lost.

DROP TABLE store.order_events;
DROP TABLE store.order_items;
DROP TABLE store.orders;
DROP TABLE store.order_transitions;
DROP DOMAIN store.rate;
DROP FUNCTION store.fits_currency(numeric, text);
DROP FUNCTION store.order_number(bigint);

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0007_create_addresses';
