-- What the shop sells. inventory_count is what can be sold now, which store.sellable() says.
-- A listing is a keyset page by an index: one text a sort, direction and choice of filters. Whether archived products are
-- seen is no filter that could be forgotten: `active` is required everywhere.

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
-- Locks: the product, then by cascade the lines of carts that hold it; its inventory lock_product_stock has locked in a statement
-- before, as everybody does who changes stock.
DELETE FROM store.products AS p
WHERE p.id = :product_id::bigint;

-- name: facet_products(price_from, price_to, min_available, active, price_steps)^
-- Count and divide up to 10,000 products of a listing; of more than that, any 10,000.
-- The stock is looked up row by row (LIMIT 1), so that the outer LIMIT stops it: a join would read all of the inventory first.
-- Holds are looked for only where nothing is free without them: those that expired can but add to it.
-- row: CountedFacets
WITH matching AS (
    SELECT
        p.id,
        p.price
    FROM store.products AS p
    /*? stock */
    CROSS JOIN LATERAL (
        SELECT i.product_id
        FROM store.inventory AS i
        CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
        WHERE
            i.product_id = p.id
            AND (i.on_hand - i.reserved >= :min_available::bigint OR w.available >= :min_available::bigint)
        LIMIT 1
    ) AS s
    /*?*/
    WHERE
        p.price BETWEEN :price_from::numeric AND :price_to::numeric
        AND p.is_active = ANY(:active::boolean[])
    LIMIT 10001
),

counted AS (
    SELECT
        m.id,
        m.price
    FROM matching AS m
    LIMIT 10000
),

divided AS (
    SELECT
        width_bucket(c.price, :price_steps::numeric[]) AS step,
        count(*) AS products,
        min(c.price) AS price_min,
        max(c.price) AS price_max
    FROM counted AS c
    GROUP BY width_bucket(c.price, :price_steps::numeric[])
),

stocked AS (
    SELECT count(*) AS products
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE
        i.product_id = ANY(ARRAY(SELECT c.id FROM counted AS c))
        AND (i.on_hand > i.reserved OR w.available > 0)
)

SELECT
    coalesce(sum(d.products), 0)::bigint AS products,
    (SELECT count(*) FROM matching) > 10000 AS is_capped,
    coalesce((SELECT s.products FROM stocked AS s), 0) AS in_stock,
    min(d.price_min) AS price_min,
    max(d.price_max) AS price_max,
    coalesce(
        json_agg(json_build_object('step', d.step, 'products', d.products) ORDER BY d.step ASC), '[]'::json
    ) AS price_ranges
FROM divided AS d;

-- name: facet_search(text, price_from, price_to, min_available, active, price_steps)^
-- Count and divide up to 10,000 products of a search; of more than that, any 10,000.
-- The stock is looked up row by row (LIMIT 1), so that the outer LIMIT stops it: a join would read all of the inventory first.
-- Holds are looked for only where nothing is free without them: those that expired can but add to it.
-- row: CountedFacets
WITH matching AS (
    SELECT
        p.id,
        p.price
    FROM store.products AS p
    /*? stock */
    CROSS JOIN LATERAL (
        SELECT i.product_id
        FROM store.inventory AS i
        CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
        WHERE
            i.product_id = p.id
            AND (i.on_hand - i.reserved >= :min_available::bigint OR w.available >= :min_available::bigint)
        LIMIT 1
    ) AS s
    /*?*/
    WHERE
        p.search @@ websearch_to_tsquery('pg_catalog.simple', :text::text)
        AND p.is_active = ANY(:active::boolean[])
        /*? price */ AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric /*?*/
    LIMIT 10001
),

counted AS (
    SELECT
        m.id,
        m.price
    FROM matching AS m
    LIMIT 10000
),

divided AS (
    SELECT
        width_bucket(c.price, :price_steps::numeric[]) AS step,
        count(*) AS products,
        min(c.price) AS price_min,
        max(c.price) AS price_max
    FROM counted AS c
    GROUP BY width_bucket(c.price, :price_steps::numeric[])
),

stocked AS (
    SELECT count(*) AS products
    FROM store.inventory AS i
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
    WHERE
        i.product_id = ANY(ARRAY(SELECT c.id FROM counted AS c))
        AND (i.on_hand > i.reserved OR w.available > 0)
)

SELECT
    coalesce(sum(d.products), 0)::bigint AS products,
    (SELECT count(*) FROM matching) > 10000 AS is_capped,
    coalesce((SELECT s.products FROM stocked AS s), 0) AS in_stock,
    min(d.price_min) AS price_min,
    max(d.price_max) AS price_max,
    coalesce(
        json_agg(json_build_object('step', d.step, 'products', d.products) ORDER BY d.step ASC), '[]'::json
    ) AS price_ranges
