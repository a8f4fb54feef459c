-- name: subquery
-- expect: id not null, name null
SELECT s.id, s.name FROM (SELECT u.id, u.name FROM shop.users AS u) AS s

-- name: subquery_filters
-- expect: name not null
SELECT s.name FROM (SELECT u.name FROM shop.users AS u WHERE u.name IS NOT NULL) AS s

-- name: subquery_filtered_outside
-- expect: name not null, age null
SELECT s.name, s.age FROM (SELECT u.name, u.age FROM shop.users AS u) AS s WHERE s.name = 'x'

-- name: subquery_with_aggregate
-- expect: n not null, top null
SELECT s.n, s.top FROM (SELECT count(*) AS n, max(o.total) AS top FROM shop.orders AS o) AS s

-- name: subquery_left_join_inside
-- expect: id not null, email null
SELECT s.id, s.email FROM (SELECT o.id, u.email FROM shop.orders AS o LEFT JOIN shop.users AS u ON u.id = o.user_id) AS s

-- name: scalar_subquery
-- No row, no value.
-- expect: id not null, first null
SELECT u.id, (SELECT o.id FROM shop.orders AS o WHERE o.user_id = u.id LIMIT 1) AS first FROM shop.users AS u

-- name: scalar_subquery_count
-- expect: id not null, orders not null
SELECT u.id, (SELECT count(*) FROM shop.orders AS o WHERE o.user_id = u.id) AS orders FROM shop.users AS u

-- name: scalar_subquery_sum
-- expect: spent null, fixed not null
SELECT
    (SELECT sum(o.total) FROM shop.orders AS o WHERE o.user_id = u.id) AS spent,
    (SELECT coalesce(sum(o.total), 0) FROM shop.orders AS o WHERE o.user_id = u.id) AS fixed
FROM shop.users AS u

-- name: scalar_subquery_count_having
-- expect: n null
SELECT (SELECT count(*) FROM shop.orders AS o HAVING count(*) > 3) AS n

-- name: scalar_subquery_count_grouped
-- expect: n null
SELECT (SELECT count(*) FROM shop.orders AS o GROUP BY o.id LIMIT 1) AS n

-- name: scalar_subquery_count_offset
-- expect: n null, m null
SELECT
    (SELECT count(*) FROM shop.orders AS o OFFSET 1) AS n,
    (SELECT count(*) FROM shop.orders AS o LIMIT 0) AS m

-- name: scalar_subquery_bare
-- expect: one not null, other null
SELECT (SELECT 1) AS one, (SELECT 1 WHERE false) AS other

-- name: scalar_subquery_shows_outer
-- expect: email not null, name null
SELECT (SELECT u.email) AS email, (SELECT u.name) AS name FROM shop.users AS u

-- name: exists
-- expect: yes not null, no not null
SELECT
    EXISTS (SELECT FROM shop.orders AS o WHERE o.user_id = u.id) AS yes,
    NOT EXISTS (SELECT FROM shop.orders AS o WHERE o.user_id = u.id) AS no
FROM shop.users AS u

-- name: array_of_subquery
-- expect: ids not null, notes not null
SELECT
    ARRAY(SELECT o.id FROM shop.orders AS o WHERE o.user_id = u.id) AS ids,
    ARRAY(SELECT o.note FROM shop.orders AS o WHERE o.user_id = u.id) AS notes
FROM shop.users AS u

-- name: in_subquery
-- expect: is_in not null, may_be null, left_null null
SELECT
    u.id IN (SELECT o.id FROM shop.orders AS o) AS is_in,
    u.id IN (SELECT o.user_id FROM shop.orders AS o) AS may_be,
    u.referrer_id IN (SELECT o.id FROM shop.orders AS o) AS left_null
FROM shop.users AS u

-- name: not_in_subquery
-- expect: is_out not null, may_be null
SELECT
    u.id NOT IN (SELECT o.id FROM shop.orders AS o) AS is_out,
    u.id NOT IN (SELECT o.user_id FROM shop.orders AS o) AS may_be
FROM shop.users AS u

-- name: all_subquery
-- expect: largest not null, may_be null
SELECT
    u.id >= ALL (SELECT o.id FROM shop.orders AS o) AS largest,
    u.id >= ALL (SELECT o.user_id FROM shop.orders AS o) AS may_be
FROM shop.users AS u

-- name: where_in_subquery
-- expect: id not null, user_id not null
SELECT o.id, o.user_id FROM shop.orders AS o WHERE o.user_id IN (SELECT u.id FROM shop.users AS u)

-- name: from_values
-- expect: a not null, b null
SELECT v.a, v.b FROM (VALUES (1, 'x'), (2, NULL)) AS v (a, b)

-- name: values
-- expect: column1 not null, column2 null
VALUES (1, 'x'), (2, NULL)

-- name: values_with_parameter
-- expect: a not null, b null
-- params: optional
SELECT v.a, v.b FROM (VALUES (1, $1::text), (2, 'x')) AS v (a, b)

-- name: view
-- expect: id not null, email not null, name null
SELECT a.id, a.email, a.name FROM shop.active_users AS a

-- name: view_on_view
-- expect: id not null, total not null, email null, name null, label not null
SELECT r.id, r.total, r.email, r.name, r.label FROM shop.order_report AS r

-- name: view_left_joined
-- expect: id not null, label null
SELECT u.id, r.label FROM shop.users AS u LEFT JOIN shop.order_report AS r ON r.id = u.id

-- name: view_whole_row
-- expect: a not null
SELECT a FROM shop.active_users AS a

-- name: nested_levels
-- expect: email not null, name null
SELECT
    (SELECT (SELECT u.email)) AS email,
    (SELECT (SELECT u.name)) AS name
FROM shop.users AS u

-- name: distinct
-- expect: user_id null, status not null
SELECT DISTINCT o.user_id, o.status FROM shop.orders AS o

-- name: distinct_on
-- expect: user_id null, id not null
SELECT DISTINCT ON (o.user_id) o.user_id, o.id FROM shop.orders AS o ORDER BY o.user_id, o.id

-- name: row_locked
-- expect: id not null, note null
-- params: required
SELECT o.id, o.note FROM shop.orders AS o WHERE o.id = $1 FOR UPDATE SKIP LOCKED
