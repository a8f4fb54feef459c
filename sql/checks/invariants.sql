-- What must hold whatever happened: a row is a fault. Each statement sees one
-- snapshot, so it may run beside live traffic. The order is that of the design:
-- c1 stock, c2 holds, c3 and c4 totals and lines, c5 money, c7 and c8 carts, c9
-- steps, c10 outbox, c12 contacts and amounts. Not applicable before there are
-- coupons (c6) and a history of prices (c11).

-- name: c01_stock_is_the_sum_of_its_movements()
-- What is on hand is what came less what went, every movement says what it left, and none is of a product without stock or an
-- order that does not exist.
SELECT
    i.product_id AS subject,
    format('on hand %s, movements %s, last movement %s', i.on_hand, m.moved, m.last_after) AS fault
FROM store.inventory AS i
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(s.quantity), 0) AS moved,
        coalesce((array_agg(s.on_hand_after ORDER BY s.id DESC))[1], 0) AS last_after
    FROM store.stock_movements AS s
    WHERE s.product_id = i.product_id
) AS m
WHERE
    i.on_hand <> m.moved
    OR i.on_hand <> m.last_after
UNION ALL
SELECT
    w.product_id AS subject,
    format('movement %s leaves %s, after %s and %s', w.id, w.on_hand_after, w.before, w.quantity) AS fault
FROM (
    SELECT
        s.product_id,
        s.id,
        s.quantity,
        s.on_hand_after,
        coalesce(lag(s.on_hand_after) OVER (PARTITION BY s.product_id ORDER BY s.id ASC), 0) AS before
    FROM store.stock_movements AS s
) AS w
WHERE w.on_hand_after <> w.before + w.quantity
UNION ALL
SELECT
    s.product_id AS subject,
    format('movement %s: %s, order %s', s.id, s.kind, s.order_id) AS fault
FROM store.stock_movements AS s
LEFT JOIN store.inventory AS i
    ON i.product_id = s.product_id
LEFT JOIN store.orders AS o
    ON o.id = s.order_id
WHERE
    i.product_id IS NULL
    OR (s.order_id IS NOT NULL AND o.id IS NULL)
    OR (s.kind = 'sold' AND s.order_id IS NULL);

-- name: c02_reserved_is_the_sum_of_holds()
-- The counter is what all holds add up to, expired or not, and within what is on hand.
WITH h AS (
    SELECT
        r.product_id,
        sum(r.quantity) AS held
    FROM store.reservations AS r
    GROUP BY r.product_id
)

SELECT
    coalesce(i.product_id, h.product_id) AS subject,
    format('on hand %s, reserved %s, held %s', i.on_hand, i.reserved, coalesce(h.held, 0)) AS fault
FROM store.inventory AS i
FULL JOIN h
    ON h.product_id = i.product_id
WHERE
    i.product_id IS NULL
    OR i.reserved <> coalesce(h.held, 0)
    OR NOT i.reserved BETWEEN 0 AND i.on_hand;

-- name: c03_totals_are_the_sum_of_lines()
-- The subtotal is what the lines add up to, each line what it costs, and the total follows from it.
SELECT
    o.id AS subject,
    format('subtotal %s, lines %s, total %s', o.subtotal, l.total, o.total) AS fault
FROM store.orders AS o
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(oi.total), 0) AS total,
        coalesce(sum(oi.tax), 0) AS tax,
        coalesce(bool_and(oi.total = store.line_total(oi.quantity, oi.unit_price, oi.discount, o.currency)), true) AS is_exact
    FROM store.order_items AS oi
    WHERE oi.order_id = o.id
) AS l
WHERE
    o.subtotal <> l.total
    OR o.tax <> l.tax
    OR NOT l.is_exact
    OR o.total <> o.subtotal - o.discount + o.shipping + CASE WHEN o.prices_include_tax THEN 0 ELSE o.tax END;

-- name: c04_every_order_has_lines()
-- An order has at least one line, numbered from 1 without a gap, and what it sold of each product left the
-- stock once.
WITH m AS (
    SELECT
        s.order_id,
        coalesce(-sum(s.quantity) FILTER (WHERE s.kind = 'sold'), 0) AS units,
        coalesce(sum(s.quantity) FILTER (WHERE s.kind = 'returned'), 0) AS returned
    FROM store.stock_movements AS s
    WHERE s.order_id IS NOT NULL
    GROUP BY s.order_id
),

line AS (
    SELECT
        n.order_id,
        n.product_id,
        sum(n.quantity) AS units
    FROM store.order_items AS n
    GROUP BY n.order_id, n.product_id
),

moved AS (
    SELECT
        t.order_id,
        t.product_id,
        coalesce(-sum(t.quantity) FILTER (WHERE t.kind = 'sold'), 0) AS units,
        coalesce(sum(t.quantity) FILTER (WHERE t.kind = 'returned'), 0) AS returned
    FROM store.stock_movements AS t
    WHERE t.order_id IS NOT NULL
    GROUP BY t.order_id, t.product_id
)

