-- Invoices from files. An import copies its lines into store.order_imports under an
-- id of its own and judges them there: what an earlier import has stored is known,
-- what cannot be is refused. What is left becomes orders, paid and dated as the
-- invoices are, and what cancels a sale is refunded and comes back into stock; all in
-- one transaction. What lies in the shop is looked up from the staged line, one by one,
-- as in imports.sql: nobody has analyzed the rows that an import stages and writes.

-- name: clear_order_import(import_id)!
-- Delete the staged lines of an import.
-- Locks: the staged lines.
DELETE FROM store.order_imports AS s
WHERE s.import_id = :import_id::uuid;

-- name: copy_order_lines_in()
-- Stage lines, in COPY's text format.
-- Locks: the new rows.
-- kind: copy
COPY store.order_imports (
    import_id, line, invoice, is_cancellation, customer, placed_at, sku, name, quantity, unit_price
) FROM STDIN;

-- name: create_imported_products(import_id, currency)!
-- Create the products that new lines sell and the catalogue does not have: name and price of the last line.
-- Locks: store.products, ascending upper(sku).
INSERT INTO store.products (sku, name, price, currency)
SELECT DISTINCT ON (upper(s.sku))
    s.sku,
    s.name,
    s.unit_price,
    :currency::text AS currency
FROM store.order_imports AS s
WHERE
    s.import_id = :import_id::uuid
    AND s.verdict = 'new'
    AND NOT s.is_cancellation
    AND (SELECT p.id FROM store.products AS p WHERE upper(p.sku) = upper(s.sku)) IS NULL
ORDER BY upper(s.sku) ASC, s.line DESC
ON CONFLICT ((upper(sku))) DO NOTHING;

-- name: get_minor_units(currency)$
-- Return how many decimals the smallest unit of a currency has.
SELECT store.minor_units(:currency::text) AS minor_units;

-- name: insert_imported_items(import_id, source)!
-- Freeze the lines of new orders, in the order of the file; a line that comes twice is two lines.
-- Locks: the new rows.
INSERT INTO store.order_items (order_id, line_no, product_id, sku, name, unit_price, quantity, total)
SELECT
    o.id,
    row_number() OVER (PARTITION BY o.id ORDER BY s.line ASC) AS line_no,
    p.id,
    p.sku,
    s.name,
    s.unit_price,
    s.quantity,
    store.line_total(s.quantity, s.unit_price, 0, o.currency) AS total
FROM store.order_imports AS s
CROSS JOIN LATERAL (
    SELECT
        r.id,
        r.currency
    FROM store.orders AS r
    WHERE
        r.source = :source::text
        AND r.external_ref = s.invoice
    LIMIT 1
) AS o
CROSS JOIN LATERAL (
    SELECT
        g.id,
        g.sku
    FROM store.products AS g
    WHERE
        upper(g.sku) = upper(s.sku)
        AND g.currency = o.currency
    LIMIT 1
) AS p
WHERE
    s.import_id = :import_id::uuid
    AND s.verdict = 'new'
    AND NOT s.is_cancellation
ORDER BY s.line ASC;

-- name: insert_imported_orders(import_id, source, currency)!
-- Make an order of each new invoice, paid, dated by its first line.
-- Locks: the new rows.
INSERT INTO store.orders (id, status, currency, subtotal, total, source, external_ref, version, placed_at)
SELECT
    nextval('store.carts_id_seq'::regclass) AS id,
    'paid' AS status,
    :currency::text AS currency,
    v.total,
    v.total,
    :source::text AS source,
    v.invoice,
    2 AS version,
    v.placed_at
FROM (
    SELECT
        s.invoice,
        min(s.line) AS line,
        (array_agg(s.placed_at ORDER BY s.line ASC))[1] AS placed_at,
        sum(store.line_total(s.quantity, s.unit_price, 0, :currency::text)) AS total
    FROM store.order_imports AS s
    WHERE
        s.import_id = :import_id::uuid
        AND s.verdict = 'new'
        AND NOT s.is_cancellation
    GROUP BY s.invoice
) AS v
ORDER BY v.line ASC;

