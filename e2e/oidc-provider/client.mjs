// A provider of OpenID Connect where everybody is who they say: arguments are its port and
// the address of Cardea's public listener. It prints what it was asked.
import Provider from "oidc-provider"

const [port, cardea] = process.argv.slice(2)
const people = {
  mallory: { email: "ann@example.com", email_verified: false, given_name: "Mallory" },
  nora: { email_verified: true, given_name: "Nora" },
}
const claims = (id) => ({ email: `${id}@example.com`, email_verified: true, given_name: id[0].toUpperCase() + id.slice(1), family_name: "Lee", org: { department: "tea" }, ...people[id] })

const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: "cardea", client_secret: "a secret with: signs & more", grant_types: ["authorization_code"], response_types: ["code"],
    redirect_uris: ["acme", "bare"].map((id) => `${cardea}/self-service/methods/oidc/callback/${id}`),
  }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["given_name", "family_name", "org"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: `sub-of-${id}`, ...claims(id) }) }),
  pkce: { required: () => true },
  cookies: { keys: ["a key of the test"], names: { session: "op_session", interaction: "op_interaction", resume: "op_resume" } },
})
provider.on("authorization.accepted", ({ oidc: { params } }) => console.log("asked", JSON.stringify(params)))
provider.on("grant.success", ({ oidc: { client, params } }) => console.log("granted", JSON.stringify({ client: client.clientId, auth: client.clientAuthMethod, verifier: params.code_verifier?.length })))
for (const event of ["authorization.error", "grant.error", "userinfo.error"]) provider.on(event, (_, error) => console.log("refused", error.message, error.error_detail ?? ""))
provider.listen(Number(port), "localhost", () => console.log("Listening"))
