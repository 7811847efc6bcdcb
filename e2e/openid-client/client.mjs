// Uses openid-client against the provider whose issuer and admin API are the
// arguments. Ends with 0 if the library finds nothing to complain about, and prints
// a line for each operation.
import assert from "node:assert/strict"
import * as oidc from "openid-client"

const [issuer, admin] = process.argv.slice(2)
const callback = "https://client.test/callback"
const insecure = { execute: [oidc.allowInsecureRequests] } // the issuer is on this machine

// register makes a client, and returns its configuration.
const register = async (fields = {}, authentication = undefined, options = insecure) => {
  const response = await fetch(`${admin}/admin/clients`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({
      redirect_uris: [callback], response_types: ["code"], scope: "openid offline_access profile email",
      grant_types: ["authorization_code", "refresh_token", "client_credentials"],
      post_logout_redirect_uris: ["https://client.test/bye"], token_endpoint_auth_method: "client_secret_post", ...fields,
    }),
  })
  const made = await response.json()
  assert.equal(response.status, 201, JSON.stringify(made))
  const { client_id, client_secret } = made
  const method = authentication ? authentication(client_secret) : undefined
  return oidc.discovery(new URL(issuer), client_id, { ...fields, client_secret }, method, options)
}

// browse follows redirects with cookies until one leads to the client.
const browse = async (url, cookies = new Map()) => {
  for (let i = 0; i < 10; i++) {
    const mine = url.origin === new URL(issuer).origin
    const response = await fetch(url, {
      redirect: "manual", headers: mine ? { cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join("; ") } : {},
    })
    for (const cookie of mine ? response.headers.getSetCookie() : []) {
      const [name, value] = cookie.split(";")[0].split("=")
      cookies.set(name, value)
    }
    const location = response.headers.get("location")
    if (!location) return response
    url = new URL(location, url)
    if (url.host === "client.test") return url
  }
  throw new Error("too many redirects")
}

// login goes through the code flow, and returns what the token endpoint says.
const login = async (config, { build = oidc.buildAuthorizationUrl, dpop, ...more } = {}) => {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
  const expectedState = oidc.randomState()
  const expectedNonce = oidc.randomNonce()
  const url = await build(config, {
    redirect_uri: callback, scope: "openid offline_access email", state: expectedState, nonce: expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256", ...more,
  })
  const back = await browse(url)
  assert.ok(back instanceof URL, `the browser ends at ${back.url}: ${back.status}`)
  return oidc.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true, maxAge: more.max_age }, undefined, { DPoP: dpop })
}

const keyPair = async (alg) => {
  const pair = await oidc.randomDPoPKeyPair(alg, { extractable: true })
  const jwk = await crypto.subtle.exportKey("jwk", pair.publicKey)
  return { ...pair, jwks: { keys: [{ ...jwk, kid: "k1", alg, use: "sig" }] } }
}