-- name: judge_cancellations(import_id, source, currency)!
-- Mark the cancelling lines that an earlier import has stored: known when they say the same, refused when not.
-- Locks: the staged lines.
WITH judged AS (
    SELECT
        s.line,
        CASE
            WHEN
                upper((SELECT p.sku FROM store.products AS p WHERE p.id = c.product_id)) = upper(s.sku)
                AND c.quantity = s.quantity
                AND c.amount = store.line_total(s.quantity, s.unit_price, 0, :currency::text)
                AND c.cancelled_at = s.placed_at
                AND (SELECT m.customer FROM store.imported_orders AS m WHERE m.order_id = c.order_id) = s.customer
                THEN 'known'
            ELSE 'changed'
        END AS verdict
    FROM store.order_imports AS s
    CROSS JOIN LATERAL (
        SELECT
            r.order_id,
            r.product_id,
            r.quantity,
            r.amount,
            r.cancelled_at
        FROM store.imported_cancellations AS r
        WHERE
            r.source = :source::text
            AND r.external_ref = s.invoice
            AND r.line_no = s.line_no
        LIMIT 1
    ) AS c
    WHERE
        s.import_id = :import_id::uuid
        AND s.is_cancellation
        AND s.verdict = 'new'
)

UPDATE store.order_imports AS s
SET verdict = j.verdict
FROM judged AS j
WHERE
    s.import_id = :import_id::uuid
    AND s.line = j.line;

-- name: judge_invoices(import_id, source)!
-- Mark the lines of invoices that an earlier import has stored: known when all of them are the same, refused when not.
-- Locks: the staged lines.
WITH numbered AS (
    SELECT
        s.line,
        s.invoice,
        s.customer,
        (SELECT m.customer FROM store.imported_orders AS m WHERE m.order_id = o.id) AS known_customer,
        s.sku,
        s.name,
        s.quantity,
        s.unit_price,
        o.id AS order_id,
        o.placed_at = first_value(s.placed_at) OVER of_invoice AS is_same_date,
        row_number() OVER of_invoice AS line_no
    FROM store.order_imports AS s
    CROSS JOIN LATERAL (
        SELECT
            r.id,
            r.placed_at
        FROM store.orders AS r
        WHERE
            r.source = :source::text
            AND r.external_ref = s.invoice
        LIMIT 1
    ) AS o
    WHERE
        s.import_id = :import_id::uuid
        AND s.verdict = 'new'
        AND NOT s.is_cancellation
    WINDOW of_invoice AS (PARTITION BY s.invoice ORDER BY s.line ASC)
),

compared AS (
    SELECT
        n.order_id,
        n.line,
        (n.customer IS DISTINCT FROM n.known_customer) AS is_other_customer,
        n.is_same_date
        AND coalesce(
            (
                SELECT
                    upper(oi.sku) = upper(n.sku)
                    AND oi.name = n.name
                    AND oi.quantity = n.quantity
                    AND oi.unit_price = n.unit_price
                FROM store.order_items AS oi
                WHERE
                    oi.order_id = n.order_id
                    AND oi.line_no = n.line_no
            ),
            false
        ) AS is_same
    FROM numbered AS n
),

judged AS (
    SELECT
        unnest(array_agg(c.line)) AS line,
        CASE
            WHEN
                bool_and(c.is_same AND NOT c.is_other_customer)
                AND count(*) = (SELECT count(*) FROM store.order_items AS oi WHERE oi.order_id = c.order_id)
                THEN 'known'
            ELSE 'changed'
        END AS verdict
    FROM compared AS c
    GROUP BY c.order_id
)

UPDATE store.order_imports AS s
SET verdict = j.verdict
FROM judged AS j
WHERE
    s.import_id = :import_id::uuid
    AND s.line = j.line;

-- name: judge_limits(import_id, currency)!
-- Refuse new invoices whose total, or whose units with all others of the product, no column can hold.
-- Locks: the staged lines.
WITH fresh AS (
    SELECT
        s.line,
        s.invoice,
        upper(s.sku) AS key,
        s.quantity,
        store.line_total(s.quantity, s.unit_price, 0, :currency::text) AS total
    FROM store.order_imports AS s
    WHERE
        s.import_id = :import_id::uuid
        AND s.verdict = 'new'
),

crowded AS (
    SELECT f.key
    FROM fresh AS f
    GROUP BY f.key
    HAVING
        sum(f.quantity) + coalesce(
            (
                SELECT i.on_hand
                FROM store.inventory AS i
                WHERE i.product_id = (SELECT p.id FROM store.products AS p WHERE upper(p.sku) = f.key)
            ),
            0
        ) > 1000000000
),

