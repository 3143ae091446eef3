// Numbers and times as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

export const timeOfDay = (unixMs) => clock.format(unixMs);

/** A duration, given in milliseconds, in the unit that suits it. */
export function duration(ms) {
  if (ms <= 0) return "< 1 ms";
  if (ms < 0.995) return `${ms.toFixed(2)} ms`;
  if (ms < 99.5) return `${Number.isInteger(ms) ? ms : ms.toFixed(1)} ms`;
  if (ms < 9_950) return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 60_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

export const rate = (perSecond) => (perSecond >= 9.95 ? Math.round(perSecond).toLocaleString() : perSecond.toFixed(1));

export const count = (number, singular, plural = `${singular}s`) =>
  `${number.toLocaleString()} ${number === 1 ? singular : plural}`;
