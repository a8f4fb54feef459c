-- Orders. Placing is two statements: the first locks the cart, so that the second
-- sees every line that was added before; one that did both would read the lines as
-- they were before it waited. Whatever an order needs is read and written by the
-- second, all or nothing: a verdict that refuses has written nothing, so COMMIT may
-- follow it unseen. Locks: cart or order, payments, inventory by product, holds.

-- name: end_order(order_id, to_status, is_refund, restock, actor, reason)^
-- Cancel an order, or refund all that was captured for it; with restock what it sold comes back, less what imported cancellations
-- brought back before. The order is locked already.
-- Nothing is written when the step is not legal, or money is outstanding that a cancellation would lose sight of.
-- row: StepVerdict
-- null: actor, reason
-- Locks: the payments, then store.inventory, ascending product_id.
WITH o AS (
    SELECT
        r.id,
        r.status,
        r.version,
        r.total,
        r.currency
    FROM store.orders AS r
    WHERE r.id = :order_id::bigint
),

money AS (
    SELECT
        p.payment_no,
        p.authorized,
        p.captured,
        p.refunded
    FROM store.payments AS p
    WHERE p.order_id = :order_id::bigint
),

granted AS (
    SELECT
        o.id,
        o.status,
        o.version + 1 AS version,
        o.total,
        o.currency
    FROM o
    INNER JOIN store.order_transitions AS t
        ON t.from_status = o.status
    WHERE
        t.to_status = :to_status::text
        AND (:is_refund::boolean OR NOT EXISTS (SELECT FROM money AS m WHERE m.authorized <> m.refunded))
),

refunded AS (
    UPDATE store.payments AS p
    SET
        refunded = p.captured,
        updated_at = greatest(now(), p.updated_at + interval '1 microsecond')
    FROM granted AS g
    WHERE
        p.order_id = g.id
        AND p.refunded < p.captured
        AND :is_refund::boolean
    RETURNING p.order_id, p.payment_no, p.authorized, p.captured
),

told_payments AS (
    INSERT INTO store.payment_events (
        order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor
    )
    SELECT
        f.order_id,
        (
            SELECT coalesce(max(e.seq), 0)
            FROM store.payment_events AS e
            WHERE e.order_id = f.order_id
        ) + row_number() OVER (ORDER BY f.payment_no ASC) AS seq,
        f.payment_no,
        'refund' AS kind,
        f.captured - m.refunded AS amount,
        f.authorized,
        f.captured,
        f.captured,
        format('store:orders.refund:%s', f.payment_no) AS idempotency_key,
        :actor::text AS actor
    FROM refunded AS f
    INNER JOIN money AS m
        ON m.payment_no = f.payment_no
),

back AS (
    SELECT
        s.product_id,
        s.quantity - s.returned AS quantity
    FROM (
        SELECT
            oi.product_id,
            sum(oi.quantity) AS quantity,
            coalesce(
                (
                    SELECT sum(c.quantity)
                    FROM store.imported_cancellations AS c
                    WHERE
                        c.order_id = :order_id::bigint
                        AND c.product_id = oi.product_id
                ),
                0
            ) AS returned
        FROM granted AS g
        INNER JOIN store.order_items AS oi
            ON oi.order_id = g.id
        WHERE :restock::boolean
        GROUP BY oi.product_id
    ) AS s
    WHERE s.quantity > s.returned
),

locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id IN (SELECT b.product_id FROM back AS b)
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

counted AS (
    UPDATE store.inventory AS i
    SET
        on_hand = l.on_hand + b.quantity,
        reserved = l.reserved
    FROM locked AS l
    INNER JOIN back AS b
        ON b.product_id = l.product_id
    WHERE i.product_id = l.product_id
),

returned AS (
    INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, order_id, reason, actor)
    SELECT
        l.product_id,
        'returned' AS kind,
        b.quantity,
        l.on_hand + b.quantity AS on_hand_after,
        :order_id::bigint AS order_id,
        :reason::text AS reason,
        :actor::text AS actor
    FROM locked AS l
    INNER JOIN back AS b
        ON b.product_id = l.product_id
    ORDER BY l.product_id ASC
),