FROM divided AS d;

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

-- name: list_products(after_created_at, after_name, after_id, price_from, price_to, min_available, active, page_size)
-- Return a page of products, by age or by name, and one row more when there is a next page.
-- The first page starts after the extreme of the sort, so that every page is one and the same index scan.
-- The price is a residual condition (+ 0): in a generic plan its own index would be a rival, and read and sort the whole range.
-- LIMIT 201 says how long a page can be: of a parameter the planner expects a tenth of all rows, and a plan for every value
-- would look too dear to keep. The scan still ends with the page.
-- row: Product
WITH bounded AS (
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
        /*: oldest */ (p.created_at, p.id) > (:after_created_at::timestamptz, :after_id::bigint)
        /*| newest (p.created_at, p.id) < (:after_created_at::timestamptz, :after_id::bigint)
          | name_up (p.name, p.id) > (:after_name::text, :after_id::bigint)
          | name_down (p.name, p.id) < (:after_name::text, :after_id::bigint) */
        AND p.is_active = ANY(:active::boolean[])
        /*? price */ AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric /*?*/
        /*? stock */ AND coalesce(s.available, 0) >= :min_available::bigint /*?*/
    ORDER BY
        /*: oldest */ p.created_at ASC, p.id ASC
        /*| newest p.created_at DESC, p.id DESC
          | name_up p.name ASC, p.id ASC
          | name_down p.name DESC, p.id DESC */
    LIMIT 201
)

SELECT
    b.id,
    b.sku,
    b.name,
    b.description,
    b.price,
    b.currency,
    b.is_active,
    b.inventory_count,
    b.created_at,
    b.updated_at
FROM bounded AS b
ORDER BY
    /*: oldest */ b.created_at ASC, b.id ASC
    /*| newest b.created_at DESC, b.id DESC
      | name_up b.name ASC, b.id ASC
      | name_down b.name DESC, b.id DESC */
LIMIT least(:page_size::bigint, 200) + 1;

-- name: list_products_by_price(after_price, after_id, price_end, min_available, active, page_size)
-- Return a page of products, by price, and one row more when there is a next page.
-- Beside list_products, as the range of prices is part of the index condition here: the first page starts at its near end, and
-- the scan stops at its far end, `price_end`. Amounts are compared as they stand, whatever their currency.
-- row: Product
WITH bounded AS (
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
        (p.price, p.id) /*: cheapest */ > /*| dearest < */ (:after_price::numeric, :after_id::bigint)
        AND p.is_active = ANY(:active::boolean[])
        /*? price */ AND p.price /*: cheapest */ <= /*| dearest >= */ :price_end::numeric /*?*/
        /*? stock */ AND coalesce(s.available, 0) >= :min_available::bigint /*?*/
    ORDER BY
        /*: cheapest */ p.price ASC, p.id ASC
        /*| dearest p.price DESC, p.id DESC */
    LIMIT 201
)

SELECT
    b.id,
    b.sku,
    b.name,
    b.description,
    b.price,
    b.currency,
    b.is_active,
    b.inventory_count,
    b.created_at,
    b.updated_at
FROM bounded AS b
ORDER BY
    /*: cheapest */ b.price ASC, b.id ASC
    /*| dearest b.price DESC, b.id DESC */
LIMIT least(:page_size::bigint, 200) + 1;

-- name: lock_product_stock(product_id)^
-- Lock the stock of a product that is to be deleted.
-- row: Inventory
-- rows: at most one (inventory_pkey)
-- Locks: the inventory row FOR UPDATE.
SELECT
    i.product_id,
    i.on_hand,
    i.reserved,
    i.on_hand - i.reserved AS available
FROM store.inventory AS i
WHERE i.product_id = :product_id::bigint
FOR UPDATE OF i;

-- name: search_products(text, price_from, price_to, min_available, active, page_size)
-- Return the products that match the words best, at most 200; the words are read as a web search is. Of more than 10,000
-- matches any 10,000 are ranked.
-- row: Product
WITH matching AS (
    SELECT
        p.id,
        ts_rank(p.search, websearch_to_tsquery('pg_catalog.simple', :text::text)) AS relevance
    FROM store.products AS p
    /*? stock */
    CROSS JOIN LATERAL (
        SELECT i.product_id
        FROM store.inventory AS i
        CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS w
        WHERE
            i.product_id = p.id
            AND (i.on_hand - i.reserved >= :min_available::bigint OR w.available >= :min_available::bigint)
        LIMIT 1
    ) AS s
    /*?*/
    WHERE
        p.search @@ websearch_to_tsquery('pg_catalog.simple', :text::text)
        AND p.is_active = ANY(:active::boolean[])
        /*? price */ AND p.price + 0 BETWEEN :price_from::numeric AND :price_to::numeric /*?*/
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
