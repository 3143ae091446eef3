// Text of others, safe to be read: what would move, hide or break the text around it is written out.

/** Controls but the line feed, marks of direction, line and paragraph separators, characters of no width. */
const UNSEEN = /[^\P{Cc}\n]|[\p{Bidi_Control}\u2028\u2029\u200b\u2060-\u2064\ufeff]/gu;

/** The text with unseen characters as JSON escapes, so that JSON means the same as before. */
export function visible(text) {
  return text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
