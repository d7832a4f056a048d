-- name: keep
-- What a run's rows were, to know the next delivery's that are the same.
INSERT INTO ops.delivery (run_id, rows) VALUES (%(run)s, %(rows)b)

-- name: carry
-- A record of which little differs is the one before it, whose rows stay where they lie, and what differs.
UPDATE ops.delivery SET run_id = %(run)s, kept = %(kept)b, added = %(added)b WHERE run_id = %(before)s

-- name: forget
-- Only the latest delivery of a feed is compared with.
DELETE FROM ops.delivery d USING ops.run r, ops.run now
WHERE now.id = %(run)s AND r.id = d.run_id AND r.id < now.id AND r.layer = now.layer AND r.feed IS NOT DISTINCT FROM now.feed

-- name: former
-- The record of a run.
SELECT rows, kept, added FROM ops.delivery WHERE run_id = %(run)s
