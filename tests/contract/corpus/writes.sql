-- name: insert
-- expect: id not null, email not null, name null
-- params: required, optional
INSERT INTO shop.users (email, name) VALUES ($1, $2) RETURNING id, email, name

-- name: insert_rows
-- expect: id not null
-- params: required, optional, required
INSERT INTO shop.users (email, name) VALUES ($1, $2), ($3, 'x') RETURNING id

-- name: insert_constant_into_nullable
-- A trigger could take it away again.
-- expect: note null
-- params: required
INSERT INTO shop.orders (id, maker_id, status, note, total, placed_at) VALUES (1, $1, 'open', 'x', 0, now()) RETURNING note

-- name: insert_computed
-- expect: id not null, total not null
-- params: required, required, optional
INSERT INTO shop.orders (id, maker_id, status, total, placed_at)
VALUES ($1::bigint + 1, 1, 'open', round($2::numeric, 2), coalesce($3, now())) RETURNING id, total

-- name: insert_select
-- expect: id not null
-- params: required
INSERT INTO shop.users (email) SELECT u.email || $1 FROM shop.users AS u RETURNING id

-- name: insert_select_constant
-- expect: id not null, age null
-- params: optional, required
INSERT INTO shop.users (email, age) SELECT u.email, $1 FROM shop.users AS u WHERE u.id = $2 RETURNING id, age

-- name: insert_unnest
-- expect: id not null
-- params: required, required
INSERT INTO shop.users (email, name)
SELECT x.email, x.name FROM unnest($1::text[]) AS x (email) CROSS JOIN unnest($2::text[]) AS x2 (name) RETURNING id

-- name: insert_unnest_of_several
-- A row of NULL is refused where the column takes none.
-- expect: id not null
-- params: required, optional
INSERT INTO shop.users (email, name) SELECT x.email, x.name FROM unnest($1::text[], $2::text[]) AS x (email, name) RETURNING id

-- name: insert_union
-- expect: id not null
-- params: required, required
INSERT INTO shop.users (email) SELECT $1 UNION ALL SELECT $2 RETURNING id

-- name: insert_defaults
-- expect: id not null, is_active not null, created_at not null
-- params: required
INSERT INTO shop.users (email, is_active) VALUES ($1, DEFAULT) RETURNING id, is_active, created_at