SELECT
    o.id AS subject,
    format('%s lines up to number %s, %s units sold, %s moved', l.lines, l.last_no, l.units, m.units) AS fault
FROM store.orders AS o
CROSS JOIN LATERAL (
    SELECT
        count(*) AS lines,
        coalesce(max(oi.line_no), 0) AS last_no,
        coalesce(sum(oi.quantity), 0) AS units,
        coalesce(bool_and(oi.quantity > 0), true) AS is_positive
    FROM store.order_items AS oi
    WHERE oi.order_id = o.id
) AS l
LEFT JOIN m
    ON m.order_id = o.id
WHERE
    l.lines = 0
    OR l.lines <> l.last_no
    OR NOT l.is_positive
    OR coalesce(m.units, 0) <> l.units
    OR m.returned > l.units
    OR (o.status = 'cancelled' AND m.returned <> l.units)
UNION ALL
SELECT
    coalesce(oi.order_id, v.order_id) AS subject,
    format('product %s: %s units sold, %s moved', coalesce(oi.product_id, v.product_id), oi.units, v.units) AS fault
FROM line AS oi
FULL JOIN moved AS v
    ON
        v.order_id = oi.order_id
        AND v.product_id = oi.product_id
WHERE
    oi.units IS DISTINCT FROM v.units
    OR v.returned > v.units;

-- name: c05_money_is_within_bounds()
-- Amounts of payments are the sums of their events, which run within bounds; the status of an order fits them, and nothing was
-- authorized or captured after money was paid back.
WITH step AS (
    SELECT
        v.order_id,
        v.seq,
        v.payment_no,
        v.authorized,
        v.captured,
        v.refunded,
        v.kind IN ('authorize', 'capture') AND coalesce(bool_or(v.kind = 'refund') OVER before, false) AS is_late,
        v.seq = row_number() OVER (PARTITION BY v.order_id ORDER BY v.seq ASC) AS is_next,
        sum(CASE v.kind WHEN 'authorize' THEN v.amount WHEN 'void' THEN -v.amount ELSE 0 END) OVER until AS sum_authorized,
        sum(CASE v.kind WHEN 'capture' THEN v.amount ELSE 0 END) OVER until AS sum_captured,
        sum(CASE v.kind WHEN 'refund' THEN v.amount ELSE 0 END) OVER until AS sum_refunded
    FROM store.payment_events AS v
    WINDOW
        before AS (PARTITION BY v.order_id ORDER BY v.seq ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        until AS (PARTITION BY v.order_id, v.payment_no ORDER BY v.seq ASC)
),

chain AS (
    SELECT
        s.order_id,
        bool_and(
            NOT s.is_late
            AND s.is_next
            AND (s.authorized, s.captured, s.refunded) = (s.sum_authorized, s.sum_captured, s.sum_refunded)
            AND s.sum_refunded <= s.sum_captured
            AND s.sum_captured <= s.sum_authorized
        ) AS is_sound
    FROM step AS s
    GROUP BY s.order_id
)

SELECT
    o.id AS subject,
    format(
        '%s of %s: authorized %s, captured %s, refunded %s', o.status, o.total, p.authorized, p.captured, p.refunded
    ) AS fault
FROM store.orders AS o
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(y.authorized), 0) AS authorized,
        coalesce(sum(y.captured), 0) AS captured,
        coalesce(sum(y.refunded), 0) AS refunded,
        coalesce(
            bool_and(
                y.refunded <= y.captured
                AND y.captured <= y.authorized
                AND y.currency = o.currency
                AND (y.authorized, y.captured, y.refunded) = (e.authorized, e.captured, e.refunded)
            ),
            true
        ) AS is_sound
    FROM store.payments AS y
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(CASE v.kind WHEN 'authorize' THEN v.amount WHEN 'void' THEN -v.amount ELSE 0 END), 0) AS authorized,
            coalesce(sum(v.amount) FILTER (WHERE v.kind = 'capture'), 0) AS captured,
            coalesce(sum(v.amount) FILTER (WHERE v.kind = 'refund'), 0) AS refunded
        FROM store.payment_events AS v
        WHERE
            v.order_id = y.order_id
            AND v.payment_no = y.payment_no
    ) AS e
    WHERE y.order_id = o.id
) AS p
LEFT JOIN chain
    ON chain.order_id = o.id
WHERE
    NOT p.is_sound
    OR NOT chain.is_sound
    OR p.authorized > o.total
    OR (o.status IN ('paid', 'shipped', 'delivered') AND p.captured <> o.total)
    OR (o.status IN ('refunded', 'cancelled') AND (p.refunded <> p.captured OR p.authorized <> p.captured))
    OR (o.status = 'placed' AND p.captured >= o.total);

