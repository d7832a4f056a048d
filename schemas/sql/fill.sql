-- name: is_empty
-- Whether the layer holds nothing yet, so that it can be filled.
SELECT NOT EXISTS (SELECT 1 FROM {target})

-- name: is_new
-- Whether it holds nothing and never did: an object that was here may come back.
SELECT NOT EXISTS (SELECT 1 FROM {target}) AND NOT EXISTS (SELECT 1 FROM {history} WHERE withdrawn_by IS NULL)

-- name: before_bulk
-- Takes away what would be kept up row by row or statement by statement; the functions belong to the owner.
SELECT ops.before_bulk(%(layer)s)

-- name: put_off
-- Guards of the layer are asked when its rows are there.
SET CONSTRAINTS ALL DEFERRED

-- name: ask_now
-- Now they are.
SET CONSTRAINTS ALL IMMEDIATE

-- name: after_bulk
-- Makes the keys again, the statistics, and the names by which rows are searched.
SELECT ops.after_bulk(%(layer)s), ops.names_filled(%(layer)s)

-- name: deferred
-- What is left to be made of a layer, or of all: what takes longest first.
SELECT place FROM ops.deferred WHERE layer = coalesce(%(layer)s, layer) AND definition NOT LIKE 'ALTER TABLE %%'
ORDER BY definition ~ 'USING (gist|gin)' DESC, place

-- name: make_deferred
-- Makes one index, if nobody else does.
SELECT ops.make_deferred(%(place)s)

-- name: leave_out
-- Takes filled rows out again that a look at the whole delivery has condemned.
DELETE FROM {target} WHERE {line} = ANY(%(lines)s)

-- name: nothing
-- What was published before.
(SELECT * FROM {target} WHERE false)
