-- The schema the corpus speaks about. Made for its shapes of NULL, not for a shop.
CREATE SCHEMA shop;

CREATE TYPE shop.state AS ENUM ('open', 'paid', 'sent');
CREATE TYPE shop.place AS (street text, city text);
CREATE DOMAIN shop.amount AS numeric(12, 2) CHECK (value >= 0);
CREATE DOMAIN shop.code AS text NOT NULL;

CREATE TABLE shop.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text,
    is_active boolean NOT NULL DEFAULT true,
    is_vip boolean,
    age integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    tags text[] NOT NULL DEFAULT '{}',
    home shop.place,
    profile jsonb NOT NULL DEFAULT '{}',
    referrer_id bigint REFERENCES shop.users (id)
);

CREATE TABLE shop.orders (
    id bigint PRIMARY KEY,
    user_id bigint REFERENCES shop.users (id),
    maker_id bigint NOT NULL REFERENCES shop.users (id),
    status shop.state NOT NULL,
    note text,
    total shop.amount NOT NULL,
    discount shop.amount,
    placed_at timestamptz NOT NULL,
    paid_on date,
    span tstzrange,
    cents bigint GENERATED ALWAYS AS ((total * 100)::bigint) STORED
);
CREATE UNIQUE INDEX orders_note_key ON shop.orders (note) WHERE note IS NOT NULL;

CREATE TABLE shop.items (
    order_id bigint NOT NULL REFERENCES shop.orders (id),
    line_no integer NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    price numeric NOT NULL,
    remark text,
    PRIMARY KEY (order_id, line_no)
);

CREATE TABLE shop.codes (
    id integer PRIMARY KEY,
    code shop.code,
    label varchar(20) UNIQUE
);

CREATE TABLE shop.parents (
    id integer NOT NULL,
    kind text NOT NULL
);
CREATE TABLE shop.children (extra text) INHERITS (shop.parents);

CREATE TABLE shop.events (
    id bigint NOT NULL,
    at timestamptz NOT NULL,
    body text,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE shop.events_all PARTITION OF shop.events DEFAULT;

CREATE TABLE shop.ruled (id integer NOT NULL);
CREATE RULE ruled AS ON INSERT TO shop.ruled DO INSTEAD
INSERT INTO shop.codes (id, code) VALUES (coalesce(new.id, 0), 'x') RETURNING NULL::integer;

CREATE VIEW shop.active_users AS
SELECT u.id, u.email, u.name FROM shop.users AS u WHERE u.is_active;

CREATE VIEW shop.order_report AS
SELECT o.id, o.total, u.email, u.name, coalesce(u.name, u.email, '-') AS label
FROM shop.orders AS o LEFT JOIN shop.active_users AS u ON u.id = o.user_id;

CREATE FUNCTION shop.twice(value integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT RETURN value * 2;
CREATE FUNCTION shop.abs(value integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN nullif(value, 1);
CREATE FUNCTION shop.count_down(state integer, value integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN NULL::integer;
CREATE AGGREGATE shop.count(integer) (sfunc = shop.count_down, stype = integer);
CREATE OPERATOR shop.+ (function = shop.count_down, leftarg = integer, rightarg = integer);
CREATE FUNCTION shop.shout(value text) RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN upper(value); END';
CREATE FUNCTION shop.latest() RETURNS SETOF shop.orders LANGUAGE sql STABLE
BEGIN ATOMIC SELECT o.* FROM shop.orders AS o ORDER BY o.id DESC LIMIT 5; END;
