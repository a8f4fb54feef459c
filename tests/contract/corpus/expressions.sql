-- name: constants
-- expect: a not null, b null, c not null, d not null
SELECT 1 AS a, NULL AS b, 'x' AS c, true AS d

-- name: arithmetic
-- expect: sum not null, saved null, next not null
SELECT o.id + 1 AS sum, o.total - o.discount AS saved, o.placed_at + interval '1 day' AS next FROM shop.orders AS o

-- name: comparison
-- expect: big not null, same null, both null, either null, none not null
SELECT
    o.id > 5 AS big, o.user_id = 3 AS same, o.id > 5 AND o.user_id = 3 AS both, o.user_id = 3 OR o.user_id = 4 AS either,
    NOT (o.id = 5) AS none
FROM shop.orders AS o

-- name: null_tests
-- expect: a not null, b not null, c not null, d not null, e not null
SELECT
    o.note IS NULL AS a, o.note IS NOT NULL AS b, o.user_id IS DISTINCT FROM 3 AS c, (o.user_id = 3) IS TRUE AS d,
    (o.user_id = 3) IS UNKNOWN AS e
FROM shop.orders AS o

-- name: coalesce
-- expect: a not null, b null, c not null
SELECT coalesce(o.note, '-') AS a, coalesce(o.note, o.paid_on::text) AS b, coalesce(o.note, o.status::text, NULL) AS c
FROM shop.orders AS o

-- name: coalesce_parameter
-- expect: a null, b not null
-- params: optional
SELECT coalesce(o.note, $1) AS a, coalesce($1, o.status::text) AS b FROM shop.orders AS o

-- name: nullif
-- expect: a null, b not null
SELECT nullif(o.id, 3) AS a, coalesce(nullif(o.id, 3), 0) AS b FROM shop.orders AS o

-- name: case
-- expect: a not null, b null, c null, d not null
SELECT
    CASE WHEN o.id > 1 THEN 'x' ELSE 'y' END AS a,
    CASE WHEN o.id > 1 THEN 'x' END AS b,
    CASE WHEN o.id > 1 THEN o.note ELSE 'y' END AS c,
    CASE o.status WHEN 'open' THEN 1 WHEN 'paid' THEN 2 ELSE 3 END AS d
FROM shop.orders AS o

-- name: case_that_tests
-- True by its own condition; the analyser does not follow it.
-- expect: note not null
SELECT CASE WHEN o.note IS NOT NULL THEN o.note ELSE '-' END AS note FROM shop.orders AS o

-- name: greatest_and_least
-- NULL is passed over.
-- expect: a not null, b null
SELECT greatest(o.id, o.user_id) AS a, least(o.user_id, o.discount) AS b FROM shop.orders AS o

-- name: casts
-- expect: a not null, b not null, c null, d not null, e not null
SELECT
    o.id::text AS a, o.total::numeric AS b, o.note::varchar(5) AS c, o.id::integer AS d, o.status::text AS e
FROM shop.orders AS o

-- name: cast_to_time
-- 'infinity'::timestamptz::time is NULL.
-- expect: clock null, day not null
SELECT o.placed_at::time AS clock, o.placed_at::date AS day FROM shop.orders AS o

-- name: extract
-- extract(hour FROM 'infinity') is NULL.
-- expect: hour null, day not null
SELECT extract(hour FROM o.placed_at) AS hour, date_trunc('day', o.placed_at) AS day FROM shop.orders AS o

-- name: to_char
-- to_char('infinity', ...) is NULL.
-- expect: day null
SELECT to_char(o.placed_at, 'YYYY-MM-DD') AS day FROM shop.orders AS o

-- name: text_functions
-- expect: a not null, b not null, c null, d not null, e not null, f null
SELECT
    lower(u.email) AS a, u.email || '!' AS b, upper(u.name) AS c, length(trim(u.email)) AS d, concat(u.name, u.age) AS e,
    u.name || u.email AS f
FROM shop.users AS u

-- name: concat_ws
-- expect: a not null, b null, c not null
-- params: optional
SELECT concat_ws(', ', u.name, u.age) AS a, concat_ws($1, u.email, u.email) AS b, format('%s', u.name) AS c FROM shop.users AS u

-- name: concat_variadic
-- expect: a null
-- params: optional
SELECT concat(VARIADIC $1::text[]) AS a

-- name: substring
-- By pattern it may find nothing.
-- expect: a not null, b null
SELECT substring(u.email FROM 1 FOR 3) AS a, substring(u.email FROM 'x+') AS b FROM shop.users AS u

