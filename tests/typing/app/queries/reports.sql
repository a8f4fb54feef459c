-- What the team asks of the shop.

-- name: archive_products(ids)!
-- Take products out of the catalog.
-- Locks: the products.
UPDATE store.products AS p
SET is_active = false
WHERE p.id = ANY(:ids::bigint[]);

-- name: count_products(currency)$
-- Say how many products are priced in a currency, or at all.
-- null: currency
-- plan: scan products, a report
SELECT count(*) AS products
FROM store.products AS p
WHERE p.currency = coalesce(:currency::text, p.currency);

-- name: find_note(sku)^
-- Return what is written of a product.
-- rows: at most one (products_sku_key)
SELECT
    p.id,
    p.description,
    p.created_at
FROM store.products AS p
WHERE upper(p.sku) = upper(:sku::text);

-- name: top_products(at_least, page_size)
-- Return the products that sold best.
-- row: TopProduct
-- plan: scan products, a report
SELECT
    oi.product_id,
    p.name,
    sum(oi.total) AS revenue
FROM store.order_items AS oi
INNER JOIN store.products AS p
    ON p.id = oi.product_id
GROUP BY oi.product_id, p.name
HAVING sum(oi.total) >= :at_least::numeric
ORDER BY revenue DESC, oi.product_id ASC
LIMIT least(:page_size::bigint, 100);
