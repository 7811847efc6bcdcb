// Uses every operation of Hydra's npm client against the server whose public and write
// addresses are the arguments. It is the app that logs people in, too: the server sends
// browsers to http://app.test, where nobody is. Ends with 0 if all is as Hydra has it,
// and prints a line for each operation.
import assert from "node:assert/strict"
import crypto from "node:crypto"
import hydra from "@ory/hydra-client"

const { Configuration, OAuth2Api, JwkApi, OidcApi, WellknownApi, MetadataApi } = hydra
const [publicAddress, adminAddress] = process.argv.slice(2).map((address) => `http://${address}`)
const admin = new OAuth2Api(new Configuration({ basePath: adminAddress }))
const keys = new JwkApi(new Configuration({ basePath: adminAddress }))
const asClient = (c) => new OAuth2Api(new Configuration({ basePath: publicAddress, username: c?.client_id, password: c?.client_secret }))
const oidc = (accessToken) => new OidcApi(new Configuration({ basePath: publicAddress, accessToken }))

const callback = "https://client.test/callback"
const newClient = async (fields) =>
  (await admin.createOAuth2Client({
    oAuth2Client: {
      client_name: "shop", redirect_uris: [callback], scope: "openid offline_access read",
      grant_types: ["authorization_code", "refresh_token", "client_credentials"], response_types: ["code"],
      post_logout_redirect_uris: ["https://client.test/bye"], profile: "oidc-basic", ...fields,
    },
  })).data

// status returns the status of a call that is refused.
const status = async (call) => {
  try {
    await call()
  } catch (error) {
    return error.response.status
  }
  return 0
}

// browser keeps cookies and follows redirects within the server; it returns where it
// is sent outside of it.
const browser = () => {
  const cookies = new Map()
  return async (address) => {
    for (;;) {
      const answer = await fetch(address, { redirect: "manual", headers: { cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join("; ") } })
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/)
        cookies.set(name, value)
      }
      const location = answer.headers.get("location")
      if (!location) return { status: answer.status }
      address = new URL(location, address).href
      if (!address.startsWith(publicAddress)) return { url: new URL(address), params: new URL(address).searchParams }
    }
  }
}

// login answers the login and the consent at the page that the browser has come to, and
// returns where it goes after that.
const login = async (open, page, subject, remember = false) => {
  const loginChallenge = page.params.get("login_challenge")
  const asked = (await admin.getOAuth2LoginRequest({ loginChallenge })).data
  assert.equal(asked.challenge, loginChallenge)
  assert.equal(typeof asked.skip, "boolean")
  const accepted = await admin.acceptOAuth2LoginRequest({ loginChallenge, acceptOAuth2LoginRequest: { subject: asked.skip ? asked.subject : subject, remember, remember_for: 3600, acr: "aal1", context: { from: "login" } } })
  page = await open(accepted.data.redirect_to)
  const consentChallenge = page.params.get("consent_challenge")
  const consent = (await admin.getOAuth2ConsentRequest({ consentChallenge })).data
  assert.equal(consent.subject, subject)
  assert.equal(consent.context.from, "login")
  const { data } = await admin.acceptOAuth2ConsentRequest({
    consentChallenge,
    acceptOAuth2ConsentRequest: {
      grant_scope: consent.requested_scope, grant_access_token_audience: consent.requested_access_token_audience, remember,
      session: { access_token: { plan: "pro" }, id_token: { email: `${subject}@example.test` } },
    },
  })
  return open(data.redirect_to)
}

const authorize = (c, more) =>
  `${publicAddress}/oauth2/auth?` + new URLSearchParams({ client_id: c.client_id, redirect_uri: callback, response_type: "code", scope: "openid offline_access read", state: "a-state", nonce: "a-nonce", ...more })

// tokens goes through the code flow.
const tokens = async (c, subject, open = browser(), remember = false) => {
  const end = await login(open, await open(authorize(c)), subject, remember)
  assert.equal(end.url.origin + end.url.pathname, callback)
  assert.equal(end.params.get("state"), "a-state")
  const { data } = await asClient(c).oauth2TokenExchange({ grantType: "authorization_code", code: end.params.get("code"), redirectUri: callback })
  assert.ok(data.access_token && data.refresh_token && data.id_token && data.expires_in)
  return data
}

