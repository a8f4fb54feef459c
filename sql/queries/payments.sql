-- Money. A provider is asked by the application, and what it answered is written
-- here. Every statement runs under the lock of the order, taken by a statement of
-- its own before: so the first answer to a key is always seen by the second call,
-- and the sums of the order are those that count. Once
-- money was paid back for an order that is still to be paid, nothing more is
-- authorized or captured for it: its captures would add up to a total nobody holds.
-- An order past placed has nothing left to capture: it is paid when all that can be
-- authorized is captured, and cancelled when all that was authorized is paid back.

-- name: authorize_payment(order_id, provider, provider_ref, amount, idempotency_key, actor)^
-- Write down that an amount was authorized; nothing is written when the key was used, the order is past paying, money was
-- paid back for it, or it is too much.
-- row: PaymentVerdict
-- rows: at most one (of the order: what an earlier call wrote, or what this one writes)
-- null: actor
-- Locks: the new rows, of an order that lock_order has locked in a statement before.
WITH o AS (
    SELECT
        r.id,
        r.status,
        r.currency,
        r.total - coalesce((SELECT sum(p.authorized) FROM store.payments AS p WHERE p.order_id = r.id), 0) AS due,
        coalesce((SELECT bool_or(p.refunded > 0) FROM store.payments AS p WHERE p.order_id = r.id), false) AS is_paid_back
    FROM store.orders AS r
    WHERE r.id = :order_id::bigint
),

earlier AS (
    SELECT
        e.order_id,
        e.seq,
        e.payment_no,
        e.kind,
        e.amount,
        e.authorized,
        e.captured,
        e.refunded,
        e.idempotency_key,
        e.actor,
        e.at,
        p.provider,
        p.provider_ref
    FROM store.payment_events AS e
    INNER JOIN store.payments AS p
        ON
            p.order_id = e.order_id
            AND p.payment_no = e.payment_no
    WHERE
        e.order_id = :order_id::bigint
        AND e.idempotency_key = :idempotency_key::text
),

granted AS (
    SELECT
        o.id,
        o.currency,
        1 + coalesce((SELECT max(p.payment_no) FROM store.payments AS p WHERE p.order_id = o.id), 0) AS payment_no,
        1 + coalesce((SELECT max(e.seq) FROM store.payment_events AS e WHERE e.order_id = o.id), 0) AS seq
    FROM o
    WHERE
        o.status = 'placed'
        AND NOT o.is_paid_back
        AND :amount::numeric <= o.due
        AND NOT EXISTS (SELECT FROM earlier)
),

payment AS (
    INSERT INTO store.payments (order_id, payment_no, provider, provider_ref, currency, authorized)
    SELECT
        g.id,
        g.payment_no,
        :provider::text AS provider,
        :provider_ref::text AS provider_ref,
        g.currency,
        :amount::numeric AS authorized
    FROM granted AS g
),

event AS (
    INSERT INTO store.payment_events (
        order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor
    )
    SELECT
        g.id,
        g.seq,
        g.payment_no,
        'authorize' AS kind,
        :amount::numeric AS amount,
        :amount::numeric AS authorized,
        0 AS captured,
        0 AS refunded,
        :idempotency_key::text AS idempotency_key,
        :actor::text AS actor
    FROM granted AS g
    RETURNING order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor, at
),

answer AS (
    SELECT
        e.order_id,
        e.seq,
        e.payment_no,
        e.kind,
        e.amount,
        e.authorized,
        e.captured,
        e.refunded,
        e.idempotency_key,
        e.actor,
        e.at,
        true AS replayed,
        e.provider = :provider::text AND e.provider_ref = :provider_ref::text AS is_same
    FROM earlier AS e
    UNION ALL
    SELECT
        n.order_id,
        n.seq,
        n.payment_no,
        n.kind,
        n.amount,
        n.authorized,
        n.captured,
        n.refunded,
        n.idempotency_key,
        n.actor,
        n.at,
        false AS replayed,
        true AS is_same
    FROM event AS n
)

SELECT
    o.status AS order_status,
    o.is_paid_back,
    true AS is_known,
    o.due,
    coalesce(a.is_same, true) AS is_same,
    CASE
        WHEN a.seq IS NOT NULL THEN json_build_object(
            'order_id', a.order_id,
            'seq', a.seq,
            'payment_no', a.payment_no,
            'kind', a.kind,
            'amount', a.amount::text,
            'authorized', a.authorized::text,
            'captured', a.captured::text,
            'refunded', a.refunded::text,
            'idempotency_key', a.idempotency_key,
            'actor', a.actor,
            'at', a.at,
            'replayed', a.replayed
        )
    END AS answer
FROM o
LEFT JOIN answer AS a
    ON true;

-- name: move_payment(order_id, payment_no, kind, amount, idempotency_key, actor)^
-- Capture, void or refund, all that is due unless an amount is given; an order whose last penny is captured is paid. Nothing is
-- written when the key was used, there is no such payment, it is more than is due (nothing, of an order past placed), or money
-- was paid back and it is a capture.
-- row: PaymentVerdict
-- rows: at most one (of the order: what an earlier call wrote, or what this one writes)
-- null: amount, actor
-- Locks: the payment, of an order that lock_order has locked in a statement before, then that order's row.
WITH o AS (
    SELECT
        r.id,
        r.status,
        r.version,
        r.currency,
        r.total,
        r.total - coalesce((SELECT sum(p.captured) FROM store.payments AS p WHERE p.order_id = r.id), 0) AS to_capture,
        coalesce((SELECT bool_or(p.refunded > 0) FROM store.payments AS p WHERE p.order_id = r.id), false) AS is_paid_back
    FROM store.orders AS r
    WHERE r.id = :order_id::bigint
),

