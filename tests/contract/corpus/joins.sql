-- name: inner_join
-- expect: id not null, email not null, name null
SELECT o.id, u.email, u.name FROM shop.orders AS o INNER JOIN shop.users AS u ON u.id = o.user_id

-- name: left_join
-- expect: id not null, email null
SELECT o.id, u.email FROM shop.orders AS o LEFT JOIN shop.users AS u ON u.id = o.user_id

-- name: left_join_from_users
-- On an empty schema the planner turns this one round: a Hash Right Join.
-- expect: email not null, total null
SELECT u.email, o.total FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id

-- name: right_join
-- expect: id null, email not null
SELECT o.id, u.email FROM shop.orders AS o RIGHT JOIN shop.users AS u ON u.id = o.user_id

-- name: full_join
-- expect: id null, email null
SELECT o.id, u.email FROM shop.orders AS o FULL JOIN shop.users AS u ON u.id = o.user_id

-- name: full_join_using
-- One side or the other is there, and both ids are NOT NULL.
-- expect: id not null, email null, code null
SELECT id, u.email, c.code FROM shop.users AS u FULL JOIN shop.codes AS c USING (id)

-- name: full_join_using_nullable
-- expect: name null, id null
SELECT name, a.id FROM shop.users AS a FULL JOIN (SELECT u.name FROM shop.users AS u) AS b USING (name)

-- name: full_join_using_thrice
-- The first join gives an id in each row; the second may have none on its left.
-- expect: id not null
SELECT id FROM shop.users AS u FULL JOIN shop.orders AS o USING (id) FULL JOIN shop.codes AS c USING (id)

-- name: full_join_using_under_left
-- expect: line_no not null, id null
SELECT i.line_no, id
FROM shop.items AS i LEFT JOIN (shop.users AS u FULL JOIN shop.orders AS o USING (id)) ON id = i.order_id

-- name: natural_join
-- expect: id not null, email not null, code null
SELECT id, email, code FROM shop.users NATURAL INNER JOIN shop.codes

-- name: left_join_using
-- expect: id not null, note null
SELECT id, o.note FROM shop.users AS u LEFT JOIN shop.orders AS o USING (id)

-- name: right_join_using
-- expect: id not null, email null
SELECT id, u.email FROM shop.users AS u RIGHT JOIN shop.orders AS o USING (id)

-- name: cross_join
-- expect: id not null, sku not null
SELECT u.id, i.sku FROM shop.users AS u CROSS JOIN shop.items AS i

-- name: nested_left_joins
-- expect: email not null, id null, sku null
SELECT u.email, o.id, i.sku
FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id LEFT JOIN shop.items AS i ON i.order_id = o.id

-- name: left_join_of_inner_join
-- expect: email not null, id null, sku null
SELECT u.email, o.id, i.sku
FROM shop.users AS u
LEFT JOIN (shop.orders AS o INNER JOIN shop.items AS i ON i.order_id = o.id) ON o.user_id = u.id

-- name: inner_join_after_left_join
-- The inner join lets only rows with an order through.
-- expect: email not null, id not null, sku not null
SELECT u.email, o.id, i.sku
FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id INNER JOIN shop.items AS i ON i.order_id = o.id

-- name: full_join_after_left_join
-- expect: email null, id null, sku null
SELECT u.email, o.id, i.sku
FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id FULL JOIN shop.items AS i ON i.order_id = o.id

-- name: right_join_after_left_join
-- expect: email null, id null, sku not null
SELECT u.email, o.id, i.sku
FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id RIGHT JOIN shop.items AS i ON i.order_id = o.id

-- name: left_join_where_not_null
-- expect: email not null, id not null
SELECT u.email, o.id FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id WHERE o.id IS NOT NULL

-- name: left_join_where_equal
-- expect: email not null, id not null, status not null, note null
-- params: required
SELECT u.email, o.id, o.status, o.note
FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id WHERE o.id = $1 AND o.status = 'open'

-- name: left_join_where_is_null
-- expect: email not null, id null
SELECT u.email, o.id FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id WHERE o.id IS NULL

-- name: left_join_on_foreign_key
-- Every maker exists; but a foreign key is no proof for the analyser.
-- expect: id not null, email not null
SELECT o.id, u.email FROM shop.orders AS o LEFT JOIN shop.users AS u ON u.id = o.maker_id

-- name: left_join_on_true
-- expect: id not null, sku null
SELECT u.id, i.sku FROM shop.users AS u LEFT JOIN shop.items AS i ON true

-- name: left_join_condition_on_left
-- ON filters nothing on the left: the age may be NULL.
-- expect: age null, id null
SELECT u.age, o.id FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id AND u.age = 3

-- name: inner_join_condition_on_left
-- expect: age not null, id not null
SELECT u.age, o.id FROM shop.users AS u INNER JOIN shop.orders AS o ON o.user_id = u.id AND u.age = 3

