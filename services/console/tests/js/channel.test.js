import assert from "node:assert/strict";
import { test } from "node:test";

import { Channel, MAX_ENTRIES } from "./channel.js";

const NOW = 1_700_000_000_000;
const at = (offset) => ({ streamPosition: { epoch: "e1", offset }, wasRecovering: false, recovered: false });
const publication = (offset, data = {}) => ({ data, offset });
const turn = () => new Promise((resolve) => setTimeout(resolve));

function subscribedAt(offset) {
  const channel = new Channel("chat:lobby", null);
  channel.subscribed(at(offset));
  return channel;
}

test("offsets that follow one another are in order", () => {
  const channel = subscribedAt(3);
  channel.publication(publication(4), NOW);
  channel.publication(publication(5), NOW);
  assert.deepEqual([channel.missing, channel.repeated, channel.position.offset], [0, 0, 5]);
});

test("a gap and a repetition are counted", () => {
  const channel = subscribedAt(3);
  channel.publication(publication(7), NOW);
  channel.publication(publication(7), NOW);
  assert.deepEqual([channel.missing, channel.repeated, channel.position.offset], [3, 1, 7]);
});

test("a channel without positions has no order to keep", () => {
  const channel = new Channel("live:ticks", null);
  channel.subscribed({ wasRecovering: false, recovered: false });
  channel.publication({ data: 1 }, NOW);
  assert.deepEqual([channel.position, channel.missing, channel.repeated], [null, 0, 0]);
});

test("recovered publications are those that come with the subscription", async () => {
  const channel = subscribedAt(3);
  const news = [];
  channel.changed.add((_, what) => what && news.push(what));
  channel.subscribed({ ...at(3), wasRecovering: true, recovered: true });
  assert.equal(channel.publication(publication(4, { sent_at: NOW - 9_000 }), NOW), null);
  channel.publication(publication(5), NOW);
  await turn();
  assert.equal(channel.publication(publication(6, { sent_at: NOW - 7 }), NOW), 7);
  const recovered = channel.entries.filter((entry) => entry.recovered).map((entry) => entry.offset);
  assert.deepEqual(recovered, [4, 5]);
  assert.deepEqual(news, [{ recovered: 2 }]);
  assert.deepEqual([channel.recovered, channel.missing, channel.repeated], [2, 0, 0]);
});

test("a lost position is said, and counting starts anew", () => {
  const channel = subscribedAt(3);
  channel.subscribed({ ...at(90), wasRecovering: true, recovered: false });
  channel.publication(publication(91), NOW);
  assert.match(channel.entries.at(-2).text, /after offset 3 was not recovered/);
  assert.equal(channel.missing, 0);
});

test("the entries are bounded, and the newest are kept", () => {
  const channel = subscribedAt(0);
  for (let n = 1; n <= 10 * MAX_ENTRIES; n += 1) channel.publication(publication(n), NOW);
  assert.ok(channel.entries.length < 2 * MAX_ENTRIES);
  assert.equal(channel.entries.at(-1).offset, 10 * MAX_ENTRIES);
  assert.equal(channel.total, 10 * MAX_ENTRIES + 1);
});

test("latency comes from the data or from a tag, and from nothing else", () => {
  const channel = subscribedAt(0);
  const latency = (context) => channel.publication(context, NOW);
  assert.equal(latency({ data: { sent_at: NOW - 5 } }), 5);
  assert.equal(latency({ data: "x", tags: { sent_at: String(NOW - 6) } }), 6);
  assert.equal(latency({ data: { sent_at: NOW + 5 } }), 0);
  for (const data of [null, 1, "now", [], {}, { sent_at: "soon" }, { sent_at: 12 }]) assert.equal(latency({ data }), null);
});

test("joins and leaves that overtake the presence reply are not lost", async () => {
  const channel = subscribedAt(0);
  let answer;
  const asked = channel.refreshPresence(() => new Promise((resolve) => (answer = resolve)));
  channel.joined({ client: "c2", user: "bruno" }, NOW);
  channel.left({ client: "c1", user: "alice" }, NOW);
  answer({ clients: { c1: { client: "c1", user: "alice" }, c3: { client: "c3", user: "carla" } } });
  await asked;
  assert.deepEqual([...channel.members], [["c3", "carla"], ["c2", "bruno"]]);
  assert.deepEqual(channel.feed.map(({ kind, user }) => `${kind} ${user}`), ["leave alice", "join bruno"]);
});

test("a failed presence request leaves the members as they were and can be repeated", async () => {
  const channel = subscribedAt(0);
  channel.joined({ client: "c1", user: "alice" }, NOW);
  await assert.rejects(channel.refreshPresence(() => Promise.reject(new Error("100"))));
  await channel.refreshPresence(async () => ({ clients: {} }));
  assert.equal(channel.members.size, 0);
});

test("an unsubscription by the server says its code", () => {
  const channel = subscribedAt(0);
  channel.unsubscribed({ code: 103, reason: "permission denied" });
  assert.equal(channel.state, "refused");
  assert.match(channel.problem, /^103 permission denied/);
});

test("members are those of now only from an answer until the subscription ends", async () => {
  const channel = subscribedAt(0);
  const ask = async () => ({ clients: { c1: { client: "c1", user: "alice" } } });
  assert.equal(channel.membersKnown, false);
  await channel.refreshPresence(ask);
  assert.equal(channel.membersKnown, true);
  channel.subscribing({ code: 1, reason: "transport closed" });
  assert.deepEqual([channel.membersKnown, channel.members.size], [false, 1]);
  channel.subscribed(at(0));
  assert.equal(channel.membersKnown, false);
  await channel.refreshPresence(ask);
  channel.unsubscribed({ code: 103, reason: "permission denied" });
  assert.equal(channel.membersKnown, false);
});

test("members are no longer those of now when presence does not answer", async () => {
  const channel = subscribedAt(0);
  await channel.refreshPresence(async () => ({ clients: {} }));
  await assert.rejects(channel.refreshPresence(() => Promise.reject(new Error("100"))));
  assert.equal(channel.membersKnown, false);
});
