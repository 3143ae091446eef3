// Making elements. Text from the network only ever becomes text nodes: nothing here parses markup, and unseen
// characters are written out.

import { visible } from "./visible-text.js";

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Make an element. `attributes.on` holds listeners; children are nodes, or strings that become visible text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function setText(element, text) {
  element.textContent = visible(text);
}

/** Show an element's text, or hide the element if there is none. */
export function showText(element, text) {
  setText(element, text);
  element.hidden = !text;
}

/** Run `draw` at most once per animation frame, however often the returned function is called. */
export function oncePerFrame(draw) {
  let wanted = false;
  return () => {
    if (wanted) return;
    wanted = true;
    requestAnimationFrame(() => {
      wanted = false;
      draw();
    });
  };
}

/** Name one of five colours for a text, always the same one. */
export function hueOf(text) {
  let hash = 7;
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)) % 1_000_003;
  return `hue-${hash % 5}`;
}

function fill(element, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}