-- name: left_join_lateral
-- expect: id not null, total null
SELECT u.id, l.total
FROM shop.users AS u
LEFT JOIN LATERAL (SELECT o.total FROM shop.orders AS o WHERE o.user_id = u.id ORDER BY o.id LIMIT 1) AS l ON true

-- name: cross_join_lateral
-- expect: id not null, total not null, note null
SELECT u.id, l.total, l.note
FROM shop.users AS u
CROSS JOIN LATERAL (SELECT o.total, o.note FROM shop.orders AS o WHERE o.user_id = u.id) AS l

-- name: lateral_shows_outer_column
-- expect: same null, other not null
SELECT l.same, l.other FROM shop.users AS u CROSS JOIN LATERAL (SELECT u.name AS same, u.email AS other) AS l

-- name: lateral_under_left_join
-- expect: id not null, same null
SELECT o.id, l.same
FROM shop.orders AS o
LEFT JOIN (shop.users AS u CROSS JOIN LATERAL (SELECT u.email AS same) AS l) ON u.id = o.user_id

-- name: lateral_over_nullable_side
-- The lateral row is always there, what it shows of the user is not.
-- expect: id not null, same null, fixed not null
SELECT o.id, l.same, l.fixed
FROM shop.orders AS o
LEFT JOIN shop.users AS u ON u.id = o.user_id
CROSS JOIN LATERAL (SELECT u.email AS same, 1 AS fixed) AS l

-- name: lateral_aggregate
-- expect: id not null, orders not null, spent null
SELECT u.id, l.orders, l.spent
FROM shop.users AS u
CROSS JOIN LATERAL (SELECT count(*) AS orders, sum(o.total) AS spent FROM shop.orders AS o WHERE o.user_id = u.id) AS l

-- name: left_join_lateral_aggregate
-- An aggregate always has its row; that needs knowledge of joins the analyser has not.
-- expect: id not null, orders not null
SELECT u.id, l.orders
FROM shop.users AS u
LEFT JOIN LATERAL (SELECT count(*) AS orders FROM shop.orders AS o WHERE o.user_id = u.id) AS l ON true

-- name: self_join
-- expect: email not null, referrer null
SELECT u.email, r.email AS referrer FROM shop.users AS u LEFT JOIN shop.users AS r ON r.id = u.referrer_id

-- name: join_alias
-- expect: uid null, mail null
SELECT j.uid, j.mail FROM (shop.users AS u FULL JOIN shop.orders AS o ON o.user_id = u.id) AS j (uid, mail)

-- name: join_using_alias
-- expect: id not null
SELECT j.id FROM shop.users AS u INNER JOIN shop.orders AS o USING (id) AS j

-- name: left_join_whole_row
-- expect: o not null, u null
SELECT o, u FROM shop.orders AS o LEFT JOIN shop.users AS u ON u.id = o.user_id

-- name: whole_rows
-- expect: j not null, v not null, l null
SELECT j, v, l
FROM (shop.users AS u FULL JOIN shop.orders AS o ON o.user_id = u.id) AS j
CROSS JOIN (VALUES (NULL, NULL)) AS v
LEFT JOIN shop.latest() AS l ON true

-- name: coalesce_over_left_join
-- expect: email not null, also not null, still null
SELECT coalesce(u.email, '-') AS email, coalesce(u.email, o.status::text) AS also, coalesce(u.email, o.note) AS still
FROM shop.orders AS o LEFT JOIN shop.users AS u ON u.id = o.user_id

-- name: left_join_values
-- expect: id not null, label null
SELECT u.id, v.label FROM shop.users AS u LEFT JOIN (VALUES (1, 'one'), (2, 'two')) AS v (id, label) ON v.id = u.id

-- name: left_join_function
-- expect: id not null, n null
SELECT u.id, n FROM shop.users AS u LEFT JOIN generate_series(1, 3) AS n ON n = u.id

-- name: three_sided_full_join
-- expect: a null, b null, c null
SELECT a.id AS a, b.id AS b, c.id AS c
FROM shop.users AS a FULL JOIN shop.orders AS b ON b.user_id = a.id FULL JOIN shop.codes AS c ON c.id = a.id

-- name: not_any_in_inner_on
-- expect: id not null, name null
SELECT u.id, n.name FROM shop.users AS u INNER JOIN shop.users AS n ON NOT (n.name = ANY (u.tags))

-- name: full_join_using_of_filtered
-- Each side lets only names through.
-- expect: name not null
SELECT name
FROM (shop.users AS u INNER JOIN shop.orders AS o ON o.user_id = u.id AND u.name > '')
FULL JOIN (SELECT r.name FROM shop.users AS r WHERE r.name = 'x') AS b USING (name)
