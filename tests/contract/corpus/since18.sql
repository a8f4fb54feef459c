-- name: merge_returning
-- Refused only where something does not match.
-- since: 17
-- expect: action not null, email not null, name null, given not null
-- params: optional
MERGE INTO shop.users AS u USING (SELECT o.id, o.note FROM shop.orders AS o) AS g ON g.id = u.id
WHEN MATCHED THEN UPDATE SET name = g.note
WHEN NOT MATCHED THEN INSERT (email) VALUES ($1)
RETURNING merge_action() AS action, u.email, u.name, g.id AS given

-- name: merge_not_matched_by_source
-- since: 17
-- expect: id not null, given null
MERGE INTO shop.users AS u USING shop.orders AS g ON g.id = u.id
WHEN MATCHED THEN UPDATE SET name = g.note
WHEN NOT MATCHED BY SOURCE THEN UPDATE SET name = '-'
RETURNING u.id, g.id AS given

-- name: insert_old_and_new
-- since: 18
-- expect: was null, is_now not null, row null
-- params: required
INSERT INTO shop.users (email) VALUES ($1) RETURNING old.email AS was, new.email AS is_now, old AS row

-- name: upsert_old_and_new
-- since: 18
-- expect: was null, is_now not null
-- params: required
INSERT INTO shop.users (email) VALUES ($1) ON CONFLICT (email) DO UPDATE SET name = 'x' RETURNING old.email AS was, new.email AS is_now

-- name: update_old_and_new
-- since: 18
-- expect: was not null, is_now not null, note null
UPDATE shop.orders SET id = id + 100000 RETURNING old.id AS was, new.id AS is_now, old.note

-- name: delete_old_and_new
-- since: 18
-- expect: was not null, is_now null
-- params: required
DELETE FROM shop.orders WHERE id = $1 RETURNING old.id AS was, new.id AS is_now

-- name: merge_old_and_new
-- since: 18
-- expect: id not null, was null, is_now null
MERGE INTO shop.users AS u USING shop.orders AS g ON g.id = u.id
WHEN MATCHED THEN UPDATE SET name = g.note
WHEN NOT MATCHED THEN INSERT (email) VALUES (g.id::text)
RETURNING u.id, old.id AS was, new.id AS is_now

-- name: not_valid
-- since: 18
-- before: ALTER TABLE shop.users ADD CONSTRAINT late NOT NULL age NOT VALID
-- expect: age null, id not null
SELECT u.age, u.id FROM shop.users AS u

-- name: not_null_without_inheritance
-- since: 18
-- before: ALTER TABLE shop.parents ADD COLUMN grade integer, ADD CONSTRAINT graded NOT NULL grade NO INHERIT
-- expect: grade null, id not null
SELECT p.grade, p.id FROM shop.parents AS p

-- name: virtual_column
-- since: 18
-- before: ALTER TABLE shop.users ADD COLUMN shown text GENERATED ALWAYS AS (coalesce(name, email)) VIRTUAL
-- expect: shown not null
SELECT u.shown FROM shop.users AS u

-- name: json_null_becomes_null
-- since: 18
-- expect: n null
SELECT (u.profile -> 'a')::integer AS n FROM shop.users AS u

-- name: array_sort
-- since: 18
-- expect: tags not null
SELECT array_sort(u.tags) AS tags FROM shop.users AS u

-- name: random_between
-- expect: a null, b not null, c not null
-- since: 18
SELECT random(1, u.age) AS a, random(1, 6) AS b, random() AS c FROM shop.users AS u

-- name: uuid_of_another_time
-- expect: a null, b not null, c not null
-- since: 18
SELECT uuidv7(NULL::interval) AS a, uuidv7(interval '1 day') AS b, uuidv7() AS c
