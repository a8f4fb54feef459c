-- name: shown
-- expect: a null
-- params: optional
SELECT $1::text AS a

-- name: equal
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o WHERE o.id = $1

-- name: equal_and_shown
-- No row without it, so it is not NULL where it is shown.
-- expect: id not null, wanted not null
-- params: required
SELECT o.id, $1::bigint AS wanted FROM shop.orders AS o WHERE o.id = $1

-- name: switched_off_by_null
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE $1::text IS NULL OR o.note = $1

-- name: not_distinct
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE o.note IS NOT DISTINCT FROM $1

-- name: in_list
-- Either may be the one that is equal.
-- expect: id not null, user_id not null
-- params: optional, optional
SELECT o.id, o.user_id FROM shop.orders AS o WHERE o.user_id IN ($1, $2)

-- name: between
-- expect: id not null
-- params: required, required
SELECT o.id FROM shop.orders AS o WHERE o.total BETWEEN $1 AND $2

-- name: like
-- expect: note not null
-- params: required
SELECT o.note FROM shop.orders AS o WHERE o.note LIKE $1 || '%'

-- name: limit_and_offset
-- LIMIT NULL is no limit.
-- expect: id not null
-- params: optional, optional
SELECT o.id FROM shop.orders AS o ORDER BY o.id LIMIT $1 OFFSET $2

-- name: limit_one
-- expect: id not null
SELECT o.id FROM shop.orders AS o ORDER BY o.id LIMIT 1

-- name: order_by
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o ORDER BY CASE WHEN $1 THEN o.id END

-- name: cursor
-- (a, b) > (NULL, 1) is never true, (a, b) > (1, NULL) may be.
-- expect: id not null
-- params: required, optional
SELECT o.id FROM shop.orders AS o WHERE (o.placed_at, o.id) > ($1, $2) ORDER BY o.placed_at, o.id

-- name: coalesced_filter
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE o.status = coalesce($1::shop.state, 'open')

-- name: own_function
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE shop.shout($1) = o.note

-- name: in_exists
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o WHERE EXISTS (SELECT FROM shop.items AS i WHERE i.order_id = o.id AND i.sku = $1)

-- name: on_condition
-- No item, and still the order.
-- expect: id not null, sku null
-- params: optional
SELECT o.id, i.sku FROM shop.orders AS o LEFT JOIN shop.items AS i ON i.order_id = o.id AND i.line_no = $1

-- name: having_filter
-- expect: status not null
-- params: required
SELECT o.status FROM shop.orders AS o GROUP BY o.status HAVING count(*) > $1

-- name: both_filter_and_coalesce
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o WHERE o.note = $1 AND o.status::text <> coalesce($1, '-')

-- name: through_subquery
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o INNER JOIN (SELECT $1::bigint AS id) AS w ON w.id = o.id

-- name: json_path_parameter
-- expect: id not null
-- params: required
SELECT u.id FROM shop.users AS u WHERE u.profile @> $1

-- name: range_parameter
-- expect: id not null, span not null
-- params: required
SELECT o.id, o.span FROM shop.orders AS o WHERE o.span @> $1::timestamptz

-- name: window_frame
-- It ends with the row itself; the analyser proves only the usual frame.
-- expect: n not null
-- params: optional
SELECT sum(o.total) OVER (ORDER BY o.id ROWS $1 PRECEDING) AS n FROM shop.orders AS o

-- name: not_equal_any
-- Nothing is in an empty array, not even NULL: that is false, and not NULL.
-- expect: user_id null
-- params: required
SELECT o.user_id FROM shop.orders AS o WHERE NOT (o.user_id = ANY ($1::bigint[]))

-- name: equal_any_is_known
-- expect: user_id null
-- params: required
SELECT o.user_id FROM shop.orders AS o WHERE (o.user_id = ANY ($1::bigint[])) IS NOT NULL

-- name: equal_any_is_false
-- expect: user_id null
-- params: required
SELECT o.user_id FROM shop.orders AS o WHERE (o.user_id = ANY ($1::bigint[])) = false

