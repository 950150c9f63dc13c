-- What a large instance has, table by table. large_test.go runs each part; {memberships} and the like are sizes.
-- Ids have the length of Clerk's. Rows are as the program writes them, except that the hashes of the audit log prove
-- nothing.

-- table: roles
INSERT INTO rolecall.permissions (id, key, name, version) VALUES
    ('perm_1', 'org:sys_memberships:manage', 'Manage members', '{"r":1,"k":2,"u":1700000000000,"o":1700000000000}'),
    ('perm_2', 'org:sys_memberships:read', 'Read members', '{"r":1,"k":2,"u":1700000000000,"o":1700000000000}'),
    ('perm_3', 'org:billing:manage', 'Manage billing', '{"r":1,"k":2,"u":1700000000000,"o":1700000000000}');
INSERT INTO rolecall.roles (id, key, keys, name, permission_ids, version) VALUES
    ('role_1', 'org:admin', '{"org:admin": [1600000000000]}', 'Admin', '{perm_1,perm_2,perm_3}', '{"r":1,"k":2,"u":1700000000000,"o":1700000000000}'),
    ('role_2', 'org:member', '{"org:member": [1600000000000]}', 'Member', '{perm_2}', '{"r":1,"k":2,"u":1700000000000,"o":1700000000000}');
INSERT INTO rolecall.grants VALUES ('org:admin', 'members:manage'), ('org:admin', 'members:read'), ('org:member', 'members:read')
ON CONFLICT DO NOTHING;
UPDATE rolecall.revisions SET roles_stamp = gen_random_uuid() WHERE organization_id = '';

-- table: organizations
INSERT INTO rolecall.organizations (id, name, slug, created_by, created_at, version, changed_at, deleted_at, deleted_received_at, deleted_cause)
SELECT 'org_2' || lpad(i::text, 26, '0'), n.name, lower(replace(n.name, ' ', '-')), 'user_2' || lpad(i::text, 26, '0'), t.at,
    format('{"r":1,"k":2,"u":%1$s,"o":%1$s,"s":"msg_2%2$s"}', (extract(epoch FROM t.at) * 1000)::bigint, lpad(i::text, 26, '0'))::json, t.at,
    d.at, d.at, CASE WHEN d.at IS NULL THEN '' ELSE 'msg_2' || lpad(i::text, 26, '0') END
FROM generate_series(0, {workspaces} - 1) i,
    LATERAL (SELECT (ARRAY['Acme', 'Northwind', 'Bluebird', 'Harbor', 'Juniper', 'Lumen', 'Marlow', 'Nimbus', 'Orchard', 'Pinecone', 'Quarry', 'Rowan', 'Sable',
        'Tern', 'Umber', 'Verity'])[1 + i % 16] || ' ' || (ARRAY['Labs', 'Foods', 'Health', 'Energy', 'Media', 'Bank', 'Motors'])[1 + i / 16 % 7] || ' ' || i) n (name),
    LATERAL (SELECT now() - interval '3 years' + i * (interval '3 years' / {workspaces})) t (at),
    LATERAL (SELECT CASE WHEN i % 100 = 99 THEN now() - interval '30 days' END) d (at);
INSERT INTO rolecall.revisions SELECT id, 1, now(), now() FROM rolecall.organizations;

-- table: users
INSERT INTO rolecall.users (id, identifier, first_name, last_name, banned, created_at, version, changed_at, deleted_at, deleted_received_at, deleted_cause)
SELECT 'user_2' || lpad(i::text, 26, '0'), lower(n.first || '.' || n.last || i || '@' || n.last || i % 5000 || '.example'), n.first, n.last, i % 200 = 50, t.at,
    format('{"r":1,"k":2,"u":%1$s,"o":%1$s,"s":"msg_3%2$s"}', (extract(epoch FROM t.at) * 1000)::bigint, lpad(i::text, 26, '0'))::json, t.at,
    d.at, d.at, CASE WHEN d.at IS NULL THEN '' ELSE 'msg_3' || lpad(i::text, 26, '0') END
FROM generate_series(0, {users} - 1) i,
    LATERAL (SELECT (ARRAY['Ada', 'Ben', 'Chloe', 'Dara', 'Eli', 'Farah', 'Gil', 'Hana', 'Ines', 'Jo', 'Kofi', 'Lena', 'Milo', 'Nora', 'Omar', 'Pia'])[1 + i % 16],
        (ARRAY['Abel', 'Brook', 'Castle', 'Dorn', 'Ek', 'Falk', 'Gray', 'Holm', 'Ito', 'Jensen', 'Katz', 'Lund', 'Moss', 'Nagy', 'Olsen', 'Park', 'Quist', 'Reyes',
        'Sato', 'Tran'])[1 + i / 16 % 20]) n (first, last),
    LATERAL (SELECT now() - interval '3 years' + i * (interval '3 years' / {users})) t (at),
    LATERAL (SELECT CASE WHEN i % 100 = 98 THEN now() - interval '30 days' END) d (at);

