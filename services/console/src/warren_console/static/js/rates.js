// Rates and latencies of the last minute, counted in quarter seconds.

export const BUCKET_MS = 250;
export const BUCKETS = 240;
const WINDOW = 4;
const MAX_LATENCIES = 1_000;

export class Rates {
  #buckets = new Map();
  #latencies = [];
  /** When there was no connection: pairs of times, the last without an end while there still is none. */
  #absences = [];

  /** Count one event of `kind`: "received" or "published". */
  count(kind, now = Date.now()) {
    const bucket = this.#bucket(now);
    bucket[kind] = (bucket[kind] ?? 0) + 1;
  }

  latency(ms, now = Date.now()) {
    this.#latencies.push([now, ms]);
    if (this.#latencies.length > MAX_LATENCIES) this.#latencies.splice(0, MAX_LATENCIES / 4);
  }

  wentAway(now = Date.now()) {
    if (this.#absences.at(-1)?.[1] === Infinity) return;
    this.#absences.push([now, Infinity]);
  }

  cameBack(now = Date.now()) {
    if (this.#absences.at(-1)?.[1] === Infinity) this.#absences.at(-1)[1] = now;
  }

  /** Events per second at the end of each of the last BUCKETS whole buckets. */
  series(kind, now = Date.now()) {
    const last = Math.floor(now / BUCKET_MS) - 1;
    const counts = Array.from({ length: BUCKETS + WINDOW }, (_, i) => this.#at(last - BUCKETS - WINDOW + 1 + i, kind));
    const series = [];
    let sum = counts.slice(0, WINDOW).reduce((total, n) => total + n, 0);
    for (let i = WINDOW; i < counts.length; i += 1) {
      sum += counts[i] - counts[i - WINDOW];
      series.push((sum * 1_000) / (BUCKET_MS * WINDOW));
    }
    return series;
  }

  /** From where to where on the series there was no connection: [from, to] in places, not whole ones. */
  away(now = Date.now()) {
    const end = Math.floor(now / BUCKET_MS) * BUCKET_MS;
    const place = (time) => Math.min(BUCKETS - 1, Math.max(0, BUCKETS - 1 - (end - time) / BUCKET_MS));
    const begin = end - (BUCKETS - 1) * BUCKET_MS;
    this.#absences = this.#absences.filter(([, to]) => to > begin);
    return this.#absences.map(([from, to]) => [place(from), place(to)]);
  }

  /** The p-th quantile of the last minute's latencies, null without any. */
  quantile(p, now = Date.now()) {
    const recent = this.#latencies.filter(([at]) => now - at < BUCKETS * BUCKET_MS).map(([, ms]) => ms);
    if (!recent.length) return null;
    recent.sort((a, b) => a - b);
    return recent[Math.min(recent.length - 1, Math.floor(p * recent.length))];
  }

  #at(number, kind) {
    return this.#buckets.get(number)?.[kind] ?? 0;
  }

  #bucket(now) {
    const number = Math.floor(now / BUCKET_MS);
    let bucket = this.#buckets.get(number);
    if (!bucket) {
      bucket = {};
      this.#buckets.set(number, bucket);
      for (const old of this.#buckets.keys()) {
        if (old >= number - BUCKETS - 2 * WINDOW) break;
        this.#buckets.delete(old);
      }
    }
    return bucket;
  }
}
