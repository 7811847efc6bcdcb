// Uses every operation of Keto's npm client against the server whose addresses
// are the arguments, which holds the example drive. Ends with 0 if all is as
// Keto has it, and prints a line for each operation.
import assert from "node:assert/strict"
import keto from "@ory/keto-client"

const { Configuration, PermissionApi, RelationshipApi, MetadataApi } = keto
const [read, write] = process.argv.slice(2).map((address) => new Configuration({ basePath: `http://${address}` }))
const permissions = new PermissionApi(read)
const relationships = new RelationshipApi(read)
const admin = new RelationshipApi(write)

const ann = { subjectSetNamespace: "User", subjectSetObject: "ann", subjectSetRelation: "" }
const plan = { namespace: "Document", object: "plan" }
const asBody = (object, relation, user) => ({
  namespace: "Document", object, relation,
  subject_set: { namespace: "User", object: user, relation: "" },
})

// status returns the status of a call that is refused.
const status = async (call) => {
  try {
    await call()
  } catch (error) {
    return error.response.status
  }
  return 0
}

const operations = {
  async checkPermission() {
    const ask = (relation) => permissions.checkPermission({ ...plan, relation, ...ann })
    assert.equal((await ask("view")).data.allowed, true)
    assert.equal((await ask("own")).data.allowed, false)
    assert.equal(await status(() => ask("nope")), 400)
  },
  async checkPermissionOrError() {
    const ask = (relation) => permissions.checkPermissionOrError({ ...plan, relation, ...ann })
    assert.equal((await ask("view")).data.allowed, true)
    assert.equal(await status(() => ask("own")), 403)
  },
  async postCheckPermission() {
    const ask = (relation) => permissions.postCheckPermission({ postCheckPermissionBody: asBody("plan", relation, "ann") })
    assert.equal((await ask("view")).data.allowed, true)
    assert.equal((await ask("own")).data.allowed, false)
  },
  async postCheckPermissionOrError() {
    const ask = (relation) => permissions.postCheckPermissionOrError({ postCheckPermissionOrErrorBody: asBody("plan", relation, "ann") })
    assert.equal((await ask("view")).data.allowed, true)
    assert.equal(await status(() => ask("own")), 403)
  },
  async batchCheckPermission() {
    const { data } = await permissions.batchCheckPermission({
      batchCheckPermissionBody: { tuples: [asBody("plan", "view", "ann"), asBody("plan", "own", "ann"), asBody("plan", "nope", "ann")] },
    })
    assert.deepEqual(data.results.map((r) => r.allowed), [true, false, false])
    assert.ok(!data.results[1].error)
    assert.ok(data.results[2].error)
  },
  async expandPermissions() {
    const { data } = await permissions.expandPermissions({ namespace: "Folder", object: "engineering", relation: "editors" })
    assert.equal(data.type, "union")
    const names = []
    const walk = (node) => {
      if (node.type === "leaf") names.push(node.tuple.subject_set.object)
      node.children?.forEach(walk)
    }
    walk(data)
    assert.deepEqual(names.sort(), ["ann", "bob", "cat", "mallory"])
    assert.equal(await status(() => permissions.expandPermissions({ namespace: "Nope", object: "x", relation: "y" })), 404)
  },
  async getRelationships() {
    const seen = new Set()
    let pageToken
    do {
      const { data } = await relationships.getRelationships({ namespace: "Folder", pageSize: 200, pageToken })
      data.relation_tuples.forEach((t) => seen.add(JSON.stringify(t)))
      pageToken = data.next_page_token
    } while (pageToken)
    assert.ok(seen.size > 700, `${seen.size} tuples`)
    assert.equal(await status(() => relationships.getRelationships({ namespace: "Nope" })), 404)
  },
  async listRelationshipNamespaces() {
    const { data } = await relationships.listRelationshipNamespaces()
    assert.deepEqual(data.namespaces.map((n) => n.name).sort(), ["Document", "Folder", "Group", "User"])
  },
  async createRelationship() {
    const answer = await admin.createRelationship({ createRelationshipBody: asBody("plan", "editors", "new") })
    assert.equal(answer.status, 201)
    assert.equal(answer.data.object, "plan")
    assert.equal((await permissions.postCheckPermission({ postCheckPermissionBody: asBody("plan", "edit", "new") })).data.allowed, true)
    assert.equal(await status(() => admin.createRelationship({ createRelationshipBody: { ...asBody("plan", "editors", "new"), namespace: "Nope" } })), 404)
  },
  async patchRelationships() {
    const patch = [
      { action: "delete", relation_tuple: asBody("plan", "editors", "new") },
      { action: "insert", relation_tuple: asBody("plan", "viewers", "new") },
    ]
    assert.equal((await admin.patchRelationships({ relationshipPatch: patch })).status, 204)
    assert.equal((await permissions.postCheckPermission({ postCheckPermissionBody: asBody("plan", "edit", "new") })).data.allowed, false)
    assert.equal(await status(() => admin.patchRelationships({ relationshipPatch: [{ action: "nope", relation_tuple: patch[0].relation_tuple }] })), 400)
  },
  async deleteRelationships() {
    const answer = await admin.deleteRelationships({ ...plan, relation: "viewers", subjectSetNamespace: "User", subjectSetObject: "new", subjectSetRelation: "" })
    assert.equal(answer.status, 204)
    assert.equal((await permissions.postCheckPermission({ postCheckPermissionBody: asBody("plan", "view", "new") })).data.allowed, false)
    assert.equal(await status(() => admin.deleteRelationships({})), 400)
  },
  async checkOplSyntax() {
    assert.deepEqual((await relationships.checkOplSyntax({ body: "class User implements Namespace {}" })).data.errors ?? [], [])
    const { data } = await relationships.checkOplSyntax({ body: "class User implements Nope {}" })
    assert.equal(data.errors[0].start.Line, 1)
  },
  async metadata() {
    for (const configuration of [read, write]) {
      const api = new MetadataApi(configuration)
      assert.equal((await api.isAlive()).data.status, "ok")
      assert.equal((await api.isReady()).data.status, "ok")
      assert.ok((await api.getVersion()).data.version)
    }
  },
}

for (const [name, operation] of Object.entries(operations)) {
  await operation()
  console.log("ok", name)
}
