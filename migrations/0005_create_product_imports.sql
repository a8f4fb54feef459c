-- Staging for store import products.
-- depends: 0004_create_carts

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

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0005_create_product_imports';