judged AS (
    SELECT
        unnest(array_agg(f.line)) AS line,
        CASE WHEN bool_or(f.is_crowded) THEN 'too_many' ELSE 'too_large' END AS verdict
    FROM (
        SELECT
            h.line,
            h.invoice,
            h.total,
            h.key IN (SELECT c.key FROM crowded AS c) AS is_crowded
        FROM fresh AS h
    ) AS f
    GROUP BY f.invoice
    HAVING bool_or(f.is_crowded) OR sum(f.total) >= 1e12
)

UPDATE store.order_imports AS s
SET verdict = j.verdict
FROM judged AS j
WHERE
    s.import_id = :import_id::uuid
    AND s.line = j.line;

-- name: judge_lines(import_id, currency)!
-- Refuse lines of a product in another currency, and lines of another customer than the first of their invoice.
-- Locks: the staged lines.
WITH looked_up AS (
    SELECT
        s.line,
        s.customer,
        first_value(s.customer) OVER (PARTITION BY s.invoice ORDER BY s.line ASC) AS first_customer,
        (SELECT p.currency FROM store.products AS p WHERE upper(p.sku) = upper(s.sku)) AS currency
    FROM store.order_imports AS s
    WHERE s.import_id = :import_id::uuid
)

UPDATE store.order_imports AS s
SET verdict = CASE WHEN l.customer IS DISTINCT FROM l.first_customer THEN 'other_customer' ELSE 'other_currency' END
FROM looked_up AS l
WHERE
    s.import_id = :import_id::uuid
    AND s.line = l.line
    AND (l.customer IS DISTINCT FROM l.first_customer OR l.currency <> :currency::text);

-- name: judge_unmatched(import_id, source)!
-- Refuse the cancelling lines for which no sale was found.
-- Locks: the staged lines.
UPDATE store.order_imports AS s
SET verdict = CASE WHEN s.customer IS NULL THEN 'no_customer' ELSE 'no_sale' END
WHERE
    s.import_id = :import_id::uuid
    AND s.is_cancellation
    AND s.verdict = 'new'
    AND (
        SELECT c.line_no
        FROM store.imported_cancellations AS c
        WHERE
            c.source = :source::text
            AND c.external_ref = s.invoice
            AND c.line_no = s.line_no
    ) IS NULL;

-- name: list_refused_lines(import_id, after_line, page_size)
-- Return the next refused lines of an import, in ascending order of line.
-- row: RefusedLine
SELECT
    s.line,
    s.verdict,
    s.is_cancellation,
    s.invoice,
    s.sku,
    s.name,
    s.quantity,
    s.placed_at,
    s.unit_price,
    s.customer
FROM store.order_imports AS s
WHERE
    s.import_id = :import_id::uuid
    AND s.line > :after_line::bigint
    AND s.verdict NOT IN ('new', 'known')
ORDER BY s.line ASC
LIMIT least(:page_size::bigint, 1000);

-- name: lock_cancelled_orders(import_id, source)$
-- Lock the orders of all customers who cancel something, and say how many.
-- Locks: store.orders FOR NO KEY UPDATE, ascending id.
WITH locked AS (
    SELECT o.id
    FROM store.orders AS o
    WHERE o.id = ANY(ARRAY(
        SELECT m.order_id
        FROM (
            SELECT DISTINCT s.customer
            FROM store.order_imports AS s
            WHERE
                s.import_id = :import_id::uuid
                AND s.turn IS NOT NULL
        ) AS b
        CROSS JOIN LATERAL (
            SELECT r.order_id
            FROM store.imported_orders AS r
            WHERE
                r.source = :source::text
                AND r.customer = b.customer
            OFFSET 0
        ) AS m
    ))
    ORDER BY o.id ASC
    FOR NO KEY UPDATE OF o
)

SELECT count(*) AS orders
FROM locked;

-- name: match_cancellations(import_id, source, currency, turn)!
-- Set the cancellations whose turn it is against the latest sale to the same customer, not after them, that has as many units of
-- the product and as much money left. Money that was refunded in another way makes a sale nobody can take anything back from.
-- Locks: the new rows, of orders that lock_cancelled_orders has locked in a statement before.
INSERT INTO store.imported_cancellations (
    source, external_ref, line_no, order_id, product_id, quantity, amount, cancelled_at
)
SELECT
    :source::text AS source,
    s.invoice,
    s.line_no,
    sale.order_id,
    sale.product_id,
    s.quantity,
    store.line_total(s.quantity, s.unit_price, 0, :currency::text) AS amount,
    s.placed_at
