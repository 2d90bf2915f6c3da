// What the author of a TypeScript client does with the types from openapi-typescript and with
// openapi-fetch. For tests/deployed/test_clients.py, which generates api.d.ts first.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.d.ts";

type Operation = components["schemas"]["Operation"];

const client = createClient<paths>({ baseUrl: process.env.API_URL! });
const id = `test-${randomUUID()}`;
const body = (number: number) => JSON.parse(process.env.BODY!.replaceAll("VALUE", String(number)));
type Fields = paths["/users/{id}"]["put"]["parameters"]["header"];

const put = (number: number, header: Fields = {}) =>
  client.PUT("/users/{id}", { params: { path: { id }, header }, body: body(number) });

async function endOf(accepted: Operation): Promise<Operation> {
  const path = { id, receipt: accepted.receipt };
  for (;;) {
    const { data, response } = await client.GET("/users/{id}/operations/{receipt}", { params: { path } });
    assert(data);
    const seconds = response.headers.get("Retry-After");
    if (seconds === null) return data;
    await setTimeout(1000 * Number(seconds));
  }
}

const created = await put(1, { "If-None-Match": "*" });
assert.equal(created.response.status, 201);
const first = created.response.headers.get("ETag")!;

const replaced = await put(2, { "If-Match": first, "Idempotency-Key": `"${randomUUID()}"` });
assert.deepEqual([replaced.response.status, replaced.data], [200, body(2)]);

const accepted = await put(3, { Prefer: "respond-async" });
assert.equal(accepted.response.status, 202);
const done = await endOf(accepted.data as Operation);
assert(done.status === "succeeded");
const etag: string = done.etag!;

const refused = await put(4, { "If-Match": first });
assert.equal(refused.response.status, 412);
assert(refused.error && "field" in refused.error);
assert.deepEqual([refused.error.field, refused.error.etag], ["If-Match", etag]);

const failed = await endOf((await put(4, { "If-Match": first, Prefer: "respond-async" })).data as Operation);
assert(failed.status === "failed");
assert.equal(failed.error?.status, 412);

const read = (id: string, header: { "If-None-Match"?: string } = {}) =>
  client.GET("/users/{id}", { params: { path: { id }, header } });
assert.equal((await read(id, { "If-None-Match": etag })).response.status, 304);
assert.deepEqual((await read(id)).data, body(3));

const absent = await read(`${id}-absent`);
assert.equal(absent.response.status, 404);
assert(absent.error && "type" in absent.error);
assert.match(absent.error.type!, /:not-found$/);
assert(absent.error.requestId);
// API Gateway's own answer has no type.
const unrouted = await read("a/b");
assert.equal(unrouted.response.status, 404);
assert(unrouted.error && !("type" in unrouted.error));

const head = await client.HEAD("/users/{id}", { params: { path: { id } } });
assert.deepEqual([head.response.status, head.response.headers.get("ETag")], [200, etag]);

const later = await client.DELETE("/users/{id}", { params: { path: { id }, header: { Prefer: "respond-async" } } });
assert.equal(later.response.status, 202);
const gone = await endOf(later.data as Operation);
assert.deepEqual([gone.status, gone.etag], ["succeeded", undefined]);
assert.equal((await read(id)).response.status, 404);
const deleted = await client.DELETE("/users/{id}", { params: { path: { id } } });
assert.equal(deleted.response.status, 204);

// At the same time as apply: it is cancelled, or already carried out.
const takenBack = (await put(5, { Prefer: "respond-async" })).data as Operation;
const path = { id, receipt: takenBack.receipt };
const cancelled = await client.DELETE("/users/{id}/operations/{receipt}", { params: { path } });
assert([200, 409].includes(cancelled.response.status));
const end = cancelled.error ? "succeeded" : "cancelled";
assert.equal((await endOf(takenBack)).status, end);
const tooLate = await client.DELETE("/users/{id}/operations/{receipt}", { params: { path: { id, receipt: gone.receipt } } });
assert(tooLate.error && "type" in tooLate.error);
assert.match(tooLate.error.type!, /:already-decided$/);
console.log("ok");
