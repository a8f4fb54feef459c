-- Carts of users and guests, and their lines.
-- depends: 0003_create_catalog
-- store: allow: blocks-writes: a foreign key of a new table; there are no rows yet
-- store: allow: locks-two-tables: the same

CREATE TABLE store.carts (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT carts_pkey PRIMARY KEY,
    public_id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id bigint CONSTRAINT carts_user_id_fkey REFERENCES store.users (id) ON DELETE CASCADE,
    status text COLLATE "C" NOT NULL DEFAULT 'open',
    currency text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days',
    CONSTRAINT carts_currency_is_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT carts_status_known CHECK (status IN ('open', 'ordered', 'merged', 'abandoned')),
    CONSTRAINT carts_timestamps_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
        AND updated_at >= '2000-01-01 00:00:00+00' AND updated_at < '2200-01-01 00:00:00+00'
        AND expires_at >= '2000-01-01 00:00:00+00' AND expires_at < '2200-01-01 00:00:00+00'
    )
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX carts_one_open_per_user ON store.carts (user_id) WHERE status = 'open';
CREATE UNIQUE INDEX carts_public_id_key ON store.carts (public_id);
CREATE INDEX carts_user_id_idx ON store.carts (user_id);

COMMENT ON TABLE store.carts IS 'What somebody is about to buy.';
COMMENT ON COLUMN store.carts.public_id IS 'The secret of a guest: who knows it owns the cart, as long as no user does.';
COMMENT ON COLUMN store.carts.user_id IS 'NULL: the cart of a guest.';
COMMENT ON COLUMN store.carts.status IS 'open, then one of: ordered, merged (into a user''s cart), abandoned.';
COMMENT ON COLUMN store.carts.expires_at IS 'After this an open cart counts as left behind; every change moves it on.';

CREATE TABLE store.cart_items (
    cart_id bigint NOT NULL CONSTRAINT cart_items_cart_id_fkey REFERENCES store.carts (id) ON DELETE CASCADE,
    product_id bigint NOT NULL CONSTRAINT cart_items_product_id_fkey REFERENCES store.products (id) ON DELETE CASCADE,
    quantity integer NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT cart_items_pkey PRIMARY KEY (cart_id, product_id),
    CONSTRAINT cart_items_added_at_bounded CHECK (added_at >= '2000-01-01 00:00:00+00' AND added_at < '2200-01-01 00:00:00+00'),
    CONSTRAINT cart_items_quantity_in_range CHECK (quantity BETWEEN 1 AND 9999)
) WITH (fillfactor = 80);

CREATE INDEX cart_items_product_id_idx ON store.cart_items (product_id);

COMMENT ON TABLE store.cart_items IS 'The lines of a cart: one a product.';
COMMENT ON COLUMN store.cart_items.quantity IS '1 to 9999; a line of none is no line.';
COMMENT ON COLUMN store.cart_items.added_at IS 'The clock, not the start of the transaction: lines added together keep their order.';

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0004_create_carts';