-- table: memberships
-- Workspace 0 has a tenth of all users, user 1 is in a hundredth of all workspaces, and every tenth membership has ended.
INSERT INTO rolecall.memberships (id, organization_id, user_id, role, role_name, created_at, version, changed_at, deleted_at, deleted_received_at, deleted_cause)
SELECT 'orgmem_2' || lpad(p.n::text, 26, '0'), 'org_2' || lpad(p.workspace::text, 26, '0'), 'user_2' || lpad(p.who::text, 26, '0'),
    CASE WHEN p.admin THEN 'org:admin' ELSE 'org:member' END, CASE WHEN p.admin THEN 'Admin' ELSE 'Member' END, t.at,
    format('{"r":1,"k":2,"u":%1$s,"o":%1$s,"s":"msg_1%2$s"}', (extract(epoch FROM t.at) * 1000)::bigint, lpad(p.n::text, 26, '0'))::json, t.at,
    d.at, d.at, CASE WHEN d.at IS NULL THEN '' ELSE 'msg_1' || lpad(p.n::text, 26, '0') END
FROM (
    SELECT n, n % {users} AS who, (n % {users} + n / {users} * 100003) % {workspaces} AS workspace, n < {workspaces} AND n % 1000 <> 7 AS admin
    FROM generate_series(0, {memberships} - 1) n
    UNION ALL SELECT {memberships} + n, n, 0, n % 1000 = 1 FROM generate_series(1, {users} / 10) n WHERE n % {workspaces} <> 0
    UNION ALL SELECT {memberships} * 2 + n, 1, n * 100, false FROM generate_series(1, {workspaces} / 100 - 1) n
) p,
    LATERAL (SELECT now() - interval '3 years' + p.n * (interval '1 year' / {memberships})) t (at),
    LATERAL (SELECT CASE WHEN p.n % 10 = 9 AND NOT p.admin THEN now() - interval '20 days' END) d (at);
INSERT INTO rolecall.member_counts
SELECT m.organization_id, count(*) FROM rolecall.memberships m JOIN rolecall.users u ON u.id = m.user_id
WHERE m.deleted_at IS NULL AND NOT m.followed AND NOT rolecall.refused(u.deleted_at, u.banned, u.deprovisioned) GROUP BY m.organization_id;

-- table: invitations
INSERT INTO rolecall.invitations (id, organization_id, email, role, status, inviter_id, created_at, expires_at, version)
SELECT 'orginv_2' || lpad(i::text, 26, '0'), 'org_2' || lpad((i % {workspaces})::text, 26, '0'), 'guest' || i || '@partner' || i % 9000 || '.example', 'org:member',
    (ARRAY['accepted', 'accepted', 'pending', 'revoked', 'expired'])[1 + i % 5], 'user_2' || lpad((i % {users})::text, 26, '0'), t.at, t.at + interval '30 days',
    format('{"r":1,"k":2,"u":%1$s,"o":%1$s}', (extract(epoch FROM t.at) * 1000)::bigint)::json
FROM generate_series(0, {workspaces} * 2 - 1) i, LATERAL (SELECT now() - i % 60 * interval '1 day') t (at);

-- table: domains
INSERT INTO rolecall.domains (id, organization_id, name, enrollment_mode, verification, created_at)
SELECT 'orgdmn_2' || lpad(i::text, 26, '0'), 'org_2' || lpad((i * 5)::text, 26, '0'), 'company' || i || '.example', 'automatic_invitation', 'verified', now()
FROM generate_series(0, {workspaces} / 5 - 1) i;

-- table: ended_sessions
INSERT INTO rolecall.ended_sessions SELECT 'sess_2' || lpad(i::text, 26, '0'), now() - i * interval '1 s' FROM generate_series(0, {users} / 5 - 1) i;

-- table: commands
INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, begun_at, tried_at, audited_at)
SELECT 'cmd_2' || lpad(i::text, 26, '0'), 'user_2' || lpad((i % {users})::text, 26, '0'), 'member.role_changed', 'org_2' || lpad((i % {workspaces})::text, 26, '0'),
    'user_2' || lpad((i * 7 % {users})::text, 26, '0'), 'org:member', 'done', t.at, t.at, t.at