-- name: upsert
-- expect: id not null, name null
-- params: required, optional
INSERT INTO shop.users (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING id, name

-- name: upsert_sets_demanded
-- Only where the row is there already is the NULL refused, or anything compared.
-- expect: id not null
-- params: required, optional, optional, optional
INSERT INTO shop.users AS u (email) VALUES ($1)
ON CONFLICT (email) DO UPDATE SET is_active = $2, age = $3 WHERE u.id = $4 RETURNING id

-- name: insert_do_nothing
-- expect: id not null
-- params: required
INSERT INTO shop.users (email) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id

-- name: insert_domain
-- expect: id not null, code null
-- params: required, required
INSERT INTO shop.codes (id, code) VALUES ($1, $2) RETURNING id, code

-- name: insert_returning_expression
-- expect: label not null, is_new not null, others null
-- params: required
INSERT INTO shop.users (email) VALUES ($1)
RETURNING email || '!' AS label, age IS NULL AS is_new, (SELECT max(u.id) FROM shop.users AS u) AS others

-- name: insert_partitioned
-- expect: id not null, body null
-- params: required, required, optional
INSERT INTO shop.events (id, at, body) VALUES ($1, $2, $3) RETURNING id, body

-- name: update
-- expect: id not null, note null, status not null
-- params: optional, required, required
UPDATE shop.orders SET note = $1, status = $2 WHERE id = $3 RETURNING id, note, status

-- name: update_where_forgets
-- The row had a note; now it has none.
-- expect: note null, user_id null
UPDATE shop.orders SET note = NULL, user_id = NULL WHERE note = 'x' AND user_id = 3 RETURNING note, user_id

-- name: update_coalesce
-- expect: email not null
-- params: optional, required
UPDATE shop.users SET email = coalesce($1, email) WHERE id = $2 RETURNING email

-- name: update_case
-- expect: id not null
-- params: optional, optional, required
UPDATE shop.users SET name = CASE WHEN $1 THEN $2 ELSE name END WHERE id = $3 RETURNING id

-- name: update_adds
-- expect: total not null
-- params: required, required
UPDATE shop.orders SET total = total + $1 WHERE id = $2 RETURNING total

-- name: update_row
-- expect: name null, age null
-- params: optional, optional, required
UPDATE shop.users SET (name, age) = ($1, $2) WHERE id = $3 RETURNING name, age

-- name: update_from
-- expect: id not null, email not null, name not null
-- params: optional
UPDATE shop.orders AS o SET note = $1 FROM shop.users AS u WHERE u.id = o.user_id AND u.name = 'x' RETURNING o.id, u.email, u.name

-- name: update_from_left_join
-- expect: id not null, email null
UPDATE shop.orders AS o SET note = 'x'
FROM shop.items AS i LEFT JOIN shop.users AS u ON u.id = i.quantity
WHERE i.order_id = o.id RETURNING o.id, u.email

-- name: delete
-- expect: id not null, note null
-- params: required
DELETE FROM shop.orders WHERE id = $1 RETURNING id, note

-- name: delete_where_lets_through
-- expect: note not null
DELETE FROM shop.orders WHERE note = 'x' RETURNING note

-- name: delete_using
-- expect: id not null, email not null
DELETE FROM shop.orders AS o USING shop.users AS u WHERE u.id = o.user_id RETURNING o.id, u.email

-- name: delete_whole_row
-- expect: o not null
-- params: required
DELETE FROM shop.orders AS o WHERE o.id = $1 RETURNING o

-- name: insert_view
-- A trigger in place of the view could take and return anything.
-- expect: id null
-- params: optional
INSERT INTO shop.active_users (email) VALUES ($1) RETURNING id

-- name: insert_ruled
-- The rule has a number for those who give none.
-- What comes back is the rule's.
-- expect: id null
-- params: optional
INSERT INTO shop.ruled (id) VALUES ($1) RETURNING id

-- name: update_without_answer
-- expect: -
-- params: optional, required
UPDATE shop.orders SET note = $1 WHERE id = $2

-- name: merge
-- NULL matches nobody, and nobody has no email.
-- expect: -
-- params: required, optional, optional, optional
MERGE INTO shop.users AS u USING (SELECT $1::text AS email) AS g ON g.email = u.email
WHEN MATCHED AND u.age > $2 THEN UPDATE SET name = $3
WHEN NOT MATCHED THEN INSERT (email, name) VALUES (g.email, $4)

-- name: merge_demands
-- Either alone is refused in one of the cases only.
-- expect: -
-- params: optional, optional
MERGE INTO shop.users AS u USING shop.orders AS o ON o.user_id = u.id
WHEN MATCHED THEN UPDATE SET email = $1
WHEN NOT MATCHED THEN INSERT (email, name) VALUES ($2, o.note)

-- name: insert_filled_by_trigger
-- before: CREATE TABLE shop.filled (id integer PRIMARY KEY, at text NOT NULL); CREATE FUNCTION shop.fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := 1; RETURN NEW; END'; CREATE TRIGGER filled BEFORE INSERT OR UPDATE ON shop.filled FOR EACH ROW EXECUTE FUNCTION shop.fill()
-- expect: id not null, at not null
-- params: optional, optional
INSERT INTO shop.filled (id, at) VALUES ($1, $2) RETURNING id, at

-- name: update_filled_by_trigger
-- expect: at not null
-- params: optional, required
-- before: SELECT 1
UPDATE shop.filled SET at = $1 WHERE id = $2 RETURNING at

-- name: insert_identity_that_is_not_looked_at
-- expect: id not null
-- params: optional, required
INSERT INTO shop.users (id, email) OVERRIDING USER VALUE VALUES ($1, $2) RETURNING id

-- name: insert_domain_of_nothing
-- An empty subquery gets past the domain.
-- expect: code null
-- params: optional
INSERT INTO shop.codes (id, code) VALUES (7, (SELECT c.code FROM shop.codes AS c WHERE c.id = $1)) RETURNING code

-- name: insert_filtered_values
-- The NULL is not among those that are stored.
-- expect: id not null
-- params: optional
INSERT INTO shop.parents (id, kind) SELECT v.id, 'k' FROM (VALUES ($1::integer), (9)) AS v (id) WHERE v.id > 0 RETURNING id

-- name: delete_and_update
-- Each does without the other.
-- expect: id not null
-- params: optional, optional
WITH gone AS (DELETE FROM shop.items WHERE sku = $1) UPDATE shop.users SET name = 'x' WHERE id = $2 RETURNING id
