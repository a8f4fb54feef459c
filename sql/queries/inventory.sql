-- Stock. on_hand is what is in the house, reserved what carts hold, in holds that
-- expire by themselves; the table refuses reserved > on_hand. Every change locks the
-- inventory rows in ascending order, computes from the rows as locked (never as seen
-- before the wait), and writes its movement in the same statement. Both counters are
-- set together, because the table checks the row as it was seen first.

-- name: adjust_stock(product_id, kind, delta, reason, actor)^
-- Add to, or take from, the stock of a product; the table refuses to go below what is held, expired holds not counted.
-- row: Inventory
-- null: reason, actor
-- Locks: the inventory row, then its expired holds.
WITH locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id = :product_id::bigint
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
    WHERE r.expires_at <= now()
    ORDER BY r.product_id ASC, r.cart_id ASC
    FOR UPDATE OF r
),

reclaimed AS (
    DELETE FROM store.reservations AS r
    USING expired AS e
    WHERE
        r.cart_id = e.cart_id
        AND r.product_id = e.product_id
),

changed AS (
    UPDATE store.inventory AS i
    SET
        on_hand = l.on_hand + :delta::bigint,
        reserved = l.reserved - (SELECT coalesce(sum(e.quantity), 0) FROM expired AS e)
    FROM locked AS l
    WHERE i.product_id = l.product_id
    RETURNING i.product_id, i.on_hand, i.reserved
),

moved AS (
    INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, reason, actor)
    SELECT
        c.product_id,
        :kind::text AS kind,
        :delta::bigint AS quantity,
        c.on_hand,
        :reason::text AS reason,
        :actor::text AS actor
    FROM changed AS c
    WHERE :delta::bigint <> 0
)

SELECT
    c.product_id,
    c.on_hand,
    c.reserved,
    c.on_hand - c.reserved AS available
FROM changed AS c;