FROM generate_series(0, {workspaces} / 5 - 1) i, LATERAL (SELECT now() - i * interval '1 min') t (at);

-- table: audit_log
INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, at, cause, seq, prev_hash, hash)
SELECT CASE WHEN i % 20 = 19 THEN '' ELSE 'org_2' || lpad(w.number::text, 26, '0') END, CASE WHEN i % 7 = 0 THEN 'user_2' || lpad((i % {users})::text, 26, '0') END,
    CASE WHEN i % 20 = 19 THEN 'user.banned' ELSE (ARRAY['member.joined', 'member.role_changed', 'member.removed', 'invitation.sent'])[1 + i % 4] END,
    'user_2' || lpad((i % {users})::text, 26, '0'), '{"role":"org:member"}', '{"role":"org:admin"}', now() - ({audit} - i) * interval '6 s', 'msg_1' || lpad(i::text, 26, '0'),
    row_number() OVER (PARTITION BY i % 20 = 19, CASE WHEN i % 20 <> 19 THEN w.number END ORDER BY i), '\x', sha256(int8send(i))
FROM generate_series(0, {audit}::bigint - 1) i, LATERAL (SELECT CASE WHEN i % 10 = 3 THEN 0 ELSE i % {workspaces} END) w (number) ORDER BY i;
INSERT INTO rolecall.audit_heads SELECT DISTINCT ON (organization_id) organization_id, seq, prev_hash, hash FROM rolecall.audit_log ORDER BY organization_id, seq DESC;

-- table: deliveries
-- A twentieth has bodies, as the last days have; some wait for an operator.
INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state, attempts, last_error, applied_at)
SELECT 'msg_1' || lpad(i::text, 26, '0'), (ARRAY['organizationMembership.created', 'organizationMembership.updated', 'user.updated', 'session.created'])[1 + i % 4],
    'orgmem_2' || lpad(i::text, 26, '0'), CASE WHEN i % 4 > 1 THEN '' ELSE 'org_2' || lpad((i % {workspaces})::text, 26, '0') END, 'ins_1', t.at, t.at + interval '80 ms',
    CASE WHEN i >= {deliveries} * 19 / 20 THEN b.body END, sha256(int8send(i)), s.state, CASE WHEN s.state = 'quarantined' THEN 3 ELSE 1 END,
    CASE WHEN s.state = 'quarantined' THEN 'decode organizationMembership.created: data.role: not a string' ELSE '' END, CASE WHEN s.state <> 'quarantined' THEN t.at + interval '90 ms' END
FROM generate_series(0, {deliveries}::bigint - 1) i,
    LATERAL (SELECT now() - ({deliveries} - i) * interval '6 s') t (at),
    LATERAL (SELECT CASE WHEN i % 10000 = 77 THEN 'quarantined' WHEN i % 100 = 50 THEN 'superseded' WHEN i % 4 = 3 THEN 'ignored' ELSE 'applied' END) s (state),
    LATERAL (SELECT format('{"data":{"id":"orgmem_2%1$s","object":"organization_membership","role":"org:member","public_user_data":{"user_id":"user_2%1$s","first_name":"Ada","last_name":"Abel","identifier":"ada.abel%2$s@abel.example","image_url":"https://img.example/%1$s"},"organization":{"id":"org_2%1$s","name":"Acme Labs","slug":"acme-labs-%2$s"}},"event_attributes":{"http_request":{"client_ip":"192.0.2.7","user_agent":"Mozilla/5.0"}},"object":"event","timestamp":%2$s,"type":"organizationMembership.created"}', lpad(i::text, 26, '0'), i)) b (body);

-- table: sweeps
INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
SELECT 'schedule', '', false, 'ins_1', t.at, t.at, t.at + interval '40 min', 'clean', '{}', '{}'
FROM generate_series(0, 1999) i, LATERAL (SELECT now() - (2000 - i) * interval '6 hours') t (at);

-- table: river_job
INSERT INTO rolecall.river_job (state, attempt, max_attempts, attempted_at, created_at, finalized_at, scheduled_at, args, kind, queue)
SELECT 'completed', 1, 25, t.at, t.at, t.at, t.at, json_build_object('svix_ids', ARRAY['msg_1' || lpad(i::text, 26, '0')])::jsonb, 'apply_deliveries', 'apply'
FROM generate_series(0, {deliveries} / 100 - 1) i, LATERAL (SELECT now() - i * interval '1 s') t (at);