-- name: c07_an_order_is_its_cart()
-- Order and cart share their id: the same owner, unless the user is gone, the same secret, the same lines.
SELECT
    o.id AS subject,
    'the order differs from its cart' AS fault
FROM store.orders AS o
INNER JOIN store.carts AS c
    ON c.id = o.id
WHERE
    (o.user_id IS NOT NULL AND o.user_id IS DISTINCT FROM c.user_id)
    OR o.public_id <> c.public_id
    OR o.currency <> c.currency
    OR EXISTS (
        SELECT
            oi.product_id,
            oi.quantity
        FROM store.order_items AS oi
        WHERE oi.order_id = o.id
        EXCEPT
        SELECT
            ci.product_id,
            ci.quantity
        FROM store.cart_items AS ci
        WHERE ci.cart_id = c.id
    )
    OR EXISTS (
        SELECT
            ci.product_id,
            ci.quantity
        FROM store.cart_items AS ci
        WHERE ci.cart_id = c.id
        EXCEPT
        SELECT
            oi.product_id,
            oi.quantity
        FROM store.order_items AS oi
        WHERE oi.order_id = o.id
    );

-- name: c08_ordered_carts_and_orders_belong_together()
-- A cart is ordered when and only when there is its order, and only open carts hold anything.
SELECT
    c.id AS subject,
    format('the cart is %s, and there is %s order', c.status, CASE WHEN o.id IS NULL THEN 'no' ELSE 'an' END) AS fault
FROM store.carts AS c
LEFT JOIN store.orders AS o
    ON o.id = c.id
WHERE (c.status = 'ordered') <> (o.id IS NOT NULL)
UNION ALL
SELECT
    r.cart_id AS subject,
    format('the cart is %s and holds product %s', c.status, r.product_id) AS fault
FROM store.reservations AS r
INNER JOIN store.carts AS c
    ON c.id = r.cart_id
WHERE c.status <> 'open';

-- name: c09_the_last_event_is_the_status()
-- The steps of an order are numbered from 1 without a gap, each begins where the one before ended, and the last is the status.
WITH step AS (
    SELECT
        s.order_id,
        s.seq,
        s.from_status,
        s.to_status,
        row_number() OVER (PARTITION BY s.order_id ORDER BY s.seq) AS place,
        lag(s.to_status) OVER (PARTITION BY s.order_id ORDER BY s.seq) AS before
    FROM store.order_events AS s
),

e AS (
    SELECT
        v.order_id,
        count(*) AS events,
        (array_agg(v.to_status ORDER BY v.seq DESC))[1] AS last_status,
        bool_and(v.seq = v.place AND v.from_status IS NOT DISTINCT FROM v.before) AS is_chain
    FROM step AS v
    GROUP BY v.order_id
)

SELECT
    o.id AS subject,
    format('%s at version %s, %s events, the last %s', o.status, o.version, e.events, e.last_status) AS fault
FROM store.orders AS o
LEFT JOIN e
    ON e.order_id = o.id
WHERE
    e.is_chain IS NOT TRUE
    OR e.last_status IS DISTINCT FROM o.status
    OR e.events <> o.version;

-- name: c10_every_step_is_told_once()
-- The outbox tells of each step at most once, and of each that it still could have kept.
WITH t AS (
    SELECT
        b.key,
        CASE WHEN jsonb_typeof(b.payload -> 'seq') = 'number' THEN (b.payload ->> 'seq')::numeric END AS seq
    FROM store.outbox AS b
    WHERE b.topic LIKE 'order.%'
),

x AS (
    SELECT
        t.key,
        t.seq,
        count(*) AS told
    FROM t
    GROUP BY t.key, t.seq
)

SELECT
    coalesce(e.order_id, x.key) AS subject,
    format('step %s: %s in the ledger, %s in the outbox', coalesce(e.seq, x.seq), e.to_status, coalesce(x.told, 0)) AS fault
FROM store.order_events AS e
FULL JOIN x
    ON
        x.key = e.order_id
        AND x.seq = e.seq
WHERE
    e.order_id IS NULL
    OR x.told > 1
    OR (x.told IS NULL AND e.at > now() - interval '7 days');

-- name: c12_no_money_out_of_range()
-- Every order can be answered for, and no amount is null, NaN or out of range.
SELECT
    o.id AS subject,
    'no contact, or an amount out of range' AS fault
FROM store.orders AS o
WHERE
    (o.user_id IS NULL AND o.email IS NULL AND o.external_ref IS NULL)
    OR NOT coalesce(
        o.subtotal BETWEEN 0 AND 1e12
        AND o.discount BETWEEN 0 AND 1e12
        AND o.shipping BETWEEN 0 AND 1e12
        AND o.tax BETWEEN 0 AND 1e12
        AND o.total BETWEEN 0 AND 1e12,
        false
    )
UNION ALL
SELECT
    p.id AS subject,
    'a price out of range' AS fault
FROM store.products AS p
WHERE NOT coalesce(p.price BETWEEN 0 AND 1e12, false);