-- name: extend_holds(cart_id, seconds)
-- Let what a locked cart still holds expire later, never earlier; a hold that somebody has taken back is not in the answer.
-- row: Hold
-- Locks: store.inventory, ascending product_id, then the holds, of a cart that lock_cart has locked in a statement before.
WITH locked AS (
    SELECT i.product_id
    FROM store.inventory AS i
    WHERE i.product_id IN (SELECT r.product_id FROM store.reservations AS r WHERE r.cart_id = :cart_id::bigint)
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

held AS (
    SELECT
        r.cart_id,
        r.product_id
    FROM locked AS l
    INNER JOIN store.reservations AS r
        ON r.product_id = l.product_id
    WHERE r.cart_id = :cart_id::bigint
    ORDER BY r.product_id ASC
    FOR NO KEY UPDATE OF r
)

UPDATE store.reservations AS r
SET expires_at = greatest(r.expires_at, now() + make_interval(secs => :seconds::bigint))
FROM held AS h
WHERE
    r.cart_id = h.cart_id
    AND r.product_id = h.product_id
RETURNING r.cart_id, r.product_id, r.quantity, r.expires_at;

-- name: get_inventories(product_ids)
-- Return the stock of these products.
-- row: Inventory
SELECT
    i.product_id,
    i.on_hand,
    i.reserved,
    s.available AS "available!"
FROM store.inventory AS i
CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
WHERE i.product_id = ANY(:product_ids::bigint[]);

-- name: get_inventory(product_id)^
-- Return the stock of a product.
-- row: Inventory
-- rows: at most one (inventory_pkey)
SELECT
    i.product_id,
    i.on_hand,
    i.reserved,
    s.available AS "available!"
FROM store.inventory AS i
CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
WHERE i.product_id = :product_id::bigint;

-- name: list_movements(product_id, before_id, page_size)
-- Return a page of what happened to the stock of a product, newest first, and one row more when there is a next page.
-- row: StockMovement
SELECT
    m.product_id,
    m.id,
    m.kind,
    m.quantity,
    m.on_hand_after,
    m.order_id,
    m.reason,
    m.actor,
    m.created_at
FROM store.stock_movements AS m
WHERE
    m.product_id = :product_id::bigint
    AND m.id < :before_id::bigint
ORDER BY m.id DESC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: release_holds(cart_id)^
-- Give back all that a locked cart holds, and say of how many products that was.
-- row: Released
-- rows: one (an aggregate)
-- Locks: store.inventory, ascending product_id, then the holds, of a cart that lock_cart has locked in a statement before: this one
-- then sees every hold committed until now.
WITH locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id IN (SELECT r.product_id FROM store.reservations AS r WHERE r.cart_id = :cart_id::bigint)
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

held AS (
    SELECT
        r.cart_id,
        r.product_id,
        r.quantity
    FROM locked AS l
    INNER JOIN store.reservations AS r
        ON r.product_id = l.product_id
    WHERE r.cart_id = :cart_id::bigint
    ORDER BY r.product_id ASC
    FOR UPDATE OF r
),

released AS (
    DELETE FROM store.reservations AS r
    USING held AS h
    WHERE
        r.cart_id = h.cart_id
        AND r.product_id = h.product_id
),

returned AS (
    UPDATE store.inventory AS i
    SET
        on_hand = l.on_hand,
        reserved = l.reserved - h.quantity
    FROM locked AS l
    INNER JOIN held AS h
        ON h.product_id = l.product_id
    WHERE i.product_id = l.product_id
)

SELECT count(*) AS released
FROM held;

-- name: reserve_stock(cart_id, of_cart, product_ids, quantities, seconds)
-- Hold units for an open cart, all or nothing, in the place of what it holds of these products; the lines of the cart when
-- of_cart is true. Expired holds of others are taken back on the way. No row: no such cart. A row without expires_at is a verdict:
-- nothing was written, because the cart is closed or expired, a product does not exist or is archived, or less is available than wanted; or because the
-- cart changed while the statement waited for it (is_stale), so that its lines and holds were read as they no longer are.
-- row: HoldVerdict
-- Locks: the cart FOR NO KEY UPDATE, store.inventory, ascending product_id, then the holds.
WITH cart AS (
    SELECT
        c.id,
        c.status,
        c.expires_at <= now() AS is_expired,
        c.xmin AS row_version
    FROM store.carts AS c
    WHERE c.id = :cart_id::bigint
    FOR NO KEY UPDATE OF c
),

-- The same row as this statement saw it before it waited. Whoever changes the lines of a cart, or holds something for it,
-- writes its row: another version says that neither is as this statement sees it.
seen AS (
    SELECT c.xmin AS row_version
    FROM store.carts AS c
    WHERE c.id = :cart_id::bigint
),

fresh AS (
    SELECT
        cart.id,
        cart.status = 'open' AND NOT cart.is_expired AS is_open
    FROM cart
    INNER JOIN seen
        ON seen.row_version = cart.row_version
),

wanted AS (
    SELECT
        g.product_id,
        sum(g.quantity)::bigint AS quantity
    FROM (
        SELECT
            n.product_id,
            n.quantity
        FROM unnest(:product_ids::bigint[], :quantities::bigint[]) AS n (product_id, quantity)
        UNION ALL
        SELECT
            ci.product_id,
            ci.quantity
        FROM store.cart_items AS ci
        WHERE
            ci.cart_id = :cart_id::bigint
            AND :of_cart::boolean
    ) AS g
    GROUP BY g.product_id
),

locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE
        i.product_id IN (SELECT w.product_id FROM wanted AS w)
        AND EXISTS (SELECT FROM fresh WHERE fresh.is_open)
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

-- What leaves the table: the own holds, and the expired ones of others.
leaving AS (
    SELECT
        r.cart_id,
        r.product_id,
        r.quantity
    FROM locked AS l
    INNER JOIN store.reservations AS r
        ON r.product_id = l.product_id
    WHERE
        r.cart_id = :cart_id::bigint
        OR r.expires_at <= now()
    ORDER BY r.product_id ASC, r.cart_id ASC
    FOR UPDATE OF r
),

freed AS (
    SELECT
        v.product_id,
        sum(v.quantity) AS quantity
    FROM leaving AS v
    GROUP BY v.product_id
),

judged AS (
    SELECT
        w.product_id,
        w.quantity AS wanted,
        l.on_hand,
        l.reserved - coalesce(f.quantity, 0) AS reserved,
        greatest(coalesce(l.on_hand - l.reserved + coalesce(f.quantity, 0), 0), 0) AS available,
        p.is_active
    FROM wanted AS w
    LEFT JOIN store.products AS p
        ON p.id = w.product_id
    LEFT JOIN locked AS l
        ON l.product_id = w.product_id
    LEFT JOIN freed AS f
        ON f.product_id = w.product_id
),

granted AS (
    SELECT fresh.id
    FROM fresh
    WHERE
        fresh.is_open
        AND EXISTS (SELECT FROM judged)
        AND NOT EXISTS (SELECT FROM judged AS j WHERE j.wanted > j.available OR j.is_active IS NOT TRUE)
),

left_table AS (
    DELETE FROM store.reservations AS r
    USING leaving AS v
    WHERE
        r.cart_id = v.cart_id
        AND r.product_id = v.product_id
        AND EXISTS (SELECT FROM granted)
    RETURNING r.cart_id
),

counted AS (
    UPDATE store.inventory AS i
    SET
        on_hand = j.on_hand,
        reserved = j.reserved + j.wanted
    FROM judged AS j
    WHERE
        i.product_id = j.product_id
        AND EXISTS (SELECT FROM granted)
),

touched AS (
    UPDATE store.carts AS c
    SET
        updated_at = greatest(now(), c.updated_at + interval '1 microsecond'),
        expires_at = greatest(now() + interval '30 days', c.expires_at)
    FROM granted AS g
    WHERE c.id = g.id
),

-- The count makes the insert run after the delete: both may be of one key.
held AS (
    INSERT INTO store.reservations (cart_id, product_id, quantity, expires_at)
    SELECT
        g.id,
        j.product_id,
        j.wanted,
        now() + make_interval(secs => :seconds::bigint) AS expires_at
    FROM granted AS g
    CROSS JOIN judged AS j
    WHERE (SELECT count(*) FROM left_table) >= 0
    ORDER BY j.product_id ASC
    RETURNING product_id, expires_at
)

SELECT
    cart.id AS cart_id,
    cart.status AS cart_status,
    cart.is_expired,
    NOT EXISTS (SELECT FROM fresh) AS is_stale,
    j.product_id,
    j.wanted,
    j.available,
    j.is_active,
    h.expires_at
FROM cart
LEFT JOIN judged AS j
    ON true
LEFT JOIN held AS h
    ON h.product_id = j.product_id
ORDER BY j.product_id ASC;

-- name: set_stock(product_id, quantity, expected, reason, actor)^
-- Set the stock of a product after a count, if it still is what was expected.
-- row: Inventory
-- null: expected, reason, actor
-- Locks: the inventory row, then its expired holds.
WITH locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id = :product_id::bigint
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
        r.expires_at <= now()
        AND l.on_hand = coalesce(:expected::integer, l.on_hand)
    ORDER BY r.product_id ASC, r.cart_id ASC
    FOR UPDATE OF r
),

reclaimed AS (
    DELETE FROM store.reservations AS r
    USING expired AS e
    WHERE
        r.cart_id = e.cart_id
        AND r.product_id = e.product_id
),

changed AS (
    UPDATE store.inventory AS i
    SET
        on_hand = :quantity::integer,
        reserved = l.reserved - (SELECT coalesce(sum(e.quantity), 0) FROM expired AS e)
    FROM locked AS l
    WHERE
        i.product_id = l.product_id
        AND l.on_hand = coalesce(:expected::integer, l.on_hand)
    RETURNING i.product_id, i.on_hand, i.reserved
),

moved AS (
    INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, reason, actor)
    SELECT
        c.product_id,
        'adjusted' AS kind,
        c.on_hand - l.on_hand AS quantity,
        c.on_hand,
        :reason::text AS reason,
        :actor::text AS actor
    FROM changed AS c
    INNER JOIN locked AS l
        ON l.product_id = c.product_id
    WHERE c.on_hand <> l.on_hand
)

SELECT
    c.product_id,
    c.on_hand,
    c.reserved,
    c.on_hand - c.reserved AS available
FROM changed AS c;