-- name: equal_any
-- expect: user_id not null, wanted not null
-- params: required
SELECT o.user_id, $1::bigint[] AS wanted FROM shop.orders AS o WHERE o.user_id = ANY ($1::bigint[])

-- name: differs_from_all
-- All of none: even NULL differs from them.
-- expect: user_id null, others not null
-- params: required
SELECT o.user_id, $1::bigint[] AS others FROM shop.orders AS o WHERE o.user_id <> ALL ($1::bigint[])

-- name: not_in_list
-- expect: user_id not null, maker_id not null
-- params: required
SELECT o.user_id, o.maker_id FROM shop.orders AS o WHERE NOT (o.user_id IN (2, 3)) AND o.user_id NOT IN ($1, 4)

-- name: below_left_join
-- The condition leaves out what fills up the right side, and no row.
-- expect: id not null, line_no null
-- params: optional
SELECT u.id, $1::integer AS line_no
FROM shop.users AS u
LEFT JOIN (shop.orders AS o INNER JOIN shop.items AS i ON i.order_id = o.id AND i.line_no = $1::integer) ON o.user_id = u.id

-- name: differs_from_all_of_column
-- Even NULL differs from all of no tags.
-- expect: id not null
-- params: optional
SELECT u.id FROM shop.users AS u WHERE $1::text <> ALL (u.tags)

-- name: not_any_of_column
-- expect: id not null
-- params: optional
SELECT u.id FROM shop.users AS u WHERE NOT ($1::text = ANY (u.tags))

-- name: equal_arrays
-- NULL equals NULL inside of arrays.
-- expect: id not null
-- params: optional, optional
SELECT u.id FROM shop.users AS u WHERE u.tags = ARRAY[$1, $2]

-- name: no_overlap
-- expect: id not null
-- params: optional
SELECT u.id FROM shop.users AS u WHERE NOT (u.tags && ARRAY[$1])

-- name: length_of_array
-- expect: id not null
-- params: optional
SELECT u.id FROM shop.users AS u WHERE cardinality(ARRAY[$1::text]) = 1

-- name: not_in_exists
-- Nothing equals NULL: all orders.
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE NOT EXISTS (SELECT FROM shop.items AS i WHERE i.order_id = o.id AND i.sku = $1)

-- name: not_in_subquery
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE o.id NOT IN (SELECT i.order_id FROM shop.items AS i WHERE i.sku = $1)

-- name: in_subquery
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o WHERE o.id IN (SELECT i.order_id FROM shop.items AS i WHERE i.sku = $1)

-- name: one_of_two_conditions
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE o.note = $1 OR o.status = 'open'

-- name: both_of_two_conditions
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o WHERE o.id = $1 OR o.maker_id = $1

-- name: counted
-- There is a row even for NULL, and it says 0.
-- expect: n not null
-- params: optional
SELECT count(*) AS n FROM shop.orders AS o WHERE o.user_id = $1

-- name: in_scalar_subquery
-- The largest of none is NULL; how many there are is 0.
-- expect: id not null
-- params: required, optional
SELECT o.id FROM shop.orders AS o
WHERE
    o.id = (SELECT i.order_id FROM shop.items AS i WHERE i.sku = $1 LIMIT 1)
    OR o.id = (SELECT u.id FROM shop.users AS u WHERE u.email = $1) + (SELECT count(*) FROM shop.items AS i WHERE i.sku = $2)

-- name: in_one_arm
-- expect: id not null
-- params: optional
SELECT o.id FROM shop.orders AS o WHERE o.id = $1 UNION ALL SELECT u.id FROM shop.users AS u

-- name: in_every_arm
-- expect: id not null
-- params: required
SELECT o.id FROM shop.orders AS o WHERE o.id = $1 UNION ALL SELECT u.id FROM shop.users AS u WHERE u.id = $1

-- name: in_lateral
-- expect: id not null, sku not null
-- params: required
SELECT o.id, l.sku
FROM shop.orders AS o CROSS JOIN LATERAL (SELECT i.sku FROM shop.items AS i WHERE i.order_id = o.id AND i.line_no = $1) AS l
