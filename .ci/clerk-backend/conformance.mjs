// Asks the simulated Clerk what an application asks the real one, through Clerk's own client.
// TestClerkBackend of internal/clerksim runs this file and sets its environment.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Receiver } from './webhooks.mjs';

const { CLERK_BACKEND } = process.env; // the package with the client
const newest = CLERK_BACKEND === '@clerk/backend'; // the other one has fewer calls
const { createClerkClient, verifyToken } = await import(CLERK_BACKEND);
const { verifyWebhook } = await import(`${CLERK_BACKEND}/webhooks`);
const { CLERK_API_URL, CLERK_SECRET_KEY, CLERK_PUBLISHABLE_KEY, SIMULATOR_ISSUER, SIMULATOR_BUSY_URL, SIMULATOR_ENDPOINT_URL } = process.env;
const clientOf = (apiUrl, secretKey = CLERK_SECRET_KEY) =>
  createClerkClient({ apiUrl, secretKey, publishableKey: CLERK_PUBLISHABLE_KEY, telemetry: { disabled: true } });
const answered = new Set(); // the names of calls
const noting = object => new Proxy(object, {
  get: (of, name) => typeof of[name] !== 'function' ? of[name] : async (...args) => {
    const answer = await of[name](...args);
    answered.add(name);
    return answer;
  },
});
const clerk = new Proxy(clientOf(CLERK_API_URL), { get: (of, name) => typeof of[name] === 'object' ? noting(of[name]) : of[name] });
const webhooks = new Receiver(verifyWebhook);

before(async () => {
  const answer = await fetch(SIMULATOR_ENDPOINT_URL, { method: 'POST', body: await webhooks.listen() });
  assert.equal(answer.status, 204);
});
after(() => webhooks.close());
after(() => console.log(`answered: ${[...answered].join(' ')}.`));

/** Runs a test that fails, and doesn't hang, if an event never comes. */
const step = (name, run) => test(name, { timeout: 60_000 }, run);

/** Checks that a resource has all that its type promises; an empty value is null, not undefined. */
function whole(resource, ...optional) {
  for (const [name, value] of Object.entries(resource)) {
    assert.ok(value !== undefined || optional.includes(name), `${resource.constructor.name}.${name} is undefined`);
  }
  return resource;
}

const wholeUser = user => {
  user.emailAddresses.forEach(address => { whole(address); whole(address.verification, 'externalVerificationRedirectURL', 'nonce', 'message'); });
  user.phoneNumbers.forEach(number => whole(number));
  return whole(user);
};
const wholeOrganization = organization => whole(organization, 'membersCount', 'createdBy');
const wholeMembership = membership => {
  wholeOrganization(membership.organization);
  whole(membership.publicUserData);
  return whole(membership);
};
const wholeInvitation = invitation => whole(invitation, 'publicOrganizationData');
const wholeSession = session => whole(session, 'latestActivity');

/** Checks that a call is refused in Clerk's way, and returns the error. */
async function refused(call, status, code, paramName) {
  const error = await call.then(() => assert.fail('it was not refused'), reason => reason);
  assert.equal(error.clerkError, true, String(error));
  assert.equal(error.status, status);
  assert.equal(error.errors[0].code, code);
  assert.match(error.errors[0].longMessage, / /, 'it is for people');
  assert.equal(error.errors[0].meta.paramName, paramName);
  assert.match(error.clerkTraceId, /^[0-9a-f]{32}$/);
  return error;
}

let made = 0;
const address = () => `person-${++made}@callmine.test`;
const person = async (fields = {}) => clerk.users.createUser({ emailAddress: [address()], ...fields });
async function team() {
  const [admin, member] = [await person({ firstName: 'Ada' }), await person()];
  const organization = await clerk.organizations.createOrganization({ name: 'Quiet Harbour', createdBy: admin.id });
  await clerk.organizations.createOrganizationMembership({ organizationId: organization.id, userId: member.id, role: 'org:member' });
  return { admin, member, organization, organizationId: organization.id };
}