earlier AS (
    SELECT
        e.order_id,
        e.seq,
        e.payment_no,
        e.kind,
        e.amount,
        e.authorized,
        e.captured,
        e.refunded,
        e.idempotency_key,
        e.actor,
        e.at
    FROM store.payment_events AS e
    WHERE
        e.order_id = :order_id::bigint
        AND e.idempotency_key = :idempotency_key::text
),

asked AS (
    SELECT
        p.order_id,
        p.payment_no,
        CASE :kind::text WHEN 'refund' THEN p.captured - p.refunded ELSE p.authorized - p.captured END AS due
    FROM store.payments AS p
    WHERE
        p.order_id = :order_id::bigint
        AND p.payment_no = :payment_no::bigint
),

granted AS (
    SELECT
        a.order_id,
        a.payment_no,
        coalesce(:amount::numeric, a.due) AS amount,
        1 + (SELECT max(e.seq) FROM store.payment_events AS e WHERE e.order_id = a.order_id) AS seq
    FROM asked AS a
    CROSS JOIN o
    WHERE
        coalesce(:amount::numeric, a.due) <= a.due
        AND a.due > 0
        AND (:kind::text <> 'capture' OR NOT o.is_paid_back)
        AND NOT EXISTS (SELECT FROM earlier)
),

payment AS (
    UPDATE store.payments AS p
    SET
        authorized = p.authorized - CASE :kind::text WHEN 'void' THEN g.amount ELSE 0 END,
        captured = p.captured + CASE :kind::text WHEN 'capture' THEN g.amount ELSE 0 END,
        refunded = p.refunded + CASE :kind::text WHEN 'refund' THEN g.amount ELSE 0 END,
        updated_at = greatest(now(), p.updated_at + interval '1 microsecond')
    FROM granted AS g
    WHERE
        p.order_id = g.order_id
        AND p.payment_no = g.payment_no
    RETURNING p.order_id, p.authorized, p.captured, p.refunded
),

event AS (
    INSERT INTO store.payment_events (
        order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor
    )
    SELECT
        g.order_id,
        g.seq,
        g.payment_no,
        :kind::text AS kind,
        g.amount,
        p.authorized,
        p.captured,
        p.refunded,
        :idempotency_key::text AS idempotency_key,
        :actor::text AS actor
    FROM granted AS g
    INNER JOIN payment AS p
        ON p.order_id = g.order_id
    RETURNING order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor, at
),

settled AS (
    SELECT
        o.id,
        o.version + 1 AS version,
        o.total,
        o.currency
    FROM o
    INNER JOIN granted AS g
        ON g.order_id = o.id
    WHERE
        :kind::text = 'capture'
        AND g.amount = o.to_capture
),

paid AS (
    UPDATE store.orders AS r
    SET
        status = 'paid',
        version = s.version,
        updated_at = greatest(now(), r.updated_at + interval '1 microsecond')
    FROM settled AS s
    WHERE r.id = s.id
),

step AS (
    INSERT INTO store.order_events (order_id, seq, from_status, to_status, actor)
    SELECT
        s.id,
        s.version,
        'placed' AS from_status,
        'paid' AS to_status,
        :actor::text AS actor
    FROM settled AS s
),

told AS (
    INSERT INTO store.outbox (key, topic, payload)
    SELECT
        s.id,
        'order.paid' AS topic,
        jsonb_build_object(
            'order_id', s.id,
            'number', store.order_number(s.id),
            'seq', s.version,
            'status', 'paid',
            'total', s.total::text,
            'currency', s.currency
        ) AS payload
    FROM settled AS s
),

answer AS (
    SELECT
        e.order_id,
        e.seq,
        e.payment_no,
        e.kind,
        e.amount,
        e.authorized,
        e.captured,
        e.refunded,
        e.idempotency_key,
        e.actor,
        e.at,
        true AS replayed
    FROM earlier AS e
    UNION ALL
    SELECT
        n.order_id,
        n.seq,
        n.payment_no,
        n.kind,
        n.amount,
        n.authorized,
        n.captured,
        n.refunded,
        n.idempotency_key,
        n.actor,
        n.at,
        false AS replayed
    FROM event AS n
)

SELECT
    o.status AS order_status,
    o.is_paid_back,
    (SELECT count(*) FROM asked) = 1 AS is_known,
    coalesce((SELECT q.due FROM asked AS q), 0) AS due,
    true AS is_same,
    CASE
        WHEN a.seq IS NOT NULL THEN json_build_object(
            'order_id', a.order_id,
            'seq', a.seq,
            'payment_no', a.payment_no,
            'kind', a.kind,
            'amount', a.amount::text,
            'authorized', a.authorized::text,
            'captured', a.captured::text,
            'refunded', a.refunded::text,
            'idempotency_key', a.idempotency_key,
            'actor', a.actor,
            'at', a.at,
            'replayed', a.replayed
        )
    END AS answer
FROM o
LEFT JOIN answer AS a
    ON true;
