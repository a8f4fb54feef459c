-- name: cte
-- expect: id not null, name null
WITH c AS (SELECT u.id, u.name FROM shop.users AS u) SELECT c.id, c.name FROM c

-- name: cte_renamed
-- expect: a not null, b null
WITH c (a, b) AS (SELECT u.id, u.name FROM shop.users AS u) SELECT c.a, c.b FROM c

-- name: cte_left_joined
-- expect: id not null, other null
WITH c AS (SELECT u.id FROM shop.users AS u) SELECT o.id, c.id AS other FROM shop.orders AS o LEFT JOIN c ON c.id = o.user_id

-- name: cte_of_cte
-- expect: id not null, email null
WITH
    a AS (SELECT u.id, u.email FROM shop.users AS u),
    b AS (SELECT o.id, a.email FROM shop.orders AS o LEFT JOIN a ON a.id = o.user_id)
SELECT b.id, b.email FROM b

-- name: cte_in_subquery
-- expect: id not null
WITH c AS (SELECT u.id FROM shop.users AS u) SELECT s.id FROM (SELECT c.id FROM c) AS s

-- name: cte_shadows
-- expect: id null
WITH c AS (SELECT u.id FROM shop.users AS u)
SELECT s.id FROM (WITH c AS (SELECT o.user_id AS id FROM shop.orders AS o) SELECT c.id FROM c) AS s

-- name: recursive
-- expect: n not null
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT r.n + 1 FROM r WHERE r.n < 5) SELECT r.n FROM r

-- name: recursive_tree
-- expect: id not null, referrer_id null, depth not null, path not null
WITH RECURSIVE r AS (
    SELECT u.id, u.referrer_id, 0 AS depth, ARRAY[u.id] AS path FROM shop.users AS u WHERE u.referrer_id IS NULL
    UNION ALL
    SELECT u.id, u.referrer_id, r.depth + 1, r.path || u.id
    FROM r INNER JOIN shop.users AS u ON u.referrer_id = r.id
    WHERE r.depth < 5
)
SELECT r.id, r.referrer_id, r.depth, r.path FROM r

-- name: recursive_step_makes_null
-- expect: n null, m null
WITH RECURSIVE r AS (
    SELECT 1 AS n, 1 AS m
    UNION ALL
    SELECT nullif(r.n + 1, 3), r.n FROM r WHERE r.m < 3
)
SELECT r.n, r.m FROM r

-- name: recursive_start_is_null
-- expect: n null
WITH RECURSIVE r AS (SELECT NULL::integer AS n, 1 AS i UNION ALL SELECT r.n, r.i + 1 FROM r WHERE r.i < 3) SELECT r.n FROM r

-- name: recursive_swap
-- expect: a null, b null, c not null
WITH RECURSIVE r AS (
    SELECT 1 AS a, NULL::integer AS b, 1 AS c
    UNION ALL
    SELECT r.b, r.a, r.c + 1 FROM r WHERE r.c < 4
)
SELECT r.a, r.b, r.c FROM r

-- name: recursive_cycle
-- expect: id not null, is_cycle not null
WITH RECURSIVE r AS (
    SELECT u.id FROM shop.users AS u
    UNION ALL
    SELECT u.id FROM r INNER JOIN shop.users AS u ON u.referrer_id = r.id
) CYCLE id SET is_cycle USING path
SELECT r.id, r.is_cycle FROM r

-- name: insert_cte
-- expect: id not null, name null
-- params: required, optional
WITH made AS (INSERT INTO shop.users (email, name) VALUES ($1, $2) RETURNING id, name) SELECT made.id, made.name FROM made

-- name: update_cte
-- expect: id not null, note null, total not null
-- params: optional, required
WITH changed AS (UPDATE shop.orders SET note = $1 WHERE id = $2 RETURNING id, note, total)
SELECT changed.id, changed.note, changed.total FROM changed

-- name: delete_cte
-- expect: order_id not null, remark null
-- params: required
WITH gone AS (DELETE FROM shop.items WHERE order_id = $1 RETURNING order_id, remark) SELECT gone.order_id, gone.remark FROM gone

-- name: delete_cte_left_joined
-- Nothing is deleted for NULL, and the orders are shown all the same.
-- expect: id not null, line_no null
-- params: optional
WITH gone AS (DELETE FROM shop.items WHERE order_id = $1 RETURNING order_id, line_no)
SELECT o.id, gone.line_no FROM shop.orders AS o LEFT JOIN gone ON gone.order_id = o.id

-- name: insert_from_cte
-- expect: id not null
-- params: required, required, optional
WITH given AS (SELECT $1::bigint AS id, $2::shop.state AS status, $3::text AS note)
INSERT INTO shop.orders (id, maker_id, status, note, total, placed_at)
SELECT g.id, u.id, g.status, g.note, 0, now() FROM given AS g CROSS JOIN shop.users AS u LIMIT 1
RETURNING id

-- name: materialized
-- expect: id not null
WITH c AS MATERIALIZED (SELECT u.id FROM shop.users AS u) SELECT c.id FROM c

-- name: cte_whole_row
-- expect: c not null
WITH c AS (SELECT u.name FROM shop.users AS u) SELECT c FROM c

-- name: cte_parameter_filters
-- expect: id not null
-- params: required
WITH wanted AS (SELECT $1::bigint AS id) SELECT o.id FROM shop.orders AS o INNER JOIN wanted AS w ON w.id = o.id

-- name: cte_parameter_shown
-- expect: id null
-- params: optional
WITH wanted AS (SELECT $1::bigint AS id) SELECT w.id FROM wanted AS w

-- name: recursive_by_what_does_not_hold
-- b takes what a was, and a is NULL from the second row on.
-- expect: either null
WITH RECURSIVE r AS (
    SELECT 1 AS a, 1 AS b, 1 AS i
    UNION ALL
    SELECT CASE WHEN s.i < 1 THEN s.y END, s.y, s.i + 1 FROM (SELECT r.a AS y, r.i FROM r WHERE r.i < 4) AS s
)
SELECT coalesce(r.a, r.b) AS either FROM r
