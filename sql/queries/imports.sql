-- Catalogues from and to files. An import copies its rows into store.product_imports
-- under an id of its own, refuses what the catalogue cannot take, and merges the rest,
-- all in one transaction: half an import is never seen. A flag has_... says whether the
-- file has the column; what it does not have is never touched.
--
-- Nobody has analyzed what an import stages, nor what it has just written: the planner may
-- take a million rows for none, and then all plans cost the same. So no statement leaves it a
-- choice that matters. A table of the shop is read by subqueries that LIMIT, OFFSET 0 or their
-- being a value keep apart, or by ANY of an array: the index is the one way in. The rows of the
-- import are joined with one another by hash or merge, because prepare_import rules loops out.

-- name: clear_product_import(import_id)!
-- Delete the staged rows of an import.
-- Locks: the staged rows.
DELETE FROM store.product_imports AS s
WHERE s.import_id = :import_id::uuid;

-- name: copy_products_in()
-- Stage rows, in COPY's text format.
-- Locks: the new rows.
-- kind: copy
COPY store.product_imports (import_id, line, sku, name, description, price, currency, is_active, on_hand) FROM STDIN;

-- name: copy_products_out()
-- Write the catalogue as the CSV that an import reads, in ascending order of sku.
-- Quotes tell the blanks of a name from blanks around it, and an empty description is none.
-- kind: copy
COPY (
    SELECT
        p.sku,
        p.name,
        p.description,
        p.price,
        p.currency,
        p.is_active::text AS is_active,
        coalesce(i.on_hand, 0) AS on_hand
    FROM store.products AS p
    LEFT JOIN store.inventory AS i
        ON i.product_id = p.id
    ORDER BY p.sku ASC
) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE (name, description), ENCODING 'UTF8');

-- name: drop_import_lines(import_id, lines)!
-- Take these lines out of an import.
-- Locks: the staged rows.
DELETE FROM store.product_imports AS s
WHERE
    s.import_id = :import_id::uuid
    AND s.line = ANY(:lines::bigint[]);

-- name: find_import_conflicts(import_id, after_line, has_name, has_price, has_currency, has_on_hand, page_size)
-- Return the next lines of an import that the catalogue cannot take, in ascending order of line.
-- row: ImportConflict
SELECT
    s.line,
    CASE
        WHEN p.id IS NULL AND NOT :has_name::boolean THEN 'new_without_name'
        WHEN p.id IS NULL THEN 'new_without_price'
        WHEN :has_currency::boolean AND p.currency <> s.currency THEN 'other_currency'
        ELSE 'below_reserved'
    END AS problem,
    p.currency AS currency_now,
    i.reserved,
    s.sku,
    s.name,
    s.description,
    s.price,
    s.currency,
    s.is_active,
    s.on_hand
FROM store.product_imports AS s
LEFT JOIN LATERAL (
    SELECT
        g.id,
        g.currency
    FROM store.products AS g
    WHERE upper(g.sku) = upper(s.sku)
    LIMIT 1
) AS p
    ON true
LEFT JOIN LATERAL (
    SELECT k.reserved
    FROM store.inventory AS k
    WHERE k.product_id = p.id
    LIMIT 1
) AS i
    ON true
WHERE
    s.import_id = :import_id::uuid
    AND s.line > :after_line::bigint
    AND (
        (p.id IS NULL AND NOT (:has_name::boolean AND :has_price::boolean))
        OR (:has_currency::boolean AND p.currency <> s.currency)
        OR (:has_on_hand::boolean AND s.on_hand < i.reserved)
    )
ORDER BY s.line ASC
LIMIT least(:page_size::bigint, 1000);

-- name: merge_products(import_id, has_name, has_description, has_price, has_currency, has_active, has_on_hand)^
-- Merge an import into the catalogue and count what became of its products: of lines with one sku the last wins, and what would
-- not change is not written. keys = inserted + updated + unchanged, unless somebody else changed one of them meanwhile.
-- row: ImportCounts
-- Locks: store.products, ascending upper(sku), then store.inventory, ascending product_id.
WITH latest AS (
    SELECT DISTINCT ON (upper(s.sku))
        upper(s.sku) AS key,
        s.sku,
        s.name,
        s.description,
        s.price,
        s.currency,
        s.is_active,
        s.on_hand
    FROM store.product_imports AS s
    WHERE s.import_id = :import_id::uuid
    ORDER BY upper(s.sku) ASC, s.line DESC
),

