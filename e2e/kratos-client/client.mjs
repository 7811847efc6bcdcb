// Uses Kratos's npm client against the server whose public and write addresses are the
// arguments, as a native app, as a single-page application, and as an administrator.
// Ends with 0 if all is as Kratos has it, and prints a line for each operation.
import assert from "node:assert/strict"
import kratos from "@ory/kratos-client"

const { Configuration, FrontendApi, IdentityApi } = kratos
const [publicAddress, adminAddress] = process.argv.slice(2).map((address) => `http://${address}`)
const admin = new IdentityApi(new Configuration({ basePath: adminAddress }))
const app = new FrontendApi(new Configuration({ basePath: publicAddress }))
const password = "a stone wall of 7 colours"

const ok = (name) => console.log("ok", name)

// refused returns the answer to a call that is refused.
const refused = async (call) => {
  try {
    await call()
  } catch (error) {
    return error.response
  }
  assert.fail("it was not refused")
}
const messages = (flow) => [...(flow.ui.messages ?? []), ...flow.ui.nodes.flatMap((n) => n.messages)].map((m) => m.id)

// A native app.
const { data: registration } = await app.createNativeRegistrationFlow()
assert.equal(registration.type, "api")
assert.equal(registration.ui.method, "POST")
ok("createNativeRegistrationFlow")
const bad = await refused(() => app.updateRegistrationFlow({ flow: registration.id, updateRegistrationFlowBody: { method: "password", password: "short", traits: { email: "ann@example.com" } } }))
assert.equal(bad.status, 400)
assert.ok(messages(bad.data).includes(4000032))
const { data: registered } = await app.updateRegistrationFlow({
  flow: registration.id, updateRegistrationFlowBody: { method: "password", password, traits: { email: "ann@example.com" } },
})
assert.match(registered.session_token, /^ory_st_/)
assert.equal(registered.identity.traits.email, "ann@example.com")
ok("updateRegistrationFlow")
const { data: login } = await app.createNativeLoginFlow()
ok("createNativeLoginFlow")
const wrong = await refused(() => app.updateLoginFlow({ flow: login.id, updateLoginFlowBody: { method: "password", identifier: "ann@example.com", password: "another one" } }))
assert.ok(messages(wrong.data).includes(4000006))
assert.equal((await app.getLoginFlow({ id: login.id })).data.id, login.id)
ok("getLoginFlow")
const { data: session } = await app.updateLoginFlow({ flow: login.id, updateLoginFlowBody: { method: "password", identifier: "ann@example.com", password } })
const xSessionToken = session.session_token
ok("updateLoginFlow")
const { data: me, headers } = await app.toSession({ xSessionToken })
assert.equal(me.identity.id, registered.identity.id)
assert.equal(headers["x-kratos-authenticated-identity-id"], me.identity.id)
assert.equal(me.authenticator_assurance_level, "aal1")
assert.equal((await refused(() => app.toSession())).status, 401)
ok("toSession")
const { data: settings } = await app.createNativeSettingsFlow({ xSessionToken })
assert.equal(settings.state, "show_form")
ok("createNativeSettingsFlow")
assert.equal((await app.getSettingsFlow({ id: settings.id, xSessionToken })).data.identity.id, me.identity.id)
ok("getSettingsFlow")
const { data: saved } = await app.updateSettingsFlow({
  flow: settings.id, xSessionToken, updateSettingsFlowBody: { method: "profile", traits: { email: "ann@example.com", name: { first: "Ann" } } },
})
assert.equal(saved.state, "success")
assert.equal(saved.identity.traits.name.first, "Ann")
ok("updateSettingsFlow")
const { data: others } = await app.listMySessions({ xSessionToken })
assert.equal(others.length, 1)
ok("listMySessions")
await app.disableMySession({ id: others[0].id, xSessionToken })
ok("disableMySession")
assert.equal((await app.disableMyOtherSessions({ xSessionToken })).data.count, 0)
ok("disableMyOtherSessions")
await app.performNativeLogout({ performNativeLogoutBody: { session_token: xSessionToken } })
assert.equal((await refused(() => app.toSession({ xSessionToken }))).status, 401)
ok("performNativeLogout")

// A single-page application, in a browser.
const cookies = new Map()
const keep = (answer) => {
  for (const line of answer.headers["set-cookie"] ?? []) {
    const [, name, value] = line.match(/^([^=]+)=([^;]*)/)
    if (value) cookies.set(name, value)
    else cookies.delete(name)
  }
  return answer.data
}
const jar = () => ({ headers: { Cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join("; "), Accept: "application/json" } })
const csrf = (flow) => flow.ui.nodes.find((n) => n.attributes.name === "csrf_token").attributes.value
const page = keep(await app.createBrowserLoginFlow({}, jar()))
assert.equal(page.type, "browser")
ok("createBrowserLoginFlow")
const entered = keep(await app.updateLoginFlow({
  flow: page.id, updateLoginFlowBody: { method: "password", identifier: "ann@example.com", password, csrf_token: csrf(page) },
}, jar()))
assert.equal(entered.session_token, undefined)
assert.equal(entered.session.identity.id, me.identity.id)
assert.equal((await app.toSession({}, jar())).data.identity.id, me.identity.id)
assert.equal((await refused(() => app.createBrowserLoginFlow({}, jar()))).data.error.id, "session_already_available")
const form = keep(await app.createBrowserSettingsFlow({}, jar()))
assert.equal((await refused(() => app.updateSettingsFlow({ flow: form.id, updateSettingsFlowBody: { method: "profile", traits: { email: "x@example.com" } } }, jar()))).data.error.id, "security_csrf_violation")
ok("createBrowserSettingsFlow")
const { data: out } = await app.createBrowserLogoutFlow({}, jar())
ok("createBrowserLogoutFlow")
keep(await app.updateLogoutFlow({ token: out.logout_token }, jar()))
assert.equal((await refused(() => app.toSession({}, jar()))).status, 401)
ok("updateLogoutFlow")
assert.equal((await refused(() => app.getFlowError({ id: "00000000-0000-4000-8000-000000000000" }))).status, 404)
ok("getFlowError")