const active = async (token, scope) => (await admin.introspectOAuth2Token({ token, scope })).data.active

const operations = {
  async createOAuth2Client() {
    const c = await newClient({ client_id: "first", contacts: ["ann@example.test"] })
    assert.equal(c.client_id, "first")
    assert.ok(c.client_secret && c.created_at)
    assert.equal(await status(() => newClient({ client_id: "first" })), 409)
    assert.equal(await status(() => newClient({ redirect_uris: ["javascript:alert(1)"] })), 400)
  },
  async getOAuth2Client() {
    const { data } = await admin.getOAuth2Client({ id: "first" })
    assert.equal(data.client_name, "shop")
    assert.equal(data.client_secret, undefined)
    assert.equal(await status(() => admin.getOAuth2Client({ id: "nobody" })), 404)
  },
  async setOAuth2Client() {
    const { data } = await admin.getOAuth2Client({ id: "first" })
    assert.equal((await admin.setOAuth2Client({ id: "first", oAuth2Client: { ...data, client_name: "new shop" } })).data.client_name, "new shop")
  },
  async patchOAuth2Client() {
    const { data } = await admin.patchOAuth2Client({ id: "first", jsonPatch: [{ op: "replace", path: "/client_name", value: "shop" }] })
    assert.equal(data.client_name, "shop")
    assert.equal(await status(() => admin.patchOAuth2Client({ id: "first", jsonPatch: [{ op: "replace", path: "/client_id", value: "x" }] })), 400)
  },
  async setOAuth2ClientLifespans() {
    const { data } = await admin.setOAuth2ClientLifespans({ id: "first", oAuth2ClientTokenLifespans: { client_credentials_grant_access_token_lifespan: "2h" } })
    assert.equal(data.client_credentials_grant_access_token_lifespan, "2h0m0s")
  },
  async listOAuth2Clients() {
    for (let i = 0; i < 3; i++) await newClient({ client_id: `paged-${i}`, owner: "bob" })
    const seen = []
    let pageToken
    do {
      const answer = await admin.listOAuth2Clients({ owner: "bob", pageSize: 2, pageToken })
      seen.push(...answer.data.map((c) => c.client_id))
      pageToken = answer.headers.link.match(/page_token=([^&>]*)[^>]*>; rel="next"/)?.[1]
    } while (pageToken)
    assert.deepEqual(seen, ["paged-0", "paged-1", "paged-2"])
  },
  async deleteOAuth2Client() {
    assert.equal((await admin.deleteOAuth2Client({ id: "first" })).status, 204)
    assert.equal(await status(() => admin.deleteOAuth2Client({ id: "first" })), 404)
  },
  async jsonWebKeys() {
    const made = (await keys.createJsonWebKeySet({ set: "mine", createJsonWebKeySet: { alg: "ES256", use: "sig", kid: "a" } })).data
    assert.equal(made.keys[0].kid, "a")
    assert.equal(made.keys[0].d, undefined)
    const pair = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" })
    const jwk = { ...pair, kid: "b", alg: "ES256", use: "sig" }
    assert.equal((await keys.setJsonWebKey({ set: "mine", kid: "b", jsonWebKey: jwk })).data.x, pair.x)
    assert.equal((await keys.getJsonWebKeySet({ set: "mine" })).data.keys.length, 2)
    assert.equal((await keys.getJsonWebKey({ set: "mine", kid: "b" })).data.keys[0].kid, "b")
    assert.equal((await keys.deleteJsonWebKey({ set: "mine", kid: "a" })).status, 204)
    assert.equal((await keys.setJsonWebKeySet({ set: "mine", jsonWebKeySet: { keys: [jwk] } })).data.keys.length, 1)
    assert.equal((await keys.deleteJsonWebKeySet({ set: "mine" })).status, 204)
    assert.equal(await status(() => keys.getJsonWebKeySet({ set: "mine" })), 404)
  },
  async codeFlow() {
    const c = await newClient({})
    const t = await tokens(c, "ann")
    const { data } = await admin.introspectOAuth2Token({ token: t.access_token, scope: "read" })
    assert.equal(data.active, true)
    assert.equal(data.sub, "ann")
    assert.equal(data.client_id, c.client_id)
    assert.equal(data.ext.plan, "pro")
    assert.equal(await active(t.access_token, "write"), false)
    const again = (await asClient(c).oauth2TokenExchange({ grantType: "refresh_token", refreshToken: t.refresh_token })).data
    assert.equal(await active(again.access_token), true)
    assert.equal(await active(t.access_token), false)
    assert.equal((await oidc(again.access_token).getOidcUserInfo()).data.sub, "ann")
    assert.equal(await status(() => asClient(c).oauth2TokenExchange({ grantType: "refresh_token", refreshToken: t.refresh_token })), 400)
    assert.equal(await active(again.access_token), false)
  },
  async reject() {
    const c = await newClient({})
    let open = browser()
    let page = await open(authorize(c))
    let { data } = await admin.rejectOAuth2LoginRequest({ loginChallenge: page.params.get("login_challenge"), rejectOAuth2Request: { error: "access_denied", error_description: "not today" } })
    let end = await open(data.redirect_to)
    assert.equal(end.params.get("error"), "access_denied")
    assert.equal(end.url.origin, "https://client.test")
    open = browser()
    page = await open(authorize(c))
    data = (await admin.acceptOAuth2LoginRequest({ loginChallenge: page.params.get("login_challenge"), acceptOAuth2LoginRequest: { subject: "ann" } })).data
    page = await open(data.redirect_to)
    data = (await admin.rejectOAuth2ConsentRequest({ consentChallenge: page.params.get("consent_challenge"), rejectOAuth2Request: { error: "access_denied" } })).data
    end = await open(data.redirect_to)
    assert.equal(end.params.get("error"), "access_denied")
    assert.equal(await status(() => admin.getOAuth2LoginRequest({ loginChallenge: "x" })), 404)
  },
  async remember() {
    const c = await newClient({})
    const open = browser()
    const t = await tokens(c, "cat", open, true)
    const page = await open(authorize(c))
    const asked = (await admin.getOAuth2LoginRequest({ loginChallenge: page.params.get("login_challenge") })).data
    assert.equal(asked.skip, true)
    assert.equal(asked.subject, "cat")
    const sessions = (await admin.listOAuth2ConsentSessions({ subject: "cat" })).data
    assert.equal(sessions.length, 1)
    assert.equal(sessions[0].consent_request.client.client_id, c.client_id)
    assert.deepEqual(sessions[0].grant_scope, ["openid", "offline_access", "read"])
    assert.equal((await admin.revokeOAuth2ConsentSessions({ subject: "cat", client: c.client_id })).status, 204)
    assert.equal(await active(t.access_token), false)
    assert.equal((await admin.listOAuth2ConsentSessions({ subject: "cat" })).data.length, 0)
    assert.equal((await admin.revokeOAuth2LoginSessions({ subject: "cat" })).status, 204)
    const later = await open(authorize(c))
    assert.equal((await admin.getOAuth2LoginRequest({ loginChallenge: later.params.get("login_challenge") })).data.skip, false)
  },
  async logout() {
    const c = await newClient({})
    const open = browser()
    const t = await tokens(c, "dan", open, true)
    const address = `${publicAddress}/oauth2/sessions/logout?` + new URLSearchParams({ id_token_hint: t.id_token, post_logout_redirect_uri: "https://client.test/bye", state: "a-state" })
    let page = await open(address)
    let logoutChallenge = page.params.get("logout_challenge")
    const asked = (await admin.getOAuth2LogoutRequest({ logoutChallenge })).data
    assert.equal(asked.subject, "dan")
    assert.equal(asked.rp_initiated, true)
    assert.equal((await admin.rejectOAuth2LogoutRequest({ logoutChallenge })).status, 204)
    page = await open(address)
    logoutChallenge = page.params.get("logout_challenge")
    const { data } = await admin.acceptOAuth2LogoutRequest({ logoutChallenge })
    const end = await open(data.redirect_to)
    assert.equal(end.url.origin + end.url.pathname, "https://client.test/bye")
    assert.equal(end.params.get("state"), "a-state")
  },
  async revoke() {
    const c = await newClient({ token_endpoint_auth_method: "client_secret_post" })
    const own = new OAuth2Api(new Configuration({ basePath: publicAddress }))
    const form = new URLSearchParams({ grant_type: "client_credentials", client_id: c.client_id, client_secret: c.client_secret })
    const fresh = async () => (await (await fetch(`${publicAddress}/oauth2/token`, { method: "POST", body: form })).json()).access_token
    const token = await fresh()
    assert.equal(await active(token), true)
    assert.equal((await own.revokeOAuth2Token({ token, clientId: c.client_id, clientSecret: c.client_secret })).status, 200)
    assert.equal(await active(token), false)
    const other = await fresh()
    assert.equal((await admin.deleteOAuth2Token({ clientId: c.client_id })).status, 204)
    assert.equal(await active(other), false)
  },
  async trustedIssuers() {
    const { kty, crv, x } = crypto.generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" })
    const trust = () => admin.trustOAuth2JwtGrantIssuer({
      trustOAuth2JwtGrantIssuer: { issuer: "https://issuer.test", subject: "ann", scope: ["read"], expires_at: new Date(Date.now() + 3600e3).toISOString(), jwk: { kty, crv, x, kid: "k", alg: "EdDSA", use: "sig" } },
    })
    const made = await trust()
    assert.equal(made.status, 201)
    assert.equal(await status(trust), 409)
    const id = made.data.id
    assert.equal((await admin.getTrustedOAuth2JwtGrantIssuer({ id })).data.issuer, "https://issuer.test")
    assert.equal((await admin.listTrustedOAuth2JwtGrantIssuers({ issuer: "https://issuer.test" })).data.length, 1)
    assert.equal((await admin.deleteTrustedOAuth2JwtGrantIssuer({ id })).status, 204)
    assert.equal(await status(() => admin.getTrustedOAuth2JwtGrantIssuer({ id })), 404)
  },
  async device() {
    const c = await newClient({ grant_types: ["urn:ietf:params:oauth:grant-type:device_code"] })
    const basic = "Basic " + Buffer.from(`${c.client_id}:${c.client_secret}`).toString("base64")
    const post = (path, body) => fetch(publicAddress + path, { method: "POST", headers: { authorization: basic }, body: new URLSearchParams(body) })
    const codes = await (await post("/oauth2/device/auth", { scope: "openid read" })).json()
    const open = browser()
    const page = await open(`${publicAddress}/oauth2/device/verify?user_code=${codes.user_code}`)
    const { data } = await admin.acceptUserCodeRequest({ deviceChallenge: page.params.get("device_challenge"), acceptDeviceUserCodeRequest: { user_code: codes.user_code } })
    await login(open, await open(data.redirect_to), "ann")
    const got = await (await post("/oauth2/token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: codes.device_code })).json()
    assert.equal(await active(got.access_token), true)
  },
  async oidcDynamicClient() {
    const made = (await oidc().createOidcDynamicClient({ oAuth2Client: { client_name: "self", redirect_uris: [callback] } })).data
    const id = made.client_id
    let token = made.registration_access_token
    const read = (await oidc(token).getOidcDynamicClient({ id })).data
    assert.equal(read.client_name, "self")
    const changed = (await oidc(token).setOidcDynamicClient({ id, oAuth2Client: { ...read, client_name: "other" } })).data
    assert.equal(changed.client_name, "other")
    assert.equal(await status(() => oidc(token).getOidcDynamicClient({ id })), 401)
    token = changed.registration_access_token
    assert.equal((await oidc(token).deleteOidcDynamicClient({ id })).status, 204)
  },
  async discovery() {
    const { data } = await oidc().discoverOidcConfiguration()
    assert.equal(data.issuer, publicAddress)
    assert.equal(data.token_endpoint, `${publicAddress}/oauth2/token`)
    const wellknown = new WellknownApi(new Configuration({ basePath: publicAddress }))
    assert.ok((await wellknown.discoverJsonWebKeys()).data.keys.length > 0)
  },
  async metadata() {
    for (const basePath of [publicAddress, adminAddress]) {
      const api = new MetadataApi(new Configuration({ basePath }))
      assert.equal((await api.isAlive()).data.status, "ok")
      assert.equal((await api.isReady()).data.status, "ok")
      assert.ok((await api.getVersion()).data.version)
    }
  },
}

for (const [name, operation] of Object.entries(operations)) {
  try {
    await operation()
  } catch (error) {
    const { config, response } = error
    console.error("failed:", name, config?.method ?? "", config?.url ?? "", response?.status ?? "", JSON.stringify(response?.data) ?? error)
    console.error(error.stack)
    process.exit(1)
  }
  console.log("ok", name)
}
