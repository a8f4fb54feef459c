-- name: aggregates_over_nothing
-- expect: rows not null, notes not null, total null, top null, list null, text null, avg null, every null
SELECT
    count(*) AS rows, count(o.note) AS notes, sum(o.total) AS total, max(o.id) AS top, array_agg(o.id) AS list,
    string_agg(o.note, ',') AS text, avg(o.total) AS avg, bool_and(o.total > 0) AS every
FROM shop.orders AS o

-- name: aggregates_of_groups
-- A group has a row, so what folds values that are not NULL is not NULL.
-- expect: status not null, rows not null, total not null, top not null, ids not null, mean not null, spread null
SELECT
    o.status, count(*) AS rows, sum(o.total) AS total, max(o.id) AS top, array_agg(o.id) AS ids, avg(o.total) AS mean,
    stddev(o.total) AS spread
FROM shop.orders AS o GROUP BY o.status

-- name: aggregates_of_nullable_in_groups
-- expect: status not null, saved null, notes not null, text null
SELECT o.status, sum(o.discount) AS saved, array_agg(o.note) AS notes, string_agg(o.note, ',') AS text
FROM shop.orders AS o GROUP BY o.status

-- name: aggregate_filter
-- expect: status not null, open null, n not null
SELECT o.status, sum(o.total) FILTER (WHERE o.note IS NULL) AS open, count(*) FILTER (WHERE o.note IS NULL) AS n
FROM shop.orders AS o GROUP BY o.status

-- name: group_by_nullable
-- expect: user_id null, n not null
SELECT o.user_id, count(*) AS n FROM shop.orders AS o GROUP BY o.user_id

-- name: group_by_rollup
-- expect: status null, n not null, total null
SELECT o.status, count(*) AS n, sum(o.total) AS total FROM shop.orders AS o GROUP BY ROLLUP (o.status)

-- name: group_by_cube
-- expect: status null, maker_id null
SELECT o.status, o.maker_id FROM shop.orders AS o GROUP BY CUBE (o.status, o.maker_id)

-- name: grouping_sets_with_common_column
-- The status is in each set.
-- expect: status not null, maker_id null
SELECT o.status, o.maker_id FROM shop.orders AS o GROUP BY GROUPING SETS ((o.status, o.maker_id), (o.status))

-- name: group_by_column_and_rollup
-- expect: status not null, maker_id null
SELECT o.status, o.maker_id FROM shop.orders AS o GROUP BY o.status, ROLLUP (o.maker_id)

-- name: rollup_expression
-- expect: day null, doubled null
SELECT date_trunc('day', o.placed_at) AS day, o.id * 2 AS doubled
FROM shop.orders AS o GROUP BY ROLLUP (date_trunc('day', o.placed_at), o.id * 2)

-- name: rollup_used_in_expression
-- expect: longer null, fixed not null, level not null
SELECT o.id + 1 AS longer, coalesce(o.id, 0) AS fixed, grouping(o.id) AS level FROM shop.orders AS o GROUP BY ROLLUP (o.id)

-- name: rollup_in_subquery
-- expect: status null
SELECT s.status FROM (SELECT o.status FROM shop.orders AS o GROUP BY ROLLUP (o.status)) AS s

-- name: rollup_filtered_outside
-- expect: status not null
SELECT s.status FROM (SELECT o.status FROM shop.orders AS o GROUP BY ROLLUP (o.status)) AS s WHERE s.status = 'open'

-- name: rollup_where_is_before
-- WHERE lets no NULL in, ROLLUP makes one all the same.
-- expect: user_id null
SELECT o.user_id FROM shop.orders AS o WHERE o.user_id = 3 GROUP BY ROLLUP (o.user_id)

-- name: rollup_seen_from_subquery
-- expect: same null
SELECT (SELECT o.id) AS same FROM shop.orders AS o GROUP BY ROLLUP (o.id)

-- name: empty_grouping_set
-- expect: n not null, total null
SELECT count(*) AS n, sum(o.total) AS total FROM shop.orders AS o GROUP BY ()

-- name: aggregate_where_parameter
-- The one row is there although nothing equals NULL.
-- expect: given null, n not null
-- params: optional
SELECT $1::bigint AS given, count(*) AS n FROM shop.orders AS o WHERE o.id = $1