step('a user is created, read, changed and deleted', async () => {
  const emailAddress = [address(), address()];
  const user = wholeUser(await person({
    emailAddress, phoneNumber: ['+15555550100'], username: 'ada', firstName: 'Ada', externalId: '41',
    publicMetadata: { plan: 'pro' }, privateMetadata: { note: 'x' }, unsafeMetadata: { theme: 'dark' },
  }));
  assert.equal(user.primaryEmailAddress.emailAddress, emailAddress[0]);
  assert.equal(user.primaryPhoneNumber.phoneNumber, '+15555550100');
  assert.deepEqual([user.firstName, user.lastName, user.username, user.externalId, user.fullName], ['Ada', null, 'ada', '41', 'Ada']);
  assert.deepEqual([user.publicMetadata, user.privateMetadata, user.unsafeMetadata], [{ plan: 'pro' }, { note: 'x' }, { theme: 'dark' }]);
  const created = await webhooks.next('user.created', user.id);
  assert.deepEqual(created.email_addresses.map(one => one.email_address), emailAddress);
  assert.deepEqual(wholeUser(await clerk.users.getUser(user.id)), user);

  const changed = await clerk.users.updateUser(user.id, {
    lastName: 'Lovell', username: 'lovell', externalId: '42', primaryEmailAddressID: user.emailAddresses[1].id,
  });
  assert.deepEqual([changed.fullName, changed.username, changed.externalId], ['Ada Lovell', 'lovell', '42']);
  assert.equal(changed.primaryEmailAddress.emailAddress, emailAddress[1]);
  assert.equal((await webhooks.next('user.updated', user.id)).last_name, 'Lovell');
  assert.deepEqual((await clerk.users.updateUser(user.id, {})).username, 'lovell');
  await webhooks.next('user.updated', user.id);

  const deleted = await clerk.users.deleteUser(user.id);
  assert.deepEqual([deleted.id, deleted.deleted], [user.id, true]);
  assert.equal((await webhooks.next('user.deleted', user.id)).deleted, true);
  await refused(clerk.users.getUser(user.id), 404, 'resource_not_found');
});

step('a user has a password that only Clerk knows', async () => {
  const user = await person({ password: 'a calm harbour' });
  assert.equal(user.passwordEnabled, true);
  assert.equal(JSON.stringify([user.raw, await webhooks.next('user.created', user.id)]).includes('harbour'), false);
  assert.deepEqual(await clerk.users.verifyPassword({ userId: user.id, password: 'a calm harbour' }), { verified: true });
  await refused(clerk.users.verifyPassword({ userId: user.id, password: 'another' }), 422, 'form_password_incorrect', 'password');

  await clerk.users.updateUser(user.id, { password: 'abc', skipPasswordChecks: true, signOutOfOtherSessions: true });
  await webhooks.next('user.updated', user.id);
  assert.deepEqual(await clerk.users.verifyPassword({ userId: user.id, password: 'abc' }), { verified: true });

  const without = await person({ skipPasswordRequirement: true });
  assert.equal(without.passwordEnabled, false);
  await refused(clerk.users.verifyPassword({ userId: without.id, password: 'abc' }), 400, 'no_password_set');
  await refused(person({ password: 'seven77' }), 422, 'form_password_length_too_short', 'password');
  await refused(person({ password: 'password123' }), 422, 'form_password_pwned', 'password');
  await person({ password: 'password123', skipPasswordChecks: true });
});

step("a user's metadata is merged or replaced", async () => {
  const user = await person({ publicMetadata: { plan: { name: 'pro', seats: 3 }, since: 2026 } });
  const merged = await clerk.users.updateUserMetadata(user.id, {
    publicMetadata: { plan: { seats: null, trial: true }, since: null }, privateMetadata: { note: 'x' }, unsafeMetadata: { theme: 'dark' },
  });
  assert.deepEqual([merged.publicMetadata, merged.privateMetadata, merged.unsafeMetadata],
    [{ plan: { name: 'pro', trial: true } }, { note: 'x' }, { theme: 'dark' }]);
  assert.deepEqual((await webhooks.next('user.updated', user.id)).public_metadata, merged.publicMetadata);
  if (newest) {
    const replaced = await clerk.users.replaceUserMetadata(user.id, { publicMetadata: { a: 1 } });
    assert.deepEqual([replaced.publicMetadata, replaced.privateMetadata], [{ a: 1 }, { note: 'x' }]);
  }
  const byUpdate = await clerk.users.updateUser(user.id, { lastName: 'Lovell', publicMetadata: {} });
  assert.deepEqual([byUpdate.lastName, byUpdate.publicMetadata], ['Lovell', {}]);
});

