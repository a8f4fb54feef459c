-- A product is what can be put into a cart; inventory is the one truth about
-- its stock. They are two tables, so that a sale never touches an index of the
-- catalogue and a foreign key into products never waits for a sale.

CREATE TABLE store.products (
    id bigint GENERATED ALWAYS AS IDENTITY,
    sku text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text,
    price store.amount NOT NULL,
    currency text COLLATE "C" NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('pg_catalog.simple', sku), 'A')
        || setweight(to_tsvector('pg_catalog.simple', name), 'A')
        || setweight(to_tsvector('pg_catalog.simple', coalesce(description, '')), 'B')
    ) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT products_currency_is_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT products_description_length CHECK (length(description) BETWEEN 1 AND 10000),
    CONSTRAINT products_description_printable CHECK (
        store.is_printable(translate(replace(description, E'\r\n', ''), E'\t\n', ''))
    ),
    CONSTRAINT products_name_length CHECK (length(name) BETWEEN 1 AND 255 AND NOT store.is_blank(name)),
    CONSTRAINT products_name_printable CHECK (store.is_printable(name)),
    CONSTRAINT products_sku_characters CHECK (sku ~ '^[!-~]([ -~]*[!-~])?$'),
    CONSTRAINT products_sku_length CHECK (length(sku) BETWEEN 1 AND 64),
    CONSTRAINT products_timestamps_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
        AND updated_at >= '2000-01-01 00:00:00+00' AND updated_at < '2200-01-01 00:00:00+00'
    )
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX products_sku_key ON store.products (upper(sku));
CREATE INDEX products_created_at_id_idx ON store.products (created_at, id);
CREATE INDEX products_name_id_idx ON store.products (name, id);
CREATE INDEX products_price_id_idx ON store.products (price, id);
CREATE INDEX products_search_idx ON store.products USING gin (search);

-- The last index of all: while nobody knows how many products there are (a load that is not committed), every index that holds
-- the id costs the same, and of those the planner takes the newest. Foreign keys must be checked by this one.
ALTER TABLE store.products ADD CONSTRAINT products_pkey PRIMARY KEY (id);

COMMENT ON TABLE store.products IS 'What the shop sells, at its current price.';
COMMENT ON COLUMN store.products.sku IS 'Stock keeping unit: printable ASCII, unique without regard to case.';
COMMENT ON COLUMN store.products.name IS 'Sorted by code point (COLLATE "C"), so that no operating system upgrade reorders the index.';
COMMENT ON COLUMN store.products.description IS 'NULL: none.';
COMMENT ON COLUMN store.products.price IS 'In whole units of the currency, up to four decimals; rounded only where a line is added up.';
COMMENT ON COLUMN store.products.currency IS 'ISO 4217. Fixed for the life of a product: carts hold its price in this currency.';
COMMENT ON COLUMN store.products.is_active IS 'False: archived. Kept for history, shown to nobody, not for sale.';
COMMENT ON COLUMN store.products.search IS 'Words of sku and name (weight A) and description (weight B), without stemming.';

-- Narrow, half-filled pages and no index on a counter: every stock change
-- stays a heap-only update.
CREATE TABLE store.inventory (
    product_id bigint CONSTRAINT inventory_pkey PRIMARY KEY
        CONSTRAINT inventory_product_id_fkey REFERENCES store.products (id) ON DELETE CASCADE,
    on_hand integer NOT NULL DEFAULT 0,
    reserved integer NOT NULL DEFAULT 0,
    CONSTRAINT inventory_on_hand_bounded CHECK (on_hand <= 1000000000),
    CONSTRAINT inventory_reserved_within_on_hand CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 50);

COMMENT ON TABLE store.inventory IS 'The one truth about stock: one row a product.';
COMMENT ON COLUMN store.inventory.on_hand IS 'Units in the house, reserved ones included.';
COMMENT ON COLUMN store.inventory.reserved IS 'Units held for carts, by expired holds too. What can be sold is store.sellable().';
