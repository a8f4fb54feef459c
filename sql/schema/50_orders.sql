-- An order is what a cart becomes, and keeps its id and its public_id: placing
-- one cart twice cannot make two orders. Lines are frozen copies. Every step of
-- an order is an event, and only steps of order_transitions can be written.

-- ISO 7064, MOD 97-10: one mistyped digit, or two exchanged, never names another order.
CREATE FUNCTION store.order_number(id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN lpad(id::text, greatest(8, length(id::text)), '0') || '-' || lpad((98 - (id::numeric * 100) % 97)::text, 2, '0');

COMMENT ON FUNCTION store.order_number(bigint) IS 'The number of an order that people read and type: its id and two check digits.';

CREATE FUNCTION store.fits_currency(value numeric, currency text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN scale(trim_scale(value)) <= store.minor_units(currency);

COMMENT ON FUNCTION store.fits_currency(numeric, text) IS 'Whether an amount can be paid: no fraction of the smallest unit of its currency.';

CREATE DOMAIN store.rate AS numeric
    CONSTRAINT rate_in_range CHECK (VALUE >= 0 AND VALUE < 10 AND scale(VALUE) <= 6);

COMMENT ON DOMAIN store.rate IS 'A rate, as a share: 0.19 is nineteen percent.';

CREATE TABLE store.order_transitions (
    from_status text COLLATE "C" NOT NULL,
    to_status text COLLATE "C" NOT NULL,
    CONSTRAINT order_transitions_pkey PRIMARY KEY (from_status, to_status)
);

COMMENT ON TABLE store.order_transitions IS 'The steps an order may take; what is not here cannot happen.';

INSERT INTO store.order_transitions (from_status, to_status)
VALUES
    ('placed', 'paid'),
    ('placed', 'cancelled'),
    ('paid', 'shipped'),
    ('paid', 'cancelled'),
    ('paid', 'refunded'),
    ('shipped', 'delivered'),
    ('shipped', 'refunded'),
    ('delivered', 'refunded');

CREATE TABLE store.orders (
    id bigint NOT NULL CONSTRAINT orders_pkey PRIMARY KEY,
    public_id uuid NOT NULL DEFAULT gen_random_uuid(),
    number text COLLATE "C" NOT NULL GENERATED ALWAYS AS (store.order_number(id)) STORED,
    user_id bigint CONSTRAINT orders_user_id_fkey REFERENCES store.users (id) ON DELETE SET NULL,
    email text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    subtotal store.amount NOT NULL,
    discount store.amount NOT NULL DEFAULT 0,
    shipping store.amount NOT NULL DEFAULT 0,
    tax store.amount NOT NULL DEFAULT 0,
    total store.amount NOT NULL,
    prices_include_tax boolean NOT NULL DEFAULT true,
    ship_to jsonb,
    bill_to jsonb,
    source text COLLATE "C",
    external_ref text COLLATE "C",
    version integer NOT NULL DEFAULT 1,
    placed_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_addresses_are_bounded CHECK (
        octet_length(ship_to::text) <= 16384 AND octet_length(bill_to::text) <= 16384
    ),
    CONSTRAINT orders_addresses_are_objects CHECK (jsonb_typeof(ship_to) = 'object' AND jsonb_typeof(bill_to) = 'object'),
    CONSTRAINT orders_addresses_printable CHECK (store.is_printable(ship_to) AND store.is_printable(bill_to)),
    CONSTRAINT orders_amounts_fit_currency CHECK (
        store.fits_currency(subtotal, currency)
        AND store.fits_currency(discount, currency)
        AND store.fits_currency(shipping, currency)
        AND store.fits_currency(tax, currency)
    ),
    CONSTRAINT orders_currency_is_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT orders_email_canonical CHECK (
        email ~ '^[!-?\[-~]+@[a-z0-9-]+(\.[a-z0-9-]+)*$' AND length(email) BETWEEN 3 AND 254
    ),
    CONSTRAINT orders_have_a_contact CHECK (user_id IS NOT NULL OR email IS NOT NULL OR external_ref IS NOT NULL),
    CONSTRAINT orders_id_positive CHECK (id > 0),
    CONSTRAINT orders_source_names_ref CHECK (
        (source IS NULL) = (external_ref IS NULL)
        AND length(source) BETWEEN 1 AND 64
        AND length(external_ref) BETWEEN 1 AND 255
    ),
    CONSTRAINT orders_source_printable CHECK (store.is_printable(source) AND store.is_printable(external_ref)),
    CONSTRAINT orders_status_known CHECK (status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')),
    CONSTRAINT orders_timestamps_bounded CHECK (
        placed_at >= '2000-01-01 00:00:00+00' AND placed_at < '2200-01-01 00:00:00+00'
        AND updated_at >= '2000-01-01 00:00:00+00' AND updated_at < '2200-01-01 00:00:00+00'
    ),
    CONSTRAINT orders_total_adds_up CHECK (
        total = subtotal - discount + shipping + CASE WHEN prices_include_tax THEN 0 ELSE tax END
    ),
    CONSTRAINT orders_version_positive CHECK (version >= 1)
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX orders_external_ref_key ON store.orders (source, external_ref);
CREATE UNIQUE INDEX orders_number_key ON store.orders (number);
CREATE UNIQUE INDEX orders_public_id_key ON store.orders (public_id);
CREATE INDEX orders_user_id_id_idx ON store.orders (user_id, id);

COMMENT ON TABLE store.orders IS 'What was bought. The id is that of the cart it was, or drawn from the same sequence.';
COMMENT ON COLUMN store.orders.id IS 'No foreign key: carts may be deleted, orders stay.';
COMMENT ON COLUMN store.orders.public_id IS 'The cart''s: who ordered as a guest reads the order by it. A new one once its user is deleted.';
COMMENT ON COLUMN store.orders.email IS 'Where the receipt went, canonical; a copy, so that it outlives the user.';
COMMENT ON COLUMN store.orders.tax IS 'Contained in the total when prices_include_tax, added to it otherwise.';
COMMENT ON COLUMN store.orders.source IS 'Which system an imported order comes from; external_ref is its name there.';
COMMENT ON COLUMN store.orders.version IS 'Counts the steps: equal to the seq of the last event.';

CREATE TABLE store.order_items (
    order_id bigint NOT NULL CONSTRAINT order_items_order_id_fkey REFERENCES store.orders (id),
    line_no integer NOT NULL,
    product_id bigint NOT NULL CONSTRAINT order_items_product_id_fkey REFERENCES store.products (id),
    sku text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    unit_price store.amount NOT NULL,
    quantity integer NOT NULL,
    discount store.amount NOT NULL DEFAULT 0,
    tax_rate store.rate NOT NULL DEFAULT 0,
    tax store.amount NOT NULL DEFAULT 0,
    total store.amount NOT NULL,
    CONSTRAINT order_items_pkey PRIMARY KEY (order_id, line_no),
    CONSTRAINT order_items_discount_within_price CHECK (discount <= quantity * unit_price),
    CONSTRAINT order_items_line_no_positive CHECK (line_no >= 1),
    CONSTRAINT order_items_quantity_positive CHECK (quantity BETWEEN 1 AND 1000000000),
    CONSTRAINT order_items_texts_printable CHECK (store.is_printable(sku) AND store.is_printable(name))
);

CREATE INDEX order_items_product_id_idx ON store.order_items (product_id);

COMMENT ON TABLE store.order_items IS 'What was bought at which price: a copy, frozen when the order was placed.';
COMMENT ON COLUMN store.order_items.total IS 'store.line_total() of the line; the order''s subtotal is their sum.';

CREATE TABLE store.order_events (
    order_id bigint NOT NULL CONSTRAINT order_events_order_id_fkey REFERENCES store.orders (id),
    seq integer NOT NULL,
    from_status text COLLATE "C",
    to_status text COLLATE "C" NOT NULL,
    actor text,
    reason text,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT order_events_pkey PRIMARY KEY (order_id, seq),
    CONSTRAINT order_events_at_bounded CHECK (at >= '2000-01-01 00:00:00+00' AND at < '2200-01-01 00:00:00+00'),
    CONSTRAINT order_events_first_is_placed CHECK ((seq = 1) = (from_status IS NULL) AND (seq > 1 OR to_status = 'placed')),
    CONSTRAINT order_events_seq_positive CHECK (seq >= 1),
    CONSTRAINT order_events_texts_bounded CHECK (length(reason) BETWEEN 1 AND 500 AND length(actor) BETWEEN 1 AND 100),
    CONSTRAINT order_events_texts_printable CHECK (store.is_printable(reason) AND store.is_printable(actor)),
    CONSTRAINT order_events_transition_fkey FOREIGN KEY (from_status, to_status)
        REFERENCES store.order_transitions (from_status, to_status)
);

COMMENT ON TABLE store.order_events IS 'Every step of an order, append-only; the last one is its status.';
COMMENT ON COLUMN store.order_events.from_status IS 'NULL: the first step, from a cart to an order.';

REVOKE ALL ON FUNCTION store.fits_currency(numeric, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.order_number(bigint) FROM PUBLIC;