-- name: group_by_where
-- expect: user_id not null, n not null
SELECT o.user_id, count(*) AS n FROM shop.orders AS o WHERE o.user_id IS NOT NULL GROUP BY o.user_id

-- name: functional_dependency
-- expect: id not null, total not null, note null, lines not null
SELECT o.id, o.total, o.note, count(*) AS lines
FROM shop.orders AS o INNER JOIN shop.items AS i ON i.order_id = o.id GROUP BY o.id

-- name: sum_over_left_join
-- expect: id not null, pieces null, lines not null
SELECT o.id, sum(i.quantity) AS pieces, count(i.line_no) AS lines
FROM shop.orders AS o LEFT JOIN shop.items AS i ON i.order_id = o.id GROUP BY o.id

-- name: having
-- expect: n null
SELECT sum(o.discount) AS n FROM shop.orders AS o HAVING count(*) > 1

-- name: json_aggregate
-- expect: all null, fixed not null
SELECT json_agg(o.id) AS all, coalesce(json_agg(o.id), '[]') AS fixed FROM shop.orders AS o

-- name: json_aggregate_of_groups
-- expect: status not null, all not null, map not null
SELECT o.status, jsonb_agg(o.note) AS all, jsonb_object_agg(o.id, o.note) AS map FROM shop.orders AS o GROUP BY o.status

-- name: ordered_set_aggregate
-- Of a group it is not NULL, but no rule says so.
-- expect: status not null, median not null
SELECT o.status, percentile_disc(0.5) WITHIN GROUP (ORDER BY o.total) AS median FROM shop.orders AS o GROUP BY o.status

-- name: outer_aggregate_in_subquery
-- expect: n not null
SELECT (SELECT count(o.id)) AS n FROM shop.orders AS o

-- name: row_number
-- expect: n not null, r not null, d not null, p not null
SELECT
    row_number() OVER (ORDER BY o.id) AS n, rank() OVER (ORDER BY o.total) AS r, dense_rank() OVER (ORDER BY o.total) AS d,
    percent_rank() OVER (ORDER BY o.total) AS p
FROM shop.orders AS o

-- name: lag_and_lead
-- expect: before null, after null, filled not null
SELECT
    lag(o.id) OVER (ORDER BY o.id) AS before, lead(o.id) OVER (ORDER BY o.id) AS after,
    lag(o.id, 1, 0::bigint) OVER (ORDER BY o.id) AS filled
FROM shop.orders AS o

-- name: first_and_last_value
-- expect: first not null, last not null, noted null, second null
SELECT
    first_value(o.id) OVER w AS first, last_value(o.id) OVER w AS last, first_value(o.note) OVER w AS noted,
    nth_value(o.id, 2) OVER w AS second
FROM shop.orders AS o WINDOW w AS (PARTITION BY o.status ORDER BY o.id)

-- name: window_aggregates
-- The usual frame holds the row itself.
-- expect: running not null, saved null, n not null
SELECT sum(o.total) OVER w AS running, sum(o.discount) OVER w AS saved, count(*) OVER w AS n
FROM shop.orders AS o WINDOW w AS (ORDER BY o.id)

-- name: window_own_frame
-- Before the first row there is none.
-- expect: before null, n not null, first null
SELECT sum(o.total) OVER w AS before, count(*) OVER w AS n, first_value(o.id) OVER w AS first
FROM shop.orders AS o WINDOW w AS (ORDER BY o.id ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING)

-- name: window_filter
-- expect: odd null
SELECT sum(o.total) FILTER (WHERE o.id % 2 = 1) OVER (ORDER BY o.id) AS odd FROM shop.orders AS o

-- name: window_over_groups
-- expect: status not null, share not null
SELECT o.status, sum(count(*)) OVER () AS share FROM shop.orders AS o GROUP BY o.status

-- name: ntile
-- expect: quarter not null, any null
-- params: optional
SELECT ntile(4) OVER (ORDER BY o.id) AS quarter, ntile($1::integer) OVER (ORDER BY o.id) AS any FROM shop.orders AS o
