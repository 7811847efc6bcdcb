// A user interface of today made of what Ory's is made of: @ory/client asks, with the
// browser's cookie, and @ory/elements-markup renders. Arguments: the port to listen at,
// and the address of Cardea's public listener.
import { Configuration, FrontendApi } from "@ory/client"
import {
  CodeBox, NodeMessages, RegisterOryElementsExpress, UserAuthCard, UserErrorCard, UserSettingsCard, defaultLightTheme,
} from "@ory/elements-markup"
import express from "express"

const [port, base] = process.argv.slice(2)
const ory = new FrontendApi(new Configuration({ basePath: base }))
const app = express()

const begin = (kind, query = {}) => `${base}/self-service/${kind}/browser?${new URLSearchParams(query)}`
const page = (res, title, body, status = 200) =>
  res.status(status).send(`<!doctype html><html lang="en"><head><title>${title}</title><link rel="stylesheet" href="/theme.css"><link rel="stylesheet" href="/ory/style.css"></head><body>${body}</body></html>`)
const pick = (query, ...names) => Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]]))

// soft sends a browser to where it can do something about an answer.
const soft = (res, next, to) => (error) => {
  const { status, data } = error.response ?? {}
  if (status === 403 && data?.error?.id === "session_aal2_required") return res.redirect(data.redirect_browser_to ?? to)
  if ([403, 404, 410].includes(status)) return res.redirect(to)
  next(error)
}

const logoutURL = (cookie) => ory.createBrowserLogoutFlow({ cookie }).then(({ data }) => data.logout_url, () => "")

// session lets through who is logged in.
const session = (req, res, next) =>
  ory.toSession({ cookie: req.header("cookie") }).then(({ data }) => {
    req.session = data
    next()
  }, (error) => res.redirect(begin("login", error.response?.status === 403 ? { aal: "aal2" } : {})))

// auth is the page of a flow but settings.
const auth = (kind, get, title, links) => app.get(`/${kind}`, async (req, res, next) => {
  const cookie = req.header("cookie")
  const again = begin(kind, pick(req.query, "aal", "refresh", "return_to", "login_challenge", "organization"))
  if (!req.query.flow) return res.redirect(303, again)
  const additionalProps = await links(cookie)
  await get({ id: req.query.flow, cookie }).then(({ data: flow }) => {
    page(res, title, UserAuthCard({ title: flow.requested_aal === "aal2" ? "Two-Factor Authentication" : title, flow, flowType: kind, includeScripts: true, additionalProps }, { locale: "en" }))
  }).catch(soft(res, next, again))
})

auth("login", (q) => ory.getLoginFlow(q), "Sign in", async (cookie) => ({ forgotPasswordURL: "/recovery", signupURL: "/registration", logoutURL: await logoutURL(cookie) }))
auth("registration", (q) => ory.getRegistrationFlow(q), "Create account", () => ({ loginURL: begin("login") }))
auth("recovery", (q) => ory.getRecoveryFlow(q), "Recover your account", () => ({ loginURL: begin("login") }))
auth("verification", (q) => ory.getVerificationFlow(q), "Verify your account", () => ({ signupURL: begin("registration") }))

app.get("/settings", async (req, res, next) => {
  const cookie = req.header("cookie")
  const again = begin("settings", pick(req.query, "return_to"))
  if (!req.query.flow) return res.redirect(303, again)
  await ory.getSettingsFlow({ id: req.query.flow, cookie }).then(async ({ data: flow }) => {
    const cards = ["profile", "password", "oidc", "lookup_secret", "webauthn", "passkey", "totp"].map((method) => UserSettingsCard({ flow, method, includeScripts: true }, { locale: "en" }))
    page(res, "Account settings", NodeMessages({ uiMessages: flow.ui.messages }, { locale: "en" }) + cards.join("") + `<a href="${await logoutURL(cookie)}">Log out</a>`)
  }).catch(soft(res, next, again))
})

app.get("/sessions", session, async (req, res) => {
  page(res, "Sessions", CodeBox({ children: JSON.stringify(req.session, null, 2) }) + `<a href="${await logoutURL(req.header("cookie"))}">Log out</a>`)
})

// Ory's user interface asks for errors without a cookie.
app.get("/error", (req, res, next) => {
  if (!req.query.id) return res.redirect("/sessions")
  return ory.getFlowError({ id: req.query.id }).then(({ data }) => {
    page(res, "An error occurred", UserErrorCard({ error: data, title: "An error occurred", backUrl: "/login" }, { locale: "en" }), 500)
  }).catch(soft(res, next, "/sessions"))
})

app.get("/", (req, res) => res.redirect("/sessions"))
RegisterOryElementsExpress(app, defaultLightTheme, () => ({}))
app.listen(Number(port), "localhost", () => console.log("Listening"))