moved AS (
    UPDATE store.orders AS r
    SET
        status = :to_status::text,
        version = g.version,
        updated_at = greatest(now(), r.updated_at + interval '1 microsecond')
    FROM granted AS g
    WHERE r.id = g.id
),

event AS (
    INSERT INTO store.order_events (order_id, seq, from_status, to_status, actor, reason)
    SELECT
        g.id,
        g.version,
        g.status,
        :to_status::text AS to_status,
        :actor::text AS actor,
        :reason::text AS reason
    FROM granted AS g
),

told AS (
    INSERT INTO store.outbox (key, topic, payload)
    SELECT
        g.id,
        'order.' || :to_status::text AS topic,
        store.order_payload(g.id, g.version, :to_status::text, g.total, g.currency) AS payload
    FROM granted AS g
)

SELECT
    o.status AS from_status,
    o.version,
    (SELECT count(*) FROM granted) = 1 AS is_done,
    (
        SELECT coalesce(array_agg(t.to_status ORDER BY t.to_status ASC), '{}')
        FROM store.order_transitions AS t
        WHERE t.from_status = o.status
    ) AS legal
FROM o;

-- name: get_order_by_number(number, scope, scope_user_id, scope_public_id)^
-- Return the id of the order with this number.
-- row: OrderId
-- null: scope_user_id, scope_public_id
SELECT o.id
FROM store.orders AS o
WHERE
    o.number = :number::text
    AND store.in_scope(o.user_id, o.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid);

-- name: get_orders(order_ids, scope, scope_user_id, scope_public_id)
-- Return these orders with lines, payments and events.
-- row: Order
-- null: scope_user_id, scope_public_id
SELECT
    o.id,
    o.public_id,
    o.number,
    o.user_id,
    o.email,
    o.status,
    o.currency,
    o.subtotal,
    o.discount,
    o.shipping,
    o.tax,
    o.total,
    o.prices_include_tax,
    o.ship_to,
    o.bill_to,
    o.source,
    o.external_ref,
    o.version,
    o.placed_at,
    o.updated_at,
    l.lines,
    p.payments,
    e.events
FROM store.orders AS o
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'line_no', oi.line_no,
                    'product_id', oi.product_id,
                    'sku', oi.sku,
                    'name', oi.name,
                    'unit_price', oi.unit_price::text,
                    'quantity', oi.quantity,
                    'discount', oi.discount::text,
                    'tax_rate', oi.tax_rate::text,
                    'tax', oi.tax::text,
                    'total', oi.total::text
                )
                ORDER BY oi.line_no ASC
            ),
            '[]'::json
        ) AS lines
    FROM store.order_items AS oi
    WHERE oi.order_id = o.id
) AS l
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'payment_no', y.payment_no,
                    'provider', y.provider,
                    'provider_ref', y.provider_ref,
                    'currency', y.currency,
                    'authorized', y.authorized::text,
                    'captured', y.captured::text,
                    'refunded', y.refunded::text,
                    'created_at', y.created_at,
                    'updated_at', y.updated_at
                )
                ORDER BY y.payment_no ASC
            ),
            '[]'::json
        ) AS payments
    FROM store.payments AS y
    WHERE y.order_id = o.id
) AS p
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'seq', v.seq,
                    'from_status', v.from_status,
                    'to_status', v.to_status,
                    'actor', v.actor,
                    'reason', v.reason,
                    'at', v.at
                )
                ORDER BY v.seq ASC
            ),
            '[]'::json
        ) AS events
    FROM store.order_events AS v
    WHERE v.order_id = o.id
) AS e
WHERE
    o.id = ANY(:order_ids::bigint[])
    AND store.in_scope(o.user_id, o.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid);

-- name: list_orders(user_id, before_id, page_size, scope, scope_user_id, scope_public_id)
-- Return a page of the orders of a user, newest first, and one row more when there is a next page.
-- row: OrderSummary
-- null: scope_user_id, scope_public_id
SELECT
    o.id,
    o.number,
    o.user_id,
    o.status,
    o.currency,
    o.total,
    o.placed_at,
    o.updated_at
