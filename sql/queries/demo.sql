-- What the demonstration asks before it writes, and how it cleans up. Its rows
-- are told by their names: the user store-demo, deactivated as nobody can be who
-- registers, marks a database it has filled; its products have a sku that begins
-- with DEMO-. Empty carts of guests are nobody's loss and do not count.

-- name: describe_contents()^
-- Say whether there are rows at all, and whether the demonstration has been here.
-- row: Contents
SELECT
    coalesce(
        (SELECT u.id FROM store.users AS u LIMIT 1),
        (SELECT p.id FROM store.products AS p LIMIT 1)
    ) IS NOT NULL AS has_rows,
    (SELECT count(*) FROM store.users AS u WHERE lower(u.username) = 'store-demo' AND NOT u.is_active) = 1 AS is_demo;

-- name: remove_demo_movements()!
-- Delete the ledger of the sample catalog, which only the owner of the schema may.
-- Locks: the movements.
DELETE FROM store.stock_movements AS m
WHERE m.product_id IN (
    SELECT p.id
    FROM store.products AS p
    WHERE
        upper(p.sku) >= 'DEMO-'
        AND upper(p.sku) < 'DEMO.'
);

-- name: remove_demo_orders()!
-- Delete the orders of the demonstration with all that hangs on them, which only the owner of the schema may.
-- Locks: the orders, their lines, steps, payments and outbox rows.
WITH mine AS (
    SELECT o.id
    FROM store.orders AS o
    INNER JOIN store.users AS u
        ON u.id = o.user_id
    WHERE lower(u.username) = 'store-demo-ada'
),

told AS (
    DELETE FROM store.outbox AS b
    WHERE b.key IN (SELECT m.id FROM mine AS m)
),

told_payments AS (
    DELETE FROM store.payment_events AS e
    WHERE e.order_id IN (SELECT m.id FROM mine AS m)
),

payment AS (
    DELETE FROM store.payments AS p
    WHERE p.order_id IN (SELECT m.id FROM mine AS m)
),

step AS (
    DELETE FROM store.order_events AS v
    WHERE v.order_id IN (SELECT m.id FROM mine AS m)
),

item AS (
    DELETE FROM store.order_items AS oi
    WHERE oi.order_id IN (SELECT m.id FROM mine AS m)
)

DELETE FROM store.orders AS o
WHERE o.id IN (SELECT m.id FROM mine AS m);

-- name: remove_demo_products()!
-- Delete the sample catalog, its inventory and the lines of carts that hold it.
-- Locks: the products, then by cascade their inventory and the lines of carts that hold them.
DELETE FROM store.products AS p
WHERE
    upper(p.sku) >= 'DEMO-'
    AND upper(p.sku) < 'DEMO.';

-- name: remove_demo_users()!
-- Delete the users of the demonstration and their carts.
-- Locks: the users, then by cascade their carts and lines.
DELETE FROM store.users AS u
WHERE lower(u.username) IN ('store-demo', 'store-demo-ada');
