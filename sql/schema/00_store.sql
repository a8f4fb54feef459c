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

-- What a terminal obeys or hides: controls, zero-width characters but the joiners (U+200C, U+200D: Persian and emoji need them),
-- and what turns the direction of a line. By code point and COLLATE "C", so that no locale has a say in it.
CREATE FUNCTION store.is_printable(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value COLLATE "C" !~ '[\u0001-\u001F\u007F-\u009F\u200B\u2028-\u202E\u2060\u2066-\u2069\uFEFF]';

COMMENT ON FUNCTION store.is_printable(text) IS 'Whether a text may be printed in one line: no control characters, none that cannot be seen, none that turn the direction.';

CREATE FUNCTION store.is_printable(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN (SELECT bool_and(store.is_printable(part #>> '{}')) FROM jsonb_path_query(value, '$.**') AS part);

COMMENT ON FUNCTION store.is_printable(jsonb) IS 'Whether every text in it may be printed in one line.';

CREATE FUNCTION store.is_blank(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value COLLATE "C" !~ '[^\u0009-\u000D\u001C-\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]';

COMMENT ON FUNCTION store.is_blank(text) IS 'Whether a text is empty or holds nothing but white space, that of Unicode, under every locale.';

CREATE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0011_create_order_imports';

COMMENT ON FUNCTION store.schema_version() IS 'The newest migration this schema holds; a program that needs a newer one refuses to start.';

REVOKE ALL ON FUNCTION store.schema_version() FROM PUBLIC;
REVOKE ALL ON FUNCTION store.minor_units(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.line_total(integer, numeric, numeric, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.in_scope(bigint, uuid, text, bigint, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.is_printable(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.is_printable(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION store.is_blank(text) FROM PUBLIC;
