-- What the shop sells. inventory_count is what can be sold now, which store.sellable() says.
-- A listing is one statement a sort and direction: a keyset page by an index, with
-- every filter bound (a filter that is off is bound to a value that lets all pass).

-- name: create_products(skus, names, descriptions, prices, currencies, actives, on_hands)
-- Create these products with their stock and return them in the order given. Inserted in ascending upper(sku), as imports are,
-- so that two batches wait for each other and do not deadlock.
-- row: Product
-- Locks: the new rows.
WITH given AS (
    SELECT
        n.sku,
        n.name,
        n.description,
        n.price,
        n.currency,
        n.is_active,
        n.on_hand,
        n.position
    FROM unnest(
        :skus::text[],
        :names::text[],
        :descriptions::text[],
        :prices::numeric[],
        :currencies::text[],
        :actives::boolean[],
        :on_hands::bigint[]
    ) WITH ORDINALITY AS n (sku, name, description, price, currency, is_active, on_hand, position)
),

created AS (
    INSERT INTO store.products (sku, name, description, price, currency, is_active)
    SELECT
        g.sku,
        g.name,
        g.description,
        g.price,
        g.currency,
        g.is_active
    FROM given AS g
    ORDER BY upper(g.sku) ASC
    RETURNING id, sku, name, description, price, currency, is_active, created_at, updated_at
),

stocked AS (
    INSERT INTO store.inventory (product_id, on_hand)
    SELECT
        c.id,
        g.on_hand
    FROM created AS c
    INNER JOIN given AS g
        ON g.sku = c.sku
    RETURNING product_id, on_hand
),

opened AS (
    INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, reason)
    SELECT
        s.product_id,
        'received' AS kind,
        s.on_hand,
        s.on_hand,
        'opening balance' AS reason
    FROM stocked AS s
    WHERE s.on_hand > 0
    ORDER BY s.product_id ASC
)

SELECT
    c.id,
    c.sku,
    c.name,
    c.description,
    c.price,
    c.currency,
    c.is_active,
    s.on_hand AS inventory_count,
    c.created_at,
    c.updated_at
FROM created AS c
INNER JOIN stocked AS s
    ON s.product_id = c.id
INNER JOIN given AS g
    ON g.sku = c.sku
ORDER BY g.position ASC;

-- name: delete_product(product_id)!
-- Delete a product that never had stock, its inventory and the lines of carts that hold it.
-- Locks: the product, then by cascade its inventory and the lines of carts that hold it.
DELETE FROM store.products AS p
WHERE p.id = :product_id::bigint;

-- name: facet_products(price_from, price_to, min_available, active, price_steps)^
-- Count and divide up to 10,000 products of a listing; of more than that, any 10,000.
-- The stock is looked up row by row (LIMIT 1), so that the outer LIMIT stops it: a join would read all of the inventory first.
-- row: CountedFacets
WITH matching AS (
    SELECT
        p.price,
        coalesce(s.available, 0) AS available
    FROM store.products AS p
    LEFT JOIN LATERAL (
        SELECT w.available
        FROM store.inventory AS i
        CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
        WHERE i.product_id = p.id
        LIMIT 1
    ) AS s
        ON true
    WHERE
        p.price BETWEEN :price_from::numeric AND :price_to::numeric
        AND p.is_active = ANY(:active::boolean[])
        AND coalesce(s.available, 0) >= :min_available::bigint
    LIMIT 10001
),

counted AS (
    SELECT
        m.price,
        m.available
    FROM matching AS m
    LIMIT 10000
),

divided AS (
    SELECT
        width_bucket(c.price, :price_steps::numeric[]) AS step,
        count(*) AS products
    FROM counted AS c
    GROUP BY width_bucket(c.price, :price_steps::numeric[])
)

SELECT
    (SELECT count(*) FROM counted) AS products,
    (SELECT count(*) FROM matching) > 10000 AS is_capped,
    (SELECT count(*) FROM counted AS c WHERE c.available > 0) AS in_stock,
    (SELECT min(c.price) FROM counted AS c) AS price_min,
    (SELECT max(c.price) FROM counted AS c) AS price_max,
    (
        SELECT coalesce(json_agg(json_build_object('step', d.step, 'products', d.products) ORDER BY d.step ASC), '[]'::json)
        FROM divided AS d
    ) AS price_ranges;

-- name: facet_search(text, price_from, price_to, min_available, active, price_steps)^
-- Count and divide up to 10,000 products of a search; of more than that, any 10,000.
-- The stock is looked up row by row (LIMIT 1), so that the outer LIMIT stops it: a join would read all of the inventory first.
-- row: CountedFacets
WITH matching AS (
    SELECT
        p.price,
        coalesce(s.available, 0) AS available
    FROM store.products AS p
    LEFT JOIN LATERAL (
        SELECT w.available
        FROM store.inventory AS i
        CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
        WHERE i.product_id = p.id
        LIMIT 1
    ) AS s
        ON true
    WHERE
        p.search @@ websearch_to_tsquery('pg_catalog.simple', :text::text)
        AND p.price BETWEEN :price_from::numeric AND :price_to::numeric
        AND p.is_active = ANY(:active::boolean[])
        AND coalesce(s.available, 0) >= :min_available::bigint
    LIMIT 10001
),

