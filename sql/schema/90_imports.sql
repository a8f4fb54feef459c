-- Where an import lays its rows down before the statements that merge them into
-- the catalogue or make orders of them. Rows live only inside the importing
-- transaction; what imports of orders remember stays.

CREATE UNLOGGED TABLE store.product_imports (
    import_id uuid NOT NULL,
    line bigint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text,
    price store.amount NOT NULL,
    currency text COLLATE "C" NOT NULL,
    is_active boolean NOT NULL,
    on_hand integer NOT NULL,
    CONSTRAINT product_imports_pkey PRIMARY KEY (import_id, line)
);

COMMENT ON TABLE store.product_imports IS 'Staging of product imports; empty but for imports under way.';
COMMENT ON COLUMN store.product_imports.line IS 'Line of the file the row came from; of two rows with one sku the later wins.';

-- What imports remember, so that a second one finds them: whose an order was in the system it comes from, and which of
-- its lines were cancelled. Neither is part of the order itself.
CREATE TABLE store.imported_orders (
    order_id bigint CONSTRAINT imported_orders_pkey PRIMARY KEY
        CONSTRAINT imported_orders_order_id_fkey REFERENCES store.orders (id),
    source text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    CONSTRAINT imported_orders_texts_bounded CHECK (length(source) BETWEEN 1 AND 64 AND length(customer) BETWEEN 1 AND 64),
    CONSTRAINT imported_orders_texts_printable CHECK (store.is_printable(source) AND store.is_printable(customer))
);

CREATE INDEX imported_orders_source_customer_idx ON store.imported_orders (source, customer);

COMMENT ON TABLE store.imported_orders IS 'Whose an imported order was; one whose customer is not known has no row.';
COMMENT ON COLUMN store.imported_orders.customer IS 'The customer''s number in the system the order comes from.';

CREATE TABLE store.imported_cancellations (
    source text COLLATE "C" NOT NULL,
    external_ref text COLLATE "C" NOT NULL,
    line_no integer NOT NULL,
    order_id bigint NOT NULL CONSTRAINT imported_cancellations_order_id_fkey REFERENCES store.orders (id),
    product_id bigint NOT NULL CONSTRAINT imported_cancellations_product_id_fkey REFERENCES store.products (id),
    quantity integer NOT NULL,
    amount store.amount NOT NULL,
    cancelled_at timestamptz NOT NULL,
    CONSTRAINT imported_cancellations_pkey PRIMARY KEY (source, external_ref, line_no),
    CONSTRAINT imported_cancellations_cancelled_at_bounded CHECK (
        cancelled_at >= '2000-01-01 00:00:00+00' AND cancelled_at < '2200-01-01 00:00:00+00'
    ),
    CONSTRAINT imported_cancellations_quantity_positive CHECK (quantity BETWEEN 1 AND 1000000000),
    CONSTRAINT imported_cancellations_texts_bounded CHECK (
        length(source) BETWEEN 1 AND 64 AND length(external_ref) BETWEEN 1 AND 255
    ),
    CONSTRAINT imported_cancellations_texts_printable CHECK (store.is_printable(source) AND store.is_printable(external_ref))
);

CREATE INDEX imported_cancellations_order_id_product_id_idx ON store.imported_cancellations (order_id, product_id);
CREATE INDEX imported_cancellations_product_id_idx ON store.imported_cancellations (product_id);

COMMENT ON TABLE store.imported_cancellations IS 'Imported lines that took back what an order had sold: its units returned, its amount refunded.';
COMMENT ON COLUMN store.imported_cancellations.line_no IS 'Counts the lines of the cancelling invoice, external_ref.';

CREATE UNLOGGED TABLE store.order_imports (
    import_id uuid NOT NULL,
    line bigint NOT NULL,
    invoice text COLLATE "C" NOT NULL,
    is_cancellation boolean NOT NULL,
    customer text COLLATE "C",
    placed_at timestamptz NOT NULL,
    sku text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    quantity integer NOT NULL,
    unit_price store.amount NOT NULL,
    verdict text COLLATE "C" NOT NULL DEFAULT 'new',
    line_no integer,
    turn integer,
    CONSTRAINT order_imports_pkey PRIMARY KEY (import_id, line),
    CONSTRAINT order_imports_placed_at_bounded CHECK (
        placed_at >= '2000-01-01 00:00:00+00' AND placed_at < '2200-01-01 00:00:00+00'
    )
);

CREATE INDEX order_imports_turn_idx ON store.order_imports (import_id, turn) WHERE turn IS NOT NULL;

COMMENT ON TABLE store.order_imports IS 'Staging of order imports; empty but for imports under way.';
COMMENT ON COLUMN store.order_imports.quantity IS 'Units sold, or taken back by a cancellation: positive either way.';
COMMENT ON COLUMN store.order_imports.verdict IS 'new, known (an earlier import has stored it), or why the line is refused.';
COMMENT ON COLUMN store.order_imports.line_no IS 'Counts the lines of a cancelling invoice.';
COMMENT ON COLUMN store.order_imports.turn IS 'Counts what a customer cancels of a product: what was sold is taken back in this order.';