FROM store.order_imports AS s
CROSS JOIN LATERAL (
    SELECT
        o.id AS order_id,
        sold.product_id
    FROM (
        SELECT r.order_id
        FROM store.imported_orders AS r
        WHERE
            r.source = :source::text
            AND r.customer = s.customer
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT
            r.id,
            r.currency,
            r.placed_at,
            r.status
        FROM store.orders AS r
        WHERE r.id = m.order_id
        LIMIT 1
    ) AS o
    CROSS JOIN LATERAL (
        SELECT p.refunded
        FROM store.payments AS p
        WHERE
            p.order_id = o.id
            AND p.payment_no = 1
        LIMIT 1
    ) AS y
    CROSS JOIN LATERAL (
        SELECT
            oi.product_id,
            sum(oi.quantity) AS quantity,
            sum(oi.total) AS total
        FROM (
            SELECT
                i.product_id,
                i.sku,
                i.quantity,
                i.total
            FROM store.order_items AS i
            WHERE i.order_id = o.id
            OFFSET 0
        ) AS oi
        WHERE upper(oi.sku) = upper(s.sku)
        GROUP BY oi.product_id
    ) AS sold
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(c.amount), 0) AS total,
            coalesce(sum(c.quantity) FILTER (WHERE c.product_id = sold.product_id), 0) AS units,
            coalesce(sum(c.amount) FILTER (WHERE c.product_id = sold.product_id), 0) AS amount
        FROM store.imported_cancellations AS c
        WHERE c.order_id = o.id
    ) AS gone
    WHERE
        o.currency = :currency::text
        AND o.placed_at <= s.placed_at
        AND o.status IN ('paid', 'shipped', 'delivered')
        AND y.refunded <= gone.total
        AND sold.quantity - gone.units >= s.quantity
        AND sold.total - gone.amount >= store.line_total(s.quantity, s.unit_price, 0, :currency::text)
    ORDER BY o.placed_at DESC, o.id DESC
    LIMIT 1
) AS sale
WHERE
    s.import_id = :import_id::uuid
    AND s.turn = :turn::bigint;

-- name: move_imported_stock(import_id, source)!
-- Write into the ledger what new orders sold, after it was received, and what came back, each on its day; the stock grows by what
-- came back.
-- Locks: store.inventory FOR NO KEY UPDATE, ascending product_id.
WITH sale AS (
    SELECT
        oi.product_id,
        o.id AS order_id,
        o.placed_at AS at,
        sum(oi.quantity) AS quantity
    FROM (
        SELECT DISTINCT s.invoice
        FROM store.order_imports AS s
        WHERE
            s.import_id = :import_id::uuid
            AND s.verdict = 'new'
            AND NOT s.is_cancellation
    ) AS v
    CROSS JOIN LATERAL (
        SELECT
            r.id,
            r.placed_at
        FROM store.orders AS r
        WHERE
            r.source = :source::text
            AND r.external_ref = v.invoice
        LIMIT 1
    ) AS o
    CROSS JOIN LATERAL (
        SELECT
            i.product_id,
            i.quantity
        FROM store.order_items AS i
        WHERE i.order_id = o.id
        OFFSET 0
    ) AS oi
    GROUP BY oi.product_id, o.id, o.placed_at
),

movement AS (
    SELECT
        a.product_id,
        a.order_id,
        a.at,
        k.place,
        k.kind,
        k.sign * a.quantity AS quantity
    FROM sale AS a
    CROSS JOIN (VALUES (-1, 'received', 1), (0, 'sold', -1)) AS k (place, kind, sign)
    UNION ALL
    SELECT
        c.product_id,
        c.order_id,
        c.cancelled_at AS at,
        s.line AS place,
        'returned' AS kind,
        c.quantity
    FROM store.order_imports AS s
    CROSS JOIN LATERAL (
        SELECT
            r.product_id,
            r.order_id,
            r.cancelled_at,
            r.quantity
        FROM store.imported_cancellations AS r
        WHERE
            r.source = :source::text
            AND r.external_ref = s.invoice
            AND r.line_no = s.line_no
        LIMIT 1
    ) AS c
    WHERE
        s.import_id = :import_id::uuid
        AND s.is_cancellation
        AND s.verdict = 'new'
),

locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved,
        b.returned
    FROM (
        SELECT
            m.product_id,
            coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'returned'), 0) AS returned
        FROM movement AS m
        GROUP BY m.product_id
    ) AS b
    INNER JOIN store.inventory AS i
        ON i.product_id = b.product_id
    WHERE i.product_id = ANY(ARRAY(SELECT m.product_id FROM movement AS m))
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

told AS (
    INSERT INTO store.stock_movements (
        product_id, kind, quantity, on_hand_after, order_id, reason, actor, created_at
    )
    SELECT
        m.product_id,
        m.kind,
        m.quantity,
        l.on_hand + sum(m.quantity) OVER (
            PARTITION BY m.product_id ORDER BY m.at ASC, m.order_id ASC, m.place ASC
        ) AS on_hand_after,
        m.order_id,
        'import' AS reason,
        'import' AS actor,
        m.at
    FROM movement AS m
    INNER JOIN locked AS l
        ON l.product_id = m.product_id
    ORDER BY m.product_id ASC, m.at ASC, m.order_id ASC, m.place ASC
)

UPDATE store.inventory AS i
SET
    on_hand = l.on_hand + l.returned,
    reserved = l.reserved
FROM locked AS l
WHERE
    i.product_id = l.product_id
    AND i.product_id = ANY(ARRAY(SELECT k.product_id FROM locked AS k WHERE k.returned > 0))
    AND l.returned > 0;

-- name: number_cancellations(import_id)!
-- Count the lines of each cancelling invoice: by this number a second import finds them.
-- Locks: the staged lines.
WITH numbered AS (
    SELECT
        s.line,
        row_number() OVER (PARTITION BY s.invoice ORDER BY s.line ASC) AS line_no
    FROM store.order_imports AS s
    WHERE
        s.import_id = :import_id::uuid
        AND s.is_cancellation
)

UPDATE store.order_imports AS s
SET line_no = n.line_no
FROM numbered AS n
WHERE
    s.import_id = :import_id::uuid
    AND s.line = n.line;

-- name: open_imported_inventory(import_id)!
-- Give every product that new lines sell a row of stock, where it has none.
-- Locks: store.inventory, ascending product_id.
INSERT INTO store.inventory (product_id, on_hand)
SELECT
    p.id,
    0 AS on_hand
FROM (
    SELECT DISTINCT upper(s.sku) AS key
    FROM store.order_imports AS s
    WHERE
        s.import_id = :import_id::uuid
        AND s.verdict = 'new'
        AND NOT s.is_cancellation
) AS k
CROSS JOIN LATERAL (
    SELECT g.id
    FROM store.products AS g
    WHERE upper(g.sku) = k.key
    LIMIT 1
) AS p
WHERE (SELECT i.product_id FROM store.inventory AS i WHERE i.product_id = p.id) IS NULL
ORDER BY p.id ASC
ON CONFLICT (product_id) DO NOTHING;

-- name: queue_cancellations(import_id)$
-- Let the new cancellations of one product by one customer take turns, the earliest first, and return how many turns that makes.
-- Locks: the staged lines.
WITH queued AS (
    SELECT
        s.line,
        row_number() OVER (PARTITION BY s.customer, upper(s.sku) ORDER BY s.placed_at ASC, s.line ASC) AS turn
    FROM store.order_imports AS s
    WHERE
        s.import_id = :import_id::uuid
        AND s.is_cancellation
        AND s.verdict = 'new'
        AND s.customer IS NOT NULL
),

told AS (
    UPDATE store.order_imports AS s
    SET turn = q.turn
    FROM queued AS q
    WHERE
        s.import_id = :import_id::uuid
        AND s.line = q.line
)

SELECT coalesce(max(q.turn), 0) AS turns
FROM queued AS q;

-- name: record_imported_refunds(import_id, source)!
-- Refund what new cancellations took back, an event a line; an order of which all money went back is refunded.
-- Locks: the payments and orders, which lock_cancelled_orders has locked in a statement before.
WITH fresh AS (
    SELECT
        s.line,
        c.order_id,
        c.external_ref,
        c.line_no,
        c.amount,
        c.cancelled_at
    FROM store.order_imports AS s
    CROSS JOIN LATERAL (
        SELECT
            r.order_id,
            r.external_ref,
            r.line_no,
            r.amount,
            r.cancelled_at
        FROM store.imported_cancellations AS r
        WHERE
            r.source = :source::text
            AND r.external_ref = s.invoice
            AND r.line_no = s.line_no
        LIMIT 1
    ) AS c
    WHERE
        s.import_id = :import_id::uuid
        AND s.is_cancellation
        AND s.verdict = 'new'
),

