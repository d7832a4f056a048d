-- name: answer
-- What is kept of the document with this number; nothing is an answer too.
SELECT jsonb_build_object('kept', (
    SELECT jsonb_build_object('process', r.process, 'audience', r.audience, 'asked', r.asked, 'said', r.said,
        'digest', encode(r.digest, 'hex'), 'issued', to_char(r.issued AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
    FROM {receipt} AS r WHERE r.number = %(receipt)s::text ORDER BY r.issued DESC LIMIT 1
))::text