counted AS (
    SELECT
        m.price,
        m.available
    FROM matching AS m
    LIMIT 10000
),

divided AS (
    SELECT
        width_bucket(c.price, :price_steps::numeric[]) AS step,
        count(*) AS products
    FROM counted AS c
    GROUP BY width_bucket(c.price, :price_steps::numeric[])
)

SELECT
    (SELECT count(*) FROM counted) AS products,
    (SELECT count(*) FROM matching) > 10000 AS is_capped,
    (SELECT count(*) FROM counted AS c WHERE c.available > 0) AS in_stock,
    (SELECT min(c.price) FROM counted AS c) AS price_min,
    (SELECT max(c.price) FROM counted AS c) AS price_max,
    (
        SELECT coalesce(json_agg(json_build_object('step', d.step, 'products', d.products) ORDER BY d.step ASC), '[]'::json)
        FROM divided AS d
    ) AS price_ranges;

-- name: get_product(product_id, active)^
-- Return one product.
-- row: Product
-- rows: at most one (products_pkey)
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    s.available AS "inventory_count!",
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN store.inventory AS i
    ON i.product_id = p.id
CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
WHERE
    p.id = :product_id::bigint
    AND p.is_active = ANY(:active::boolean[]);

-- name: get_product_by_sku(sku, active)^
-- Return the product with this sku, in any case.
-- row: Product
-- rows: at most one (products_sku_key)
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    s.available AS "inventory_count!",
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN store.inventory AS i
    ON i.product_id = p.id
CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
WHERE
    upper(p.sku) = upper(:sku::text COLLATE "C")
    AND p.is_active = ANY(:active::boolean[]);

-- name: get_products(product_ids, active)
-- Return these products.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    s.available AS "inventory_count!",
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN store.inventory AS i
    ON i.product_id = p.id
CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
WHERE
    p.id = ANY(:product_ids::bigint[])
    AND p.is_active = ANY(:active::boolean[]);

-- name: list_products_by_created_at(after_created_at, after_id, price_from, price_to, min_available, active, page_size)
-- Return a page of products, oldest first, and one row more when there is a next page.
-- The first page starts after the extreme of the sort, so that every page is one and the same index scan.
-- The price is a residual condition (+ 0): in a generic plan its own index would be a rival, and read and sort the whole range.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(s.available, 0) AS inventory_count,
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN LATERAL (
    SELECT w.available
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE i.product_id = p.id
    LIMIT 1
) AS s
    ON true
WHERE
    (p.created_at, p.id) > (:after_created_at::timestamptz, :after_id::bigint)
    AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric
    AND p.is_active = ANY(:active::boolean[])
    AND coalesce(s.available, 0) >= :min_available::bigint
ORDER BY p.created_at ASC, p.id ASC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: list_products_by_created_at_desc(after_created_at, after_id, price_from, price_to, min_available, active, page_size)
-- Return a page of products, newest first, and one row more when there is a next page.
-- The first page starts after the extreme of the sort, so that every page is one and the same index scan.
-- The price is a residual condition (+ 0): in a generic plan its own index would be a rival, and read and sort the whole range.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(s.available, 0) AS inventory_count,
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN LATERAL (
    SELECT w.available
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE i.product_id = p.id
    LIMIT 1
) AS s
    ON true
WHERE
    (p.created_at, p.id) < (:after_created_at::timestamptz, :after_id::bigint)
    AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric
    AND p.is_active = ANY(:active::boolean[])
    AND coalesce(s.available, 0) >= :min_available::bigint
ORDER BY p.created_at DESC, p.id DESC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: list_products_by_name(after_name, after_id, price_from, price_to, min_available, active, page_size)
-- Return a page of products, A to Z, and one row more when there is a next page.
-- The first page starts after the extreme of the sort, so that every page is one and the same index scan.
-- The price is a residual condition (+ 0): in a generic plan its own index would be a rival, and read and sort the whole range.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(s.available, 0) AS inventory_count,
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN LATERAL (
    SELECT w.available
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE i.product_id = p.id
    LIMIT 1
) AS s
    ON true
WHERE
    (p.name, p.id) > (:after_name::text, :after_id::bigint)
    AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric
    AND p.is_active = ANY(:active::boolean[])
    AND coalesce(s.available, 0) >= :min_available::bigint