owed AS (
    SELECT
        f.order_id,
        sum(f.amount) AS amount,
        max(f.cancelled_at) AS at
    FROM fresh AS f
    GROUP BY f.order_id
),

payment AS (
    UPDATE store.payments AS p
    SET
        refunded = p.refunded + w.amount,
        updated_at = greatest(now(), p.updated_at + interval '1 microsecond')
    FROM owed AS w
    WHERE
        p.order_id = w.order_id
        AND p.order_id = ANY(ARRAY(SELECT d.order_id FROM owed AS d))
        AND p.payment_no = 1
    RETURNING p.order_id, p.refunded, w.at
),

told_payment AS (
    INSERT INTO store.payment_events (
        order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor, at
    )
    SELECT
        f.order_id,
        (
            SELECT max(e.seq)
            FROM store.payment_events AS e
            WHERE e.order_id = f.order_id
        ) + row_number() OVER of_order AS seq,
        1 AS payment_no,
        'refund' AS kind,
        f.amount,
        p.authorized,
        p.captured,
        p.refunded + sum(f.amount) OVER of_order AS refunded,
        format('store:import:%s:%s', f.external_ref, f.line_no) AS idempotency_key,
        'import' AS actor,
        f.cancelled_at
    FROM fresh AS f
    CROSS JOIN LATERAL (
        SELECT
            y.authorized,
            y.captured,
            y.refunded
        FROM store.payments AS y
        WHERE
            y.order_id = f.order_id
            AND y.payment_no = 1
        LIMIT 1
    ) AS p
    WINDOW of_order AS (PARTITION BY f.order_id ORDER BY f.cancelled_at ASC, f.line ASC)
),

step AS (
    SELECT
        o.id,
        o.number,
        o.status,
        o.version + 1 AS version,
        o.total,
        o.currency,
        y.at
    FROM payment AS y
    CROSS JOIN LATERAL (
        SELECT
            r.id,
            r.number,
            r.status,
            r.version,
            r.total,
            r.currency
        FROM store.orders AS r
        WHERE r.id = y.order_id
        LIMIT 1
    ) AS o
    WHERE y.refunded = o.total
),

moved AS (
    UPDATE store.orders AS o
    SET
        status = 'refunded',
        version = o.version + 1,
        updated_at = greatest(now(), o.updated_at + interval '1 microsecond')
    WHERE o.id = ANY(ARRAY(SELECT t.id FROM step AS t))
),

event AS (
    INSERT INTO store.order_events (order_id, seq, from_status, to_status, actor, at)
    SELECT
        t.id,
        t.version,
        t.status,
        'refunded' AS to_status,
        'import' AS actor,
        t.at
    FROM step AS t
)

INSERT INTO store.outbox (key, topic, payload)
SELECT
    t.id,
    'order.refunded' AS topic,
    store.order_payload(t.id, t.version, 'refunded', t.total, t.currency) AS payload
FROM step AS t
ORDER BY t.id ASC;

-- name: record_imported_sales(import_id, source)!
-- Write down whose new orders are, and how they were placed and paid: one payment by import, captured in full, the steps, and both
-- in the outbox.
-- Locks: the new rows.
WITH placed AS (
    SELECT
        o.id,
        o.number,
        o.external_ref,
        o.currency,
        o.total,
        o.placed_at,
        v.customer
    FROM (
        SELECT
            s.invoice,
            max(s.customer) AS customer
        FROM store.order_imports AS s
        WHERE
            s.import_id = :import_id::uuid
            AND s.verdict = 'new'
            AND NOT s.is_cancellation
        GROUP BY s.invoice
    ) AS v
    CROSS JOIN LATERAL (
        SELECT
            r.id,
            r.number,
            r.external_ref,
            r.currency,
            r.total,
            r.placed_at
        FROM store.orders AS r
        WHERE
            r.source = :source::text
            AND r.external_ref = v.invoice
        LIMIT 1
    ) AS o
),

remembered AS (
    INSERT INTO store.imported_orders (order_id, source, customer)
    SELECT
        o.id,
        :source::text AS source,
        o.customer
    FROM placed AS o
    WHERE o.customer IS NOT NULL
),

