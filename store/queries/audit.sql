-- name: AppendAudit :exec
INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, at, cause)
SELECT unnest(@organization_ids::text[]), nullif(unnest(@actors::text[]), ''), unnest(@actions::text[]),
    unnest(@targets::text[]), nullif(unnest(@befores::text[]), '')::json, nullif(unnest(@afters::text[]), '')::json,
    unnest(@at::timestamptz[]), unnest(@causes::text[]);