const operations = {
  async discovery() {
    const config = await register()
    assert.equal(config.serverMetadata().issuer, issuer)
    assert.ok(config.serverMetadata().supportsPKCE())
  },
  async codeFlow() {
    const config = await register()
    const tokens = await login(config, { max_age: 600 })
    const claims = tokens.claims()
    assert.equal(claims.sub, "ann")
    const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(info.email, "ann@example.test")
    const again = await oidc.refreshTokenGrant(config, tokens.refresh_token)
    assert.equal(again.claims().sub, "ann")
    assert.equal((await oidc.tokenIntrospection(config, again.access_token)).active, true)
    await oidc.tokenRevocation(config, again.refresh_token)
    assert.equal((await oidc.tokenIntrospection(config, again.access_token)).active, false)
  },
  async algorithms() {
    for (const alg of ["RS256", "PS256", "ES256", "Ed25519"]) {
      const name = alg === "Ed25519" ? "EdDSA" : alg
      const config = await register({ id_token_signed_response_alg: name, userinfo_signed_response_alg: name })
      const tokens = await login(config)
      await oidc.fetchUserInfo(config, tokens.access_token, "ann")
    }
  },
  async clientCredentials() {
    for (const [method, authentication] of [
      ["client_secret_post", oidc.ClientSecretPost], ["client_secret_basic", oidc.ClientSecretBasic], ["client_secret_jwt", oidc.ClientSecretJwt],
    ]) {
      const config = await register({ token_endpoint_auth_method: method }, authentication)
      assert.ok((await oidc.clientCredentialsGrant(config, { scope: "profile" })).access_token)
    }
  },
  async privateKeyJWT() {
    for (const alg of ["RS256", "PS256", "ES256", "Ed25519"]) {
      const keys = await keyPair(alg)
      await login(await register(
        { token_endpoint_auth_method: "private_key_jwt", jwks: keys.jwks }, () => oidc.PrivateKeyJwt({ key: keys.privateKey, kid: "k1" }),
      ))
    }
  },
  async publicClient() {
    await login(await register({ token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"] }, oidc.None))
  },
  async pushedRequest() {
    await login(await register(), { build: oidc.buildAuthorizationUrlWithPAR })
  },
  async signedRequest() {
    const keys = await keyPair("ES256")
    const config = await register({ jwks: keys.jwks, request_object_signing_alg: "ES256" })
    await login(config, { build: (c, params) => oidc.buildAuthorizationUrlWithJAR(c, params, { key: keys.privateKey, kid: "k1" }) })
  },
  async signedResponse() {
    const config = await register({ authorization_signed_response_alg: "RS256" }, undefined, { execute: [oidc.allowInsecureRequests, oidc.useJwtResponseMode] })
    await login(config)
  },
  async boundTokens() {
    for (const alg of ["RS256", "ES256", "Ed25519"]) {
      const config = await register({ dpop_bound_access_tokens: true })
      const dpop = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair(alg))
      const tokens = await login(config, { dpop })
      assert.equal(tokens.token_type, "dpop")
      await oidc.fetchUserInfo(config, tokens.access_token, "ann", { DPoP: dpop })
      await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop })
    }
  },
  async fapi2() {
    const keys = await keyPair("PS256")
    const config = await register(
      { profile: "fapi2", token_endpoint_auth_method: "private_key_jwt", jwks: keys.jwks, id_token_signed_response_alg: "PS256", authorization_signed_response_alg: "PS256" },
      () => oidc.PrivateKeyJwt({ key: keys.privateKey, kid: "k1" }), { execute: [oidc.allowInsecureRequests, oidc.useJwtResponseMode] },
    )
    const dpop = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair("ES256"))
    const tokens = await login(config, { dpop, build: (c, params) => oidc.buildAuthorizationUrlWithPAR(c, params, { DPoP: dpop }) })
    await oidc.fetchUserInfo(config, tokens.access_token, "ann", { DPoP: dpop })
    for (let i = 0; i < 2; i++) await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop })
  },
  async hybrid() {
    const config = await register(
      { profile: "legacy", response_types: ["code id_token"], grant_types: ["authorization_code", "implicit", "refresh_token"] }, undefined,
      { execute: [oidc.allowInsecureRequests, oidc.useCodeIdTokenResponseType, oidc.enableDetachedSignatureResponseChecks] },
    )
    await login(config)
  },
  async implicit() {
    const config = await register(
      { profile: "legacy", response_types: ["id_token"], grant_types: ["implicit"] }, undefined,
      { execute: [oidc.allowInsecureRequests, oidc.useIdTokenResponseType] },
    )
    const nonce = oidc.randomNonce()
    const expectedState = oidc.randomState()
    const back = await browse(oidc.buildAuthorizationUrl(config, { redirect_uri: callback, scope: "openid", nonce, state: expectedState }))
    assert.equal((await oidc.implicitAuthentication(config, back, nonce, { expectedState })).sub, "ann")
  },
  async encrypted() {
    const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"])
    const jwk = await crypto.subtle.exportKey("jwk", pair.publicKey)
    const config = await register({
      jwks: { keys: [{ ...jwk, kid: "e1", use: "enc", alg: "ECDH-ES" }] },
      id_token_encrypted_response_alg: "ECDH-ES", id_token_encrypted_response_enc: "A256GCM",
      userinfo_signed_response_alg: "RS256", userinfo_encrypted_response_alg: "ECDH-ES", userinfo_encrypted_response_enc: "A256GCM",
    })
    oidc.enableDecryptingResponses(config, ["A256GCM"], { key: pair.privateKey, alg: "ECDH-ES", kid: "e1" })
    const tokens = await login(config)
    await oidc.fetchUserInfo(config, tokens.access_token, "ann")
  },
  async device() {
    const config = await register({ grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"] })
    const device = await oidc.initiateDeviceAuthorization(config, { scope: "openid" })
    assert.ok(device.user_code && device.verification_uri_complete)
  },
  async dynamicRegistration() {
    const config = await oidc.dynamicClientRegistration(
      new URL(issuer), { redirect_uris: [callback], token_endpoint_auth_method: "client_secret_post", grant_types: ["authorization_code", "refresh_token"], scope: "openid offline_access email" },
      undefined, insecure,
    )
    await login(config)
  },
  async logout() {
    const config = await register({ skip_logout_consent: true })
    const tokens = await login(config)
    const end = await browse(oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: "https://client.test/bye", state: "s" }))
    assert.equal(end.href, "https://client.test/bye?state=s")
  },
}

for (const [name, run] of Object.entries(operations)) {
  try {
    await run()
  } catch (error) {
    console.error(name, error, error.cause)
    process.exitCode = 1
    continue
  }
  console.log("ok", name)
}