payment AS (
    INSERT INTO store.payments (
        order_id, payment_no, provider, provider_ref, currency, authorized, captured, created_at
    )
    SELECT
        o.id,
        1 AS payment_no,
        'import' AS provider,
        :source::text || ':' || o.external_ref AS provider_ref,
        o.currency,
        o.total,
        o.total,
        o.placed_at
    FROM placed AS o
),

told_payment AS (
    INSERT INTO store.payment_events (
        order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor, at
    )
    SELECT
        o.id,
        k.seq,
        1 AS payment_no,
        k.kind,
        o.total,
        o.total,
        CASE k.kind WHEN 'capture' THEN o.total ELSE 0 END AS captured,
        0 AS refunded,
        'store:import:' || k.kind AS idempotency_key,
        'import' AS actor,
        o.placed_at
    FROM placed AS o
    CROSS JOIN (VALUES (1, 'authorize'), (2, 'capture')) AS k (seq, kind)
    ORDER BY o.id ASC, k.seq ASC
),

step AS (
    SELECT
        o.id,
        o.number,
        k.seq,
        k.from_status,
        k.to_status,
        o.total,
        o.currency,
        o.placed_at
    FROM placed AS o
    CROSS JOIN (VALUES (1, null, 'placed'), (2, 'placed', 'paid')) AS k (seq, from_status, to_status)
),

event AS (
    INSERT INTO store.order_events (order_id, seq, from_status, to_status, actor, at)
    SELECT
        t.id,
        t.seq,
        t.from_status,
        t.to_status,
        'import' AS actor,
        t.placed_at
    FROM step AS t
    ORDER BY t.id ASC, t.seq ASC
)

INSERT INTO store.outbox (key, topic, payload)
SELECT
    t.id,
    'order.' || t.to_status AS topic,
    store.order_payload(t.id, t.seq, t.to_status, t.total, t.currency) AS payload
FROM step AS t
ORDER BY t.id ASC, t.seq ASC;

-- name: sum_order_import(import_id, source)^
-- Count what an import took, and add up what stands in the books for it: the lines of its orders, the refunds of its cancellations.
-- row: OrderImportSums
WITH line AS (
    SELECT
        count(*) FILTER (WHERE s.verdict = 'new') AS inserted,
        count(*) FILTER (WHERE s.verdict = 'known') AS unchanged,
        count(*) FILTER (WHERE s.verdict = 'new' AND s.is_cancellation) AS cancellations,
        count(DISTINCT s.invoice) FILTER (WHERE s.verdict = 'new' AND NOT s.is_cancellation) AS orders
    FROM store.order_imports AS s
    WHERE s.import_id = :import_id::uuid
)

SELECT
    l.inserted,
    l.unchanged,
    l.orders,
    l.cancellations,
    (
        SELECT coalesce(sum(i.total), 0)
        FROM (
            SELECT DISTINCT s.invoice
            FROM store.order_imports AS s
            WHERE
                s.import_id = :import_id::uuid
                AND s.verdict IN ('new', 'known')
                AND NOT s.is_cancellation
        ) AS v
        CROSS JOIN LATERAL (
            SELECT sum(oi.total) AS total
            FROM store.order_items AS oi
            WHERE
                oi.order_id = (
                    SELECT o.id
                    FROM store.orders AS o
                    WHERE
                        o.source = :source::text
                        AND o.external_ref = v.invoice
                )
        ) AS i
    ) AS sold,
    (
        SELECT coalesce(sum(e.amount), 0)
        FROM store.order_imports AS s
        CROSS JOIN LATERAL (
            SELECT
                r.order_id,
                r.external_ref,
                r.line_no
            FROM store.imported_cancellations AS r
            WHERE
                r.source = :source::text
                AND r.external_ref = s.invoice
                AND r.line_no = s.line_no
            LIMIT 1
        ) AS c
        CROSS JOIN LATERAL (
            SELECT y.amount
            FROM store.payment_events AS y
            WHERE
                y.order_id = c.order_id
                AND y.idempotency_key = format('store:import:%s:%s', c.external_ref, c.line_no)
            LIMIT 1
        ) AS e
        WHERE
            s.import_id = :import_id::uuid
            AND s.is_cancellation
            AND s.verdict IN ('new', 'known')
    ) AS refunded
FROM line AS l;