-- name: json_operators
-- expect: a null, b null, c null, d not null, e not null, f not null
SELECT
    u.profile -> 'a' AS a, u.profile ->> 'a' AS b, u.profile #>> '{a,b}' AS c, u.profile @> '{}' AS d, u.profile ? 'a' AS e,
    u.profile || '{"a": 1}' AS f
FROM shop.users AS u

-- name: json_null_cast
-- Since 18 the null of jsonb becomes NULL; before that it is an error.
-- expect: a null
SELECT u.profile::integer AS a FROM shop.users AS u

-- name: json_constructors
-- expect: a not null, b not null, c not null, d not null
SELECT
    jsonb_build_object('a', u.name) AS a, json_build_array(u.name) AS b, to_jsonb(u.email) AS c, row_to_json(u) AS d
FROM shop.users AS u

-- name: json_standard_constructors
-- expect: a not null, b not null
SELECT JSON_OBJECT('a': u.name) AS a, JSON_ARRAY(u.name) AS b FROM shop.users AS u

-- name: json_path
-- The second may suppress an error and be NULL.
-- expect: a null, b null
SELECT u.profile @? '$.a' AS a, u.profile @@ '$.a == 1' AS b FROM shop.users AS u

-- name: arrays
-- expect: a not null, b null, c null, d not null, e not null, f null
SELECT
    ARRAY[u.name] AS a, u.tags[1] AS b, array_length(u.tags, 1) AS c, cardinality(u.tags) AS d, u.tags || 'x'::text AS e,
    array_position(u.tags, 'x') AS f
FROM shop.users AS u

-- name: array_any
-- The array may hold a NULL.
-- expect: a null, b not null, c null
SELECT 'x' = ANY (u.tags) AS a, u.id IN (1, 2) AS b, u.id IN (1, u.age) AS c FROM shop.users AS u

-- name: array_slice
-- A slice of an array is an array; the analyser knows no subscripts.
-- expect: a not null
SELECT u.tags[1:2] AS a FROM shop.users AS u

-- name: composites
-- expect: a not null, b null, c null
SELECT ROW(u.id, u.name) AS a, u.home AS b, (u.home).city AS c FROM shop.users AS u

-- name: row_comparison
-- expect: a not null, b null
SELECT (o.id, o.total) < (1, 2) AS a, (o.id, o.discount) < (1, 2) AS b FROM shop.orders AS o

-- name: field_of_whole_row
-- expect: email not null
SELECT (u).email FROM shop.users AS u

-- name: ranges
-- expect: a not null, b null, c null, d null, e not null
SELECT
    tstzrange(o.placed_at, NULL) AS a, lower(o.span) AS b, upper(tstzrange(o.placed_at, NULL)) AS c, o.span @> now() AS d,
    tstzrange(o.placed_at, NULL) @> now() AS e
FROM shop.orders AS o

-- name: enums
-- expect: status not null, a not null, b not null
SELECT o.status, o.status = 'open' AS a, 'open'::shop.state AS b FROM shop.orders AS o

-- name: domains
-- A NOT NULL domain is no NOT NULL column: an empty scalar subquery gets a NULL past it.
-- expect: total not null, discount null, code null
SELECT o.total, o.discount, c.code FROM shop.orders AS o CROSS JOIN shop.codes AS c

-- name: cast_to_domain
-- expect: a not null, b null
SELECT 1::shop.amount AS a, o.discount::shop.amount AS b FROM shop.orders AS o

-- name: generated_and_identity
-- The cents follow from a total that is NOT NULL, but the column does not say so.
-- expect: id not null, cents not null
SELECT u.id, o.cents FROM shop.users AS u CROSS JOIN shop.orders AS o

-- name: system_columns
-- expect: ctid not null, tableoid not null
SELECT u.ctid, u.tableoid FROM shop.users AS u

-- name: current_values
-- expect: a not null, b not null, c null, d not null
SELECT current_date AS a, current_user AS b, current_schema AS c, now() AS d

-- name: own_functions
-- What a function of the schema returns is its own affair.
-- expect: twice null, shout null
SELECT shop.twice(o.cents::integer) AS twice, shop.shout('x') AS shout FROM shop.orders AS o

-- name: own_names
-- They are called like built-in ones, and do what they like.
-- expect: a null, b null, c null, d null
SELECT
    shop.abs(c.id) AS a, c.id OPERATOR (shop.+) c.id AS b, shop.count(c.id) OVER () AS c,
    (SELECT shop.count(k.id) FROM shop.codes AS k) AS d
