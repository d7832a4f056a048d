-- name: size
SELECT {part.levy_size}

-- name: parts
SELECT {part.levy_parts}::text

-- name: answer
SELECT {part.levied}::text

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
