-- Destructive: the history of stock and every hold is lost; the counters of the inventory stay, without what was held.

UPDATE store.inventory
SET reserved = 0
WHERE reserved > 0;

DROP FUNCTION store.sellable(bigint, integer, integer);
DROP TABLE store.reservations;
DROP TABLE store.stock_movements;

COMMENT ON COLUMN store.inventory.reserved IS 'Units promised to somebody. What can be sold is on_hand - reserved.';

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0005_create_product_imports';
