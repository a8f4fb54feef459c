-- Address books. Every statement carries the scope of the caller behind the owner.

-- name: create_address(user_id, name, line1, line2, city, region, postal_code, country, phone, scope, scope_user_id)^
-- Add an address to the book of a user. No row: no such user.
-- row: Address
-- null: line2, region, postal_code, phone, scope_user_id
-- Locks: the new row.
INSERT INTO store.addresses AS a (user_id, name, line1, line2, city, region, postal_code, country, phone)
SELECT
    u.id,
    :name::text AS name,
    :line1::text AS line1,
    :line2::text AS line2,
    :city::text AS city,
    :region::text AS region,
    :postal_code::text AS postal_code,
    :country::text AS country,
    :phone::text AS phone
FROM store.users AS u
WHERE
    u.id = :user_id::bigint
    AND store.in_scope(u.id, NULL, :scope::text, :scope_user_id::bigint, NULL)
RETURNING
    a.id, a.user_id, a.name, a.line1, a.line2, a.city, a.region, a.postal_code, a.country, a.phone, a.created_at, a.updated_at;

-- name: delete_address(address_id, scope, scope_user_id)!
-- Delete an address; orders keep their copy.
-- null: scope_user_id
-- Locks: the address.
DELETE FROM store.addresses AS a
WHERE
    a.id = :address_id::bigint
    AND store.in_scope(a.user_id, NULL, :scope::text, :scope_user_id::bigint, NULL);

-- name: get_address(address_id, scope, scope_user_id)^
-- Return one address.
-- row: Address
-- null: scope_user_id
SELECT
    a.id,
    a.user_id,
    a.name,
    a.line1,
    a.line2,
    a.city,
    a.region,
    a.postal_code,
    a.country,
    a.phone,
    a.created_at,
    a.updated_at
FROM store.addresses AS a
WHERE
    a.id = :address_id::bigint
    AND store.in_scope(a.user_id, NULL, :scope::text, :scope_user_id::bigint, NULL);

-- name: list_addresses(user_id, after_id, page_size, scope, scope_user_id)
-- Return a page of the address book of a user, oldest first, and one row more when there is a next page.
-- row: Address
-- null: scope_user_id
SELECT
    a.id,
    a.user_id,
    a.name,
    a.line1,
    a.line2,
    a.city,
    a.region,
    a.postal_code,
    a.country,
    a.phone,
    a.created_at,
    a.updated_at
FROM store.addresses AS a
WHERE
    a.user_id = :user_id::bigint
    AND a.id > :after_id::bigint
    AND store.in_scope(a.user_id, NULL, :scope::text, :scope_user_id::bigint, NULL)
ORDER BY a.id ASC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: replace_address(address_id, name, line1, line2, city, region, postal_code, country, phone, scope, scope_user_id)^
-- Replace an address as a whole.
-- row: Address
-- null: line2, region, postal_code, phone, scope_user_id
-- Locks: the address.
UPDATE store.addresses AS a
SET
    name = :name::text,
    line1 = :line1::text,
    line2 = :line2::text,
    city = :city::text,
    region = :region::text,
    postal_code = :postal_code::text,
    country = :country::text,
    phone = :phone::text,
    updated_at = greatest(now(), a.updated_at + interval '1 microsecond')
WHERE
    a.id = :address_id::bigint
    AND store.in_scope(a.user_id, NULL, :scope::text, :scope_user_id::bigint, NULL)
RETURNING
    a.id, a.user_id, a.name, a.line1, a.line2, a.city, a.region, a.postal_code, a.country, a.phone, a.created_at, a.updated_at;
