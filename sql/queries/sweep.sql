-- Hygiene for cron. Nothing depends on it: an expired hold is free for the next buyer
-- whether it was swept or not. Each statement takes a batch and says how much it did.

-- name: sweep_carts(batch)!
-- Mark carts that nobody touched in their time as abandoned; one that still holds something waits for the sweep of holds.
-- plan: scan carts, run by cron
-- Locks: the carts, skipping those that are in use.
UPDATE store.carts AS c
SET
    status = 'abandoned',
    updated_at = greatest(now(), c.updated_at + interval '1 microsecond')
WHERE c.id IN (
    SELECT d.id
    FROM store.carts AS d
    WHERE
        d.status = 'open'
        AND d.expires_at <= now()
        AND NOT EXISTS (SELECT FROM store.reservations AS r WHERE r.cart_id = d.id)
    ORDER BY d.id ASC
    LIMIT least(:batch::bigint, 1000)
    FOR NO KEY UPDATE OF d SKIP LOCKED
);

-- name: sweep_holds(batch)$
-- Give back the expired holds of some products, and say of how many holds that was.
-- plan: scan reservations, run by cron
-- Locks: store.inventory, ascending product_id, then the holds.
WITH locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id IN (
        SELECT DISTINCT r.product_id
        FROM store.reservations AS r
        WHERE r.expires_at <= now()
        ORDER BY r.product_id ASC
        LIMIT least(:batch::bigint, 1000)
    )
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
    WHERE r.expires_at <= now()
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
),

returned AS (
    UPDATE store.inventory AS i
    SET
        on_hand = l.on_hand,
        reserved = l.reserved - f.quantity
    FROM locked AS l
    INNER JOIN freed AS f
        ON f.product_id = l.product_id
    WHERE i.product_id = l.product_id
)

SELECT count(*) AS swept
FROM expired;

-- name: sweep_outbox(batch)!
-- Delete events that were acknowledged more than a week ago.
-- Locks: the events, skipping those that are in use.
DELETE FROM store.outbox AS o
USING (
    SELECT
        d.key,
        d.id
    FROM store.outbox AS d
    WHERE d.acknowledged_at < now() - interval '7 days'
    ORDER BY d.acknowledged_at ASC, d.id ASC
    LIMIT least(:batch::bigint, 1000)
    FOR UPDATE OF d SKIP LOCKED
) AS due
WHERE
    o.key = due.key
    AND o.id = due.id;