step('users are listed, found and counted', async () => {
  const before = await clerk.users.getCount();
  const people = [await person({ firstName: 'Quentin' }), await person({ username: 'quentin-2' }), await person()];
  const list = await clerk.users.getUserList({ userId: people.map(one => one.id), orderBy: '+created_at', limit: 2 });
  assert.deepEqual([list.data.map(one => one.id), list.totalCount], [people.slice(0, 2).map(one => one.id), 3]);
  list.data.forEach(wholeUser);
  assert.deepEqual((await clerk.users.getUserList({ query: 'QUENTIN' })).data.map(one => one.id), [people[1].id, people[0].id]);
  assert.equal((await clerk.users.getUserList({ emailAddress: [people[2].primaryEmailAddress.emailAddress] })).totalCount, 1);
  assert.equal((await clerk.users.getUserList({ username: ['quentin-2'], createdAtAfter: people[2].createdAt })).totalCount, 0);
  assert.ok(await clerk.users.getCount() >= before + 3);
  assert.deepEqual(await clerk.users.getUserList({ userId: ['user_no'] }), { data: [], totalCount: 0 });
});

step('a user is banned and unbanned', async () => {
  const user = await person();
  assert.equal((await clerk.users.banUser(user.id)).banned, true);
  assert.equal((await webhooks.next('user.updated', user.id)).banned, true);
  assert.equal((await clerk.users.unbanUser(user.id)).banned, false);
  assert.equal((await webhooks.next('user.updated', user.id)).banned, false);
});

step('an organization is created, read, changed and deleted', async () => {
  const admin = await person();
  const organization = wholeOrganization(await clerk.organizations.createOrganization({
    name: 'Quiet Harbour', slug: 'quiet', createdBy: admin.id, maxAllowedMemberships: 7, publicMetadata: { a: 1 }, privateMetadata: { b: 2 },
  }));
  assert.deepEqual(organization.privateMetadata, { b: 2 });
  assert.equal((await webhooks.next('organization.created', organization.id)).created_by, admin.id);
  assert.deepEqual(await clerk.organizations.getOrganization({ organizationId: organization.id }), organization);
  const bySlug = await clerk.organizations.getOrganization({ slug: 'quiet', includeMembersCount: true });
  assert.deepEqual([bySlug.id, bySlug.membersCount], [organization.id, 1]);

  const changed = await clerk.organizations.updateOrganization(organization.id, { name: 'Loud Harbour', maxAllowedMemberships: 9 });
  assert.deepEqual([changed.name, changed.slug, changed.maxAllowedMemberships], ['Loud Harbour', 'quiet', 9]);
  assert.equal((await webhooks.next('organization.updated', organization.id)).name, 'Loud Harbour');
  const merged = await clerk.organizations.updateOrganizationMetadata(organization.id, { publicMetadata: { a: null, c: { d: 3 } }, privateMetadata: { e: 4 } });
  assert.deepEqual([merged.publicMetadata, merged.privateMetadata], [{ c: { d: 3 } }, { b: 2, e: 4 }]);
  assert.deepEqual((await webhooks.next('organization.updated', organization.id)).private_metadata, { b: 2, e: 4 });
  const replaced = newest
    ? await clerk.organizations.replaceOrganizationMetadata(organization.id, { privateMetadata: {} })
    : await clerk.organizations.updateOrganization(organization.id, { privateMetadata: {} });
  assert.deepEqual([replaced.publicMetadata, replaced.privateMetadata], [{ c: { d: 3 } }, {}]);

  const list = await clerk.organizations.getOrganizationList({ userId: [admin.id], query: 'loud', includeMembersCount: true, orderBy: '-name' });
  assert.deepEqual([list.data.map(one => [one.id, one.membersCount]), list.totalCount], [[[organization.id, 1]], 1]);
  await refused(clerk.organizations.createOrganization({ name: 'Another', slug: 'quiet' }), 422, 'form_identifier_exists', 'slug');

  const deleted = await clerk.organizations.deleteOrganization(organization.id);
  assert.deepEqual([deleted.id, deleted.deleted], [organization.id, true]);
  assert.equal((await webhooks.next('organization.deleted', organization.id)).deleted, true);
  await refused(clerk.organizations.getOrganization({ organizationId: organization.id }), 404, 'resource_not_found');
});