FROM store.orders AS o
WHERE
    o.user_id = :user_id::bigint
    AND o.id < :before_id::bigint
    AND store.in_scope(o.user_id, o.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
ORDER BY o.id DESC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: lock_cart_to_place(cart_id, scope, scope_user_id, scope_public_id)^
-- Lock a cart that is to become an order.
-- row: PlaceableCart
-- null: scope_user_id, scope_public_id
-- Locks: the cart FOR NO KEY UPDATE.
SELECT
    c.status,
    c.expires_at <= now() AS is_expired
FROM store.carts AS c
WHERE
    c.id = :cart_id::bigint
    AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
FOR NO KEY UPDATE OF c;

-- name: lock_order(order_id)^
-- Lock an order for what follows in this transaction.
-- row: OrderId
-- Locks: the order FOR NO KEY UPDATE.
SELECT o.id
FROM store.orders AS o
WHERE o.id = :order_id::bigint
FOR NO KEY UPDATE OF o;

-- name: move_order(order_id, to_status, expected_version, actor, reason)^
-- Take a locked order one legal step on; nothing is written when the step is not legal, the order not at the expected version, or
-- all that was paid for it was paid back.
-- row: StepVerdict
-- null: expected_version, actor, reason
-- Locks: the order, which lock_order has locked in a statement before: so its payments are those of now.
WITH o AS (
    SELECT
        r.id,
        r.status,
        r.version,
        r.total,
        r.currency,
        r.total > 0 AND p.held = 0 AS is_settled
    FROM store.orders AS r
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(y.captured - y.refunded), 0) AS held
        FROM store.payments AS y
        WHERE y.order_id = r.id
    ) AS p
    WHERE r.id = :order_id::bigint
),

granted AS (
    SELECT
        o.id,
        o.status,
        o.version + 1 AS version,
        o.total,
        o.currency
    FROM o
    INNER JOIN store.order_transitions AS t
        ON t.from_status = o.status
    WHERE
        t.to_status = :to_status::text
        AND o.version = coalesce(:expected_version::bigint, o.version)
        AND NOT o.is_settled
),

moved AS (
    UPDATE store.orders AS r
    SET
        status = :to_status::text,
        version = g.version,
        updated_at = greatest(now(), r.updated_at + interval '1 microsecond')
    FROM granted AS g
    WHERE r.id = g.id
),

event AS (
    INSERT INTO store.order_events (order_id, seq, from_status, to_status, actor, reason)
    SELECT
        g.id,
        g.version,
        g.status,
        :to_status::text AS to_status,
        :actor::text AS actor,
        :reason::text AS reason
    FROM granted AS g
),

told AS (
    INSERT INTO store.outbox (key, topic, payload)
    SELECT
        g.id,
        'order.' || :to_status::text AS topic,
        store.order_payload(g.id, g.version, :to_status::text, g.total, g.currency) AS payload
    FROM granted AS g
)

SELECT
    o.status AS from_status,
    o.version,
    (SELECT count(*) FROM granted) = 1 AS is_done,
    (
        SELECT coalesce(array_agg(t.to_status ORDER BY t.to_status ASC), '{}')
        FROM store.order_transitions AS t
        WHERE t.from_status = o.status
    ) AS legal
FROM o;

-- name: place_order(cart_id, expected_total, email, ship_to, bill_to, actor)^
-- Make an order of a cart that this transaction has locked: take the stock, use up its holds, freeze the lines, write the first
-- event and tell of it. A row without placed is a verdict, and nothing was written: no lines, a product that is not for sale or in
-- another currency, less stock than wanted, another total than expected, or nobody to write to. Prices and is_active are read as
-- they are when it begins: what is committed while it waits for stock counts for the next order.
-- row: PlaceVerdict
-- null: expected_total, email, ship_to, bill_to, actor
-- Locks: store.inventory, ascending product_id, then the holds.
WITH cart AS (
    SELECT
        c.id,
        c.public_id,
        c.user_id,
        c.currency,
        coalesce(:email::text, u.email) AS email
    FROM store.carts AS c
    LEFT JOIN store.users AS u
        ON u.id = c.user_id
    WHERE
        c.id = :cart_id::bigint
        AND c.status = 'open'
),

