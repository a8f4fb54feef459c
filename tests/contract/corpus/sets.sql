-- name: union_all_with_null
-- expect: id null
SELECT u.id FROM shop.users AS u UNION ALL SELECT NULL

-- name: union_of_not_null
-- expect: id not null, what not null
SELECT u.id, 'u' AS what FROM shop.users AS u UNION SELECT o.id, 'o' FROM shop.orders AS o

-- name: union_second_nullable
-- expect: text null
SELECT u.email AS text FROM shop.users AS u UNION ALL SELECT o.note FROM shop.orders AS o

-- name: union_first_nullable
-- expect: text null
SELECT o.note AS text FROM shop.orders AS o UNION ALL SELECT u.email FROM shop.users AS u

-- name: union_of_three
-- expect: n null, m not null
SELECT 1 AS n, 1 AS m UNION ALL SELECT 2, 2 UNION ALL SELECT u.age, 3 FROM shop.users AS u

-- name: union_of_casts
-- The arms meet as numeric.
-- expect: n not null
SELECT o.id AS n FROM shop.orders AS o UNION ALL SELECT o.total FROM shop.orders AS o

-- name: intersect
-- What both have is not NULL when one of them has no NULL.
-- expect: user_id not null
SELECT o.user_id FROM shop.orders AS o INTERSECT SELECT u.id FROM shop.users AS u

-- name: intersect_of_nullable
-- expect: user_id null
SELECT o.user_id FROM shop.orders AS o INTERSECT SELECT u.referrer_id FROM shop.users AS u

-- name: except
-- expect: id not null
SELECT u.id FROM shop.users AS u EXCEPT SELECT o.user_id FROM shop.orders AS o

-- name: except_keeps_null
-- expect: user_id null
SELECT o.user_id FROM shop.orders AS o EXCEPT SELECT u.id FROM shop.users AS u

-- name: except_in_union
-- expect: id not null
(SELECT u.id FROM shop.users AS u EXCEPT SELECT o.user_id FROM shop.orders AS o) UNION ALL SELECT 0

-- name: union_in_subquery
-- expect: id not null, note null
SELECT s.id, s.note
FROM (SELECT o.id, o.note FROM shop.orders AS o UNION ALL SELECT u.id, u.email FROM shop.users AS u) AS s

-- name: union_in_exists
-- expect: found not null
SELECT EXISTS (SELECT 1 UNION SELECT NULL) AS found

-- name: union_in_scalar_subquery
-- Always one row; the analyser does not count those of set operations.
-- expect: n not null
SELECT (SELECT 1 UNION SELECT 1) AS n

-- name: union_parameters
-- expect: a null
-- params: optional, optional
SELECT $1::text AS a UNION ALL SELECT $2::text

-- name: union_parameter_filters
-- expect: id not null
-- params: required
SELECT u.id FROM shop.users AS u WHERE u.email = $1 UNION ALL SELECT o.id FROM shop.orders AS o WHERE o.note = $1

-- name: union_order_limit
-- expect: id not null
SELECT u.id FROM shop.users AS u UNION ALL SELECT o.id FROM shop.orders AS o ORDER BY id LIMIT 3

-- name: values_union
-- expect: column1 not null
VALUES (1), (2) UNION ALL SELECT 3