ORDER BY p.name ASC, p.id ASC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: list_products_by_name_desc(after_name, after_id, price_from, price_to, min_available, active, page_size)
-- Return a page of products, Z to A, and one row more when there is a next page.
-- The first page starts after the extreme of the sort, so that every page is one and the same index scan.
-- The price is a residual condition (+ 0): in a generic plan its own index would be a rival, and read and sort the whole range.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(s.available, 0) AS inventory_count,
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN LATERAL (
    SELECT w.available
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE i.product_id = p.id
    LIMIT 1
) AS s
    ON true
WHERE
    (p.name, p.id) < (:after_name::text, :after_id::bigint)
    AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric
    AND p.is_active = ANY(:active::boolean[])
    AND coalesce(s.available, 0) >= :min_available::bigint
ORDER BY p.name DESC, p.id DESC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: list_products_by_price(after_price, after_id, price_to, min_available, active, page_size)
-- Return a page of products, cheapest first, and one row more when there is a next page.
-- The first page starts at the near end of the price range, which the scan would otherwise enter from anew on every page.
-- Amounts are compared as they stand, whatever their currency.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(s.available, 0) AS inventory_count,
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN LATERAL (
    SELECT w.available
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE i.product_id = p.id
    LIMIT 1
) AS s
    ON true
WHERE
    (p.price, p.id) > (:after_price::numeric, :after_id::bigint)
    AND p.price <= :price_to::numeric
    AND p.is_active = ANY(:active::boolean[])
    AND coalesce(s.available, 0) >= :min_available::bigint
ORDER BY p.price ASC, p.id ASC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: list_products_by_price_desc(after_price, after_id, price_from, min_available, active, page_size)
-- Return a page of products, dearest first, and one row more when there is a next page.
-- The first page starts at the near end of the price range, which the scan would otherwise enter from anew on every page.
-- Amounts are compared as they stand, whatever their currency.
-- row: Product
SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(s.available, 0) AS inventory_count,
    p.created_at,
    p.updated_at
FROM store.products AS p
LEFT JOIN LATERAL (
    SELECT w.available
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE i.product_id = p.id
    LIMIT 1
) AS s
    ON true
WHERE
    (p.price, p.id) < (:after_price::numeric, :after_id::bigint)
    AND p.price >= :price_from::numeric
    AND p.is_active = ANY(:active::boolean[])
    AND coalesce(s.available, 0) >= :min_available::bigint
ORDER BY p.price DESC, p.id DESC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: search_products(text, price_from, price_to, min_available, active, page_size)
-- Return the products that match the words best, at most 200; the words are read as a web search is. Of more than 10,000
-- matches any 10,000 are ranked.
-- row: Product
WITH matching AS (
    SELECT
        p.id,
        ts_rank(p.search, websearch_to_tsquery('pg_catalog.simple', :text::text)) AS relevance
    FROM store.products AS p
    LEFT JOIN LATERAL (
        SELECT w.available
        FROM store.inventory AS i
        CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
        WHERE i.product_id = p.id
        LIMIT 1
    ) AS s
        ON true
    WHERE
        p.search @@ websearch_to_tsquery('pg_catalog.simple', :text::text)
        AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric
        AND p.is_active = ANY(:active::boolean[])
        AND coalesce(s.available, 0) >= :min_available::bigint
    LIMIT 10000
),

best AS (
    SELECT
        m.id,
        m.relevance
    FROM matching AS m
    ORDER BY m.relevance DESC, m.id ASC
    LIMIT least(:page_size::bigint, 200)
)

SELECT
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    s.available AS "inventory_count!",
    p.created_at,
    p.updated_at
FROM best AS b
INNER JOIN store.products AS p
    ON p.id = b.id
LEFT JOIN store.inventory AS i
    ON i.product_id = p.id
CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
ORDER BY b.relevance DESC, p.id ASC;

-- name: update_product(product_id, sku, name, set_description, description, price, is_active, expected_updated_at)^
-- Change what is given and keep the rest; nothing when the row is not as old as expected.
-- row: Product
-- null: sku, name, description, price, is_active, expected_updated_at
-- Locks: the product.
UPDATE store.products AS p
SET
    sku = coalesce(:sku::text, p.sku),
    name = coalesce(:name::text, p.name),
    description = CASE WHEN :set_description::boolean THEN :description::text ELSE p.description END,
    price = coalesce(:price::numeric, p.price),
    is_active = coalesce(:is_active::boolean, p.is_active),
    updated_at = greatest(now(), p.updated_at + interval '1 microsecond')
WHERE
    p.id = :product_id::bigint
    AND p.updated_at = coalesce(:expected_updated_at::timestamptz, p.updated_at)
RETURNING
    p.id,
    p.sku,
    p.name,
    p.description,
    p.price,
    p.currency,
    p.is_active,
    coalesce(
        (
            SELECT s.available
            FROM store.inventory AS i
            CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
            WHERE i.product_id = p.id
        ),
        0
    ) AS inventory_count,
    p.created_at,
    p.updated_at;
