-- Stock. on_hand is what is in the house, reserved what is promised; the table
-- refuses reserved > on_hand by itself. Every change is relative to the row as
-- it is when the lock is held, never to what somebody read before.

-- name: adjust_stock(product_id, delta)^
-- Add to, or take from, the stock of a product; the table refuses to go below what is reserved.
-- row: Inventory
-- Locks: the inventory row.
UPDATE store.inventory AS i
SET on_hand = i.on_hand + :delta::bigint
WHERE i.product_id = :product_id::bigint
RETURNING i.product_id, i.on_hand, i.reserved, i.on_hand - i.reserved AS available;

-- name: get_inventories(product_ids)
-- Return the stock of these products.
-- row: Inventory
SELECT
    i.product_id,
    i.on_hand,
    i.reserved,
    i.on_hand - i.reserved AS available
FROM store.inventory AS i
WHERE i.product_id = ANY(:product_ids::bigint[]);

-- name: get_inventory(product_id)^
-- Return the stock of a product.
-- row: Inventory
SELECT
    i.product_id,
    i.on_hand,
    i.reserved,
    i.on_hand - i.reserved AS available
FROM store.inventory AS i
WHERE i.product_id = :product_id::bigint;

-- name: set_stock(product_id, quantity, expected)^
-- Set the stock of a product after a count, if it still is what was expected.
-- row: Inventory
-- null: expected
-- Locks: the inventory row.
UPDATE store.inventory AS i
SET on_hand = :quantity::integer
WHERE
    i.product_id = :product_id::bigint
    AND i.on_hand = coalesce(:expected::integer, i.on_hand)
RETURNING i.product_id, i.on_hand, i.reserved, i.on_hand - i.reserved AS available;