line AS (
    SELECT
        row_number() OVER (ORDER BY ci.added_at ASC, ci.product_id ASC) AS line_no,
        ci.product_id,
        p.sku,
        p.name,
        p.price,
        ci.quantity,
        store.line_total(ci.quantity, p.price, 0, cart.currency) AS total,
        p.is_active,
        p.currency = cart.currency AS is_same_currency
    FROM cart
    INNER JOIN store.cart_items AS ci
        ON ci.cart_id = cart.id
    INNER JOIN store.products AS p
        ON p.id = ci.product_id
),

locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id IN (
        SELECT n.product_id
        FROM line AS n
        UNION
        SELECT r.product_id
        FROM store.reservations AS r
        WHERE r.cart_id = :cart_id::bigint
    )
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

stock AS (
    SELECT
        l.product_id,
        l.on_hand,
        l.reserved - coalesce(f.quantity, 0) AS reserved
    FROM locked AS l
    LEFT JOIN freed AS f
        ON f.product_id = l.product_id
),

short AS (
    SELECT
        n.product_id,
        n.quantity AS wanted,
        coalesce(s.on_hand - s.reserved, 0) AS available
    FROM line AS n
    LEFT JOIN stock AS s
        ON s.product_id = n.product_id
    WHERE n.quantity > coalesce(s.on_hand - s.reserved, 0)
),

summed AS (
    SELECT
        count(*) AS lines,
        coalesce(sum(n.total), 0) AS total,
        coalesce(bool_and(n.is_active), true) AS are_active,
        coalesce(bool_and(n.is_same_currency), true) AS are_same_currency
    FROM line AS n
),

granted AS (
    SELECT
        cart.id,
        cart.public_id,
        cart.user_id,
        cart.currency,
        cart.email,
        s.total,
        CASE WHEN s.total = 0 THEN 2 ELSE 1 END AS version
    FROM cart
    CROSS JOIN summed AS s
    WHERE
        s.lines > 0
        AND s.are_active
        AND s.are_same_currency
        AND s.total = coalesce(:expected_total::numeric, s.total)
        AND cart.email IS NOT NULL
        AND NOT EXISTS (SELECT FROM short)
),

-- What costs nothing is paid at once.
step AS (
    SELECT
        g.id,
        t.seq,
        CASE t.seq WHEN 2 THEN 'placed' END AS from_status,
        CASE t.seq WHEN 1 THEN 'placed' ELSE 'paid' END AS to_status,
        g.total,
        g.currency
    FROM granted AS g
    CROSS JOIN LATERAL generate_series(1, g.version) AS t (seq)
),

placed AS (
    INSERT INTO store.orders (
        id, public_id, user_id, email, status, currency, subtotal, total, ship_to, bill_to, version
    )
    SELECT
        g.id,
        g.public_id,
        g.user_id,
        g.email,
        CASE g.version WHEN 1 THEN 'placed' ELSE 'paid' END AS status,
        g.currency,
        g.total,
        g.total,
        :ship_to::jsonb AS ship_to,
        :bill_to::jsonb AS bill_to,
        g.version
    FROM granted AS g
    RETURNING
        id, public_id, number, user_id, email, status, currency, subtotal, discount, shipping, tax, total, prices_include_tax,
        ship_to, bill_to, source, external_ref, version, placed_at, updated_at
),

item AS (
    INSERT INTO store.order_items (order_id, line_no, product_id, sku, name, unit_price, quantity, total)
    SELECT
        g.id,
        n.line_no,
        n.product_id,
        n.sku,
        n.name,
        n.price,
        n.quantity,
        n.total
    FROM granted AS g
    CROSS JOIN line AS n
    ORDER BY n.line_no ASC
    RETURNING line_no, product_id, sku, name, unit_price, quantity, discount, tax_rate, tax, total
),

ordered AS (
    UPDATE store.carts AS c
    SET
        status = 'ordered',
        updated_at = greatest(now(), c.updated_at + interval '1 microsecond')
    FROM granted AS g
    WHERE c.id = g.id
),

