-- What the demonstration asks before it writes, and how it cleans up. Its rows
-- are told by their names: the user store-demo marks a database it has filled,
-- and its products have a sku that begins with DEMO-.

-- name: describe_contents()^
-- Say whether there are rows at all, and whether the demonstration has been here.
-- row: Contents
SELECT
    EXISTS (SELECT FROM store.users AS u)
    OR EXISTS (SELECT FROM store.products AS p)
    OR EXISTS (SELECT FROM store.carts AS c) AS has_rows,
    EXISTS (SELECT FROM store.users AS u WHERE lower(u.username) = 'store-demo') AS is_demo;

-- name: remove_demo_products()!
-- Delete the sample catalog, its inventory and the lines of carts that hold it.
DELETE FROM store.products AS p
WHERE
    upper(p.sku) >= 'DEMO-'
    AND upper(p.sku) < 'DEMO.';

-- name: remove_demo_users()!
-- Delete the users of the demonstration and their carts.
DELETE FROM store.users AS u
WHERE lower(u.username) IN ('store-demo', 'store-demo-ada');
