import assert from "node:assert/strict";
import { test } from "node:test";

import { explain } from "./codes.js";
import { count, duration, rate } from "./format.js";
import { parseTyped } from "./json-text.js";
import { BUCKETS, BUCKET_MS, Rates } from "./rates.js";
import { Settings } from "./settings.js";
import { visible } from "./visible-text.js";

const NOW = 1_700_000_000_000;
const MINUTE = BUCKETS * BUCKET_MS;

test("a steady stream has its rate", () => {
  const rates = new Rates();
  for (let ms = 0; ms < MINUTE; ms += 10) rates.count("received", NOW + ms);
  assert.equal(rates.series("received", NOW + MINUTE).at(-1), 100);
  assert.equal(rates.series("published", NOW + MINUTE).at(-1), 0);
});

test("the bucket that still fills is not looked at", () => {
  const rates = new Rates();
  rates.count("received", NOW);
  assert.equal(rates.series("received", NOW).at(-1), 0);
  assert.equal(rates.series("received", NOW + BUCKET_MS).at(-1), 1);
});

test("the series covers a minute and forgets what is older", () => {
  const rates = new Rates();
  rates.count("received", NOW);
  assert.equal(rates.series("received", NOW).length, BUCKETS);
  assert.ok(rates.series("received", NOW + MINUTE - BUCKET_MS).some((value) => value > 0));
  assert.ok(rates.series("received", NOW + 2 * MINUTE).every((value) => value === 0));
});

test("an absence is one interval from its beginning to its end", () => {
  const rates = new Rates();
  rates.wentAway(NOW);
  rates.wentAway(NOW + 100);
  rates.cameBack(NOW + 4 * BUCKET_MS);
  rates.cameBack(NOW + 5 * BUCKET_MS);
  assert.deepEqual(rates.away(NOW + 10 * BUCKET_MS), [[BUCKETS - 11, BUCKETS - 7]]);
});

test("an absence that goes on reaches to now, however long it is", () => {
  const rates = new Rates();
  rates.wentAway(NOW);
  assert.deepEqual(rates.away(NOW + 8 * BUCKET_MS), [[BUCKETS - 9, BUCKETS - 1]]);
  assert.deepEqual(rates.away(NOW + 5 * MINUTE), [[0, BUCKETS - 1]]);
});

test("absences of more than a minute ago are forgotten", () => {
  const rates = new Rates();
  rates.wentAway(NOW);
  rates.cameBack(NOW + 1_000);
  assert.deepEqual(rates.away(NOW + 1_000 + MINUTE), []);
});

test("quantiles are of the last minute", () => {
  const rates = new Rates();
  rates.latency(9_999, NOW - MINUTE - 1);
  for (let ms = 1; ms <= 100; ms += 1) rates.latency(ms, NOW);
  assert.deepEqual([rates.quantile(0.5, NOW), rates.quantile(0.99, NOW)], [51, 100]);
  assert.equal(new Rates().quantile(0.5, NOW), null);
});

test("latencies are bounded under a flood", () => {
  const rates = new Rates();
  for (let n = 0; n < 100_000; n += 1) rates.latency(n < 99_000 ? 1 : 2, NOW);
  assert.equal(rates.quantile(0.5, NOW), 2);
});

test("durations have a fitting unit", () => {
  const written = [0, 0.4, 3, 3.25, 250, 1_500, 42_000, 120_000, 7_200_000].map(duration);
  assert.deepEqual(written, ["< 1 ms", "0.40 ms", "3 ms", "3.3 ms", "250 ms", "1.5 s", "42 s", "2 min", "2 h"]);
});

test("counts and rates are written as people do", () => {
  assert.deepEqual([count(1, "client"), count(2, "client")], ["1 client", "2 clients"]);
  assert.deepEqual([rate(0), rate(9.5), rate(12.4)], ["0.0", "9.5", "12"]);
});

test("what was typed is JSON, or a line says why not", () => {
  assert.deepEqual(parseTyped('{"a": [1]}'), { value: { a: [1] } });
  assert.deepEqual(parseTyped("null"), { value: null });
  assert.match(parseTyped("").problem, /Nothing to publish/);
  assert.match(parseTyped("{\n  oops").problem, /^Not JSON: .*(line 2|position 4)/);
});

test("codes are explained, and unknown ones still shown", () => {
  assert.match(explain({ code: 102, message: "unknown channel" }), /^102 unknown channel \(/);
  assert.equal(explain({ code: 4321, reason: "because" }), "4321 because");
});

test("a channel's namespace is what stands before the first colon", () => {
  const settings = new Settings({ gateways: [], dev_tokens: false, namespaces: [{ name: "" }, { name: "chat" }] });
  assert.equal(settings.namespaceOf("chat:a:b").name, "chat");
  assert.equal(settings.namespaceOf("plain").name, "");
  assert.equal(settings.namespaceOf("other:x"), null);
});

test("suggestions are channels a client may subscribe to", () => {
  const open = { subscribe: true };
  const namespaces = [
    { name: "closed", durable: true, presence: true, subscribe: false },
    { name: "news", durable: true, ...open },
    { name: "chat", durable: true, presence: true, ...open },
    { name: "live", durable: false, ...open },
  ];
  assert.deepEqual(new Settings({ gateways: [], namespaces }).suggestions, ["chat:lobby", "live:ticks"]);
});

test("characters that move or hide text are written out", () => {
  assert.equal(visible("ab\u202ecd\u2069\u061c"), "ab\\u202ecd\\u2069\\u061c");
  assert.equal(visible("\u0000\u0007\u007f\u0085\u200b\ufeff\u2028"), "\\u0000\\u0007\\u007f\\u0085\\u200b\\ufeff\\u2028");
});

test("text of any language stays as it is, and so does JSON's meaning", () => {
  const text = "na\u00efve \u05e9\u05dc\u05d5\u05dd \ud83d\udc69\u200d\ud83d\ude80\nline";
  assert.equal(visible(text), text);
  const value = { "a\u202e": ["\u2066x", "\u200b"] };
  assert.deepEqual(JSON.parse(visible(JSON.stringify(value, null, 2))), value);
});