used_up AS (
    DELETE FROM store.reservations AS r
    USING leaving AS v
    WHERE
        r.cart_id = v.cart_id
        AND r.product_id = v.product_id
        AND EXISTS (SELECT FROM granted)
),

taken AS (
    UPDATE store.inventory AS i
    SET
        on_hand = s.on_hand - coalesce(n.quantity, 0),
        reserved = s.reserved
    FROM stock AS s
    LEFT JOIN line AS n
        ON n.product_id = s.product_id
    WHERE
        i.product_id = s.product_id
        AND EXISTS (SELECT FROM granted)
),

sold AS (
    INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, order_id, actor)
    SELECT
        s.product_id,
        'sold' AS kind,
        -n.quantity AS quantity,
        s.on_hand - n.quantity AS on_hand_after,
        g.id,
        :actor::text AS actor
    FROM granted AS g
    CROSS JOIN stock AS s
    INNER JOIN line AS n
        ON n.product_id = s.product_id
    ORDER BY s.product_id ASC
),

event AS (
    INSERT INTO store.order_events (order_id, seq, from_status, to_status, actor)
    SELECT
        t.id,
        t.seq,
        t.from_status,
        t.to_status,
        :actor::text AS actor
    FROM step AS t
    ORDER BY t.seq ASC
    RETURNING seq, from_status, to_status, actor, reason, at
),

told AS (
    INSERT INTO store.outbox (key, topic, payload)
    SELECT
        t.id,
        'order.' || t.to_status AS topic,
        store.order_payload(t.id, t.seq, t.to_status, t.total, t.currency) AS payload
    FROM step AS t
    ORDER BY t.seq ASC
)

SELECT
    s.lines,
    s.total,
    (
        SELECT coalesce(array_agg(n.product_id ORDER BY n.product_id ASC), '{}')
        FROM line AS n
        WHERE NOT n.is_active
    ) AS archived,
    (
        SELECT coalesce(array_agg(n.product_id ORDER BY n.product_id ASC), '{}')
        FROM line AS n
        WHERE NOT n.is_same_currency
    ) AS foreign_products,
    coalesce(
        (
            SELECT
                json_agg(
                    json_build_object('product_id', h.product_id, 'wanted', h.wanted, 'available', h.available)
                    ORDER BY h.product_id ASC
                )
            FROM short AS h
        ),
        '[]'::json
    ) AS shortages,
    (
        SELECT
            json_build_object(
                'id', o.id,
                'public_id', o.public_id,
                'number', o.number,
                'user_id', o.user_id,
                'email', o.email,
                'status', o.status,
                'currency', o.currency,
                'subtotal', o.subtotal::text,
                'discount', o.discount::text,
                'shipping', o.shipping::text,
                'tax', o.tax::text,
                'total', o.total::text,
                'prices_include_tax', o.prices_include_tax,
                'ship_to', o.ship_to,
                'bill_to', o.bill_to,
                'source', o.source,
                'external_ref', o.external_ref,
                'version', o.version,
                'placed_at', o.placed_at,
                'updated_at', o.updated_at,
                'lines', (
                    SELECT
                        json_agg(
                            json_build_object(
                                'line_no', m.line_no,
                                'product_id', m.product_id,
                                'sku', m.sku,
                                'name', m.name,
                                'unit_price', m.unit_price::text,
                                'quantity', m.quantity,
                                'discount', m.discount::text,
                                'tax_rate', m.tax_rate::text,
                                'tax', m.tax::text,
                                'total', m.total::text
                            )
                            ORDER BY m.line_no ASC
                        )
                    FROM item AS m
                ),
                'payments', '[]'::json,
                'events', (
                    SELECT
                        json_agg(
                            json_build_object(
                                'seq', e.seq,
                                'from_status', e.from_status,
                                'to_status', e.to_status,
                                'actor', e.actor,
                                'reason', e.reason,
                                'at', e.at
                            )
                            ORDER BY e.seq ASC
                        )
                    FROM event AS e
                )
            )
        FROM placed AS o
    ) AS placed
FROM cart
CROSS JOIN summed AS s;