compared AS (
    SELECT
        l.key,
        p.id AS product_id,
        l.sku,
        CASE WHEN :has_name::boolean THEN l.name ELSE p.name END AS name,
        CASE WHEN :has_description::boolean THEN l.description ELSE p.description END AS description,
        CASE WHEN :has_price::boolean THEN l.price ELSE p.price END AS price,
        coalesce(p.currency, l.currency) AS currency,
        CASE WHEN :has_active::boolean THEN l.is_active ELSE coalesce(p.is_active, true) END AS is_active,
        l.on_hand,
        CASE
            WHEN p.id IS NULL THEN :has_name::boolean AND :has_price::boolean
            WHEN :has_currency::boolean AND l.currency <> p.currency THEN null
            ELSE
                (:has_name::boolean AND l.name <> p.name)
                OR (:has_description::boolean AND l.description IS DISTINCT FROM p.description)
                OR (:has_price::boolean AND l.price <> p.price)
                OR (:has_active::boolean AND l.is_active <> p.is_active)
        END AS is_due,
        p.id IS NULL OR (:has_on_hand::boolean AND l.on_hand IS DISTINCT FROM i.on_hand) AS is_stock_due
    FROM latest AS l
    LEFT JOIN LATERAL (
        SELECT
            g.id,
            g.name,
            g.description,
            g.price,
            g.currency,
            g.is_active
        FROM store.products AS g
        WHERE upper(g.sku) = l.key
        LIMIT 1
    ) AS p
        ON true
    LEFT JOIN LATERAL (
        SELECT k.on_hand
        FROM store.inventory AS k
        WHERE k.product_id = p.id
        LIMIT 1
    ) AS i
        ON true
),

merged AS (
    INSERT INTO store.products AS p (sku, name, description, price, currency, is_active)
    SELECT
        c.sku,
        c.name,
        c.description,
        c.price,
        c.currency,
        c.is_active
    FROM compared AS c
    WHERE c.is_due
    ORDER BY c.key ASC
    ON CONFLICT ((upper(sku))) DO UPDATE
    SET
        name = CASE WHEN :has_name::boolean THEN excluded.name ELSE p.name END,
        description = CASE WHEN :has_description::boolean THEN excluded.description ELSE p.description END,
        price = CASE WHEN :has_price::boolean THEN excluded.price ELSE p.price END,
        is_active = CASE WHEN :has_active::boolean THEN excluded.is_active ELSE p.is_active END,
        updated_at = greatest(now(), p.updated_at + interval '1 microsecond')
    WHERE p.currency = excluded.currency
    RETURNING p.id, upper(p.sku) AS key
),

stocked AS (
    INSERT INTO store.inventory AS i (product_id, on_hand)
    SELECT
        coalesce(c.product_id, m.id) AS product_id,
        c.on_hand
    FROM compared AS c
    FULL JOIN merged AS m
        ON m.key = c.key
    WHERE
        coalesce(c.is_stock_due, false)
        AND coalesce(c.product_id, m.id) IS NOT NULL
    ORDER BY coalesce(c.product_id, m.id) ASC
    ON CONFLICT (product_id) DO UPDATE
    SET on_hand = excluded.on_hand
    WHERE :has_on_hand::boolean
)

SELECT
    count(*) AS keys,
    count(*) FILTER (WHERE c.product_id IS NULL AND m.id IS NOT NULL) AS inserted,
    count(*) FILTER (WHERE c.product_id IS NOT NULL AND (m.id IS NOT NULL OR (NOT c.is_due AND c.is_stock_due))) AS updated,
    count(*) FILTER (WHERE c.product_id IS NOT NULL AND NOT c.is_due AND NOT c.is_stock_due) AS unchanged
FROM compared AS c
FULL JOIN merged AS m
    ON m.key = c.key;

