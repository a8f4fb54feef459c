-- Every change of stock in a ledger, holds that expire, and what can be sold now.
-- depends: 0005_create_product_imports
-- store: allow: blocks-writes: a foreign key of a new table; there are no rows yet
-- store: allow: locks-two-tables: the same
-- store: allow: work-while-locked: the opening balances of a first release
-- store: allow: changes-rows: what was reserved before there were holds, once
-- store: allow: lock-table: a change of stock that the copy does not see would be missing from the ledger for ever
-- store: allow: scans-under-lock: the key of the copied rows, in one scan

-- Whoever changes stock waits from here on, and what they have under way is waited for: a change that the copy below does not
-- see would be missing from the ledger for ever. Not SHARE, which two could hold and neither write under.
LOCK TABLE store.inventory IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE store.stock_movements (
    product_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text COLLATE "C" NOT NULL,
    quantity integer NOT NULL,
    on_hand_after integer NOT NULL,
    order_id bigint,
    reason text,
    actor text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_movements_pkey PRIMARY KEY (product_id, id),
    CONSTRAINT stock_movements_created_at_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
    ),
    CONSTRAINT stock_movements_kind_known CHECK (kind IN ('received', 'sold', 'returned', 'adjusted', 'damaged')),
    CONSTRAINT stock_movements_on_hand_after_bounded CHECK (on_hand_after BETWEEN 0 AND 1000000000),
    CONSTRAINT stock_movements_sign_fits_kind CHECK (
        CASE
            WHEN kind IN ('received', 'returned') THEN quantity > 0
            WHEN kind IN ('sold', 'damaged') THEN quantity < 0
            ELSE quantity <> 0
        END
    ),
    CONSTRAINT stock_movements_texts_bounded CHECK (length(reason) BETWEEN 1 AND 500 AND length(actor) BETWEEN 1 AND 100),
    CONSTRAINT stock_movements_texts_printable CHECK (store.is_printable(reason) AND store.is_printable(actor))
);

CREATE INDEX stock_movements_order_id_idx ON store.stock_movements (order_id) WHERE order_id IS NOT NULL;

COMMENT ON TABLE store.stock_movements IS 'Every change of stock, append-only; the sum a product is what is on hand.';
COMMENT ON COLUMN store.stock_movements.id IS 'Ascending within a product: drawn under the lock of its inventory row.';
COMMENT ON COLUMN store.stock_movements.quantity IS 'Units that came (positive) or went (negative).';
COMMENT ON COLUMN store.stock_movements.order_id IS 'The order it was sold to or came back from; no foreign key, so that product and order may live apart.';
COMMENT ON COLUMN store.stock_movements.actor IS 'Who did it, in the words of the application.';

-- What was there before the ledger: one movement a product, so that the sums are right from the first row on.
INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after, reason)
SELECT
    i.product_id,
    'received' AS kind,
    i.on_hand,
    i.on_hand,
    'opening balance' AS reason
FROM store.inventory AS i
WHERE i.on_hand > 0
ORDER BY i.product_id ASC;

-- There were no holds before: what was reserved, nobody could ever have given back.
UPDATE store.inventory
SET reserved = 0
WHERE reserved > 0;

-- From here on products and carts are locked against writers, until the end: so it comes after the copy. One scan checks the key;
-- in the table's definition it would have locked and marked every product, row by row.
ALTER TABLE store.stock_movements
ADD CONSTRAINT stock_movements_product_id_fkey FOREIGN KEY (product_id) REFERENCES store.products (id);

-- No cascade: deleting a hold without lowering the counter would lose stock.
CREATE TABLE store.reservations (
    cart_id bigint NOT NULL CONSTRAINT reservations_cart_id_fkey REFERENCES store.carts (id),
    product_id bigint NOT NULL CONSTRAINT reservations_product_id_fkey REFERENCES store.products (id),
    quantity integer NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT reservations_pkey PRIMARY KEY (cart_id, product_id),
    CONSTRAINT reservations_expires_at_bounded CHECK (
        expires_at >= '2000-01-01 00:00:00+00' AND expires_at < '2200-01-01 00:00:00+00'
    ),
    CONSTRAINT reservations_quantity_in_range CHECK (quantity BETWEEN 1 AND 1000000000)
);

CREATE INDEX reservations_product_id_expires_at_idx ON store.reservations (product_id, expires_at);

COMMENT ON TABLE store.reservations IS 'Units held for a cart until they expire; the next buyer of the product takes expired ones back.';

-- A table function, because the planner puts its body in the place of the call;
-- the expired holds are looked for only where anything is reserved at all.
CREATE FUNCTION store.sellable(product_id bigint, on_hand integer, reserved integer) RETURNS TABLE (available bigint)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
    AS $$
        SELECT
            coalesce(sellable.on_hand - sellable.reserved, 0)
            + CASE
                WHEN sellable.reserved > 0 THEN (
                    SELECT coalesce(sum(r.quantity), 0)
                    FROM store.reservations AS r
                    WHERE r.product_id = sellable.product_id
                        AND r.expires_at <= now()
                )
                ELSE 0
            END;
    $$;

COMMENT ON FUNCTION store.sellable(bigint, integer, integer) IS 'What can be sold of a product now: on_hand - reserved + expired holds. The one place that says so.';

REVOKE ALL ON FUNCTION store.sellable(bigint, integer, integer) FROM PUBLIC;

COMMENT ON COLUMN store.inventory.reserved IS 'Units held for carts, by expired holds too. What can be sold is store.sellable().';

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0006_create_stock_ledger';