step('a member joins, rises, gets metadata and leaves', async () => {
  const { admin, member, organizationId } = await team();
  const guest = await person();
  const joined = wholeMembership(await clerk.organizations.createOrganizationMembership({ organizationId, userId: guest.id, role: 'org:member' }));
  assert.deepEqual([joined.role, joined.publicUserData.userId, joined.organization.id], ['org:member', guest.id, organizationId]);
  assert.equal((await webhooks.next('organizationMembership.created', joined.id)).role, 'org:member');
  await refused(clerk.organizations.createOrganizationMembership({ organizationId, userId: guest.id, role: 'org:member' }), 400, 'already_a_member_in_organization');

  const raised = await clerk.organizations.updateOrganizationMembership({ organizationId, userId: guest.id, role: 'org:admin' });
  assert.deepEqual([raised.id, raised.role], [joined.id, 'org:admin']);
  assert.equal((await webhooks.next('organizationMembership.updated', joined.id)).role, 'org:admin');
  const merged = await clerk.organizations.updateOrganizationMembershipMetadata({
    organizationId, userId: guest.id, publicMetadata: { desk: { floor: 2 } }, privateMetadata: { note: 'x' },
  });
  assert.deepEqual([merged.publicMetadata, merged.privateMetadata], [{ desk: { floor: 2 } }, { note: 'x' }]);
  assert.deepEqual((await webhooks.next('organizationMembership.updated', joined.id)).public_metadata, { desk: { floor: 2 } });

  const all = await clerk.organizations.getOrganizationMembershipList({ organizationId, orderBy: '+created_at', limit: 2 });
  assert.deepEqual([all.data.map(one => one.publicUserData.userId), all.totalCount], [[admin.id, member.id], 3]);
  all.data.forEach(wholeMembership);
  const admins = await clerk.organizations.getOrganizationMembershipList({ organizationId, role: ['org:admin'], query: 'ada' });
  assert.deepEqual(admins.data.map(one => one.publicUserData.userId), [admin.id]);
  const own = await clerk.users.getOrganizationMembershipList({ userId: guest.id });
  assert.deepEqual([own.data.map(one => one.id), own.totalCount], [[joined.id], 1]);
  const everywhere = await clerk.organizations.getInstanceOrganizationMembershipList({ orderBy: '-created_at', limit: 500 });
  assert.ok(everywhere.data.some(one => one.id === joined.id));

  assert.equal((await clerk.organizations.deleteOrganizationMembership({ organizationId, userId: guest.id })).id, joined.id);
  await webhooks.next('organizationMembership.deleted', joined.id);
  await refused(clerk.organizations.deleteOrganizationMembership({ organizationId, userId: guest.id }), 404, 'resource_not_found');
  await refused(clerk.organizations.deleteOrganizationMembership({ organizationId, userId: admin.id }), 403, 'organization_minimum_permissions_needed');
});

