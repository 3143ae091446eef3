// A line chart of rates on a canvas: a minute wide, newest at the right.

const LEFT = 34;
const TOP = 8;
const BOTTOM = 16;
const LINES = 2;
/** Pixels: the shortest absence is still seen. */
const MIN_AWAY = 2;

export class Chart {
  #canvas;
  #colours = {};

  constructor(canvas) {
    this.#canvas = canvas;
    this.#readColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#readColours());
  }

  /** Draw `{received, published, away}`: two series of rates, equally long, and intervals of places on them. */
  draw({ received, published, away }) {
    const context = this.#prepare();
    const top = niceTop(Math.max(...received, ...published));
    const frame = this.#frame(top, received.length);
    this.#drawAway(context, frame, away);
    this.#drawGrid(context, frame, top);
    this.#drawArea(context, frame, received);
    this.#drawLine(context, frame, published, this.#colours.out, 1.5);
    this.#drawLine(context, frame, received, this.#colours.in, 2);
  }

  #prepare() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio || 1;
    const [pixelsWide, pixelsHigh] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== pixelsWide || this.#canvas.height !== pixelsHigh) {
      [this.#canvas.width, this.#canvas.height] = [pixelsWide, pixelsHigh];
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  #frame(top, points) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const step = (width - LEFT) / (points - 1);
    const high = height - TOP - BOTTOM;
    return { width, bottom: height - BOTTOM, step, x: (i) => LEFT + i * step, y: (value) => TOP + high * (1 - value / top) };
  }

  #drawAway(context, { x, bottom }, away) {
    context.fillStyle = this.#colours.away;
    for (const [from, to] of away) context.fillRect(x(from), TOP, Math.max(MIN_AWAY, x(to) - x(from)), bottom - TOP);
  }

  #drawGrid(context, { width, x, y, bottom, step }, top) {
    Object.assign(context, { strokeStyle: this.#colours.line, fillStyle: this.#colours.muted, lineWidth: 1, textBaseline: "middle", textAlign: "right" });
    context.font = this.#colours.font;
    for (let i = 0; i <= LINES; i += 1) {
      const value = (top * i) / LINES;
      const line = Math.round(y(value)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, line);
      context.lineTo(width, line);
      context.stroke();
      context.fillText(short(value), LEFT - 6, line);
    }
    context.textAlign = "center";
    const points = Math.round((width - LEFT) / step);
    for (const seconds of [45, 30, 15]) context.fillText(`${seconds} s ago`, x(points * (1 - seconds / 60)), bottom + 10);
  }

  #drawArea(context, { x, y, bottom }, series) {
    context.beginPath();
    context.moveTo(x(0), bottom);
    series.forEach((value, i) => context.lineTo(x(i), y(value)));
    context.lineTo(x(series.length - 1), bottom);
    context.closePath();
    context.fillStyle = this.#colours.area;
    context.fill();
  }

  #drawLine(context, { x, y }, series, colour, width) {
    context.beginPath();
    series.forEach((value, i) => (i ? context.lineTo(x(i), y(value)) : context.moveTo(x(i), y(value))));
    Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
    context.stroke();
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    this.#colours = {
      in: read("--accent"),
      area: read("--accent-soft"),
      out: read("--svc-history"),
      away: read("--red-soft"),
      line: read("--line"),
      muted: read("--muted"),
      font: `10.5px ${read("--sans")}`,
    };
  }
}

/** The next number above the highest value that halves into round figures. */
function niceTop(highest) {
  const wanted = Math.max(2, highest * 1.08);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * power).find((top) => top >= wanted);
}

function short(value) {
  if (value >= 10_000) return `${Math.round(value / 1_000)}k`;
  return String(Math.round(value * 10) / 10);
}