-- name: prepare_import()^
-- Make the rest of this transaction plan by indexes, whatever the planner believes of the staged rows, and wait for locks. Rows of
-- the import are joined with one another by hash or merge: no index helps there, and a nested loop would be quadratic. What is
-- looked up in the shop still goes by one, being LATERAL. Before 18 what is off makes a plan look dear, and jit starts for it.
SELECT
    set_config('enable_seqscan', 'off', true) AS enable_seqscan,
    set_config('enable_bitmapscan', 'off', true) AS enable_bitmapscan,
    set_config('enable_nestloop', 'off', true) AS enable_nestloop,
    set_config('jit', 'off', true) AS jit,
    set_config('lock_timeout', '30s', true) AS lock_timeout;

-- name: reclaim_import_holds(import_id, lines)
-- Take back the expired holds of the products in these lines, and say of each line what is reserved then.
-- row: ImportHold
-- Locks: store.inventory, ascending product_id, then the holds; of few products, and of those before merge_products locks theirs.
WITH named AS (
    SELECT
        s.line,
        p.id AS product_id
    FROM store.product_imports AS s
    CROSS JOIN LATERAL (
        SELECT g.id
        FROM store.products AS g
        WHERE upper(g.sku) = upper(s.sku)
        LIMIT 1
    ) AS p
    WHERE
        s.import_id = :import_id::uuid
        AND s.line = ANY(:lines::bigint[])
),

locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id = ANY(ARRAY(SELECT n.product_id FROM named AS n))
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

expired AS (
    SELECT
        r.cart_id,
        r.product_id,
        r.quantity
    FROM locked AS l
    INNER JOIN store.reservations AS r
        ON r.product_id = l.product_id
    WHERE
        r.product_id = ANY(ARRAY(SELECT k.product_id FROM locked AS k))
        AND r.expires_at <= now()
    ORDER BY r.product_id ASC, r.cart_id ASC
    FOR UPDATE OF r
),

freed AS (
    SELECT
        e.product_id,
        sum(e.quantity) AS quantity
    FROM expired AS e
    GROUP BY e.product_id
),

gone AS (
    DELETE FROM store.reservations AS r
    USING expired AS e
    WHERE
        r.cart_id = e.cart_id
        AND r.product_id = e.product_id
        AND r.cart_id = ANY(ARRAY(SELECT x.cart_id FROM expired AS x))
),

returned AS (
    UPDATE store.inventory AS i
    SET
        on_hand = l.on_hand,
        reserved = l.reserved - f.quantity
    FROM locked AS l
    INNER JOIN freed AS f
        ON f.product_id = l.product_id
    WHERE
        i.product_id = l.product_id
        AND i.product_id = ANY(ARRAY(SELECT k.product_id FROM freed AS k))
)

SELECT
    n.line,
    l.reserved - coalesce(f.quantity, 0) AS reserved
FROM named AS n
INNER JOIN locked AS l
    ON l.product_id = n.product_id
LEFT JOIN freed AS f
    ON f.product_id = l.product_id
ORDER BY n.line ASC;

-- name: record_import_movements(import_id)!
-- Write into the ledger what an import changed: the difference between the stock as it is now and the last movement.
-- The import holds the lock of every inventory row it changed, so nobody else can have moved that stock since.
-- Locks: the new rows.
INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, reason)
SELECT
    i.product_id,
    CASE WHEN m.on_hand_after IS NULL THEN 'received' ELSE 'adjusted' END AS kind,
    i.on_hand - coalesce(m.on_hand_after, 0) AS quantity,
    i.on_hand,
    'import' AS reason
FROM (
    SELECT DISTINCT upper(s.sku) AS key
    FROM store.product_imports AS s
    WHERE s.import_id = :import_id::uuid
) AS k
CROSS JOIN LATERAL (
    SELECT g.id
    FROM store.products AS g
    WHERE upper(g.sku) = k.key
    LIMIT 1
) AS p
CROSS JOIN LATERAL (
    SELECT
        v.product_id,
        v.on_hand
    FROM store.inventory AS v
    WHERE v.product_id = p.id
    LIMIT 1
) AS i
LEFT JOIN LATERAL (
    SELECT last.on_hand_after
    FROM store.stock_movements AS last
    WHERE last.product_id = i.product_id
    ORDER BY last.id DESC
    LIMIT 1
) AS m
    ON true
WHERE i.on_hand <> coalesce(m.on_hand_after, 0)
ORDER BY i.product_id ASC;