step('people are invited, one by one and in bulk', async () => {
  const { admin, organizationId } = await team();
  const emailAddress = address();
  const invited = wholeInvitation(await clerk.organizations.createOrganizationInvitation({
    organizationId, emailAddress, role: 'org:member', inviterUserId: admin.id, expiresInDays: 3, redirectUrl: 'https://app.callmine.test/',
    publicMetadata: { a: 1 }, privateMetadata: { b: 2 },
  }));
  assert.deepEqual([invited.status, invited.emailAddress, invited.role, invited.privateMetadata], ['pending', emailAddress, 'org:member', { b: 2 }]);
  assert.equal(invited.expiresAt - invited.createdAt, 3 * 24 * 3600 * 1000);
  assert.match(invited.url, /^https:/);
  assert.equal((await webhooks.next('organizationInvitation.created', invited.id)).email_address, emailAddress);
  const wanted = { organizationId, invitationId: invited.id };
  assert.deepEqual(await clerk.organizations.getOrganizationInvitation(wanted), invited);
  await refused(clerk.organizations.createOrganizationInvitation({ organizationId, emailAddress, role: 'org:member' }),
    400, 'organization_invitation_not_unique', 'email_address');
  const recipient = await person({ emailAddress: [emailAddress] });
  const theirs = await clerk.users.getOrganizationInvitationList({ userId: recipient.id, status: ['pending'] });
  assert.deepEqual(theirs.data.map(one => [one.id, one.publicOrganizationData.name]), [[invited.id, 'Quiet Harbour']]);

  const bulk = await clerk.organizations.createOrganizationInvitationBulk(organizationId, [
    { emailAddress: address(), role: 'org:member' }, { emailAddress: address(), role: 'org:admin', inviterUserId: admin.id },
  ]);
  assert.deepEqual([bulk.data.map(one => one.role), bulk.totalCount], [['org:member', 'org:admin'], 2]);
  for (const one of bulk.data) {
    wholeInvitation(one);
    await webhooks.next('organizationInvitation.created', one.id);
  }
  await refused(clerk.organizations.createOrganizationInvitationBulk(organizationId, [
    { emailAddress: address(), role: 'org:member' }, { emailAddress: 'nobody', role: 'org:member' },
  ]), 422, 'form_param_format_invalid', 'email_address');
  const pending = await clerk.organizations.getOrganizationInvitationList({ organizationId, status: ['pending'], limit: 2 });
  assert.deepEqual([pending.data.map(one => one.id), pending.totalCount], [[bulk.data[1].id, bulk.data[0].id], 3]);

  const revoked = await clerk.organizations.revokeOrganizationInvitation({ ...wanted, requestingUserId: admin.id });
  assert.equal(revoked.status, 'revoked');
  assert.equal((await webhooks.next('organizationInvitation.revoked', invited.id)).status, 'revoked');
  await refused(clerk.organizations.revokeOrganizationInvitation(wanted), 400, 'organization_invitation_not_pending');
});

