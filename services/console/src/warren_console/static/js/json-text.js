// JSON as coloured text, and what is wrong with JSON that somebody typed.

import { el } from "./dom.js";
import { visible } from "./visible-text.js";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)/g;
const MAX_LINE = 600;

/** Append a value as one line, for the list. Its `sent_at` is left out: the latency column shows it. */
export function appendLine(target, value) {
  let shown = value;
  if (value && typeof value === "object" && !Array.isArray(value) && "sent_at" in value) {
    const { sent_at: _, ...rest } = value;
    shown = rest;
  }
  appendColoured(target, visible((JSON.stringify(shown) ?? String(shown)).slice(0, MAX_LINE)));
}

/** Append a value over several lines, whole. */
export function appendPretty(target, value) {
  appendColoured(target, visible(JSON.stringify(value, null, 2) ?? String(value)));
}

/** Parse what was typed: `{value}` or `{problem}`, a line that says where it goes wrong. */
export function parseTyped(text) {
  if (!text.trim()) return { problem: "Nothing to publish: write JSON, such as {\"text\": \"hello\"}" };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { problem: `Not JSON: ${where(text, error.message)}` };
  }
}

function where(text, message) {
  const position = /position (\d+)/.exec(message);
  if (!position || /line \d+/.test(message)) return message;
  const before = text.slice(0, Number(position[1])).split("\n");
  return `${message} (line ${before.length}, column ${before.at(-1).length + 1})`;
}

function appendColoured(target, text) {
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) target.append(text.slice(end, match.index));
    const kind = match[3] ? "tok-number" : match[4] ? "tok-word" : match[2] ? "tok-key" : "tok-string";
    target.append(el("span", { class: kind }, match[0]));
    end = match.index + match[0].length;
  }
  if (end < text.length) target.append(text.slice(end));
}
