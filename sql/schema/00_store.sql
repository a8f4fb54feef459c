-- The schema of the shop, and the few rules that more than one table obeys:
-- what an amount of money is, how a line is rounded, who may see a row.

CREATE SCHEMA store;

COMMENT ON SCHEMA store IS 'An online shop: users, products with inventory, carts. Every name is qualified; nothing depends on search_path.';

-- The upper bound keeps NaN and Infinity out (NaN is greater than every number);
-- the scale is checked, not declared, so that 0.00001 is refused and not rounded.
CREATE DOMAIN store.amount AS numeric
    CONSTRAINT amount_in_range CHECK (VALUE >= 0 AND VALUE < 1e12 AND scale(VALUE) <= 4);

COMMENT ON DOMAIN store.amount IS 'Money: not negative, below 1e12, at most four decimals. The currency stands beside it.';

-- ISO 4217: currencies whose smallest unit is not a hundredth.
CREATE FUNCTION store.minor_units(currency text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN currency IN (
            'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG',
            'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) THEN 0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
        WHEN currency IN ('CLF', 'UYW') THEN 4
        ELSE 2
    END;

COMMENT ON FUNCTION store.minor_units(text) IS 'Decimals of the smallest unit of a currency (ISO 4217): 2 unless listed.';

CREATE FUNCTION store.line_total(quantity integer, unit_price numeric, discount numeric, currency text) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN round(quantity * unit_price - discount, store.minor_units(currency));

COMMENT ON FUNCTION store.line_total(integer, numeric, numeric, text) IS 'What a line costs: the one place where money is rounded, half away from zero, to the minor unit of its currency.';

CREATE FUNCTION store.in_scope(user_id bigint, public_id uuid, scope text, scope_user_id bigint, scope_public_id uuid)
    RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE scope
        WHEN 'all' THEN true
        WHEN 'user' THEN coalesce(user_id = scope_user_id, false)
        WHEN 'guest' THEN user_id IS NULL AND coalesce(public_id = scope_public_id, false)
        ELSE false
    END;

COMMENT ON FUNCTION store.in_scope(bigint, uuid, text, bigint, uuid) IS 'May this caller see a row of this owner? Scope is all (back office), user (their own rows) or guest (one row by its secret public_id, only while no user owns it).';

CREATE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0011_create_order_imports';

COMMENT ON FUNCTION store.schema_version() IS 'The newest migration this schema holds; a program that needs a newer one refuses to start.';

REVOKE ALL ON FUNCTION store.schema_version() FROM PUBLIC;
REVOKE ALL ON FUNCTION store.minor_units(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.line_total(integer, numeric, numeric, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.in_scope(bigint, uuid, text, bigint, uuid) FROM PUBLIC;