step('a session has tokens, and ends', async () => {
  const { admin, organization } = await team();
  const session = wholeSession(await clerk.sessions.createSession({ userId: admin.id }));
  assert.deepEqual([session.status, session.userId], ['active', admin.id]);
  await webhooks.next('session.created', session.id);
  assert.deepEqual(await clerk.sessions.getSession(session.id), session);
  const list = await clerk.sessions.getSessionList({ userId: admin.id, status: 'active' });
  assert.deepEqual([list.data.map(one => one.id), list.totalCount], [[session.id], 1]);

  const { jwt } = await clerk.sessions.getToken(session.id);
  const keys = { secretKey: CLERK_SECRET_KEY, apiUrl: CLERK_API_URL };
  const claims = await verifyToken(jwt, keys);
  assert.deepEqual([claims.sub, claims.sid, claims.iss, claims.sts, claims.exp - claims.iat], [admin.id, session.id, SIMULATOR_ISSUER, 'active', 60]);
  const longer = await clerk.sessions.getToken(session.id, '', 600);
  assert.equal(JSON.parse(Buffer.from(longer.jwt.split('.')[1], 'base64url')).exp - claims.iat >= 600, true);
  await refused(clerk.sessions.getToken(session.id, 'supabase'), 404, 'resource_not_found');
  const [head, body, signature] = jwt.split('.');
  await assert.rejects(verifyToken([head, body, signature.slice(0, -8) + 'AAAAAAAA'].join('.'), keys), /signature/);
  assert.equal(claims.azp, undefined, 'no browser asked for it');

  const request = new Request('https://app.callmine.test/reports', { headers: { authorization: `Bearer ${jwt}` } });
  const state = await clerk.authenticateRequest(request);
  assert.equal(state.isAuthenticated, true, state.reason);
  assert.deepEqual([state.toAuth().userId, state.toAuth().orgId ?? null], [admin.id, null]);
  const inside = await fetch(`${CLERK_API_URL}/v1/sessions`, {
    method: 'POST', headers: { authorization: `Bearer ${CLERK_SECRET_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ user_id: admin.id, active_organization_id: organization.id }), // the client doesn't know this field yet
  }).then(answer => answer.json());
  const within = await clerk.authenticateRequest(new Request(request.url, {
    headers: { authorization: `Bearer ${(await clerk.sessions.getToken(inside.id)).jwt}` },
  }));
  assert.deepEqual([within.toAuth().orgId, within.toAuth().orgRole, within.toAuth().has({ role: 'org:admin' })], [organization.id, 'org:admin', true]);
  const stranger = await clerk.authenticateRequest(new Request(request.url, { headers: { authorization: 'Bearer a.b.c' } }));
  assert.equal(stranger.isAuthenticated, false);

  assert.equal((await clerk.sessions.revokeSession(session.id)).status, 'revoked');
  assert.equal((await webhooks.next('session.revoked', session.id)).status, 'revoked');
  await refused(clerk.sessions.getToken(session.id), 404, 'resource_not_found');
  await refused(clerk.sessions.getSession('sess_no'), 404, 'resource_not_found');
});

step('the instance, its keys, roles and permissions are shown', async () => {
  const instance = whole(await clerk.instance.get());
  assert.equal(instance.environmentType, 'development');
  const keys = await clerk.jwks.getJwks();
  assert.deepEqual(keys.keys.map(key => [key.kty, key.alg, key.use]), [['RSA', 'RS256', 'sig']]);
  const domains = await clerk.domains.list();
  assert.deepEqual([domains.data.map(one => one.frontendApiUrl), domains.totalCount], [[SIMULATOR_ISSUER], 1]);
  if (!newest) {
    return;
  }
  const sets = await clerk.roleSets.getRoleSetList();
  assert.deepEqual([sets.data.map(set => whole(set).roles.map(role => role.key)), sets.totalCount], [[['org:admin', 'org:member']], 1]);
  const roles = await clerk.organizationRoles.getOrganizationRoleList({ orderBy: '+created_at' });
  assert.deepEqual([roles.data.map(role => whole(role).key), roles.totalCount], [['org:admin', 'org:member'], 2]);
  roles.data[0].permissions.forEach(permission => whole(permission));
  assert.deepEqual(await clerk.organizationRoles.getOrganizationRole(roles.data[0].id), roles.data[0]);
  const permissions = await clerk.organizationPermissions.getOrganizationPermissionList({ limit: 3 });
  assert.deepEqual([permissions.data.length, permissions.totalCount], [3, 8]);
});

newest && step('roles and permissions are made, changed and deleted', async () => {
  const permission = whole(await clerk.organizationPermissions.createOrganizationPermission({ name: 'Read reports', key: 'org:reports:read', description: 'All of them' }));
  assert.equal((await webhooks.next('permission.created', permission.id)).key, 'org:reports:read');
  assert.deepEqual(await clerk.organizationPermissions.getOrganizationPermission(permission.id), permission);
  const role = whole(await clerk.organizationRoles.createOrganizationRole({ name: 'Analyst', key: 'org:analyst', description: 'Reads', permissions: [permission.id] }));
  assert.deepEqual(role.permissions.map(one => one.key), ['org:reports:read']);
  await webhooks.next('role.created', role.id);
  const roleOf = { organizationRoleId: role.id, permissionId: permission.id };
  assert.deepEqual((await clerk.organizationRoles.removePermissionFromOrganizationRole(roleOf)).permissions, []);
  assert.deepEqual((await webhooks.next('role.updated', role.id)).permissions, []);
  assert.equal((await clerk.organizationRoles.assignPermissionToOrganizationRole(roleOf)).permissions[0].id, permission.id);
  await refused(clerk.organizationRoles.assignPermissionToOrganizationRole(roleOf), 409, 'organization_role_permission_exists');
  const changed = await clerk.organizationRoles.updateOrganizationRole({ organizationRoleId: role.id, name: 'Reader', permissions: [] });
  assert.deepEqual([changed.name, changed.key, changed.description, changed.permissions], ['Reader', 'org:analyst', 'Reads', []]);
  const { member, organizationId } = await team();
  await clerk.organizations.updateOrganizationMembership({ organizationId, userId: member.id, role: 'org:analyst' });
  await refused(clerk.organizationRoles.deleteOrganizationRole(role.id), 422, 'organization_role_in_use');
  await clerk.organizations.deleteOrganizationMembership({ organizationId, userId: member.id });
  assert.equal((await clerk.organizationRoles.deleteOrganizationRole(role.id)).deleted, true);
  await webhooks.next('role.deleted', role.id);
  assert.equal((await clerk.organizationPermissions.deleteOrganizationPermission(permission.id)).deleted, true);
  await webhooks.next('permission.deleted', permission.id);
});

step("an organization's domains are made, changed and deleted", async () => {
  const { organizationId } = await team();
  const domain = whole(await clerk.organizations.createOrganizationDomain({ organizationId, name: 'harbour.test', enrollmentMode: 'automatic_suggestion' }));
  // The client hands a domain on as it comes.
  assert.deepEqual([domain.name, domain.enrollment_mode, domain.verification.status], ['harbour.test', 'automatic_suggestion', 'verified']);
  assert.equal((await webhooks.next('organizationDomain.created', domain.id)).verification.status, 'verified');
  const changed = await clerk.organizations.updateOrganizationDomain({ organizationId, domainId: domain.id, enrollmentMode: 'manual_invitation', verified: false });
  assert.deepEqual([changed.enrollment_mode, changed.verification.status], ['manual_invitation', 'unverified']);
  await webhooks.next('organizationDomain.updated', domain.id);
  const list = await clerk.organizations.getOrganizationDomainList({ organizationId, limit: 5 });
  assert.deepEqual([list.data.map(one => one.id), list.totalCount], [[domain.id], 1]);
  assert.equal((await clerk.organizations.deleteOrganizationDomain({ organizationId, domainId: domain.id })).deleted, true);
  await webhooks.next('organizationDomain.deleted', domain.id);
});

step('what is refused says why', async () => {
  await refused(clientOf(CLERK_API_URL, 'sk_test_another').users.getCount(), 401, 'clerk_key_invalid');
  await refused(clerk.users.createUser({ emailAddress: ['nobody'] }), 422, 'form_param_format_invalid', 'email_address');
  await refused(clerk.users.createUser({}), 422, 'form_param_value_invalid');
  const taken = await person();
  await refused(person({ emailAddress: [taken.primaryEmailAddress.emailAddress] }), 422, 'form_identifier_exists', 'email_address');
  await refused(clerk.organizations.updateOrganization('org_no', { name: 'A' }), 404, 'resource_not_found');
  await refused(clerk.users.getUserList({ limit: 501 }), 422, 'form_param_value_invalid', 'limit');
  const busy = await refused(clientOf(SIMULATOR_BUSY_URL).users.getCount(), 429, 'too_many_requests');
  assert.equal(busy.retryAfter, 7);
});

step("what isn't simulated is refused, and never answered wrongly", async () => {
  const user = await person();
  for (const call of [
    () => clerk.users.lockUser(user.id),
    () => clerk.users.deleteUserTOTP(user.id),
    () => clerk.signInTokens.createSignInToken({ userId: user.id, expiresInSeconds: 60 }),
    () => clerk.allowlistIdentifiers.getAllowlistIdentifierList(),
    () => clerk.invitations.getInvitationList(),
    () => clerk.clients.getClientList(),
    () => clerk.sessions.verifySession('sess_no', 'x'),
    () => clerk.phoneNumbers.getPhoneNumber('idn_no'),
  ]) {
    const error = await refused(call(), 404, 'simulator_call_unsupported');
    assert.match(error.errors[0].longMessage, /^the simulator doesn't know (GET|POST|DELETE) \/v1\//);
  }
  await refused(clerk.users.getUserList({ lastActiveAtAfter: 1 }), 422, 'simulator_parameter_unsupported', 'last_active_at_after');
  await refused(person({ totpSecret: 'x' }), 422, 'simulator_parameter_unsupported', 'totp_secret');
});

step('each webhook was signed', () => {
  assert.deepEqual(webhooks.rest.filter(event => event.type === 'unverified'), []);
});