FROM shop.codes AS c

-- name: function_in_from
-- expect: id null, total null
SELECT l.id, l.total FROM shop.latest() AS l

-- name: generate_series
-- expect: n not null, m not null
-- params: required
SELECT n, n + 1 AS m FROM generate_series(1, $1::integer) AS n

-- name: unnest
-- expect: id null, place not null
-- params: required
SELECT x.id, x.place FROM unnest($1::bigint[]) WITH ORDINALITY AS x (id, place)

-- name: unnest_of_several
-- The shorter one is filled up.
-- expect: a null, b null, place not null
-- params: optional, optional
SELECT x.a, x.b, x.place FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS x (a, b, place)

-- name: unnest_of_literals
-- expect: a not null, b null
SELECT a, b FROM unnest(ARRAY[1, 2]) AS a CROSS JOIN unnest(ARRAY[1, NULL]) AS b

-- name: rows_from
-- expect: a null, b null
SELECT x.a, x.b FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS x (a, b)

-- name: set_in_select
-- expect: n not null, id not null
SELECT generate_series(1, 3) AS n, u.id FROM shop.users AS u

-- name: sets_in_select
-- The shorter one is filled up.
-- expect: n null, m null
SELECT generate_series(1, 3) AS n, generate_series(1, 2) AS m

-- name: json_each
-- expect: key not null, value not null, text null
SELECT e.key, e.value, t.value AS text
FROM shop.users AS u CROSS JOIN jsonb_each(u.profile) AS e CROSS JOIN jsonb_each_text(u.profile) AS t

-- name: string_to_table
-- expect: part not null
SELECT part FROM shop.users AS u CROSS JOIN regexp_split_to_table(u.email, '@') AS part

-- name: search
-- expect: rank not null, hit not null
-- params: required
SELECT ts_rank(to_tsvector('simple', u.email), q) AS rank, q @@ to_tsvector('simple', u.email) AS hit
FROM shop.users AS u CROSS JOIN websearch_to_tsquery('simple', $1) AS q
WHERE to_tsvector('simple', u.email) @@ websearch_to_tsquery('simple', $1)

-- name: inherited
-- expect: id not null, kind not null
SELECT p.id, p.kind FROM shop.parents AS p

-- name: partitioned
-- expect: id not null, at not null, body null
SELECT e.id, e.at, e.body FROM shop.events AS e

-- name: declared
-- expect: note not null, total null, plain null
SELECT o.note AS "note!", o.total AS "total?", o.discount AS plain FROM shop.orders AS o

-- name: where_lets_through
-- expect: note not null, discount not null, age not null, name null
SELECT o.note, o.discount, u.age, u.name
FROM shop.orders AS o INNER JOIN shop.users AS u ON u.id = o.user_id
WHERE o.note = 'x' AND o.discount > 1 AND NOT (u.age > 5)

-- name: where_or
-- expect: note null, discount null
SELECT o.note, o.discount FROM shop.orders AS o WHERE o.note = 'x' OR o.discount > 1

-- name: where_any
-- expect: user_id not null, note null, paid_on null
-- params: required, optional, optional
SELECT o.user_id, o.note, o.paid_on FROM shop.orders AS o
WHERE o.user_id = ANY ($1::bigint[]) AND (o.note <> ALL ($2::text[])) IS NOT FALSE AND o.paid_on IS NOT DISTINCT FROM $3

-- name: where_all
-- ALL of an empty array is true, also for NULL.
-- expect: note null
-- params: required
SELECT o.note FROM shop.orders AS o WHERE o.note <> ALL ($1::text[])

-- name: where_boolean
-- expect: is_vip not null
SELECT u.is_vip FROM shop.users AS u WHERE u.is_vip

-- name: where_function
-- expect: name not null
-- params: required
SELECT u.name FROM shop.users AS u WHERE lower(u.name) = lower($1)

-- name: where_own_strict_function
-- expect: age not null
SELECT u.age FROM shop.users AS u WHERE shop.twice(u.age) > 4

-- name: where_coalesce
-- expect: age null
SELECT u.age FROM shop.users AS u WHERE coalesce(u.age, 5) > 4

-- name: where_case
-- expect: age null
SELECT u.age FROM shop.users AS u WHERE CASE WHEN u.age > 3 THEN true ELSE u.is_active END

-- name: closed_paths
-- Only open paths can be joined.
-- expect: path null, moved not null
SELECT '((0,0),(1,1))'::path + '((0,0),(1,1))'::path AS path, '((0,0),(1,1))'::path + '(1,1)'::point AS moved