// An administrator.
const { data: bob } = await admin.createIdentity({
  createIdentityBody: {
    schema_id: "default", traits: { email: "bob@example.com" }, external_id: "crm-1", metadata_admin: { note: 1 },
    credentials: { password: { config: { hashed_password: "$2b$04$abcdefghijklmnopqrstuuHgorO0p1Ds6WjZxc7o3RvlQQtyXsxce" } }, oidc: { config: { providers: [{ provider: "github", subject: "7" }] } } },
  },
})
assert.equal(bob.state, "active")
ok("createIdentity")
assert.equal((await refused(() => admin.createIdentity({ createIdentityBody: { schema_id: "default", traits: { email: "bob@example.com" } } }))).status, 409)
assert.equal((await admin.getIdentity({ id: bob.id, includeCredential: ["oidc"] })).data.credentials.oidc.config.providers[0].subject, "7")
ok("getIdentity")
assert.equal((await admin.getIdentityByExternalID({ externalID: "crm-1" })).data.id, bob.id)
ok("getIdentityByExternalID")
assert.equal((await admin.listIdentities({ credentialsIdentifier: "bob@example.com" })).data.length, 1)
assert.equal((await admin.listIdentities({ ids: [bob.id, me.identity.id] })).data.length, 2)
assert.match((await admin.listIdentities({ pageSize: 1 })).headers.link, /page_token=.*rel="next"/)
ok("listIdentities")
const { data: opened } = await app.createNativeLoginFlow()
await app.updateLoginFlow({ flow: opened.id, updateLoginFlowBody: { method: "password", identifier: "bob@example.com", password } })
assert.equal((await admin.patchIdentity({ id: bob.id, jsonPatch: [{ op: "replace", path: "/metadata_public", value: { plan: "free" } }] })).data.metadata_public.plan, "free")
ok("patchIdentity")
const { data: sessions } = await admin.listIdentitySessions({ id: bob.id, active: true })
assert.equal(sessions.length, 1)
ok("listIdentitySessions")
assert.equal((await admin.getSession({ id: sessions[0].id, expand: ["identity"] })).data.identity.id, bob.id)
ok("getSession")
assert.equal((await admin.extendSession({ id: sessions[0].id })).data.id, sessions[0].id)
ok("extendSession")
assert.equal((await admin.listSessions({ pageSize: 10, expand: ["identity"] })).data.some((s) => s.identity.id === bob.id), true)
ok("listSessions")
await admin.disableSession({ id: sessions[0].id })
ok("disableSession")
await admin.deleteIdentitySessions({ id: bob.id })
ok("deleteIdentitySessions")
await admin.deleteIdentityCredentials({ id: bob.id, type: "oidc", identifier: "github:7" })
ok("deleteIdentityCredentials")
const { data: updated } = await admin.updateIdentity({ id: bob.id, updateIdentityBody: { schema_id: "default", state: "inactive", traits: { email: "robert@example.com" } } })
assert.equal(updated.state, "inactive")
ok("updateIdentity")
const { data: batch } = await admin.batchPatchIdentities({
  patchIdentitiesBody: { identities: ["carl", "robert"].map((name) => ({ create: { schema_id: "default", traits: { email: `${name}@example.com` } } })) },
})
assert.deepEqual(batch.identities.map((i) => i.action), ["create", "error"])
ok("batchPatchIdentities")
const { data: link } = await admin.createRecoveryLinkForIdentity({ createRecoveryLinkForIdentityBody: { identity_id: me.identity.id } })
assert.match(link.recovery_link, /token=/)
ok("createRecoveryLinkForIdentity")
const { data: code } = await admin.createRecoveryCodeForIdentity({ createRecoveryCodeForIdentityBody: { identity_id: me.identity.id } })
assert.match(code.recovery_code, /^\d{6}$/)
ok("createRecoveryCodeForIdentity")
assert.equal((await admin.listIdentitySchemas()).data[0].id, "default")
ok("listIdentitySchemas")
assert.equal((await admin.getIdentitySchema({ id: "default" })).data.type, "object")
ok("getIdentitySchema")
await admin.deleteIdentity({ id: bob.id })
assert.equal((await refused(() => admin.getIdentity({ id: bob.id }))).status, 404)
ok("deleteIdentity")
